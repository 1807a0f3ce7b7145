"""How values, durations and rates are written for people."""

from __future__ import annotations

import math

from multilearn.printable import printable

__all__ = ["abridged", "duration", "rate", "seconds", "shown"]

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
