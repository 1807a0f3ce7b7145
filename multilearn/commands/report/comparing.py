"""What a report says of its runs side by side: what `multilearn compare` says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from multilearn.commands.compare import report as comparison_report
from multilearn.commands.compare import study_report
from multilearn.commands.compare.study import Study, compare_opened
from multilearn.commands.compare.values import Comparison
from multilearn.commands.text import TextTable
from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.run.on_disk import RunOnDisk

__all__ = ["ComparedSet", "SideBySide", "Standing", "side_by_side"]

Standing = Literal["good", "bad", "so"]


@dataclass(frozen=True)
class ComparedSet:
    """Runs that were compared with each other: those of one seed, or all (`seed` is None), and the name of each."""

    seed: str | None
    names: tuple[str, ...]
    comparison: Comparison


@dataclass(frozen=True)
class SideBySide:
    """`head` is the verdict in a few words, `verdict` that of `compare`, `obstacles` what it could not compare."""

    standing: Standing
    head: str
    verdict: str
    first_difference: str | None = None
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    compared: tuple[ComparedSet, ...] = ()
    tables: tuple[TextTable, ...] = ()


def side_by_side(runs: Sequence[RunOnDisk], names: Sequence[str], tolerance: float) -> SideBySide | None:
    """Several runs; None for one. Runs that have nothing in common are without a verdict, for the reason that it says.

    Runs of one seed that nothing distinguishes are compared all with each other.
    """
    if len(runs) < 2:
        return None
    try:
        try:
            found = compare_opened(runs, tolerance)
        except DirectoryError:
            raise
        except ConfigurationError:
            found = compare_opened(runs, tolerance, ungrouped=True)
    except DirectoryError as error:
        return SideBySide("so", "No verdict", str(error))
    if isinstance(found, Comparison):
        return _of_all(found, names)
    return _of_study(found)


def _of_all(comparison: Comparison, names: Sequence[str]) -> SideBySide:
    return SideBySide(
        *_judged(comparison.same),
        _without_head(comparison_report.verdict(comparison)),
        comparison.first_difference,
        comparison.obstacles,
        comparison.notes,
        (ComparedSet(None, tuple(names), comparison),),
        (comparison_report.largest(comparison),),
    )


def _of_study(study: Study) -> SideBySide:
    compared = tuple(ComparedSet(str(group.seed), group.backends, each) for group, each in study.compared)
    standing, head = _judged(study.same) if compared else ("so", "No verdict")
    obstacles, notes = list(study.obstacles), list(study.notes)
    for each in compared:
        obstacles += [f"seed {each.seed}: {obstacle}" for obstacle in each.comparison.obstacles]
        notes += each.comparison.notes
    tables = (study_report.finals(study), *([study_report.differences(study)] if study.differences else []))
    return SideBySide(
        standing,
        head,
        _without_head(study_report.verdict(study)),
        study.first_difference(),
        tuple(dict.fromkeys(obstacles)),
        tuple(dict.fromkeys(notes)),
        compared,
        tables,
    )


def _without_head(verdict: str) -> str:
    """`compare` begins with "same: ", "different: " or "no verdict: "."""
    return verdict.partition(": ")[2]


def _judged(same: bool) -> tuple[Standing, str]:
    return ("good", "Same, within the tolerance") if same else ("bad", "Different")
