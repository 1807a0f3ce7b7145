"""What `multilearn run` is asked for: a script, and the cells to run it in, each a backend and a seed.

Of a grid, which runs the script made in each cell is kept in the working directory, in
`.multilearn/<script>-<hash of the script and its arguments>/<backend>-<seed>.jsonl`; what became of a run is read from
its experiment.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from multilearn import backend
from multilearn.environment_variables import QUICK, TRACEBACK, read
from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.launch.environments import environments
from multilearn.launch.ray_job import RayCluster
from multilearn.run.experiment import earlier as sessions_of
from multilearn.run.grid_cell import GridCell
from multilearn.seeding.seed import VARIABLE as SEED_VARIABLE
from multilearn.storage.atomic import write_atomically
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import open_file, require_folder
from multilearn.storage.reading import read_whole

__all__ = ["Cell", "CellRun", "GridIndex", "GridPlan", "names_of", "require_script", "runs_in", "seeds_of"]

_LARGEST = 1 << 26  # bytes of a cell's file
_MOST = 1000  # seeds: more are a slip of the hand
_RANGE = re.compile(r"([0-9]{1,19})(?: *(?:\.\.|-) *([0-9]{1,19}))?")


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
        """Makes its folder. Raises `DirectoryError` if that, or reading the script, is not possible."""
        root = Path(".multilearn").absolute()
        try:
            content = hashlib.sha256(script.read_bytes()).hexdigest()
            key = hashlib.sha256(json.dumps([str(script.resolve()), content, *arguments]).encode()).hexdigest()[:8]
            folder = root / f"{script.stem}-{key}"
            require_folder(folder, root.parent, create=True)
            with open_file(root / ".gitignore", root.parent, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as ignored:
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
        """Those that the script made when it last ended well; none if that is not known."""
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


@dataclass(frozen=True)
class GridPlan:
    """A script, its arguments, and the cells to run it in, in this order.

    `seed` is for all of them, where they have none; so is the number of `devices`, and `ray`, where the script is run
    by the workers of a job. `grid`: resumes what is unfinished, and skips what is finished; else every cell is run as
    if the script were started by hand. `quick`: every cell is only tried.
    """

    script: Path
    arguments: tuple[str, ...]
    cells: tuple[Cell, ...]
    seed: int | None = None
    devices: int | None = None
    grid: GridIndex | None = None
    ray: RayCluster | None = None
    quick: bool = False

    @classmethod
    def checked(
        cls,
        script: Path,
        arguments: Sequence[str] = (),
        backends: Sequence[str] = (),
        seed: int | None = None,
        seeds: Sequence[str] = (),
        devices: int | None = None,
        ray: RayCluster | None = None,
        quick: bool = False,
    ) -> GridPlan:
        """Raises `ConfigurationError` for what could not be run.

        `backends` may hold lists, `"torch,jax"`; none of them means the one that this process would use. `seeds`, such
        as `"1,2"` and `"1..3"`, make it a grid.
        """
        require_script(script)
        if seed is not None and seeds:
            raise ConfigurationError(
                "A script is run with one seed, or with several.",
                received=f"--seed {seed} and --seeds {','.join(seeds)}",
                remedy="Leave one of the two out.",
            )
        names = names_of(backends) or [backend.usable()]
        if not seeds:
            return cls(script, tuple(arguments), tuple(map(Cell, names)), seed, devices, ray=ray, quick=quick)
        cells = tuple(Cell(name, each) for each in seeds_of(seeds) for name in names)
        grid = None if quick else GridIndex.of(script, arguments)
        return cls(script, tuple(arguments), cells, devices=devices, grid=grid, quick=quick)

    def command(self) -> list[str]:
        """What each process of a cell is started with."""
        if self.ray is not None:
            return self.ray.command(self.script, self.arguments)
        return [sys.executable, "-u", str(self.script), *self.arguments]  # unbuffered: lines come as they are written

    def environments(self, cell: Cell, report: str = "") -> list[dict[str, str]]:
        """Of the processes of a cell: this one's, in which every way of choosing a backend says the cell's.

        `report`: the file in which the runs of a cell of a grid are reported, or the folder that they are tried in.
        """
        seed = self.seed if cell.seed is None else cell.seed
        seeded = {} if seed is None else {SEED_VARIABLE: str(seed)}
        backends, seeds = {each.backend for each in self.cells}, {each.seed for each in self.cells}
        several = (("{backend}", len(backends) > 1), ("{seed}", len(seeds) > 1))
        placeholders = tuple(name for name, needed in several if needed)
        variables = {} if self.grid is None else GridCell(report, self.grid.command, placeholders).environment()
        if self.quick:
            variables = {
                QUICK: report,
                **(GridCell(os.devnull, "", placeholders).environment() if len(seeds) > 1 else {}),
            }
        shown = {TRACEBACK: read(TRACEBACK) or "short"}
        return [{**each, **seeded, **shown, **variables} for each in environments(cell.backend, self.devices)]


def require_script(script: Path) -> None:
    """Raise `ConfigurationError` unless there is a script to run."""
    if not os.path.isfile(script):
        raise ConfigurationError(
            "The script to run must be a file.", received=script, remedy="Check the path and the working directory."
        )


def names_of(backends: Sequence[str]) -> list[str]:
    """The backends that are asked for, each once; an entry may hold several, `"torch,jax"`.

    Raises `BackendError` for one that is not known, or not installed.
    """
    names = list(dict.fromkeys(name.strip() for entry in backends for name in entry.split(",")))
    for name in names:
        backend.check_name(name)
    return names


def seeds_of(texts: Sequence[str]) -> tuple[int, ...]:
    """The seeds that `--seeds` asks for, each once, in this order.

    >>> seeds_of(["1,2", "5..7", "10-11"])
    (1, 2, 5, 6, 7, 10, 11)

    Raises `ConfigurationError` for anything else than numbers and ranges of them that go up, and for too many.
    """
    remedy = "Write for instance --seeds 1,2,3 or --seeds 1..10."
    ranges = []
    for part in (part.strip() for text in texts for part in text.split(",")):
        found = _RANGE.fullmatch(part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last < 2**63:
            rule = "Seeds are whole numbers from 0 to 2**63 - 1, or ranges of them that go up."
            raise ConfigurationError(rule, received=repr(part), remedy=remedy)
        ranges.append((first, last + 1))
    if sum(end - first for first, end in ranges) > _MOST:
        raise ConfigurationError(f"A grid has at most {_MOST} seeds.", received=",".join(texts), remedy=remedy)
    return tuple(dict.fromkeys(seed for bounds in ranges for seed in range(*bounds)))
