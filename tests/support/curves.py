"""How far the curves of two runs are apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from multilearn.loggers.metric_file import MetricFile, read_metric_file


def measured(run: Path, split: str, metric: str) -> list[MetricFile]:
    """What was logged in each epoch."""
    epochs = range(1, 1 + len(list((run / split).iterdir())))
    return [read_metric_file(run / split / f"epoch-{epoch}" / f"{metric}.log") for epoch in epochs]


def losses(run: Path) -> np.ndarray:
    """The loss of each update."""
    return np.array([value for epoch in measured(run, "train", "Loss") for value in epoch.values], float)


def apart(one: Path, other: Path) -> float:
    """The largest relative difference between the losses of two runs, update by update."""
    first, second = losses(one), losses(other)
    assert len(first) == len(second) > 0
    return float(np.max(abs(first - second) / np.maximum(abs(first), abs(second))))


def accuracies_apart(one: Path, other: Path, split: str) -> tuple[float, float]:
    """The largest difference between the accuracies of an epoch, and of the last one, in items and as a share."""
    found = []
    for epoch, counterpart in zip(measured(one, split, "Accuracy"), measured(other, split, "Accuracy"), strict=True):
        items = sum(count for count in epoch.counts if count)
        found.append(abs(float(epoch.final or 0) - float(counterpart.final or 0)) * items)
    return max(found), found[-1] / items
