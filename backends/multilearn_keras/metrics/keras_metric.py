"""Metrics of Keras' own, measured exactly over an epoch on every framework."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras
import numpy as np

from multilearn.errors import ConfigurationError
from multilearn.events import Direction
from multilearn.metrics.items import named
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor
from multilearn_keras.metrics.functions import MetricFunctions
from multilearn_keras.metrics.inputs import FORMS, is_of_keras, measured_inputs

__all__ = ["KerasMetric"]


@dataclass(frozen=True, eq=False, repr=False)
class KerasMetric:
    """`keras.metrics.AUC()` and the like as a metric of ours: `KerasMetric(keras.metrics.AUC())`, or as it is.

    It sees what Keras' own `evaluate` would show it: probabilities, or logits if the metric has `from_logits=True`;
    of classes the targets in the form that it takes, `targets="ids"` or `"one_hot"`, which is known of Keras' own
    metrics; a class of your own gets ids unless you say otherwise. Weights are its `sample_weight`, as with Keras'
    `weighted_metrics`; one that takes none is spared items of weight zero. Its state is that of its variables, which
    are kept apart: the object itself is never changed.

    One of Keras' own is measured in the step: what a batch adds to its variables is fetched, and summed in float64. A
    class or function of your own computes on the host's processor, from predictions and targets that are fetched in
    full, with the exactness of its float32.

    Its name is its class with the arguments that are not as by default, or the name that you gave it.
    Raises `ConfigurationError` for what is no metric of targets and predictions, and, for most not before the first
    batch, for what results in more than one number.
    """

    metric: keras.metrics.Metric
    targets: str | None = None
    name: str = field(init=False)
    _functions: MetricFunctions = field(init=False)

    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    @property
    def better(self) -> Direction | None:
        """As Keras' own metrics say it to its tuner: those of a class of your own do not."""
        directions: dict[str | None, Direction] = {"up": "highest", "down": "lowest"}
        return directions.get(getattr(self.metric, "_direction", None))

    def __post_init__(self) -> None:
        _require_comparing(self.metric)
        if self.targets not in (None, *FORMS):
            raise ConfigurationError(
                "The targets that a Keras metric takes are ids or one-hot.",
                received=f"targets={self.targets!r}",
                remedy=f"Use one of: {', '.join(FORMS)}.",
            )
        object.__setattr__(self, "name", _name(self.metric))
        object.__setattr__(self, "_functions", MetricFunctions(_own(self.metric)))

    def __repr__(self) -> str:
        return f"KerasMetric({self.name!r}{'' if self.targets is None else f', targets={self.targets!r}'})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KerasMetric) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self.name)

    def __deepcopy__(self, memo: Any) -> KerasMetric:
        return KerasMetric(self.metric, self.targets)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        inputs = measured_inputs(ops, output, self.metric, self.targets, self.name)
        return self._functions.measured(inputs) if self._functions.adds else inputs

    def merge(self, state: State | None, measured: Measured) -> State:
        functions = self._functions
        if "0" in measured:
            return functions.added(state, measured)
        sample = state["sample"] if state is not None else {name: array[:1] for name, array in measured.items()}
        before = functions.initial(sample) if state is None else state["variables"]
        return {"variables": functions.updated(before, measured), "sample": sample}

    def entry(self, state: State) -> Entry:
        if state.get("value") is not None:
            return Entry(state["value"])
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
