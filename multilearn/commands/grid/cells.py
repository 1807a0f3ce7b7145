"""The cells of a grid, and which runs each of them made. What became of a run is read from its experiment.json.

`.multilearn/<script>-<hash of the script and its arguments>/<backend>-<seed>.jsonl`, in the working directory, names
the runs of a cell whose script ended well.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.run.experiment import earlier as sessions_of
from multilearn.storage.atomic import write_atomically
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import open_own, require_folder
from multilearn.storage.reading import read_whole

__all__ = ["Cell", "CellRun", "GridIndex", "runs_in", "seeds_of"]

_LARGEST = 1 << 26  # bytes of a cell's file
_MOST = 1000  # seeds: more are a slip of the hand
_REMEDY = "Write for instance --seeds 1,2,3 or --seeds 1..10."


@dataclass(frozen=True)
class Cell:
    """A script on one backend; `seed` None is the script's own, outside of a grid."""

    backend: str
    seed: int | None = None

    def __str__(self) -> str:
        return self.backend if self.seed is None else f"{self.backend} {self.seed}"


@dataclass(frozen=True)
class CellRun:
    """A run of a cell: the directory as the script has it, and in full; where its last session began (None: at the
    start) and ended (None: it did not), whether there is nothing to resume, and which command of a grid began it."""

    directory: str
    path: Path
    began: str | None = None
    position: str | None = None
    finished: bool = False
    begun_by: str | None = None

    @classmethod
    def read(cls, directory: str, path: Path) -> CellRun:
        """As its experiment.json has it; where that cannot be read, a run that did not end."""
        sessions, _ = sessions_of(RunDirectory(path).experiment)
        if not sessions:
            return cls(directory, path)
        last = sessions[-1]
        first = next((session for session in reversed(sessions) if session.resumed_from is None), sessions[0])
        began = None if last.resumed_from is None else last.resumed_from["position"]
        position = None if last.outcome == "failed" else last.position
        return cls(directory, path, began, position, last.is_finished, first.command)


@dataclass(frozen=True)
class GridIndex:
    """Which runs the cells of a grid made: of a script, as it reads now, with its arguments."""

    folder: Path

    @classmethod
    def of(cls, script: Path, arguments: Sequence[str]) -> GridIndex:
        """Makes its folder. Raises `DirectoryError` where that, or reading the script, is not possible."""
        root = Path(".multilearn").absolute()
        try:
            content = hashlib.sha256(script.read_bytes()).hexdigest()
            key = hashlib.sha256(json.dumps([str(script.resolve()), content, *arguments]).encode()).hexdigest()[:8]
            folder = root / f"{script.stem}-{key}"
            require_folder(folder, root.parent, create=True)
            descriptor = open_own(root / ".gitignore", root.parent, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with open(descriptor, "wb") as ignored:
                ignored.write(b"*\n")
        except OSError as error:
            raise DirectoryError(
                "A grid keeps the directories of its cells in .multilearn, in the working directory.",
                received=f"{error.filename or root}: {error.strerror}",
                remedy="Make room, or run it from a directory that you can write to.",
            ) from error
        return cls(folder)

    @property
    def command(self) -> str:
        """What tells this script with these arguments from any other: `train-1a2b3c4d`."""
        return self.folder.name

    def runs(self, cell: Cell) -> tuple[CellRun, ...]:
        """Those that the script made when it last ended well; none where that is not known."""
        try:
            return runs_in(read_whole(self._file(cell), _LARGEST, self.folder))
        except OSError:
            return ()

    def record(self, cell: Cell, report: bytes) -> None:
        """Keep what a script that ended well has reported. Raises `StorageError`."""
        write_atomically(self._file(cell), report)

    def _file(self, cell: Cell) -> Path:
        return self.folder / f"{cell.backend}-{cell.seed}.jsonl"


def runs_in(report: bytes) -> tuple[CellRun, ...]:
    """The runs that a script has reported, a JSON line each: as declared and as a full path; none if any is damaged."""
    try:
        lines = dict.fromkeys(map(tuple, map(json.loads, report.splitlines())))
        return tuple(CellRun.read(str(directory), Path(path)) for directory, path in lines)
    except (ValueError, TypeError, RecursionError):
        return ()


def seeds_of(texts: Sequence[str]) -> tuple[int, ...]:
    """The seeds that `--seeds` asks for, in this order.

    >>> seeds_of(["1,2", "5..7", "10-11"])
    (1, 2, 5, 6, 7, 10, 11)

    Raises `ConfigurationError` for anything else than numbers and ranges of them, and for a seed that comes twice.
    """
    seeds = [seed for text in texts for part in text.split(",") for seed in _range(part.strip())]
    if twice := [seed for seed in dict.fromkeys(seeds) if seeds.count(seed) > 1]:
        raise ConfigurationError(
            "Each seed is run once.", received=f"{', '.join(map(str, twice))} twice", remedy="Name it once."
        )
    if len(seeds) > _MOST:
        raise ConfigurationError(f"A grid has at most {_MOST} seeds.", received=len(seeds), remedy=_REMEDY)
    return tuple(seeds)


def _range(text: str) -> range:
    first, dots, last = text.partition(".." if ".." in text else "-")
    bounds = (first.strip(), last.strip()) if dots else (text, text)
    if not all(bound.isascii() and bound.isdecimal() and len(bound) < 20 and int(bound) < 2**63 for bound in bounds):
        raise ConfigurationError(
            "Seeds are whole numbers from 0 to 2**63 - 1, or ranges of them.", received=repr(text), remedy=_REMEDY
        )
    seeds = range(int(bounds[0]), int(bounds[1]) + 1)
    if not seeds or len(seeds) > _MOST:
        rule = "A range of seeds goes up." if not seeds else f"A grid has at most {_MOST} seeds."
        raise ConfigurationError(rule, received=repr(text), remedy=_REMEDY)
    return seeds
