"""A card for each metric: its curves, and all values as a table."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from multilearn.commands.report.parts import card, number, table, thinned
from multilearn.commands.report.times import RunTimes
from multilearn.commands.shown_runs import ShownRuns, texts
from multilearn.errors import DirectoryError
from multilearn.events import Split
from multilearn.loggers.metric_file import read_lines
from multilearn.plots.curves import RunCurve, chart_of, spans_decades
from multilearn.plots.markup import Markup, element, joined
from multilearn.plots.series import BoundedSeries
from multilearn.plots.svg import draw
from multilearn.run.on_disk import RunOnDisk

__all__ = ["batches", "curve_card", "machine_cards", "metric_cards", "text_card"]

_RATE = "LearningRate"
_AT_ONCE = 1 << 15  # batches
_WITH_BATCHES = 4  # runs: the batches of more of them hide everything


def metric_cards(shown: ShownRuns, colours: Mapping[str, int]) -> Iterator[Markup]:
    """Of what equal runs agree about."""
    for metric in shown.metrics():
        if shown.repeatable(metric) and metric != _RATE:
            yield from _of_metric(shown, metric, colours)
            yield from text_card(shown, metric)


def machine_cards(shown: ShownRuns, colours: Mapping[str, int], times: Sequence[RunTimes]) -> Iterator[Markup]:
    """Of the schedule, and of the machine."""
    for metric in shown.metrics():
        if metric == _RATE or not shown.repeatable(metric):
            yield from _of_metric(shown, metric, colours)
    measured = {
        "Learning rate, of the last update": [] if _RATE in shown.metrics() else [each.rates for each in times],
        "Items per second, in training": [each.speeds for each in times],
    }
    for title, found in measured.items():
        named = zip(shown.names, shown.groups, found, strict=False)
        curves = [RunCurve(name, group, Split.TRAIN, values) for name, group, values in named if values]
        if curves:
            yield curve_card(title, "", curves, colours)


def _of_metric(shown: ShownRuns, metric: str, colours: Mapping[str, int]) -> Iterator[Markup]:
    curves = shown.curves(metric)
    if len(shown.runs) <= _WITH_BATCHES and not shown.over_seeds:
        of = dict(zip(shown.names, shown.runs, strict=True))
        curves = [
            replace(curve, batches=batches(of[curve.run], metric)) if curve.split is Split.TRAIN else curve
            for curve in curves
        ]
    if curves:
        yield curve_card(metric, shown.unit(metric), curves, colours)


def curve_card(title: str, unit: str, curves: Sequence[RunCurve], colours: Mapping[str, int]) -> Markup:
    """Where all values are positive on both kinds of axes; the one that says more is shown first."""
    linear = chart_of(title, unit, curves, colours, log=False)
    values = [y for line in linear.lines for part in (line.y, *(line.band or ())) for y in part]
    if unit == "share" or not all(value > 0 for value in values if value == value):
        return card(title, draw(linear), values_table(curves, unit, colours))
    logarithmic = spans_decades(linear.lines)
    box = element("input", type="checkbox", class_="to-log", checked=logarithmic)
    return card(
        title,
        element("div", draw(linear), class_="linear"),
        element("div", draw(replace(linear, log=True)), class_="log"),
        values_table(curves, unit, colours),
        beside=element("label", box, " log", class_="toggle"),
    )


def values_table(curves: Sequence[RunCurve], unit: str, colours: Mapping[str, int]) -> Markup:
    """A column for each run and split."""
    epochs, note = thinned({epoch for curve in curves for epoch in curve.epochs})
    heads = [
        "epoch",
        *(
            element("span", curve.run, " ", element("br"), str(curve.split), class_=f"c{colours[curve.group]}")
            for curve in curves
        ),
    ]
    rows = [
        [str(epoch), *(number(curve.epochs[epoch], unit) if epoch in curve.epochs else "" for curve in curves)]
        for epoch in epochs
    ]
    return values(heads, rows, note)


def values(heads: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> Markup:
    """The values behind a chart: for those who do not see it, and those who want to know."""
    said = [element("p", note, class_="dim")] if note else []
    return element("details", element("summary", "values"), *said, table(heads, rows, "numbers", named=True))


def text_card(shown: ShownRuns, metric: str) -> Iterator[Markup]:
    """Of a metric whose values are texts; matrices are drawn elsewhere."""
    if shown.unit(metric) == "matrix":
        return
    found = [
        (name, split, of)
        for name, run in zip(shown.names, shown.runs, strict=True)
        for split in (Split.TRAIN, Split.VALID)
        if (of := texts(run, split, metric))
    ]
    if found:
        epochs, note = thinned({epoch for _, _, of in found for epoch in of})
        heads = ["epoch", *(joined(name, " ", element("br"), str(split)) for name, split, _ in found)]
        rows = [[str(epoch), *(number(of.get(epoch, "")) for _, _, of in found)] for epoch in epochs]
        last = [[name, str(split), number(of[max(of)])] for name, split, of in found]
        yield card(metric, table(["run", "split", "last"], last), values(heads, rows, note))


def batches(run: RunOnDisk, metric: str) -> BoundedSeries:
    """A training metric in its batches, x in epochs. An epoch that is not finished counts as long as the one before."""
    series = BoundedSeries()
    length = 0
    for epoch in run.directory.epochs(Split.TRAIN):
        path = run.directory.metric(Split.TRAIN, epoch, metric)
        numbers, finished = array("d"), False
        try:
            for value, _, final in read_lines(path, run.path):
                finished = final
                if not final:
                    numbers.append(float("nan") if isinstance(value, str) else value)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DirectoryError.unreadable(path, error) from error
        length = len(numbers) if finished else max(length, len(numbers))
        for start in range(0, len(numbers), _AT_ONCE):
            part = np.asarray(numbers[start : start + _AT_ONCE])
            series.extend(epoch - 1 + np.arange(start + 1, start + len(part) + 1) / length, part)
    return series
