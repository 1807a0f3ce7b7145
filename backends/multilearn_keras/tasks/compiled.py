"""A compiled Keras model, trained as Keras would; what it asks for besides its loss, and what its class defines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn.outputs import ClassificationOutput, MultiLabelOutput, RegressionOutput, SeveralOutputs
from multilearn.protocols import Asked, Output
from multilearn_keras.keras_internals import get_keras_mask
from multilearn_keras.metrics.compiled import compiled_metrics
from multilearn_keras.metrics.inputs import is_of_keras
from multilearn_keras.tasks.class_weights import ClassWeights, classes_of, weighed
from multilearn_keras.tasks.label_checks import check_ids, check_items, check_shares, check_targets
from multilearn_keras.tasks.losses import (
    counted,
    divisor,
    from_logits_of,
    ignored_by,
    is_binary,
    is_categorical,
    item_weights,
    own,
    spread,
    takes_class_ids,
    understood,
)
from multilearn_keras.tasks.overridden import refuse_overridden, require_compiled
from multilearn_keras.tasks.supervised import (
    Supervised,
    both_forms,
    refuse_activated,
    refuse_activated_output,
    require_items,
    unpack,
)

__all__ = ["CompiledModel", "asked_by", "named"]


class CompiledModel(Supervised):
    """A compiled Keras model as it is: its own loss, loss weights, regularizers and sample weights.

    What a step hands to the metrics follows from the loss: a `ClassificationOutput` for a categorical cross-entropy, a
    `MultiLabelOutput` for a binary one (with targets that are 1 above 0.5), else a `RegressionOutput`. A model with
    several outputs gives `SeveralOutputs` with such a one for each, by the key of a dict of outputs or the name of the
    output's layer; its loss counts items.

    `build` makes one of a model that is compiled. To give it `class_weight`, which Keras' `fit` takes, make it:
    `CompiledModel(model, class_weight={0: 1.0, 1: 5.0})`. It is by class id, or a list of all; what the loss of an item
    of that class is multiplied by in training, also by its sample weight, if it has one. `weighted_metrics` of the
    training are weighted by it, validation is not.

    Raises `ConfigurationError` for a model that is not compiled, has several outputs and class weights, or defines
    what Keras' own `fit` calls; and for weights that are none.
    """

    def __init__(self, model: keras.Model, *, class_weight: Any = None) -> None:
        refuse_overridden(model)
        require_compiled(model)
        several = model.loss is None or isinstance(model.loss, (dict, list, tuple))
        super().__init__(model, None if several else understood(model.loss))
        self.class_weights = None if class_weight is None else ClassWeights(class_weight)
        self._check_classes((), several)
        if self.loss is not None and from_logits_of(self.loss):
            refuse_activated(model)
        outputs = getattr(model, "_outputs_struct", None)
        if isinstance(outputs, (dict, list, tuple)):
            for name, (loss, output, *_) in named(model, outputs, outputs, None).items():
                if from_logits_of(loss):
                    refuse_activated_output(name, output)

    def step(self, batch: Any, training: bool) -> Output:
        x, y, weight = unpack(batch)
        predictions = self.model(x, training=training)
        given = weight
        if self.class_weights is not None and training:
            ids = classes_of(y, predictions)
            weight = weighed(spread(weight, ids, None), self.class_weights, ids, training)
        # not compute_loss: one that is overridden may know no `training`, and Keras sees to that here
        loss = self.model._compute_loss(x, y, predictions, own(weight), training)
        compared = y, predictions, weight
        if isinstance(predictions, (dict, list, tuple)):
            items = ops.shape(keras.tree.flatten(predictions)[0])[0]
            parts = {
                name: _output(own_loss(target, prediction, sample_weight=own(w)), own_loss, prediction, target, w)
                for name, (own_loss, prediction, target, w) in named(self.model, predictions, y, weight).items()
            }
            return SeveralOutputs(loss, items, parts, compared=compared)
        if self.loss is None:
            return Output(loss, ops.shape(predictions)[0], compared=compared)
        # metrics are without the weights of classes, as in Keras
        return replace(_output(loss, self.loss, predictions, y, given, divided_by=weight), compared=compared)

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        x, y, weight = unpack(batch)
        one = isinstance(shape, tuple) and all(length is None or isinstance(length, int) for length in shape)
        self._check_classes(shape if one else (), not one or isinstance(y, (dict, list, tuple)))
        if not one:
            check_items(x, None, None)
            for loss, part, target, own_weight in named(self.model, shape, y, weight).values():
                _check(x, target, own_weight, loss, part)
        elif self.loss is None or isinstance(y, (dict, list, tuple)):
            check_items(x, None, None)
        else:
            _check(x, y, weight, self.loss, shape)

    def _check_classes(self, shape: tuple[int | None, ...], several: bool) -> None:
        if self.class_weights is None:
            return
        if several:
            raise ConfigurationError(
                "Class weights are of a model with one output, which has one loss and one array of targets.",
                received="class_weight, and a model with several outputs",
                remedy="Give sample weights by output, as third part of a batch.",
            )
        units = shape[-1] if len(shape) > 1 else None
        if units is not None and self.loss is not None and (is_categorical(self.loss) or is_binary(self.loss)):
            self.class_weights.check(2 if units == 1 and is_binary(self.loss) else units)


def named(model: keras.Model, outputs: Any, y: Any, weight: Any) -> dict[str, tuple[keras.losses.Loss, Any, Any, Any]]:
    """`(loss, output, targets, sample weights)` of every output that the model was compiled with a loss for.

    A dict of outputs is named by its keys, a list by the model's `output_names`. Losses, targets and weights are dicts
    by these names, or lists in this order; one loss and one array of weights are those of every output. An output
    that nothing can be assigned to is left out.
    """
    if isinstance(outputs, dict):
        names, found = list(outputs), list(outputs.values())
    else:
        names, found = list(getattr(model, "output_names", ())), list(outputs)
    if (
        len(names) != len(found)
        or not isinstance(y, (dict, list, tuple))
        or any(isinstance(output, (dict, list)) for output in found)
    ):
        return {}
    several = {}
    for index, (name, output) in enumerate(zip(names, found, strict=True)):
        # Keras orders a dict of outputs by its keys wherever it meets a list
        place = sorted(names).index(name) if isinstance(outputs, dict) else index
        loss, target = _of(model.loss, name, place, len(names)), _of(y, name, place, len(names))
        if loss is not None and target is not None:
            several[name] = understood(loss), output, target, _of(weight, name, place, len(names))
    return several


def _of(given: Any, name: str, place: int, length: int) -> Any:
    if isinstance(given, dict):
        return given.get(name)
    if isinstance(given, (list, tuple)):
        if len(given) == length:
            return given[place]
        return given[0] if len(given) == 1 else None
    return given


def _check(x: Any, y: Any, weight: Any, loss: keras.losses.Loss, shape: tuple[int | None, ...]) -> None:
    if is_of_keras(getattr(loss, "fn", type(loss))):
        # a loss of the user's may take the output for the loss itself
        require_items(shape)
    y = check_targets(y)
    check_items(x, y, weight)
    if is_categorical(loss) and takes_class_ids(loss) and shape[-1] is not None:
        ignored = ignored_by(loss)
        check_ids(y, shape[-1], shape, () if ignored is None else (ignored,))
    elif is_binary(loss) and len(shape) > 1:
        check_shares(y, shape)


def _output(
    loss: Any, kind: keras.losses.Loss, prediction: Any, y: Any, weight: Any, *, divided_by: Any = None
) -> Output:
    """One output of a model, in the form that metrics of its kind expect. `divided_by`: the weights in the loss, if
    they are others than those of items."""
    if is_categorical(kind):
        items, _ = both_forms(y, prediction, sparse=True)
        mask = counted(prediction, items, kind)
    else:
        items, mask = prediction[..., 0] if len(prediction.shape) > 1 else prediction, get_keras_mask(prediction)
    weight, divided_by = spread(weight, items, mask), spread(divided_by, items, mask)
    count = divisor(kind.reduction, items, mask, weight if divided_by is None else divided_by)
    weights = item_weights(items, mask, weight)
    if is_categorical(kind):
        logits = ops.reshape(prediction, (*ops.shape(items), prediction.shape[-1]))
        return ClassificationOutput(loss, count, logits, items, weights, bool(from_logits_of(kind)))
    if is_binary(kind) and len(prediction.shape) > 1:
        targets = ops.cast(ops.greater(ops.cast(ops.reshape(y, ops.shape(prediction)), "float32"), 0.5), "int32")
        return MultiLabelOutput(loss, count, prediction, targets, weights, bool(from_logits_of(kind)))
    if len(y.shape) == len(prediction.shape) - 1 and prediction.shape[-1] == 1:
        y = ops.expand_dims(y, -1)
    return RegressionOutput(loss, count, prediction, y, weights)


def asked_by(task: Any) -> Asked:
    """What was passed to `compile`, of a model or of that of a task, which has a loss and metrics of its own.

    Raises `ConfigurationError` for metrics that cannot be measured.
    """
    alone = isinstance(task, (keras.Model, CompiledModel))
    model = task if isinstance(task, keras.Model) else getattr(task, "model", None)
    if not (isinstance(model, keras.Model) and model.compiled):
        return Asked()
    metrics = compiled_metrics(model)
    notes = list(_without_effect(model))
    if metrics and not alone:
        names = ", ".join(repr(metric.name) for metric in metrics)
        notes.append(
            f"A task measures what is registered with .metrics(...), not what its model was compiled with: {names}."
        )
    return Asked(metrics if alone else (), bool(model.run_eagerly), tuple(notes))


def _without_effect(model: keras.Model) -> Iterator[str]:
    steps = model.steps_per_execution
    if steps != 1:
        yield (
            f"compile(steps_per_execution={steps!r}) has no effect: every step is run by itself, and its metrics are "
            "fetched together with those of others."
        )
    if model.run_eagerly:
        return
    backend, jit = keras.backend.backend(), model.jit_compile
    if jit is True and backend != "jax" and not model._resolve_auto_jit_compile():
        compiler = "inductor" if backend == "torch" else "xla"
        yield (
            "compile(jit_compile=True) has no effect: steps are captured as graphs without a compiler. "
            f'Ask for one with .engine(compile="{compiler}").'
        )
    if jit is False and backend == "jax" and model._resolve_auto_jit_compile():
        yield (
            "compile(jit_compile=False) has no effect: JAX compiles every step. "
            "Run them eagerly with .engine(capture=False)."
        )
