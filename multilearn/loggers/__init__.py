"""Metric loggers: one protocol, one file per implementation."""

from multilearn.loggers.files import FileMetricLogger
from multilearn.loggers.logger import MemoryMetricLogger, MetricLogger
from multilearn.loggers.metric_file import MetricFile, format_final, format_line, read_metric_file

__all__ = [
    "FileMetricLogger",
    "MemoryMetricLogger",
    "MetricFile",
    "MetricLogger",
    "format_final",
    "format_line",
    "read_metric_file",
]
