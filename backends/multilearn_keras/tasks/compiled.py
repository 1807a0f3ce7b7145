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
from multilearn_keras.tasks.supervised import (
    Supervised,
    both_forms,
    refuse_activated,
    refuse_activated_output,
    require_items,
    unpack,
)

__all__ = ["CompiledModel", "asked_by", "named", "refuse_overridden"]


class CompiledModel(Supervised):
    """A compiled Keras model as it is: its own loss, loss weights, regularizers and sample weights.

    What a step hands to the metrics follows from the loss: a `ClassificationOutput` for a categorical cross-entropy, a
    `MultiLabelOutput` for a binary one (with targets that are 1 above 0.5), else a `RegressionOutput`. A model with
    several outputs gives `SeveralOutputs` with such a one for each, by the key of a dict of outputs or the name of the
    output's layer; its loss counts items.
    """

    def __init__(self, model: keras.Model) -> None:
        several = model.loss is None or isinstance(model.loss, (dict, list, tuple))
        super().__init__(model, None if several else understood(model.loss))
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
        return replace(_output(loss, self.loss, predictions, y, weight), compared=compared)

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        x, y, weight = unpack(batch)
        if not (isinstance(shape, tuple) and all(length is None or isinstance(length, int) for length in shape)):
            check_items(x, None, None)
            for loss, part, target, own_weight in named(self.model, shape, y, weight).values():
                _check(x, target, own_weight, loss, part)
        elif self.loss is None or isinstance(y, (dict, list, tuple)):
            check_items(x, None, None)
        else:
            _check(x, y, weight, self.loss, shape)


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


def _output(loss: Any, kind: keras.losses.Loss, prediction: Any, y: Any, weight: Any) -> Output:
    """One output of a model, in the form that metrics of its kind expect."""
    if is_categorical(kind):
        items, _ = both_forms(y, prediction, sparse=True)
        mask = counted(prediction, items, kind)
    else:
        items, mask = prediction[..., 0] if len(prediction.shape) > 1 else prediction, get_keras_mask(prediction)
    weight = spread(weight, items, mask)
    count, weights = divisor(kind.reduction, items, mask, weight), item_weights(items, mask, weight)
    if is_categorical(kind):
        logits = ops.reshape(prediction, (*ops.shape(items), prediction.shape[-1]))
        return ClassificationOutput(loss, count, logits, items, weights, bool(from_logits_of(kind)))
    if is_binary(kind) and len(prediction.shape) > 1:
        targets = ops.cast(ops.greater(ops.cast(ops.reshape(y, ops.shape(prediction)), "float32"), 0.5), "int32")
        return MultiLabelOutput(loss, count, prediction, targets, weights, bool(from_logits_of(kind)))
    if len(y.shape) == len(prediction.shape) - 1 and prediction.shape[-1] == 1:
        y = ops.expand_dims(y, -1)
    return RegressionOutput(loss, count, prediction, y, weights)


_PREDICTING = ("predict_step", "make_predict_function")
_STEPS = (
    *("train_step", "test_step", "compute_metrics", "get_metrics_result", "compute_loss_and_updates"),
    *("stateless_compute_loss", "make_train_function", "make_test_function", *_PREDICTING),
)


def refuse_overridden(model: Any, predicting: bool = False) -> None:
    """Raise `ConfigurationError` if a model has its own version of what Keras' `fit` calls: it would be ignored.

    `predicting`: only of what `predict` calls. An own `compute_loss` is used.
    """
    if not isinstance(model, keras.Model):
        return
    for name in _PREDICTING if predicting else _STEPS:
        if getattr(type(model), name, None) is not getattr(keras.Model, name, None) or name in vars(model):
            raise ConfigurationError(
                f"A model's own {name} is written for Keras' own loop and would be ignored here.",
                received=f"{type(model).__name__}.{name}",
                remedy="Put what it computes into a task: step(batch, training) returns the loss and what metrics see, "
                "predict(batch) what is predicted.",
            )


def asked_by(task: Any) -> Asked:
    """What was passed to `compile`, of a model or of that of a task, which has a loss and metrics of its own.

    Raises `ConfigurationError` for metrics that cannot be measured.
    """
    alone = isinstance(task, keras.Model)
    model = task if alone else getattr(task, "model", None)
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
