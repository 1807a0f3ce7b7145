"""Metrics: one protocol, one file per metric."""

from multilearn.metrics.accuracy import Accuracy
from multilearn.metrics.loss import Loss
from multilearn.metrics.metric import Entry, Metric
from multilearn.metrics.numpy_ops import NumpyOps

__all__ = ["Accuracy", "Entry", "Loss", "Metric", "NumpyOps"]
