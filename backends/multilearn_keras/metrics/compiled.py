"""Metrics by the words of Keras: those that a model was compiled with, and those that are registered by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import ops as keras_ops

from multilearn import metrics
from multilearn.errors import ConfigurationError
from multilearn.events import Direction
from multilearn.outputs import SeveralOutputs
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor
from multilearn_keras.keras_internals import (
    CompileMetrics,
    MetricsList,
    get_keras_mask,
    get_object_name,
    is_binary_or_sparse_categorical,
    to_snake_case,
)
from multilearn_keras.keras_internals import metric_classes as keras_metrics
from multilearn_keras.metrics.inputs import Compared
from multilearn_keras.metrics.keras_metric import KerasMetric
from multilearn_keras.patches.parity import of_rows

__all__ = ["CompiledMetric", "compiled_metrics", "metric_by_name"]

_ACCURACY = ("accuracy", "acc")


@dataclass(frozen=True)
class CompiledMetric:
    """A metric of `compile(metrics=...)`: it has the value over the epoch that Keras' own `fit` reports under `name`.

    It is shown the targets and predictions of the output number `place` of `outputs`, whose key is `key` in a model
    that outputs a dict; the sample weights only if it is `weighted`.
    """

    name: str
    metric: KerasMetric
    weighted: bool = False
    place: int = 0
    outputs: int = 1
    key: str | None = None

    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    @property
    def better(self) -> Direction | None:
        return self.metric.better

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        if output.compared is None and not isinstance(output, SeveralOutputs):
            return self.metric.measure(ops, output)
        return self.metric.measure(ops, self._shown(output))

    def merge(self, state: State | None, measured: Measured) -> State:
        return self.metric.merge(state, measured)

    def entry(self, state: State) -> Entry:
        return self.metric.entry(state)

    def _shown(self, output: Output) -> Compared:
        targets, predictions, weights = output.compared or (None, None, None)
        count = len(keras.tree.flatten(predictions))
        if count != self.outputs:
            raise ConfigurationError(
                f"The metric {self.name} is one of a model with {_outputs(self.outputs)}.",
                received=_outputs(count),
                remedy="Compile the model with metrics={name of the output: ...}, or use OfOutput(name, metric).",
            )
        y_pred, y_true = self._part(predictions), self._part(targets)
        if y_true is None:
            raise ConfigurationError(
                f"The metric {self.name} compares predictions with targets.",
                received="no targets for it",
                remedy="Give the loader tuples (x, y), or compile the model without this metric.",
            )
        weight = None if not self.weighted or weights is None else self._part(weights, repeated=True)
        return Compared(output.loss, output.count, y_true, y_pred, self._weights(weight, y_pred))

    def _part(self, nested: Any, repeated: bool = False) -> Any:
        """What of targets, predictions or weights belongs to the output."""
        if self.key is not None and isinstance(nested, dict):
            return nested.get(self.key)
        flat = keras.tree.flatten(nested)
        if repeated and len(flat) < self.outputs:
            return flat[0]
        return flat[self.place] if self.place < len(flat) else None

    def _weights(self, weight: Any, y_pred: Any) -> Any:
        """As Keras makes them of sample weights and mask: masked items count in no mean of a function's values."""
        averages = isinstance(self.metric.metric, keras.metrics.MeanMetricWrapper)
        mask = get_keras_mask(y_pred) if averages else None
        if weight is not None:
            weight = keras_ops.cast(weight, "float32")
        if mask is not None:
            mask = keras_ops.cast(mask, "float32")
            return mask if weight is None else keras_ops.multiply(of_rows(weight, mask), mask)
        if weight is not None and not averages and len(weight.shape) < len(y_pred.shape) - 1:
            return of_rows(weight, y_pred[..., 0])
        return weight


def compiled_metrics(model: keras.Model) -> tuple[CompiledMetric, ...]:
    """The metrics that a model was compiled with, named as in the history of Keras' own `fit`.

    The numbers that Keras appends to names are counted within the model, and not in the process.
    Raises `ConfigurationError` for what is no metric of one number, or does not fit the outputs.
    """
    compiled = getattr(model, "_compile_metrics", None)
    if compiled is None:
        return ()
    outputs = _symbolic_outputs(model, compiled)
    asked = compiled._user_metrics, compiled._user_weighted_metrics
    understood = keras.tree.map_structure(lambda each: None if each is None else _metric(each), asked)
    found = CompileMetrics(*understood, output_names=compiled.output_names)
    try:
        found.build(outputs, outputs)
    except ValueError as error:
        raise ConfigurationError(
            "The metrics of compile must fit the outputs of the model.",
            received=str(error).splitlines()[0],
            remedy="Give a list for a model with one output, else a dict by the names of the outputs.",
        ) from error
    several = keras.tree.is_nested(outputs) and len(keras.tree.flatten(outputs)) > 1
    keys = (found._resolved_output_names or ()) if several else ()
    taken: set[str] = set()
    metrics = []
    for weighted, of_outputs in ((False, found._flat_metrics), (True, found._flat_weighted_metrics)):
        for place, of_output in enumerate(of_outputs):
            for name, metric in _named(of_output, weighted, taken):
                key = keys[place] if place < len(keys) else None
                metrics.append(CompiledMetric(name, KerasMetric(metric), weighted, place, len(of_outputs), key))
    return tuple(metrics)


def metric_by_name(name: str) -> CompiledMetric:
    """The metric that Keras knows by a name: of a compiled model as in `compile(metrics=[name])`, of a task as
    `KerasMetric` measures it. "accuracy" is the one for the shapes of targets and predictions.

    Raises `ConfigurationError` for a name that Keras does not know, with the nearest that it does.
    """
    return CompiledMetric(name, KerasMetric(_metric(name)))


def _metric(given: Any) -> keras.metrics.Metric:
    if isinstance(given, keras.metrics.Metric):
        return given
    if isinstance(given, str) and given.lower() in _ACCURACY:
        return keras.metrics.MeanMetricWrapper(_accuracy, name=given)
    try:
        found = keras.metrics.get(given)
    except ValueError as error:
        known = [*_ACCURACY, *keras_metrics.ALL_OBJECTS_DICT]
        raise ConfigurationError(
            "A metric that is given by a name must be one that Keras knows.",
            received=repr(given),
            remedy=_nearest(str(given), known),
        ) from error
    if not isinstance(found, keras.metrics.Metric):
        return keras.metrics.MeanMetricWrapper(found, name=get_object_name(found))
    if isinstance(given, str):
        found.name = given
    return found


def _nearest(name: str, known: Sequence[str]) -> str:
    """The remedy for an unknown name."""
    ours = {each.lower(): each for each in metrics.__all__}
    if name.lower() in ours:
        return f"Give the object: multilearn.metrics.{ours[name.lower()]}()."
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return f"Did you mean {near[0]!r}?" if near else "Names are for instance 'accuracy', 'auc' and 'mse'."


def _accuracy(y_true: Any, y_pred: Any) -> Any:
    """What Keras makes of the word: by the shapes, binary, of class ids, or of one-hot targets."""
    binary, sparse = is_binary_or_sparse_categorical(y_true, y_pred)
    if binary:
        return keras.metrics.binary_accuracy(y_true, y_pred)
    of_classes = keras.metrics.sparse_categorical_accuracy if sparse else keras.metrics.categorical_accuracy
    return of_classes(y_true, y_pred)


def _symbolic_outputs(model: keras.Model, compiled: CompileMetrics) -> Any:
    """What stands for the outputs of the model, nested as it nests them; of a model without a graph, as its compiled
    losses and metrics say."""
    graph = getattr(model, "_functional", None) if isinstance(model, keras.Sequential) else model
    outputs = getattr(graph, "_outputs_struct", None)
    if outputs is not None:
        return outputs
    symbol = keras.KerasTensor((None, 1))
    asked = compiled._user_metrics, compiled._user_weighted_metrics
    if isinstance(model.loss, dict):
        keys = {*model.loss}.union(*(each for each in asked if isinstance(each, dict)))
        return {key: symbol for key in sorted(keys)}
    if isinstance(model.loss, (list, tuple)):
        return [symbol for _ in model.loss]
    by_output = next((each for each in asked if isinstance(each, dict)), None)
    return symbol if by_output is None else {key: symbol for key in sorted(by_output)}


def _named(
    of_output: MetricsList | None, weighted: bool, taken: set[str]
) -> Iterator[tuple[str, keras.metrics.Metric]]:
    """The metrics of an output, with the names by which `CompileMetrics.result` knows them."""
    if of_output is None:
        return
    prefix = f"{of_output.output_name}_" if of_output.output_name else ""
    for metric in of_output.metrics:
        word = _without_number(metric)
        name = f"{prefix}{word}"
        if weighted and name in taken:
            name = f"{prefix}weighted_{word}"
        unnumbered, number = name, 0
        while name in taken:
            number += 1
            name = f"{unnumbered}_{number}"
        taken.add(name)
        yield name, metric


def _without_number(metric: keras.metrics.Metric) -> str:
    automatic = to_snake_case(type(metric).__name__)
    return automatic if re.fullmatch(rf"{automatic}_\d+", metric.name) else metric.name


def _outputs(count: int) -> str:
    return "one output" if count == 1 else f"{count} outputs"
