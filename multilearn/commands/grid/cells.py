"""The cells of a grid: which there are, and what the file of each tells of the attempts at it.

A cell's file is `.multilearn/<script>-<hash of script path and arguments>/<backend>-<seed>.jsonl`, in the working
directory. Lines are only ever added to it, so that a killed process leaves all that was said before.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.run.experiment import earlier as sessions_of
from multilearn.run.grid_cell import append
from multilearn.storage.layout import RunDirectory
from multilearn.storage.lock import locked
from multilearn.storage.own_files import own_folder
from multilearn.storage.reading import read_whole

__all__ = ["Attempt", "Cell", "CellFiles", "Trained", "seeds_of"]

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


@dataclass
class Trained:
    """A run of a cell: the directory as the script has it, and in full; where it began (None: at the start), where it
    ended (None: it did not), and whether there is nothing to go on with."""

    directory: str
    path: Path
    began: str | None = None
    position: str | None = None
    finished: bool = False

    @property
    def still_there(self) -> bool:
        """Whether its directory tells of the same end, and not of what somebody did in it later."""
        sessions, _ = sessions_of(RunDirectory(self.path).experiment)
        return bool(sessions) and sessions[-1].position == self.position


@dataclass
class Attempt:
    """One process at work on a cell: its runs by their paths, and its exit code, None where it was killed with us."""

    script: str
    code: int | None = None
    runs: dict[Path, Trained] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether all of it is done: the script ended well, and each of the runs it made, which are still there."""
        runs = self.runs.values()
        return self.code == 0 and bool(runs) and all(run.finished and run.still_there for run in runs)


@dataclass(frozen=True)
class CellFiles:
    """The files of one grid: of a script with its arguments, `script` is the hash of what it reads like now."""

    folder: Path
    script: str

    @classmethod
    def of(cls, script: Path, arguments: Sequence[str]) -> CellFiles:
        """Makes their folder. Raises `DirectoryError` where that, or reading the script, is not possible."""
        key = hashlib.sha256(json.dumps([str(script.resolve()), *arguments]).encode()).hexdigest()[:8]
        root = Path(".multilearn").absolute()
        folder = root / f"{script.stem}-{key}"
        try:
            with own_folder(root, root.parent, create=True) as own, own.folder(folder.name, create=True):
                descriptor = own.open(".gitignore", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with open(descriptor, "wb") as ignored:
                ignored.write(b"*\n")
            return cls(folder, hashlib.sha256(script.read_bytes()).hexdigest())
        except OSError as error:
            raise _unwritable(root, error) from error

    def file(self, cell: Cell) -> Path:
        return self.folder / f"{cell.backend}-{cell.seed}.jsonl"

    def attempts(self, cell: Cell) -> tuple[Attempt, ...]:
        """Those that were made at a cell. A line that cannot be read counts as not written."""
        attempts: list[Attempt] = []
        for line in _lines(self.file(cell)):
            try:
                _take(line, attempts)
            except (KeyError, TypeError, IndexError):
                continue
        return tuple(attempts)

    @contextmanager
    def held(self, cell: Cell) -> Iterator[bool]:
        """While it lasts no other process has the cell; False where one has it now."""
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.file(cell).with_suffix(".lock")))
            except DirectoryError:
                yield False
                return
            yield True

    def begin(self, cell: Cell) -> None:
        self._append(cell, {"attempt": {"script": self.script}})

    def end(self, cell: Cell, code: int) -> None:
        self._append(cell, {"exit": code})

    def _append(self, cell: Cell, line: dict[str, Any]) -> None:
        try:
            append(self.file(cell), line)
        except OSError as error:
            raise _unwritable(self.folder, error) from error


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


def _unwritable(folder: Path, error: OSError) -> DirectoryError:
    return DirectoryError(
        "A grid keeps what it knows of its cells in .multilearn, in the working directory.",
        received=f"{error.filename or folder}: {error.strerror}",
        remedy="Make room, or run it from a directory that you can write to.",
    )


def _range(text: str) -> range:
    first, dots, last = text.partition(".." if ".." in text else "-")
    bounds = (first.strip(), last.strip()) if dots else (text, text)
    if not all(bound.isascii() and bound.isdecimal() and len(bound) < 20 and int(bound) < 2**63 for bound in bounds):
        raise ConfigurationError(
            "Seeds are whole numbers from 0 to 2**63 - 1, or ranges of them.", received=repr(text), remedy=_REMEDY
        )
    found = range(int(bounds[0]), int(bounds[1]) + 1)
    if not found or len(found) > _MOST:
        rule = "A range of seeds goes up." if not found else f"A grid has at most {_MOST} seeds."
        raise ConfigurationError(rule, received=repr(text), remedy=_REMEDY)
    return found


def _lines(file: Path) -> Iterator[Any]:
    try:
        text = read_whole(file, _LARGEST, file.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DirectoryError(f"{file} cannot be read: {error.strerror}.", remedy="Check its permissions.") from error
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            continue


def _take(line: Any, attempts: list[Attempt]) -> None:
    match line:
        case {"attempt": {"script": str(script)}}:
            attempts.append(Attempt(script))
        case {"run": {"directory": str(directory), "path": str(path), "from": (str() | None) as began}}:
            attempts[-1].runs[Path(path)] = Trained(directory, Path(path), began)
        case {"end": {"path": str(path), "position": str(position), "finished": bool(finished)}}:
            run = attempts[-1].runs[Path(path)]
            run.position, run.finished = position, finished
        case {"exit": int(code)}:
            attempts[-1].code = code
