"""What is in a run's directory or in one record, and whether all of it is intact."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from multilearn.checkpoint import CheckpointFolder
from multilearn.checkpoint.manifest import Manifest, steadily
from multilearn.commands.compare.preconditions import preconditions
from multilearn.commands.inspected_record import InspectedRecord, inspect_record
from multilearn.commands.text import Sentences, TextTable, as_text, document, size
from multilearn.errors import DirectoryError, MultilearnError, RecordError
from multilearn.events import Position
from multilearn.printable import plural
from multilearn.records.formats import BUILT_IN
from multilearn.renderers.notation import shown
from multilearn.run.experiment import Session
from multilearn.run.on_disk import RunOnDisk, open_run
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
        """Its fields; `seed`, `weights_sha256`, `metrics` and `sessions` of the run as declared."""
        return document(
            {
                "directory": str(self.run.path),
                "seed": self.run.seed,
                "weights_sha256": self.run.weights,
                "epochs": self.epochs,
                "values": [
                    {"epoch": epoch, "split": str(split), "metric": metric, "value": value.value}
                    for epoch, values in (self.run.epochs if self.epochs else {}).items()
                    for (split, metric), value in values.items()
                ],
                "metrics": self.run.declared["metrics"],
                "sessions": self.run.declared["sessions"],
                "checkpoints": [asdict(each) for each in self.checkpoints],
                "problems": self.problems,
                "intact": self.intact,
            }
        )

    def _values(self) -> TextTable:
        """The numbers of every finished epoch."""
        finished = self.run.epochs if self.epochs else {}
        numbers = [
            (epoch, {key: value.value for key, value in values.items() if not isinstance(value.value, str)})
            for epoch, values in finished.items()
        ]
        keys = list(dict.fromkeys(key for _, values in numbers for key in values))
        heads = ["epoch", *(f"{split} {metric}" for split, metric in keys)]
        rows = [
            [str(epoch), *(shown(values[key], self.run.unit(key[1])) if key in values else "-" for key in keys)]
            for epoch, values in numbers
        ]
        return TextTable("epochs", [heads, *rows] if rows else [["none"]], right=range(len(heads)))

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
                self._values(),
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
    return [session.backend or "unknown", session.on, session.started, came, _ending(session)]


def _ending(session: Session) -> str:
    if session.ended is None or session.outcome is None:
        return "did not end: killed, or still running"
    place = f" at {session.position}" if session.position else ""
    detail = session.error or session.reason
    return f"{session.outcome}{place}" + (f": {detail}" if detail else "")
