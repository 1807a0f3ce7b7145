"""Confusion matrices as they were in the end: those that are equal are drawn once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from multilearn.commands.report.curves import values
from multilearn.commands.report.parts import card, dim
from multilearn.commands.shown_runs import ShownRuns, texts
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.metrics.confusion_matrix import DENSE, parsed
from multilearn.plots.heat_map import heat_map
from multilearn.plots.markup import Markup, element

__all__ = ["matrix_cards"]

_ERRORS = 3  # that are named
_NAMED = 3  # runs that have a matrix in common


def matrix_cards(shown: ShownRuns) -> Iterator[Markup]:
    """Of each metric that is a matrix: that of validation, if there is one."""
    alike: dict[tuple[str, Split, str], list[str]] = {}
    for metric in shown.metrics():
        if shown.unit(metric) != "matrix":
            continue
        for name, run in zip(shown.names, shown.runs, strict=True):
            splits = ((split, texts(run, split, metric)) for split in (Split.VALID, Split.TRAIN))
            found = next(((split, of[max(of)]) for split, of in splits if of), None)
            if found is not None:
                alike.setdefault((metric, *found), []).append(name)
    for (metric, split, text), names in alike.items():
        yield _card(metric, split, text, names)


def _card(metric: str, split: Split, text: str, names: Sequence[str]) -> Markup:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    title = f"{', '.join(names[:_NAMED])}{more}"
    same = f"the same on {len(names)} \N{MIDDLE DOT} " if len(names) > 1 else ""
    try:
        counts, named = parsed(text)
    except ConfigurationError:  # of an earlier version
        return card(title, element("pre", text), beside=dim(f"{same}{split} {metric}"), kind="card small")
    classes = named or tuple(map(str, range(len(counts))))
    right, total = int(np.trace(counts)), int(counts.sum())
    words = f"{right} of {total} right; {'; '.join(_errors(counts, classes)) or 'no error'}"
    picture = heat_map(counts, classes, f"{split} {metric} of {title}", f"{words}. {_rows_of(counts)}")
    beside = dim(f"{same}{split} {metric} \N{MIDDLE DOT} {words}")
    return card(title, picture, _table(counts, classes), beside=beside, kind="card small")


def _errors(counts: np.ndarray[Any, Any], classes: Sequence[str]) -> list[str]:
    """The most frequent ones, the first of the matrix on ties."""
    wrong = counts - np.diag(np.diag(counts))
    most = np.argsort(-wrong, axis=None, kind="stable")[:_ERRORS]
    cells = ((divmod(int(at), len(counts)), wrong.flat[at]) for at in most)
    return [f"{classes[row]} taken for {classes[column]}: {count}" for (row, column), count in cells if count]


def _rows_of(counts: np.ndarray[Any, Any]) -> str:
    several = "" if len(counts) <= DENSE else f" The {len(counts)} classes are drawn several to a row."
    return f"A row for each target, a column for each prediction.{several}"


def _table(counts: np.ndarray[Any, Any], classes: Sequence[str]) -> Markup:
    if len(counts) > DENSE:
        return element("p", f"{len(counts)} classes: several are one row of the picture.", class_="dim")
    rows = [[name, *map(str, row)] for name, row in zip(classes, counts.tolist(), strict=True)]
    return values(["target", *classes], rows)
