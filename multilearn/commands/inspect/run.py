"""What is in a run's directory, and whether all of it is intact."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from multilearn.checkpoint import CheckpointFolder
from multilearn.checkpoint.manifest import Manifest, steadily
from multilearn.commands.compare.preconditions import preconditions
from multilearn.commands.inspect.record import InspectedRecord, inspect_record
from multilearn.commands.runs import RunOnDisk, open_run
from multilearn.commands.text import Sentences, TextTable, as_text, document, plural, size
from multilearn.errors import DirectoryError, MultilearnError, RecordError
from multilearn.events import Position
from multilearn.records.formats import BUILT_IN
from multilearn.run.experiment import Session
from multilearn.run.recorded_history import history_problem
from multilearn.storage.layout import RunDirectory

__all__ = ["InspectedCheckpoint", "InspectedRun", "inspect"]


@dataclass(frozen=True)
class InspectedCheckpoint:
    """A checkpoint that the manifest names: the bytes of its files, and what is wrong with it, None if it is intact."""

    position: str
    size: int
    problem: str | None


@dataclass(frozen=True)
class InspectedRun:
    """A run. `problems` are what is wrong apart from its checkpoints; with its metric files, then `epochs` is None."""

    run: RunOnDisk
    epochs: tuple[int, ...] | None
    checkpoints: tuple[InspectedCheckpoint, ...]
    problems: tuple[str, ...]

    @property
    def intact(self) -> bool:
        return not self.problems and all(each.problem is None for each in self.checkpoints)

    def as_json(self) -> str:
        """`directory`, `seed`, `weights_sha256`, finished `epochs` (or null), `metrics` and `sessions` as declared.

        `checkpoints`: `position`, `size` in bytes, `problem` (null if intact); `problems`: sentences; `intact`.
        """
        return document(
            {
                "directory": str(self.run.path),
                "seed": self.run.seed,
                "weights_sha256": self.run.weights,
                "epochs": self.epochs,
                "metrics": self.run.declared["metrics"],
                "sessions": self.run.declared["sessions"],
                "checkpoints": [asdict(each) for each in self.checkpoints],
                "problems": self.problems,
                "intact": self.intact,
            }
        )

    def as_text(self) -> str:
        metrics = ", ".join(f"{name} ({_splits(each)})" for name, each in self.run.metrics.items())
        facts = [
            ["directory", str(self.run.path)],
            ["seed", str(self.run.seed)],
            ["metrics", metrics or "none"],
            ["epochs", "not known, see below" if self.epochs is None else f"{len(self.epochs)} finished"],
        ]
        sessions = [[str(number), *_cells_of(session)] for number, session in enumerate(self.run.sessions, start=1)]
        _, *besides_seed = preconditions([self.run])
        known = [[each.name, each.values[0]] for each in besides_seed if each.held is not None]
        saved = [[each.position, size(each.size), each.problem or "intact"] for each in self.checkpoints]
        broken = [each for each in self.checkpoints if each.problem]
        wrong = [*self.problems, *([f"{plural(len(broken), 'checkpoint')} not intact"] if broken else [])]
        none = [["none"]]
        return as_text(
            [
                TextTable("", facts),
                TextTable("sessions", sessions or none),
                TextTable("preconditions", known or none),
                TextTable("checkpoints", saved or none, right=(0, 1)),
                Sentences(wrong or ["intact"]),
            ]
        )


def inspect(path: Path) -> InspectedRun | InspectedRecord:
    """A run's directory, its checkpoint folder, or a record. Raises `DirectoryError` for what is neither."""
    path = Path(os.path.expanduser(path))
    if os.path.isfile(path):
        extensions = [f".{recorder.extension}" for recorder in BUILT_IN]
        if not path.name.endswith(tuple(extensions)):
            raise DirectoryError(
                f"A run's directory or a record ({', '.join(extensions)}) can be inspected.",
                received=path,
                remedy="Give the directory of the run, or one of the records in its checkpoint folder.",
            )
        return inspect_record(path)
    run = open_run(path)
    problems: list[str] = []
    epochs: tuple[int, ...] | None = None
    checkpoints: tuple[InspectedCheckpoint, ...] = ()
    try:
        epochs = tuple(run.epochs)
    except MultilearnError as error:
        problems.append(str(error))
    try:
        checkpoints = _checkpoints(run.directory)
    except MultilearnError as error:
        problems.append(str(error))
    return InspectedRun(run, epochs, checkpoints, tuple(problems))


def _checkpoints(directory: RunDirectory) -> tuple[InspectedCheckpoint, ...]:
    folder = CheckpointFolder(directory.checkpoints)

    def look() -> tuple[InspectedCheckpoint, ...]:
        return tuple(
            InspectedCheckpoint(
                str(each.position), sum(facts.size for facts in each.files.values()), _problem(folder, each.position)
            )
            for each in Manifest.load(directory.checkpoints).checkpoints
        )

    return steadily(folder.path, look, lambda found: all(each.problem is None for each in found))


def _problem(folder: CheckpointFolder, position: Position) -> str | None:
    problem = folder.problem(position)
    if problem is None:
        # the record of another version, or of another recorder, does not say how much of the history it counts
        with suppress(RecordError):
            return history_problem(folder, position)
    return problem


def _splits(metric: object) -> str:
    splits = metric.get("splits") if isinstance(metric, dict) else None
    return ", ".join(map(str, splits)) if isinstance(splits, list) else "splits unknown"


def _cells_of(session: Session) -> list[str]:
    origin = session.resumed_from
    came = "from the start" if origin is None else f"from {origin['position']} of {origin['directory']}"
    return [session.backend or "unknown", session.device, session.started, came, _ending(session)]


def _ending(session: Session) -> str:
    if session.ended is None or session.outcome is None:
        return "did not end: killed, or still running"
    place = f" at {session.position}" if session.position else ""
    detail = session.error or session.reason
    return f"{session.outcome}{place}" + (f": {detail}" if detail else "")
