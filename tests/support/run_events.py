"""The events of runs that are not there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from multilearn.events import (
    START,
    EpochEnded,
    Event,
    Finished,
    MetricInfo,
    Position,
    Reading,
    Saved,
    Split,
    SplitEnded,
    Started,
    Stepped,
)

__all__ = ["ACCURACY", "LOSS", "RATE", "WORDS", "events"]

LOSS = MetricInfo("Loss", plotted=True, better="lowest")
ACCURACY = MetricInfo("Accuracy", "share", plotted=True, better="highest")
RATE = MetricInfo("LearningRate", plotted=True)
WORDS = MetricInfo("Words", numeric=False)


def value(info: MetricInfo, done: float) -> float | str:
    """Of a metric when so much of the run is done, from 0 to 1: smooth, with a ripple for what a batch adds."""
    ripple = 0.05 * math.sin(97 * done)
    if not info.numeric:
        return f"{info.name}\tat\n{done:.2f} \x1b[31m"
    if info.unit == "share":
        return 1 - math.exp(-4 * done) * (0.9 + ripple)
    if info.name == "LearningRate":
        return 1e-3 * (1 + math.cos(math.pi * done)) / 2
    return 2.3 * math.exp(-4 * done) * (1 + ripple) + 0.05


def events(
    epochs: int = 4,
    batches: int = 25,
    infos: tuple[MetricInfo, ...] = (LOSS, ACCURACY, RATE, WORDS),
    *,
    known: bool = True,
    nan_at: int = 0,
) -> Iterator[Event]:
    """All of a run, its learning rate in training only; `known`: whether the loader has a length; every batch number
    `nan_at` of an epoch has NaN for a loss."""
    validated = tuple(info for info in infos if info.name != "LearningRate")
    metrics = {Split.TRAIN: infos, Split.VALID: validated}
    yield Started(
        Path("runs/digits"), epochs, START, {Split.TRAIN: batches if known else None, Split.VALID: 2}, metrics, {}
    )
    for epoch in range(1, epochs + 1):
        for batch in range(1, batches + 1):
            update = (epoch - 1) * batches + batch
            found = {info.name: value(info, update / (epochs * batches)) for info in infos}
            if batch == nan_at:
                found["Loss"] = math.nan
            readings = {name: Reading(each, 64, each) for name, each in found.items()}
            yield Stepped(Split.TRAIN, epoch, batch, update, 1e-3, readings, 64)
        exact = {info.name: Reading(value(info, epoch / epochs)) for info in infos}
        yield SplitEnded(Split.TRAIN, epoch, exact)
        of_valid = {info.name: exact[info.name] for info in validated}
        for batch in (1, 2):
            yield Stepped(Split.VALID, epoch, batch, epoch * batches, None, of_valid, 64)
        yield SplitEnded(Split.VALID, epoch, of_valid)
        yield EpochEnded(epoch)
        yield Saved(Position(epoch))
    yield Finished(Position(epochs))
