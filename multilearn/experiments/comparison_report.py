"""A comparison as text for people, and as JSON for programs."""

from __future__ import annotations

import math
from dataclasses import asdict

from multilearn.experiments.comparison import Comparison, Row
from multilearn.experiments.text import aligned, document, plural

__all__ = ["as_json", "as_text"]


def as_json(comparison: Comparison) -> str:
    """One document; shares are fractions, and `"NaN"`, `"inf"`, `"-inf"` are strings.

    `same`: the verdict; `tolerance`; `runs`: `head`, `directory`, `backends`, `seed` and finished `epochs` of each;
    `values`: per split, metric and epoch the `values` in the order of `runs`, the largest `absolute` and `relative`
    difference, `items` (what a share is of, else null) and whether it is `within` the tolerance; `largest`: of these
    the worst per split and metric; `notes` and `obstacles`: sentences; the obstacles alone make `same` false.
    """
    return document(
        {
            "same": comparison.same,
            "tolerance": comparison.tolerance,
            "runs": [asdict(column) for column in comparison.columns],
            "values": [asdict(row) for row in comparison.rows],
            "largest": [asdict(row) for row in comparison.largest()],
            "notes": comparison.notes,
            "obstacles": comparison.obstacles,
        }
    )


def as_text(comparison: Comparison) -> str:
    """The table, the largest differences, what else is to be said, and last the verdict; shares in per cent."""
    return "\n".join(
        [
            *_values(comparison),
            "",
            "largest differences",
            *_largest(comparison),
            "",
            *(f"note: {note}" for note in comparison.notes),
            *(f"but: {obstacle}" for obstacle in comparison.obstacles),
            _verdict(comparison),
        ]
    )


def _values(comparison: Comparison) -> list[str]:
    heads = [column.head for column in comparison.columns]
    table = [["split", "metric", "epoch", *heads, "absolute", "relative", ""]]
    for row in comparison.rows:
        values = [_value(value, row.unit) for value in row.values]
        table.append([row.split, row.metric, str(row.epoch), *values, *_distances(row), "" if row.within else "past"])
    return aligned(table, right=range(2, len(heads) + 5))


def _largest(comparison: Comparison) -> list[str]:
    table = [["split", "metric", "epoch", "absolute", "relative", "allowed", ""]]
    for row in comparison.largest():
        allowed = _relative(comparison.tolerance) if row.items is None else f"1 of {row.items:g}"
        table.append([row.split, row.metric, str(row.epoch), *_distances(row), allowed, "" if row.within else "past"])
    return aligned(table, right=range(2, 6))


def _verdict(comparison: Comparison) -> str:
    past = sum(not row.within for row in comparison.rows)
    rule = f"relative {comparison.tolerance:g}, shares one item"
    if comparison.same:
        return f"same: {plural(len(comparison.rows), 'value')} within the tolerance ({rule})"
    reasons = [f"{past} of {plural(len(comparison.rows), 'value')} past the tolerance ({rule})"] if past else []
    if comparison.obstacles:
        reasons.append("not all of it could be compared")
    return f"different: {'; '.join(reasons)}"


def _distances(row: Row) -> list[str]:
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
