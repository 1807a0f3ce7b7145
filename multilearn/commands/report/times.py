"""How long a run took and how fast it went, by its timeline and its sessions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from multilearn.events import Split
from multilearn.loggers.timeline import read_timeline
from multilearn.run.on_disk import RunOnDisk

__all__ = ["RunTimes", "last_moment", "times_of"]


@dataclass(frozen=True)
class RunTimes:
    """Batches and items per second of training over the run, None if they are not known; `rates` and `speeds`: the
    learning rate of the last update, and items per second, by epoch. `seconds`: of all sessions, as far as they are
    known to have gone."""

    batches: float | None
    items: float | None
    seconds: float | None
    rates: Mapping[int, float]
    speeds: Mapping[int, float]


def times_of(run: RunOnDisk) -> RunTimes:
    """That of a run; its timeline may have been written by anybody. Raises `OSError`."""
    lines = list(read_timeline(run.directory))
    trained = [line for line in lines if line["event"] == "split" and line.get("split") == str(Split.TRAIN)]
    rates, speeds = {}, {}
    totals = {"measured": 0.0, "items": 0.0, "seconds": 0.0}
    counted = True
    for line in trained:
        epoch, rate = line["epoch"], _positive(line.get("learning_rate"))
        measured, items, seconds = (_positive(line.get(name)) for name in totals)
        if rate is not None:
            rates[epoch] = rate
        if measured is not None and seconds is not None:
            counted = counted and items is not None
            totals = {
                "measured": totals["measured"] + measured,
                "items": totals["items"] + (items or 0.0),
                "seconds": totals["seconds"] + seconds,
            }
            if items is not None:
                speeds[epoch] = items / seconds
    time = totals["seconds"]
    return RunTimes(
        totals["measured"] / time if time else None,
        totals["items"] / time if time and counted else None,
        _length(run, lines),
        rates,
        speeds,
    )


def last_moment(run: RunOnDisk) -> datetime | None:
    """When the newest session ended, or, if it did not, began."""
    found = [
        moment for session in run.sessions for text in (session.started, session.ended) if (moment := _moment(text))
    ]
    return max(found, default=None)


def _length(run: RunOnDisk, lines: Sequence[Mapping[str, Any]]) -> float | None:
    """The seconds of all sessions: as the timeline has them, else by its moments; of one that did not end, up to what
    it wrote last."""
    at_moments = [(moment, line) for line in lines if (moment := _moment(str(line.get("at"))))]
    written = [moment for moment, _ in at_moments]
    measured = [
        (moment, seconds)
        for moment, line in at_moments
        if line["event"] == "finished" and (seconds := _positive(line.get("seconds"))) is not None
    ]
    total, known = 0.0, False
    starts = [_moment(session.started) for session in run.sessions]
    for at, session in enumerate(run.sessions):
        begun, ended = starts[at], _moment(session.ended)
        if begun is None:
            continue
        if ended is None:
            until = next((start for start in starts[at + 1 :] if start is not None), None)
            own = [moment for moment in written if moment >= begun and (until is None or moment < until)]
            ended = max(own, default=None)
        if ended is not None and ended >= begun:
            exact = next((seconds for moment, seconds in measured if begun <= moment <= ended), None)
            total, known = total + ((ended - begun).total_seconds() if exact is None else exact), True
    return total if known else None


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _positive(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) and value > 0 else None
