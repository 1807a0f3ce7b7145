"""Metrics: one protocol, one file per metric.

A custom metric has two halves. `measure` runs on the device, inside the compiled step: it is written in `ops`
(see `multilearn.protocols.ArrayOps`; no operators or methods of tensors, so that it runs on every framework) and hands
over sums and counts. `merge` and `entry` run on the host, on numpy arrays, so the value of an epoch is exact however it
was split into batches. `docs/metrics.md` has one in ten lines. It is registered like any other, and `NumpyOps` tries it
without a framework.

* `measure` returns arrays that are 0-d, have the batch as their first axis, or have a fixed shape, such as a count for
  each class. What an output offers: `multilearn.outputs`; one that does not fit is refused by raising
  `ConfigurationError` in `measure`, which is tried before anything is written.
* Parameters go into a frozen dataclass, and into `name`, so that two variants live side by side.
* `Entry.count` is what a value is a mean over; leave it out where it is none, such as a ratio of sums.
* A state may also hold numpy arrays, texts and lists. Return a new one: the old one must stay as it is.
* Two more attributes may be there: `costly = True` where `entry` takes so long that it is to be asked for batches and
  epochs only, not for the epoch so far; `caution(state)`, a sentence for the log, where the value of an epoch is NaN.
"""

from typing import TYPE_CHECKING

from multilearn.foreign_words import suggesting
from multilearn.metrics.accuracy import Accuracy, HammingScore, TopKAccuracy
from multilearn.metrics.confusion_matrix import ConfusionMatrix
from multilearn.metrics.curves import AUROC, AveragePrecision
from multilearn.metrics.error_rates import CharErrorRate, WordErrorRate
from multilearn.metrics.machine import CpuMemory, CpuUse, GpuMemory, GpuUse
from multilearn.metrics.mean import Loss, Mean, Perplexity
from multilearn.metrics.norms import GradientNorm, WeightNorm
from multilearn.metrics.numpy_ops import NumpyOps
from multilearn.metrics.of_output import OfOutput
from multilearn.metrics.overlaps import Dice, MeanIoU
from multilearn.metrics.pace import IterationSpeed, LearningRate, SamplesPerSecond
from multilearn.metrics.precision_recall import FBetaScore, Precision, Recall, Specificity
from multilearn.metrics.regression import R2, MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from multilearn.protocols import UNAVAILABLE, AnyMetric, Entry, HostMetric, Metric, Moment, Update, UpdateMetric

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
    "GradientNorm",
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
    "SamplesPerSecond",
    "Specificity",
    "TopKAccuracy",
    "Update",
    "UpdateMetric",
    "WeightNorm",
    "WordErrorRate",
]

if not TYPE_CHECKING:  # a type checker would take any name for one that is there
    __getattr__ = suggesting(globals())
