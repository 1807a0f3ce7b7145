"""Metrics of Keras' own, measured exactly over an epoch on every framework."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn.metrics.metric import Entry, Measured, State
from multilearn.metrics.names import named
from multilearn.outputs import Output
from multilearn.protocols import ArrayOps, Tensor
from multilearn_keras.metric_inputs import FORMS, is_of_keras, measured_inputs

__all__ = ["KerasMetric"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False, repr=False)
class KerasMetric:
    """`keras.metrics.AUC()` and the like as a metric of ours: `KerasMetric(keras.metrics.AUC())`, or as it is.

    It sees what Keras' own `evaluate` would show it: probabilities, or logits if the metric has `from_logits=True`;
    of classes the targets in the form that it takes, `targets="ids"` or `"one_hot"`, which is known of Keras' own
    metrics; a class of your own gets ids unless you say otherwise. Weights are its `sample_weight`, as with Keras'
    `weighted_metrics`; one that takes none is spared items of weight zero. Its state is that of its variables, which
    are kept apart: the object itself is never changed. The last fraction of exactness is that of its float32.

    Its name is its class with the arguments that are not as by default, or the name that you gave it. It computes on
    the host's processor, from predictions and targets that are fetched in full.
    Raises `ConfigurationError` for what is no metric of targets and predictions, and, for most not before the first
    batch, for what results in more than one number.
    """

    metric: keras.metrics.Metric
    targets: str | None = None
    name: str = field(init=False)
    _functions: _Functions = field(init=False)

    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require_comparing(self.metric)
        if self.targets not in (None, *FORMS):
            raise ConfigurationError(
                "The targets that a Keras metric takes are ids or one-hot.",
                received=f"targets={self.targets!r}",
                remedy=f"Use one of: {', '.join(FORMS)}.",
            )
        object.__setattr__(self, "name", _name(self.metric))
        object.__setattr__(self, "_functions", _Functions(_own(self.metric)))

    def __repr__(self) -> str:
        return f"KerasMetric({self.name!r}{'' if self.targets is None else f', targets={self.targets!r}'})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KerasMetric) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self.name)

    def __deepcopy__(self, memo: Any) -> KerasMetric:
        return KerasMetric(self.metric, self.targets)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        return measured_inputs(ops, output, self.metric, self.targets, self.name)

    def merge(self, state: State | None, measured: Measured) -> State:
        functions = self._functions
        sample = state["sample"] if state is not None else {name: array[:1] for name, array in measured.items()}
        before = functions.initial(sample) if state is None else state["variables"]
        return {"variables": functions.updated(before, measured), "sample": sample}

    def entry(self, state: State) -> Entry:
        functions = self._functions
        functions.initial(state["sample"])
        result = keras.tree.flatten(functions.result(state["variables"]))
        if len(result) != 1 or np.size(result[0]) != 1:
            one = len(result) == 1
            raise _several(self.name, f"an array of shape {np.shape(result[0])}" if one else f"{len(result)} results")
        return Entry(float(np.reshape(result[0], ())))

    def _identity(self) -> tuple[Any, ...]:
        # its own name may count the metrics of the process
        config = {key: value for key, value in self.metric.get_config().items() if key != "name"}
        return type(self.metric), self.name, self.targets, repr(config)


class _Functions:
    """A metric as functions of the values of its variables, which are numpy arrays: nothing is kept between calls."""

    def __init__(self, metric: keras.metrics.Metric) -> None:
        self._metric = metric
        self._initial: list[Array] | None = None
        self._lock = threading.Lock()
        parameters = inspect.signature(metric.update_state).parameters
        kinds = {parameter.kind for parameter in parameters.values()}
        self._weighted = "sample_weight" in parameters or inspect.Parameter.VAR_KEYWORD in kinds
        compiled = _compiler()
        self._update: Callable[..., Any] = compiled(metric.stateless_update_state)
        self._result: Callable[..., Any] = compiled(metric.stateless_result)

    def initial(self, sample: Measured) -> list[Array]:
        """The values at the beginning. Some metrics make their variables when they see the first item: `sample`."""
        with self._lock:
            if self._initial is None:
                if not (self._metric.variables and getattr(self._metric, "_built", True)):
                    with keras.device("cpu:0"):
                        self._metric.update_state(**self._arguments(sample))
                        self._metric.reset_state()
                self._initial = list(map(_array, self._metric.stateless_reset_state()))
        return self._initial

    def updated(self, values: Sequence[Array], measured: Measured) -> list[Array]:
        with keras.device("cpu:0"):
            return list(map(_array, self._update(self._tensors(values), **self._arguments(measured))))

    def result(self, values: Sequence[Array]) -> Any:
        with keras.device("cpu:0"):
            return keras.tree.map_structure(_array, self._result(self._tensors(values)))

    def _tensors(self, values: Sequence[Array]) -> list[Any]:
        pairs = zip(values, self._metric.variables, strict=True)
        return [ops.convert_to_tensor(value, dtype=variable.dtype) for value, variable in pairs]

    def _arguments(self, measured: Measured) -> dict[str, Any]:
        targets, predictions, weights = measured["y_true"], measured["y_pred"], measured.get("weights")
        if weights is None:
            arguments = {"y_true": targets, "y_pred": predictions}
        elif self._weighted:
            arguments = {"y_true": targets, "y_pred": predictions, "sample_weight": weights}
        else:
            counted = np.asarray(weights) > 0
            arguments = {"y_true": targets[counted], "y_pred": predictions[counted]}
        return {name: ops.convert_to_tensor(np.asarray(array)) for name, array in arguments.items()}


def _compiler() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What makes a function of arrays quick: op by op, TensorFlow and JAX would take most of a training step."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return partial(tf.function, autograph=False, reduce_retracing=True)
    return lambda function: function


def _own(metric: keras.metrics.Metric) -> keras.metrics.Metric:
    """Another one like it, where Keras knows how to make it; some keep what they learned of the first item's shape."""
    wraps_function = type(metric) is keras.metrics.MeanMetricWrapper
    return type(metric).from_config(metric.get_config()) if is_of_keras(type(metric)) and not wraps_function else metric


def _require_comparing(metric: Any) -> None:
    if not isinstance(metric, keras.metrics.Metric):
        raise ConfigurationError(
            "KerasMetric takes a metric of Keras.",
            received=repr(metric),
            remedy="Write for instance KerasMetric(keras.metrics.AUC()).",
        )
    if not {"y_true", "y_pred"} <= inspect.signature(metric.update_state).parameters.keys():
        raise ConfigurationError(
            "A Keras metric that is measured compares predictions with targets: update_state(y_true, y_pred).",
            received=type(metric).__name__,
            remedy="For the mean of a number of your task's output, use multilearn.metrics.Mean.",
        )
    if isinstance(metric, keras.metrics.FBetaScore) and metric.average is None:
        raise _several(type(metric).__name__, "average=None: one for each class")


def _several(name: str, received: str) -> ConfigurationError:
    return ConfigurationError(
        f"The Keras metric {name} must result in one number.",
        received=received,
        remedy="Give it an average, such as average='macro', or a single threshold.",
    )


def _name(metric: keras.metrics.Metric) -> str:
    """The given name; otherwise not Keras' own, which counts the metrics of the process: `auc_3`."""
    kind = type(metric).__name__
    parameters = inspect.signature(type(metric)).parameters
    default = parameters["name"].default if "name" in parameters else None
    automatic = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind).lower()
    if metric.name != default and not re.fullmatch(rf"{automatic}(_\d+)?", metric.name.lower()):
        return str(metric.name)
    function: Any = getattr(metric, "_fn", None)
    words = [function.__name__] if kind == "MeanMetricWrapper" and hasattr(function, "__name__") else []
    config = metric.get_config()
    settings = {
        key: config[key]
        for key, parameter in parameters.items()
        if key not in ("name", "dtype") and key in config and config[key] != parameter.default
    }
    return named(kind, *words, **{key: each for key, each in settings.items() if isinstance(each, (int, float, str))})


def _array(value: Any) -> Array:
    return np.array(ops.convert_to_numpy(value))
