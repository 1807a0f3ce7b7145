"""What a Keras metric is shown of an output: targets and predictions in the form that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn.metrics.items import class_items
from multilearn.metrics.regression import numbers_of
from multilearn.outputs import ClassificationOutput, MultiLabelOutput, RegressionOutput, SeveralOutputs
from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["FORMS", "Compared", "is_of_keras", "measured_inputs"]

FORMS = ("ids", "one_hot")
"""How the class of an item is given."""

_NEUTRAL = ("Mean", "MeanMetricWrapper", "Metric", "Reduction", "Sum")
"""Classes of Keras that say nothing of what they compare."""


@dataclass(frozen=True)
class Compared(Output):
    """What a metric is shown as it is."""

    y_true: Any
    y_pred: Any
    weights: Any = None


def measured_inputs(
    ops: ArrayOps, output: Output, metric: keras.metrics.Metric, targets: str | None, name: str
) -> dict[str, Tensor]:
    """`y_true`, `y_pred` and, where there are any, `weights`, all with the batch as their first axis."""
    if isinstance(output, ClassificationOutput):
        shown = _of_classes(ops, output, metric, targets, name)
    elif isinstance(output, MultiLabelOutput):
        shown = {"y_true": ops.float32(output.targets), "y_pred": _predictions(ops, output, metric, name)}
    elif isinstance(output, Compared):
        shown = {"y_true": output.y_true, "y_pred": output.y_pred}
    elif isinstance(output, RegressionOutput):
        numbers = numbers_of(ops, output, name)
        shown = {"y_true": numbers.targets, "y_pred": numbers.predictions}
    else:
        several = isinstance(output, SeveralOutputs)
        raise ConfigurationError(
            f"The Keras metric {name} needs an output with predictions and targets.",
            received=type(output).__name__,
            remedy="Measure one of the outputs: OfOutput(name, KerasMetric(...))."
            if several
            else "Have the task's step return one of those in multilearn.outputs.",
        )
    weights = getattr(output, "weights", None)
    return shown if weights is None else {**shown, "weights": ops.float32(weights)}


def _of_classes(
    ops: ArrayOps, output: ClassificationOutput, metric: keras.metrics.Metric, targets: str | None, name: str
) -> dict[str, Tensor]:
    items = class_items(ops, output, name)
    # what is not counted may be no class at all
    ids = items.targets if items.counted is None else ops.where(items.counted, items.targets, 0)
    if isinstance(metric, keras.metrics.BinaryIoU):
        raise ConfigurationError(
            "BinaryIoU measures labels that are true or not.",
            received="classes",
            remedy="Use it with a MultiLabelClassification task, or MeanIoU with this one.",
        )
    if isinstance(metric, keras.metrics.IoU) and metric.sparse_y_pred:
        predictions = ops.argmax(output.logits)
    else:
        predictions = _predictions(ops, output, metric, name)
    one_hot = (targets or _form(metric)) == "one_hot"
    return {"y_true": ops.one_hot(ids, items.classes) if one_hot else ids, "y_pred": predictions}


def _predictions(
    ops: ArrayOps, output: ClassificationOutput | MultiLabelOutput, metric: keras.metrics.Metric, name: str
) -> Tensor:
    """Probabilities, or logits where the metric makes probabilities of them itself."""
    arguments = getattr(metric, "_fn_kwargs", None) or {}
    if not (getattr(metric, "from_logits", False) or arguments.get("from_logits", False)):
        return ops.float32(output.scores(ops))
    if not output.from_logits:
        raise ConfigurationError(
            f"The Keras metric {name} takes logits, and the model outputs probabilities.",
            received="from_logits=True",
            remedy="Make the metric with from_logits=False.",
        )
    return ops.float32(output.logits)


def _form(metric: keras.metrics.Metric) -> str:
    """What the metric takes as targets, as far as that is known: ids unless it is one of Keras' that do not."""
    if isinstance(metric, keras.metrics.IoU):
        return "ids" if metric.sparse_y_true else "one_hot"
    function = getattr(metric, "_fn", None)
    if function is not None:
        sparse = getattr(function, "__name__", "").startswith("sparse")
        return "one_hot" if is_of_keras(function) and not sparse else "ids"
    speaking = (kind for kind in type(metric).__mro__ if is_of_keras(kind) and kind.__name__ not in _NEUTRAL)
    return "one_hot" if any(issubclass(kind, keras.metrics.Metric) for kind in speaking) else "ids"


def is_of_keras(thing: Any) -> bool:
    """Whether a class or a function comes with Keras."""
    return str(getattr(thing, "__module__", "")).split(".")[0] == "keras"
