"""The best weights at the end of a run: where they are, and putting them back."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from multilearn.checkpoint import CheckpointFolder
from multilearn.checkpoint.checkpointer import BestInMemory, Checkpointer
from multilearn.errors import CheckpointError
from multilearn.events import Position
from multilearn.history import History, Monitor
from multilearn.printable import printable
from multilearn.protocols import Engine, Record
from multilearn.run.experiment import earlier
from multilearn.run.recorded_history import journal_of
from multilearn.run.resume import in_half_precision, items, limits_of, read
from multilearn.storage.layout import RunDirectory

__all__ = ["lineage", "restore_best"]

_ROUNDED = "The weights of epoch %d were stored in half precision: they are not quite those measured."

_log = logging.getLogger("multilearn")


def restore_best(
    monitor: Monitor,
    history: History,
    position: Position,
    engine: Engine,
    kept: Checkpointer,
    folders: Sequence[CheckpointFolder],
) -> int | None:
    """Put the weights of the best epoch back into the engine. Returns that epoch; None if the last ones stay.

    They are looked for in memory, where `kept` has them, and among the checkpoints in `folders`. Where those of the
    best epoch are gone, the best of the others is taken, and that is said.
    """
    values = history.values(monitor.split, monitor.metric)
    left, gone = set(values), list[int]()
    while (epoch := monitor.best(history, left)) is not None:
        level = logging.WARNING if gone else logging.INFO
        value = f"the {monitor.direction} {monitor.split} {monitor.metric}, {values[epoch]:.6g}"
        if position == Position(epoch):
            _log.log(level, "The last weights, of epoch %d, have %s%s.", epoch, value, _without(gone))
            return None
        in_memory = kept.parts if isinstance(kept, BestInMemory) and kept.epoch == epoch else None
        if parts := in_memory or next(_on_disk(epoch, monitor, history, folders, engine), None):
            engine.restore({**parts, "random": parts["scheduler"]["random"]})
            _log.log(level, "The weights of epoch %d are restored: %s%s.", epoch, value, _without(gone))
            return epoch
        left.discard(epoch)
        gone.append(epoch)
    nothing = f"{monitor.metric} of {monitor.split} has no best epoch"
    _log.warning("The last weights are kept: %s%s.", nothing if not gone else "the best are gone", _without(gone))
    return None


def lineage(path: Path) -> Iterator[Path]:
    """The directory of a run, and those of the runs that it was resumed from, the nearest first, each once."""
    waiting, seen = [path], set()
    while waiting:
        current = waiting.pop(0)
        if (place := os.path.realpath(current)) in seen:
            continue
        seen.add(place)
        yield current
        sessions, _ = earlier(RunDirectory(current).experiment)
        waiting += [Path(each.resumed_from["directory"]) for each in reversed(sessions) if each.resumed_from]


def _on_disk(
    epoch: int, monitor: Monitor, history: History, folders: Sequence[CheckpointFolder], engine: Engine
) -> Iterator[Mapping[str, Record]]:
    """The records of `epoch`, of this run and of no other that was in the same directory."""
    past = _up_to(epoch, monitor, history)
    for folder in folders:
        try:
            if Position(epoch) in folder.positions():
                found = read(folder, Position(epoch), limits_of(engine))
                parts = items(found)
                journal, _ = journal_of(parts, folder, Position(epoch))
                if _up_to(epoch, monitor, journal.history) == past:
                    if in_half_precision(found):
                        _log.warning(_ROUNDED, epoch)
                    yield parts
        except CheckpointError as error:
            _log.warning("Checkpoint %d of %s cannot be restored: %s", epoch, printable(str(folder.path)), error)


def _up_to(epoch: int, monitor: Monitor, history: History) -> dict[int, str]:
    # as text, in which NaN equals NaN
    values = history.values(monitor.split, monitor.metric)
    return {each: repr(value) for each, value in values.items() if each <= epoch}


def _without(gone: Sequence[int]) -> str:
    if not gone:
        return ""
    return f"; the weights of {'epochs' if len(gone) > 1 else 'epoch'} {', '.join(map(str, gone))} were not kept"
