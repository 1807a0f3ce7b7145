"""What `multilearn run` is asked for: a script, and the backends and seeds to run it with."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from multilearn import backend
from multilearn.commands.grid.cells import Cell, GridIndex, seeds_of
from multilearn.errors import ConfigurationError
from multilearn.run.grid_cell import GridCell
from multilearn.seeding.seed import VARIABLE as SEED_VARIABLE

__all__ = ["GridPlan", "names_of", "require_script"]


@dataclass(frozen=True)
class GridPlan:
    """A script, its arguments, and the cells to run it in, in this order.

    `seed` is for all of them, where they have none. `grid`: resumes what is unfinished, and skips what is
    finished; else every cell is run as if the script were started by hand.
    """

    script: Path
    arguments: tuple[str, ...]
    cells: tuple[Cell, ...]
    seed: int | None = None
    grid: GridIndex | None = None

    @classmethod
    def checked(
        cls,
        script: Path,
        arguments: Sequence[str] = (),
        backends: Sequence[str] = (),
        seed: int | None = None,
        seeds: Sequence[str] = (),
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
        of_grid = seeds_of(seeds)
        names = names_of(backends) or names_of([backend.usable()])
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ConfigurationError(
                "Each backend runs the script once.", received=f"{', '.join(twice)} twice", remedy="Name it once."
            )
        if not seeds:
            return cls(script, tuple(arguments), tuple(map(Cell, names)), seed)
        grid = tuple(Cell(name, each) for each in of_grid for name in names)
        return cls(script, tuple(arguments), grid, grid=GridIndex.of(script, arguments))

    def command(self) -> list[str]:
        """The same interpreter, unbuffered, so that lines come as they are written."""
        return [sys.executable, "-u", str(self.script), *self.arguments]

    def environment(self, cell: Cell, report: str = "") -> dict[str, str]:
        """This process's environment, in which every way of choosing a backend says the cell's.

        `report`: the file in which the runs of a cell of a grid are reported.
        """
        seed = self.seed if cell.seed is None else cell.seed
        seeded = {} if seed is None else {SEED_VARIABLE: str(seed)}
        backends, seeds = {each.backend for each in self.cells}, {each.seed for each in self.cells}
        several = (("{backend}", len(backends) > 1), ("{seed}", len(seeds) > 1))
        placeholders = tuple(name for name, needed in several if needed)
        of_grid = {} if self.grid is None else GridCell(report, self.grid.command, placeholders).environment()
        return {**backend.environment(cell.backend), **seeded, **of_grid}


def require_script(script: Path) -> None:
    """Raise `ConfigurationError` unless there is a script to run."""
    if not os.path.isfile(script):
        raise ConfigurationError(
            "The script to run must be a file.", received=script, remedy="Check the path and the working directory."
        )


def names_of(backends: Sequence[str]) -> list[str]:
    """The backends that are asked for, of which each entry may hold several, `"torch,jax"`.

    Raises `BackendError` for one that is not known, or not installed.
    """
    names = [name.strip() for entry in backends for name in entry.split(",")]
    for name in names:
        backend.check_name(name)
    return names
