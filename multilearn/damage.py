"""What of a run was damaged between two processes, other than the checkpoints that are skipped for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from multilearn.artifacts import RunDirectory, metric_name
from multilearn.checkpoint import CheckpointFolder
from multilearn.checkpoint.regular import opened
from multilearn.events import Split
from multilearn.experiment import read_document
from multilearn.loggers import format_final
from multilearn.position import Position

__all__ = ["damages"]

Finals = Mapping[Split, Mapping[str, Mapping[int, float]]]
"""The epoch values that a checkpoint knows, by split, metric and epoch."""

_TAIL = 1 << 12


def damages(run: RunDirectory, folder: CheckpointFolder, position: Position, finals: Finals) -> list[str]:
    """A line for each thing that is not as it was left, in the run that goes on from `position`: it stays as it is."""
    return [
        *_of_experiment(run.experiment),
        *_of_earlier_checkpoints(folder, position),
        *_of_metric_files(run, position, finals),
    ]


def _of_experiment(path: Path) -> Iterator[str]:
    if not os.path.lexists(path):
        yield f"{path} is missing: what it said of earlier sessions is lost."
        return
    try:
        if not isinstance(read_document(path).get("sessions"), list):
            raise ValueError("it tells of no sessions")
    except ValueError as error:
        yield f"{path} is damaged ({error}): what it said of earlier sessions is lost."


def _of_earlier_checkpoints(folder: CheckpointFolder, position: Position) -> Iterator[str]:
    for each in folder.positions():
        if each < position and (problem := folder.misfit(each)):
            yield f"Checkpoint {each} is damaged: {problem}."


def _of_metric_files(run: RunDirectory, position: Position, finals: Finals) -> Iterator[str]:
    """Of finished epochs: a file that is missing though other epochs have it, or has another end than it had."""
    for split in (Split.TRAIN, Split.VALID):
        names = sorted({path.name for folder in run.epochs(split).values() for path in folder.glob("*.log")})
        for epoch in range(1, position.finished_epochs + 1):
            for name in names:
                path = run.epoch(split, epoch) / name
                if problem := _problem(path, run.path, _known(finals.get(split, {}), name, epoch)):
                    yield f"{path} {problem}, and stays as it is."


def _known(finals: Mapping[str, Mapping[int, float]], file: str, epoch: int) -> float | None:
    try:
        return finals.get(metric_name(file.removesuffix(".log")), {}).get(epoch)
    except UnicodeDecodeError:  # no name that we give
        return None


def _problem(path: Path, root: Path, known: float | None) -> str | None:
    try:
        last = _last_line(path, root)
        if not last.endswith(b",final\n"):
            return "has lost its end"
        value = last.removesuffix(b",final\n").decode()
    except FileNotFoundError:
        return "is missing"
    except (OSError, ValueError) as error:
        return f"cannot be read ({error})"
    if known is not None and value not in ("unavailable", _written(known)):
        return f"ends with {value!r} where the checkpoint says {_written(known)}"
    return None


def _written(value: float) -> str:
    return format_final(value).removesuffix(",final")


def _last_line(path: Path, root: Path) -> bytes:
    with opened(path, root) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        return file.read().splitlines(keepends=True)[-1] if size else b""
