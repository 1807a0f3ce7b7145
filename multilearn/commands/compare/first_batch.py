"""The first batch in which the curves of runs part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from multilearn.commands.compare.statistics import relative
from multilearn.commands.runs import RunOnDisk
from multilearn.errors import DirectoryError
from multilearn.events import Split
from multilearn.loggers.metric_file import MetricFile, read_metric_file

__all__ = ["first_batch_apart"]

_KINDS = {Split.TRAIN: "training", Split.VALID: "validation"}


def first_batch_apart(runs: Sequence[RunOnDisk], tolerance: float) -> str | None:
    """The first batch whose loss is further apart than `tolerance` (relative), in words without a full stop.

    Epoch by epoch, of each the training batches before those of validation; None where no batch is, as far as all runs
    have come and have logged the loss. Raises `RecordError`, or `DirectoryError`, for files that cannot be read.
    """
    for split, epoch in _logged_by_all(runs):
        files = [_losses(run, split, epoch) for run in runs]
        for number, values in enumerate(zip(*(file.values for file in files), strict=False), start=1):
            if any(relative(a, b) > tolerance for a, b in combinations(values, 2)):
                losses = " / ".join(str(value) for value in values)
                return f"The {_KINDS[split]} loss first differs in batch {number} of epoch {epoch}: {losses}"
        counts = [len(file.values) for file in files]
        if len(set(counts)) > 1 and all(file.final is not None for file in files):
            return (
                f"The number of {_KINDS[split]} batches first differs in epoch {epoch}: {' / '.join(map(str, counts))}"
            )
    return None


def _logged_by_all(runs: Sequence[RunOnDisk]) -> list[tuple[Split, int]]:
    found = [
        {
            (epoch, split is Split.VALID, split)
            for split in _KINDS
            for epoch in run.directory.epochs(split)
            if run.directory.metric(split, epoch, "Loss").is_file()
        }
        for run in runs
    ]
    return [(split, epoch) for epoch, _, split in sorted(set.intersection(*found))]


def _losses(run: RunOnDisk, split: Split, epoch: int) -> MetricFile:
    path = run.directory.metric(split, epoch, "Loss")
    try:
        return read_metric_file(path, run.path)
    except (OSError, UnicodeDecodeError) as error:
        raise DirectoryError.unreadable(path, error) from error
