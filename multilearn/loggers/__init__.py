"""Metric loggers: one protocol, one file per implementation."""

from typing import TYPE_CHECKING

from multilearn.foreign_words import suggesting
from multilearn.loggers.files import FileMetricLogger
from multilearn.loggers.logger import MemoryMetricLogger, MetricLogger
from multilearn.loggers.metric_file import MetricFile, format_final, format_line, read_metric_file
from multilearn.loggers.mlflow import MlflowLogger
from multilearn.loggers.tensorboard import TensorBoardLogger
from multilearn.loggers.trackio import TrackioLogger
from multilearn.loggers.wandb import WandbLogger

__all__ = [
    "FileMetricLogger",
    "MemoryMetricLogger",
    "MetricFile",
    "MetricLogger",
    "MlflowLogger",
    "TensorBoardLogger",
    "TrackioLogger",
    "WandbLogger",
    "format_final",
    "format_line",
    "read_metric_file",
]

if not TYPE_CHECKING:  # a type checker would take any name for one that is there
    __getattr__ = suggesting(globals())
