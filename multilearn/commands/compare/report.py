"""A comparison as text and Markdown for people, and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from string import ascii_uppercase
from typing import Any

from multilearn.commands.compare.values import Comparison, Precondition, Row
from multilearn.commands.text import Block, Sentences, TextTable
from multilearn.printable import plural

__all__ = [
    "besides",
    "blocks",
    "conclusions",
    "distance",
    "judged",
    "judgement",
    "largest",
    "plain",
    "states",
    "verdict",
]

_SHOWN = 60  # characters of what runs have in common; all of it is in the JSON


def plain(comparison: Comparison) -> dict[str, Any]:
    """For a JSON document, the fields of `Comparison`; shares are fractions.

    And the rows that are the `largest` per split and metric, every two of the `runs` by index (`pairs`), and the row
    that is the `first_past` the tolerance. The obstacles alone make `same` false where all rows are within.
    """
    first_past = comparison.first_past()
    return {
        "same": comparison.same,
        "verdict": verdict(comparison),
        **asdict(comparison),
        "largest": [asdict(row) for row in comparison.largest()],
        "pairs": [{"first_past": pair.first_past, **asdict(pair)} for pair in comparison.pairs()],
        "first_past": None if first_past is None else asdict(first_past),
    }


def blocks(comparison: Comparison) -> list[Block]:
    """The tables, what was held in common, what else is to be said, and last the verdict; shares in per cent."""
    between = [_pairs(comparison)] if len(comparison.runs) > 2 else []
    return [
        _legend(comparison),
        _values(comparison),
        largest(comparison),
        *between,
        Sentences(states(comparison.preconditions), "preconditions"),
        conclusions(comparison.notes, comparison.obstacles, comparison.first_difference, verdict(comparison)),
    ]


def conclusions(
    notes: Sequence[str], obstacles: Sequence[str], first_difference: str | None, verdict: str
) -> Sentences:
    """What else is to be said, the verdict last."""
    explained = [] if first_difference is None else [f"first difference: {first_difference}"]
    return Sentences(
        [*(f"note: {each}" for each in notes), *(f"but: {each}" for each in obstacles), *explained, verdict]
    )


def verdict(comparison: Comparison) -> str:
    """In one line."""
    rows = comparison.values
    past = sum(not row.within for row in rows)
    if comparison.same:
        return f"same: {plural(len(rows), 'value')} within the tolerance ({judgement(comparison.tolerance)})"
    reasons = []
    if first := comparison.first_past():
        where = f"first in epoch {first.epoch}: {first.split} {first.metric}"
        count = f"{past} of {plural(len(rows), 'value')} past the tolerance ({judgement(comparison.tolerance)})"
        reasons.append(f"{count}, {where}")
    if comparison.obstacles:
        reasons.append("not all of it could be compared")
    return f"different: {'; '.join(reasons)}"


def judgement(tolerance: float) -> str:
    """What is allowed, in words."""
    return f"relative {tolerance:g}, shares one item"


def states(preconditions: Sequence[Precondition]) -> list[str]:
    """Which held, which did not, and which are not known."""
    held = [_common(each) for each in preconditions if each.held]
    unknown = [each.name for each in preconditions if each.held is None]
    broken = [
        f"differs{'' if each.needed else ', as it may'}: {each.name} ({' / '.join(each.values)})"
        for each in preconditions
        if each.held is False
    ]
    lines = [*([f"held: {', '.join(held)}"] if held else []), *broken]
    return [*lines, *([f"not recorded by all: {', '.join(unknown)}"] if unknown else [])]


def distance(row: Row) -> str:
    """The one number that a row is judged by."""
    absolute, relative = _distances(row)
    return relative if row.items is None else absolute


def judged(row: Row, also: str = "", texts: Sequence[Row] = ()) -> str:
    """How far apart a metric is, whether that is past the tolerance, and which `texts` differ besides."""
    return f"{distance(row)} {row.split} {row.metric}{also}{'' if row.within else ', past'}{besides(row, texts)}"


def besides(row: Row, texts: Sequence[Row]) -> str:
    """Which texts differ, other than the metric of `row` itself."""
    named = dict.fromkeys(f"{text.split} {text.metric}" for text in texts if text.key != row.key)
    return f"; {', '.join(named)} {'differs' if len(named) == 1 else 'differ'}" if named else ""


def _common(precondition: Precondition) -> str:
    values = set(precondition.values)
    value = values.pop()
    return precondition.name if values or len(value) > _SHOWN else f"{precondition.name} ({value})"


def _legend(comparison: Comparison) -> TextTable:
    """Which run is which in the other tables, where a name for each column would make them too wide."""
    names = [column.head for column in comparison.runs]
    return TextTable("", [["", "run"], *map(list, zip(_letters(len(names)), names, strict=True))])


def _letters(count: int) -> list[str]:
    """A, B, ..., Z, AA, AB, ...: as columns of spreadsheets.

    >>> _letters(28)[24:]
    ['Y', 'Z', 'AA', 'AB']
    """
    longer = (first + second for first in ["", *ascii_uppercase] for second in ascii_uppercase)
    return list(islice(longer, count))


def _values(comparison: Comparison) -> TextTable:
    heads = _letters(len(comparison.runs))
    table = [["split", "metric", "epoch", *heads, "absolute", "relative", ""]]
    for row in comparison.values:
        values = [_value(value, row.unit) for value in row.values]
        table.append([row.split, row.metric, str(row.epoch), *values, *_distances(row), "" if row.within else "past"])
    return TextTable("", table, right=range(2, len(heads) + 5), keys=3)


def largest(comparison: Comparison) -> TextTable:
    """Of each metric on each split, where the runs are furthest apart."""
    first = {row.key: row.epoch for row in reversed(comparison.values) if not row.within}
    table = [["split", "metric", "epoch", "absolute", "relative", "allowed", *(["first past"] if first else []), ""]]
    for row in comparison.largest():
        allowed = _relative(comparison.tolerance) if row.items is None else f"1 of {row.items:g}"
        since = [str(first.get(row.key, ""))] if first else []
        past = "" if row.within else "past"
        table.append([row.split, row.metric, str(row.epoch), *_distances(row), allowed, *since, past])
    return TextTable("largest differences", table, right=range(2, 7 if first else 6), keys=3)


def _pairs(comparison: Comparison) -> TextTable:
    pairs = comparison.pairs()
    heads = _letters(len(comparison.runs))
    table = [["epoch", *(f"{' / '.join(heads[at] for at in pair.runs)}" for pair in pairs)]]
    for at, row in enumerate(pairs[0].epochs):
        cells = [
            judged(pair.epochs[at], texts=[each for each in pair.texts if each.epoch == row.epoch]) for pair in pairs
        ]
        table.append([str(row.epoch), *cells])
    first = [f"epoch {pair.first_past}" if pair.first_past else "-" for pair in pairs]
    return TextTable("largest difference of each pair", [*table, ["first past", *first]], right=(0,))


def _distances(row: Row) -> list[str]:
    if row.is_text and not row.within:
        return ["differs", "differs"]
    in_per_cent = row.unit == "share" and math.isfinite(row.absolute)
    return [f"{100 * row.absolute:.3g} %" if in_per_cent else _relative(row.absolute), _relative(row.relative)]


def _relative(value: float) -> str:
    return f"{value:.1e}" if 0 < value < math.inf else f"{value:g}"


def _value(value: float | str, unit: str) -> str:
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "NaN"
    return f"{100 * value:.2f} %" if unit == "share" else f"{value:#.8g}"
