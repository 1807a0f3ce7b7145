"""A metric of runs as the lines of a chart: one for each run, or the mean over the seeds of a group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from multilearn.events import Split
from multilearn.plots.chart import COLOURS, Chart, Line
from multilearn.plots.series import BoundedSeries

__all__ = ["RunCurve", "chart_of", "colours_of", "spans_decades"]

_WIDE = 30  # from the least to the greatest value: then a logarithmic axis says more
_BUCKETS = 150  # of a curve: three pixels of a page to each


@dataclass(frozen=True)
class RunCurve:
    """A metric of one run on one split: its value after each epoch, in order, and those of batches, x in epochs.

    Runs of one `group` have one colour, and a mean.
    """

    run: str
    group: str
    split: Split
    epochs: Mapping[int, float]
    batches: BoundedSeries | None = None


def colours_of(groups: Iterable[str]) -> dict[str, int]:
    """The colour of each group, in their order."""
    return {group: at % COLOURS for at, group in enumerate(dict.fromkeys(groups))}


def chart_of(
    metric: str,
    unit: str,
    curves: Sequence[RunCurve],
    colours: Mapping[str, int],
    *,
    seeds: bool = True,
    log: bool | None = None,
    span: tuple[float, float] | None = None,
) -> Chart:
    """Training dashed, validation solid where there are both. Of a group of several runs the mean, and the area from
    the least to the greatest; `seeds`: thin lines of its runs too. `log` by itself where the values span decades."""
    splits = {curve.split for curve in curves}
    lines: list[Line] = []
    for split in Split:
        of_split = [curve for curve in curves if curve.split is split]
        dashed = split is Split.TRAIN and len(splits) > 1
        for group in dict.fromkeys(curve.group for curve in of_split):
            runs = [curve for curve in of_split if curve.group == group]
            lines += _of_group(group, runs, colours[group], dashed, seeds)
    lines.sort(key=lambda line: not line.thin)  # below the others
    description = f"{metric} after each epoch. {'; '.join(_last(curve) for curve in curves)}"
    wanted = unit != "share" and spans_decades(lines) if log is None else log
    return Chart(metric, lines, unit, wanted, description, span=span)


def spans_decades(lines: Sequence[Line]) -> bool:
    """Whether all finite values are positive, and the greatest is many times the least."""
    values = [y for line in lines for y in line.y if math.isfinite(y)]
    return bool(values) and min(values) > 0 and max(values) / _WIDE > min(values)


def _of_group(group: str, runs: Sequence[RunCurve], colour: int, dashed: bool, seeds: bool) -> Iterator[Line]:
    split = runs[0].split
    if len(runs) == 1:
        (run,) = runs
        if run.batches is not None and len(run.batches):
            x, mean, low, high = _reduced(*(part.tolist() for part in run.batches.all()))
            yield Line(f"{_named(group, split)} batches", x, mean, colour, thin=True, band=(low, high))
        yield _reduced_line(_named(group, split), run.epochs, colour, dashed=dashed)
        return
    if seeds:
        for run in runs:
            yield _reduced_line(f"{run.run}, {split}", run.epochs, colour, dashed=dashed, thin=True)
    by_epoch: dict[int, list[float]] = {}
    for run in runs:
        for epoch, value in run.epochs.items():
            by_epoch.setdefault(epoch, []).append(value)
    epochs = sorted(by_epoch)
    finite = [[value for value in by_epoch[epoch] if math.isfinite(value)] for epoch in epochs]
    band = [min(of, default=math.nan) for of in finite], [max(of, default=math.nan) for of in finite]
    means = [_mean(by_epoch[epoch]) for epoch in epochs]
    x, mean, low, high = _reduced(list(map(float, epochs)), means, *band)
    name = f"{group}, {split}, mean of {len(runs)} runs"
    yield Line(name, x, mean, colour, dashed, band=(low, high), marks=not dashed)


def _reduced_line(name: str, values: Mapping[int, float], colour: int, *, dashed: bool, thin: bool = False) -> Line:
    y = list(values.values())
    x, mean, low, high = _reduced(list(map(float, values)), y, y, y)
    band = (low, high) if len(x) < len(y) else None
    return Line(name, x, mean, colour, dashed, thin, band, marks=not (dashed or thin))


def _named(group: str, split: Split) -> str:
    return group if group == split else f"{group}, {split}"


Columns = tuple[list[float], list[float], list[float], list[float]]


def _reduced(x: list[float], mean: list[float], low: list[float], high: list[float]) -> Columns:
    """At most so many points as are seen: of neighbours the mean, the least and the greatest."""
    size = -(-len(x) // _BUCKETS)
    if size <= 1:
        return x, mean, low, high
    starts = np.arange(0, len(x), size)
    with np.errstate(invalid="ignore", over="ignore"):
        counts = np.diff(np.r_[starts, len(x)])
        places, means = (np.add.reduceat(np.asarray(part) / np.repeat(counts, counts), starts) for part in (x, mean))
        return (
            places.tolist(),
            means.tolist(),
            np.fmin.reduceat(low, starts).tolist(),
            np.fmax.reduceat(high, starts).tolist(),
        )


def _mean(values: Sequence[float]) -> float:
    return sum(value / len(values) for value in values)


def _last(curve: RunCurve) -> str:
    if not curve.epochs:
        return f"{curve.run}, {curve.split}: no epoch is finished"
    epoch, value = max(curve.epochs.items())
    return f"{curve.run}, {curve.split}: {value:.5g} in epoch {epoch}"
