"""What of a run was damaged between two processes, other than the checkpoints that are skipped for it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from multilearn.checkpoint import CheckpointFolder
from multilearn.errors import DirectoryError
from multilearn.events import Position, Split
from multilearn.loggers import format_final
from multilearn.run.experiment import read_document
from multilearn.storage.layout import RunDirectory, file_name
from multilearn.storage.reading import opened

if TYPE_CHECKING:
    from multilearn.run.resume import ResumePoint

__all__ = ["damages"]

_TAIL = 1 << 12


def damages(run: RunDirectory, folder: CheckpointFolder, found: ResumePoint) -> list[str]:
    """A line for each thing that is not as it was left, in the run that resumes from `found`: it stays as it is."""
    return [
        *_of_experiment(run.experiment),
        *_of_earlier_checkpoints(folder, found.position),
        *_of_metric_files(run, found),
    ]


def _of_experiment(path: Path) -> Iterator[str]:
    if not os.path.lexists(path):
        yield f"{path} is missing: what it said of earlier sessions is lost."
        return
    try:
        if not isinstance(read_document(path).get("sessions"), list):
            raise ValueError("it lists no sessions")
    except ValueError as error:
        yield f"{path} is damaged ({error}): what it said of earlier sessions is lost."


def _of_earlier_checkpoints(folder: CheckpointFolder, position: Position) -> Iterator[str]:
    for each in folder.positions():
        if each < position and (problem := folder.misfit(each)):
            yield f"Checkpoint {each} is damaged: {problem}."


def _of_metric_files(run: RunDirectory, found: ResumePoint) -> Iterator[str]:
    """Of finished epochs: files that are missing, or have another end than they had."""
    logged = _logged(run)
    for split in (Split.TRAIN, Split.VALID):
        folders = run.epochs(split)
        finals = {file_name(name): values for name, values in found.finals().get(split, {}).items()}
        expected = finals.keys() | map(file_name, found.texts(split))
        seen = {path.stem for folder in folders.values() for path in folder.glob("*.log")}
        for name in sorted(seen | (expected & {file_name(name) for name in logged.get(split, ())})):
            missing = []
            for epoch in range(1, found.position.finished_epochs + 1):
                if epoch not in folders and finals and not any(epoch in values for values in finals.values()):
                    continue  # it was not measured: see LearnerBuilder.validate_every
                path, known = run.epoch(split, epoch) / f"{name}.log", finals.get(name, {}).get(epoch)
                if epoch not in folders or not path.is_file():
                    # a metric that was registered later has none
                    missing += [epoch] if known is not None or name not in finals else []
                elif problem := _problem(path, run.path, known):
                    yield f"{path} {problem}, and stays as it is."
            yield from _missing(run, split, name, missing)


def _missing(run: RunDirectory, split: Split, name: str, epochs: Sequence[int]) -> Iterator[str]:
    """One line for all of a metric's files that are missing."""
    if len(epochs) == 1:
        yield f"{run.epoch(split, epochs[0]) / name}.log is missing, and stays as it is."
    elif epochs:
        which = f"{len(epochs)} of the epochs {epochs[0]} to {epochs[-1]}"
        yield f"{run.path / split}: {name}.log is missing in {which}, and stays as it is."


def _logged(run: RunDirectory) -> Mapping[str, Collection[str]]:
    """The metrics that the last session wrote files of, by split, as far as experiment.json says it."""
    try:
        document = read_document(run.experiment)
        own = [words for words in document["not_data"] if words.startswith(".metric_loggers(")]
        if document["builder"].get("metric_loggers") == [] or (own and "FileMetricLogger" not in own[0]):
            return {}
        metrics = document["metrics"]
        return {split: [str(each["name"]) for each in metrics if split in each["splits"]] for split in Split}
    except (DirectoryError, LookupError, TypeError, AttributeError):
        return {}


def _problem(path: Path, root: Path, known: float | None) -> str | None:
    try:
        last = _last_line(path, root)
        if not last.endswith(b",final\n"):
            return "has lost its end"
        value = last.removesuffix(b",final\n").decode()
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
