"""How a run begins and ends, in words."""

from __future__ import annotations

from multilearn.events import START, Finished, Position, Split, Started
from multilearn.printable import printable
from multilearn.renderers.notation import seconds
from multilearn.storage.location import readable

__all__ = ["beginning", "ending"]


def beginning(started: Started) -> str:
    """Where the run starts, or from where it goes on."""
    position, epochs = started.position, started.epochs
    where = f"in {printable(readable(started.directory))}"
    if position.finished_epochs >= epochs:
        return f"nothing left to do: {_epochs(epochs)} done, {where}"
    if position.batch is not None:
        total = started.batches.get(Split.TRAIN)
        batches = f"{position.batch} of {total}" if total else f"{position.batch}"
        return f"resuming in epoch {position.epoch} of {epochs}, after {batches} batches, {where}"
    if position.finished_epochs:
        return f"resuming with epoch {position.finished_epochs + 1} of {epochs}, {where}"
    return f"training for {_epochs(epochs)}, {where}"


def ending(started: Started, finished: Finished, time: float, saved: Position | None) -> str:
    """That the run is complete, or where it stopped, why, and how to go on if that place was saved."""
    if finished.error is not None:
        return f"failed {_place(finished.position)}: {_first_line(finished.error)}"
    if finished.reason is not None:
        unless = ", under another rule or none," if finished.by_rule else ""
        how = f'; .checkpoint("latest"){unless} goes on from here' if saved == finished.position else ""
        return f"stopped {_place(finished.position)}: {_first_line(finished.reason)}{how}{_besides(finished)}"
    done, before = finished.position.epoch, started.position
    if before == finished.position:
        return f"completed {_epochs(done)} before{_besides(finished)}"
    share = f", the last {done - before.finished_epochs}" if before > START else ""
    return f"completed {_epochs(done)}{share} in {seconds(time)}{_besides(finished)}"


def _besides(finished: Finished) -> str:
    skipped, best = finished.skipped, finished.restored
    left_out = f"; {skipped} batch{'es' if skipped != 1 else ''} without a finite loss skipped" if skipped else ""
    return f"{left_out}; the weights are those of epoch {best}" if best is not None else left_out


def _place(position: Position) -> str:
    if position.batch is not None:
        return f"in epoch {position.epoch} after {position.batch} batch{'es' if position.batch != 1 else ''}"
    return f"after epoch {position.epoch}" if position.epoch else "before the first batch"


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' if number != 1 else ''}"


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return printable(lines[0]) if lines else "no reason given"
