"""Metrics: one protocol, one file per metric.

A custom metric has two halves. `measure` runs on the device, inside the compiled step: it is written in `ops`
(see `multilearn.protocols.ArrayOps`; no operators or methods of tensors, so that it runs on every framework) and hands
over sums and counts. `merge` and `entry` run on the host, on numpy arrays, so the value of an epoch is exact however it
was split into batches. The mean probability of the right class, in ten lines:

    >>> class Certainty:
    ...     name, unit, numeric = "Certainty", "share", True
    ...     def measure(self, ops, output):
    ...         scores = output.scores(ops)  # (batch, classes)
    ...         own = ops.multiply(scores, ops.one_hot(output.targets, scores.shape[-1]))
    ...         return {"total": ops.sum(own), "count": ops.size(output.targets)}
    ...     def merge(self, state, measured):
    ...         return {key: float(new) + (state[key] if state else 0.0) for key, new in measured.items()}
    ...     def entry(self, state):
    ...         return Entry(state["total"] / state["count"], state["count"])

It is registered like any other, `.metrics(Certainty())`. `NumpyOps` tries it without a framework:

    >>> import numpy as np
    >>> from multilearn.outputs import ClassificationOutput
    >>> scores, targets = np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1])
    >>> output = ClassificationOutput(loss=0.0, count=2, logits=scores, targets=targets, from_logits=False)
    >>> metric = Certainty()
    >>> metric.entry(metric.merge(None, metric.measure(NumpyOps(), output)))
    Entry(value=0.625, count=2.0)

* `measure` returns arrays that are 0-d, have the batch as their first axis, or have a fixed shape, such as a count for
  each class. What an output offers: `multilearn.outputs`; one that does not fit is refused by raising
  `ConfigurationError` in `measure`, which is tried before anything is written.
* Parameters go into a frozen dataclass, and into `name`, so that two variants live side by side.
* `Entry.count` is what a value is a mean over; leave it out where it is none, such as a ratio of sums.
* A state may also hold numpy arrays, texts and lists. Return a new one: the old one must stay as it is.
* Two more attributes may be there: `costly = True` where `entry` takes so long that it is to be asked for batches and
  epochs only, not for the epoch so far; `caution(state)`, a sentence for the log, where the value of an epoch is NaN.
"""

from multilearn.metrics.accuracy import Accuracy, HammingScore, TopKAccuracy
from multilearn.metrics.confusion_matrix import ConfusionMatrix
from multilearn.metrics.curves import AUROC, AveragePrecision
from multilearn.metrics.error_rates import CharErrorRate, WordErrorRate
from multilearn.metrics.loop_metrics import IterationSpeed, LearningRate
from multilearn.metrics.machine import CpuMemory, CpuUse, GpuMemory, GpuUse
from multilearn.metrics.mean import Loss, Mean, Perplexity
from multilearn.metrics.numpy_ops import NumpyOps
from multilearn.metrics.of_output import OfOutput
from multilearn.metrics.overlaps import Dice, MeanIoU
from multilearn.metrics.precision_recall import FBetaScore, Precision, Recall, Specificity
from multilearn.metrics.r2 import R2
from multilearn.metrics.regression import MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from multilearn.protocols import UNAVAILABLE, AnyMetric, Entry, HostMetric, Metric, Moment

__all__ = [
    "AUROC",
    "R2",
    "UNAVAILABLE",
    "Accuracy",
    "AnyMetric",
    "AveragePrecision",
    "CharErrorRate",
    "ConfusionMatrix",
    "CpuMemory",
    "CpuUse",
    "Dice",
    "Entry",
    "FBetaScore",
    "GpuMemory",
    "GpuUse",
    "HammingScore",
    "HostMetric",
    "IterationSpeed",
    "LearningRate",
    "Loss",
    "Mean",
    "MeanAbsoluteError",
    "MeanIoU",
    "MeanSquaredError",
    "Metric",
    "Moment",
    "NumpyOps",
    "OfOutput",
    "Perplexity",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "Specificity",
    "TopKAccuracy",
    "WordErrorRate",
]
