"""How values, curves, durations, rates, and the beginning and end of a run are written for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from multilearn.events import START, Finished, Position, Split, Started
from multilearn.printable import plural, printable
from multilearn.storage.location import readable

__all__ = ["abridged", "beginning", "duration", "ending", "first_line", "rate", "seconds", "shown", "sparkline"]

BLOCKS = "▁▂▃▄▅▆▇█"
_LONGEST_TEXT = 40


def shown(value: float | str, unit: str = "") -> str:
    """A metric's value: four decimals, fewer digits with an exponent where that says more, shares in per cent,
    any other unit behind it.

    >>> shown(0.12345), shown(0.975, "share"), shown(3.2e-5), shown(float("nan")), shown(1.5, "GiB")
    ('0.1235', '97.50 %', '3.200e-05', 'NaN', '1.5000 GiB')
    """
    if isinstance(value, str):
        text = printable(" ".join(value.split()))
        return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if unit == "share":
        return f"{100 * value:.2f} %"
    number = f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"
    return f"{number} {printable(unit)}".rstrip()


def abridged(name: str, width: int) -> str:
    """A name in `width` places, 8 at least: what tells variants of a metric apart stands at its end.

    >>> abridged("AveragePrecision(multiclass, micro)", 24)
    'AveragePr...lass, micro)'
    """
    name = printable(name)
    end = width // 2
    return name if len(name) <= width else f"{name[: width - end - 3]}...{name[-end:]}"


def duration(time: float) -> str:
    """A length of time on a clock: minutes and seconds, hours if there are any.

    >>> duration(75), duration(3675)
    ('1:15', '1:01:15')
    """
    whole = max(0, round(time))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def seconds(time: float) -> str:
    """A measured time.

    >>> seconds(2.13), seconds(0.0042), seconds(75)
    ('2.1 s', '0.0 s', '1:15')
    """
    return f"{time:.1f} s" if time < 59.95 else duration(time)


def rate(batches_per_second: float) -> str:
    """A speed, turned over where a batch takes longer than a second.

    >>> rate(11), rate(0.4), rate(1234)
    ('11.0 batches/s', '2.5 s/batch', '1234 batches/s')
    """
    if batches_per_second < 1:
        return f"{1 / batches_per_second:.1f} s/batch" if batches_per_second > 0 else "0 batches/s"
    return (
        f"{batches_per_second:.1f} batches/s" if batches_per_second < 999.5 else f"{batches_per_second:.0f} batches/s"
    )


def beginning(started: Started) -> str:
    """Where the run starts, or from where it is resumed."""
    position, epochs = started.position, started.epochs
    where = f"in {printable(readable(started.directory))}"
    if position.finished_epochs >= epochs:
        return f"nothing left to do: {plural(epochs, 'epoch')} done, {where}"
    if position.batch is not None:
        total = started.batches.get(Split.TRAIN)
        batches = f"{position.batch} of {total}" if total else f"{position.batch}"
        return f"resuming in epoch {position.epoch} of {epochs}, after {batches} batches, {where}"
    if position.finished_epochs:
        return f"resuming with epoch {position.finished_epochs + 1} of {epochs}, {where}"
    return f"training for {plural(epochs, 'epoch')}, {where}"


def ending(started: Started, finished: Finished, time: float, saved: Position | None) -> str:
    """That the run is complete, or where it stopped, why, and how to resume if that place was saved."""
    if finished.error is not None:
        return f"failed {_place(finished.position)}: {first_line(finished.error)}"
    if finished.reason is not None:
        unless = ", under another rule or none," if finished.by_rule else ""
        how = f'; .checkpoint("latest"){unless} resumes from here' if saved == finished.position else ""
        return f"stopped {_place(finished.position)}: {first_line(finished.reason)}{how}{_besides(finished)}"
    done, before = finished.position.epoch, started.position
    if before == finished.position:
        return f"completed {plural(done, 'epoch')} before{_besides(finished)}"
    share = f", the last {done - before.finished_epochs}" if before > START else ""
    return f"completed {plural(done, 'epoch')}{share} in {seconds(time)}{_besides(finished)}"


def _besides(finished: Finished) -> str:
    skipped, best = finished.skipped, finished.restored
    left_out = f"; {plural(skipped, 'batch', 'es')} without a finite loss skipped" if skipped else ""
    return f"{left_out}; the weights are those of epoch {best}" if best is not None else left_out


def _place(position: Position) -> str:
    if position.batch is not None:
        return f"in epoch {position.epoch} after {plural(position.batch, 'batch', 'es')}"
    return f"after epoch {position.epoch}" if position.epoch else "before the first batch"


def first_line(text: str) -> str:
    """Of a reason or an error."""
    lines = text.strip().splitlines()
    return printable(lines[0]) if lines else "no reason given"


def sparkline(values: Sequence[float], width: int) -> str:
    """One character for each value, from the lowest block for the least to the highest for the greatest.

    At most `width` characters: more values are averaged in groups. NaN is a space, infinities are the outermost
    blocks and leave the scale alone, a series without spread is drawn at half height.

    >>> sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8), sparkline([1, 1], 8)
    ('▁▂▃▄▅▆▇█', '▄▄')
    """
    count = len(values)
    groups = (values[i * count // width : (i + 1) * count // width] for i in range(width))
    points = list(values) if count <= width else list(map(_mean, groups))
    finite = [value for value in points if math.isfinite(value)]
    lowest, highest = (min(finite), max(finite)) if finite else (0.0, 0.0)
    spread = highest / 2 - lowest / 2  # halves: the difference of two huge values would overflow
    middle = BLOCKS[(len(BLOCKS) - 1) // 2]

    def block(value: float) -> str:
        if math.isnan(value):
            return " "
        if math.isinf(value):
            return BLOCKS[-1] if value > 0 else BLOCKS[0]
        if spread == 0:
            return middle
        return BLOCKS[min(len(BLOCKS) - 1, int((value / 2 - lowest / 2) / spread * len(BLOCKS)))]

    return "".join(map(block, points))


def _mean(group: Sequence[float]) -> float:
    """The mean of the finite ones; an infinity, or NaN, only if there is none."""
    finite = [value for value in group if math.isfinite(value)]
    if finite:
        return sum(value / len(finite) for value in finite)
    return next((value for value in group if not math.isnan(value)), math.nan)
