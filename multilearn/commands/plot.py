"""Curves of one run or of many as one picture, for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multilearn.commands.shown_runs import ShownRuns
from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.events import Split
from multilearn.plots.curves import chart_of, colours_of
from multilearn.plots.figure import FORMATS, Figure
from multilearn.storage.output import checked_output

__all__ = ["plot"]


def plot(directories: Sequence[Path], output: Path, metrics: Sequence[str] = (), separate: bool = False) -> Path:
    """Write the picture, and return its path.

    `metrics`: by default those that equal runs agree about and that were validated, if any were. `separate`: a line
    for each run, in place of the mean over seeds. Raises `ConfigurationError` (`DirectoryError`) before it writes.
    """
    checked_output(output, FORMATS, "A figure")
    shown = ShownRuns.of(directories, separate)
    curves = {metric: found for metric in shown.metrics() if (found := shown.curves(metric))}
    if not curves:
        raise DirectoryError(
            "A curve needs the numbers of a finished epoch.", received=", ".join(str(run.path) for run in shown.runs)
        )
    if unknown := [metric for metric in metrics if metric not in curves]:
        remedy = f"There are: {', '.join(curves)}."
        raise ConfigurationError("A metric is plotted by its name.", received=", ".join(unknown), remedy=remedy)
    chosen = list(dict.fromkeys(metrics)) or [metric for metric in curves if shown.repeatable(metric)] or list(curves)
    if not metrics:
        validated = [metric for metric in chosen if any(curve.split is Split.VALID for curve in curves[metric])]
        chosen = validated or chosen
    colours = colours_of(shown.groups)
    charts = tuple(chart_of(metric, shown.unit(metric), curves[metric], colours, seeds=False) for metric in chosen)
    return Figure(charts, shown.colours).save(output)
