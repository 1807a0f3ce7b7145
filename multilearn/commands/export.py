"""`multilearn export`: runs, from their directories, as points of a tracker or as a table."""

from __future__ import annotations

import csv
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TextIO

from multilearn.arguments import choice
from multilearn.errors import ConfigurationError, MultilearnError
from multilearn.events import Split, SplitEnded, Stepped
from multilearn.following import follow
from multilearn.loggers import MlflowLogger, TensorBoardLogger, TrackioLogger, WandbLogger
from multilearn.loggers.tracker import TrackerLogger, Tracking
from multilearn.printable import plural, printable
from multilearn.run.on_disk import RunOnDisk, heads, open_runs
from multilearn.storage.lock import holder
from multilearn.storage.output import checked_output, output_file, refuse_own

__all__ = ["CSV", "TARGETS", "export"]

CSV = "csv"
_LOGGERS: Final[Mapping[str, type[TrackerLogger]]] = {
    each.tracker: each for each in (TensorBoardLogger, MlflowLogger, WandbLogger, TrackioLogger)
}
TARGETS = (*_LOGGERS, CSV)
_COLUMNS = ("run", "backend", "seed", "split", "metric", "epoch", "batch", "value")
_SHOWN = 300  # characters of what is wrong


def export(directories: Sequence[Path], to: str, output: str | None = None, *, batches: bool = False) -> list[str]:
    """What was done, a line for each run.

    `to`: one of `TARGETS`; `output`: where to, instead of the tracker's own place, or the standard output; `batches`:
    the values of batches, too, in a table. Raises `ConfigurationError` for what cannot be, and for what a tracker
    raises; `DirectoryError` if there is no run.
    """
    choice("--to names a tracker, or csv", to, TARGETS)
    if batches and to != CSV:
        rule, remedy = "--batches is for --to csv.", "Leave it out: a tracker gets means over batches."
        raise ConfigurationError(rule, received=f"--to {to}", remedy=remedy)
    if output is not None and to not in (CSV, TensorBoardLogger.tracker, MlflowLogger.tracker):
        rule = "--output is a file for csv, a folder for tensorboard, and a server or a database for mlflow."
        raise ConfigurationError(rule, received=f"--to {to} --output {output}", remedy="Leave it out.")
    runs = open_runs(directories)
    if to == CSV:
        return _as_table(runs, output, batches)
    loggers = [_logger(run, head, to, output) for run, head in zip(runs, heads(runs), strict=True)]
    for run, logger in zip(runs, loggers, strict=True):
        _refuse(run, logger)
    return [_sent(run, logger) for run, logger in zip(runs, loggers, strict=True)]


def _sent(run: RunOnDisk, logger: TrackerLogger) -> str:
    tracking = Tracking(logger)
    try:
        for event in follow(run.path, wait=False):
            tracking.take(event)
        tracking.end()
    except MultilearnError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"The points of {run.path} must reach {logger.tracker}.",
            received=f"{type(error).__name__}: {' '.join(str(error).split())[:_SHOWN]}",
            remedy="Export it again when that is mended: every point is logged once.",
        ) from error
    finally:
        tracking.release()
    return f"{printable(str(run.path))}: {plural(tracking.points, 'point')} in {tracking.place}"


def _logger(run: RunOnDisk, head: str, to: str, output: str | None) -> TrackerLogger:
    """As the run declared it, or with its defaults. `head`: what the folder in `output` is called."""
    kind = _LOGGERS[to]
    options = {key: value for key, value in _declared(run, kind).items() if key in {each.name for each in fields(kind)}}
    if output is not None and to == TensorBoardLogger.tracker:
        refuse_own(Path(output, head))
        options["directory"] = str(Path(output, head))
    elif output is not None:
        options["uri"] = output if "://" in output else f"sqlite:///{Path(output).expanduser().absolute()}"
    return kind(**options)


def _declared(run: RunOnDisk, kind: type[TrackerLogger]) -> Mapping[str, Any]:
    """The table of the run's own logger of this kind, empty if it has none."""
    builder = run.declared.get("builder")
    loggers = builder.get("metric_loggers") if isinstance(builder, Mapping) else None
    tables = (each for each in (loggers if isinstance(loggers, list) else ()) if isinstance(each, Mapping))
    return next((each for each in tables if each.get("type") == kind.__name__), {})


def _refuse(run: RunOnDisk, logger: TrackerLogger) -> None:
    """Raise `ConfigurationError` for a run that logs to this tracker by itself now, or that cannot be written into."""
    if _declared(run, type(logger)) and holder(run.directory.lock) is not None:
        raise ConfigurationError(
            "A run that logs to a tracker is exported to it when it has ended.",
            received=f"{run.path}, which is being trained with a {type(logger).__name__}",
            remedy="Wait for it.",
        )
    elsewhere = isinstance(logger, TensorBoardLogger) and logger.directory is not None
    if not elsewhere and not os.access(run.path, os.W_OK | os.X_OK):
        raise ConfigurationError(
            "What is exported is noted in the directory of the run, so that nothing is exported twice.",
            received=f"{run.path}, which is not writable",
            remedy="Copy the run, or change its permissions.",
        )


def _as_table(runs: Sequence[RunOnDisk], output: str | None, batches: bool) -> list[str]:
    with _opened(output) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_COLUMNS)
        counts = [_write(table, run, batches) for run in runs]
    if output is None:
        return []
    return [f"{printable(str(run.path))}: {plural(count, 'row')}" for run, count in zip(runs, counts, strict=True)]


def _write(table: Any, run: RunOnDisk, batches: bool) -> int:
    """The rows of a run; how many there are."""
    facts = (printable(str(run.path)), printable(run.trained_on), "" if run.seed is None else run.seed)
    count = 0
    for split, name, epoch, batch, value in _values(run, batches):
        shown = value if isinstance(value, str) else "NaN" if math.isnan(value) else repr(float(value))
        table.writerow((*facts, split, printable(name), epoch, batch, shown))
        count += 1
    return count


def _values(run: RunOnDisk, batches: bool) -> Iterator[tuple[Split, str, int, int | str, float | str]]:
    for event in follow(run.path, wait=False):
        if isinstance(event, SplitEnded):
            for name, reading in event.readings.items():
                yield event.split, name, event.epoch, "", reading.value
        elif batches and isinstance(event, Stepped):
            for name, reading in event.readings.items():
                yield event.split, name, event.epoch, event.batch, reading.value


@contextmanager
def _opened(output: str | None) -> Iterator[TextIO]:
    """The standard output, or a file that is there when all of it is."""
    if output is None:
        yield sys.stdout
        return
    with output_file(checked_output(output, (), "A table")) as file, _text(file) as text:
        yield text


@contextmanager
def _text(file: Any) -> Iterator[TextIO]:
    from io import TextIOWrapper

    text = TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
    try:
        yield text
    finally:
        text.detach()
