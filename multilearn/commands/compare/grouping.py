"""Which runs belong together: those of one seed are one experiment, those of one backend repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multilearn.commands.runs import RunOnDisk
from multilearn.errors import ConfigurationError

__all__ = ["Grouping", "grouped"]


@dataclass(frozen=True)
class Grouping:
    """A run for each seed and name, as far as there is one; a name is what a run was trained on."""

    seeds: tuple[int | None, ...]
    names: tuple[str, ...]
    cells: Mapping[tuple[int | None, str], RunOnDisk]

    def of(self, seed: int | None) -> dict[str, RunOnDisk]:
        """The runs of a seed, by name."""
        return {name: self.cells[seed, name] for name in self.names if (seed, name) in self.cells}


def grouped(runs: Sequence[RunOnDisk]) -> Grouping | None:
    """The runs by seed and backend; None where no backend has several seeds, so that there is nothing to group.

    Runs of several experiments, by the directory that was given to their builder, are distinguished by that. Raises
    `ConfigurationError` where two runs of one seed on one backend cannot be distinguished.
    """
    names = _names(runs)
    if not _repeated(runs, names):
        return None
    cells: dict[tuple[int | None, str], RunOnDisk] = {}
    for run, name in zip(runs, names, strict=True):
        if (twin := cells.setdefault((run.seed, name), run)) is not run:
            raise ConfigurationError(
                "In a study over seeds, each seed has one run on each backend.",
                received=f"{twin.path} and {run.path}, both on {name} with seed {run.seed}",
                remedy="Compare one experiment at a time, or all runs with each other: --ungrouped.",
            )
    seeds = sorted({run.seed for run in runs}, key=lambda seed: (seed is None, seed or 0))
    return Grouping(tuple(seeds), tuple(dict.fromkeys(names)), cells)


def _repeated(runs: Sequence[RunOnDisk], names: Sequence[str]) -> bool:
    """Whether one of the names has several seeds."""
    return len({(run.seed, name) for run, name in zip(runs, names, strict=True)}) > len(set(names))


def _names(runs: Sequence[RunOnDisk]) -> list[str]:
    """What each was trained on, and its experiment where several of a seed were trained on the same."""
    backends = [run.trained_on for run in runs]
    cells = {(run.seed, name) for run, name in zip(runs, backends, strict=True)}
    declared = [_declared_directory(run) for run in runs]
    with_directory = [f"{name} {template}" for name, template in zip(backends, declared, strict=True)]
    enough = len(cells) == len(runs) or None in declared or not _repeated(runs, with_directory)
    return backends if enough else with_directory


def _declared_directory(run: RunOnDisk) -> str | None:
    builder: Any = run.declared.get("builder")
    found = builder.get("directory") if isinstance(builder, dict) else None
    return found if isinstance(found, str) else None
