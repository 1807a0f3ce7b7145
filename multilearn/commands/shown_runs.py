"""Runs that are drawn together: what each is called, which of them have one colour, and their curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from multilearn.commands.compare.comparison import grouped
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.plots.curves import RunCurve
from multilearn.protocols import UNAVAILABLE
from multilearn.run.on_disk import RunOnDisk, heads, open_runs

__all__ = ["ShownRuns", "numeric", "texts"]

_SPLITS = (Split.TRAIN, Split.VALID)


@dataclass(frozen=True)
class ShownRuns:
    """`names` are all different; runs of one name in `groups` differ in their seeds only."""

    runs: tuple[RunOnDisk, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]

    @classmethod
    def of(cls, directories: Sequence[Path], separate: bool = False) -> ShownRuns:
        """Grouped as `compare` does, unless they are to be `separate`, or nothing distinguishes runs of one seed.

        Raises `ConfigurationError` (`DirectoryError`) for a directory without a run, or one that is named twice.
        """
        runs = open_runs(directories)
        names = tuple(heads(runs))
        try:
            grouping = None if separate else grouped(runs)
        except ConfigurationError:
            grouping = None
        if grouping is None:
            return cls(runs, names, names)
        found = {run.path: name for (_, name), run in grouping.cells.items()}
        return cls(runs, names, tuple(found[run.path] for run in runs))

    @property
    def colours(self) -> tuple[str, ...]:
        """The groups, each once."""
        return tuple(dict.fromkeys(self.groups))

    @property
    def over_seeds(self) -> bool:
        """Whether a group has several runs."""
        return len(self.colours) < len(self.runs)

    def metrics(self) -> tuple[str, ...]:
        """Of all runs, those of the first in their order first."""
        measured = (name for run in self.runs for values in run.epochs.values() for _, name in values)
        found = set(measured)
        declared = dict.fromkeys(name for run in self.runs for name in run.metrics)
        return (*(name for name in declared if name in found), *sorted(found - set(declared)))

    def unit(self, metric: str) -> str:
        """That of all runs which have it; none where they do not agree."""
        units = {run.unit(metric) for run in self.runs if metric in run.metrics}
        return units.pop() if len(units) == 1 else ""

    def repeatable(self, metric: str) -> bool:
        """Whether equal runs agree about it."""
        return all(run.repeatable(metric) for run in self.runs)

    def curves(self, metric: str) -> list[RunCurve]:
        """Of each run and split that has numbers of it."""
        return list(self._curves(metric))

    def _curves(self, metric: str) -> Iterator[RunCurve]:
        for run, name, group in zip(self.runs, self.names, self.groups, strict=True):
            for split in _SPLITS:
                if values := numeric(run, split, metric):
                    yield RunCurve(name, group, split, values)


def numeric(run: RunOnDisk, split: Split, metric: str) -> dict[int, float]:
    """Its value after each epoch in which it was a number."""
    return {epoch: value for epoch, value in _values(run, split, metric) if not isinstance(value, str)}


def texts(run: RunOnDisk, split: Split, metric: str) -> dict[int, str]:
    """Its value after each epoch in which it was a text; that it was unavailable is none."""
    found = _values(run, split, metric)
    return {epoch: value for epoch, value in found if isinstance(value, str) and value != UNAVAILABLE}


def _values(run: RunOnDisk, split: Split, metric: str) -> Iterator[tuple[int, float | str]]:
    for epoch, values in run.epochs.items():
        if (split, metric) in values:
            yield epoch, values[split, metric].value
