"""Where an axis has its marks, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["label", "labels", "log_ticks", "ticks"]

_FACTORS = (1, 2, 5)
_PLACES = 4  # decimals, before an exponent says it in fewer characters
_LARGE = 1e6
_SLACK = 1e-9  # of a step: what rounding may take from a multiple that is an end of the axis


def ticks(low: float, high: float, most: int) -> list[float]:
    """The multiples of 1, 2 or 5 times a power of ten from `low` to `high`: at most `most`, and as many as that allows.

    One value, `low`, where the two are the same or either is not finite; none where even the widest step has none.

    >>> ticks(0.0, 1.0, 6), ticks(-3.0, 12.0, 4)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 5.0, 10.0])
    """
    spread = high - low
    if not (math.isfinite(spread) and spread > 0):
        return [low]
    power = math.floor(math.log10(spread / max(1, most)))
    for exponent in (power, power + 1, power + 2):
        for factor in _FACTORS:
            found = _multiples(low, high, factor, exponent)
            if len(found) <= max(1, most):
                return found
    return [low]


def _multiples(low: float, high: float, factor: int, exponent: int) -> list[float]:
    """Of `factor * 10**exponent`, each the nearest number to its decimal."""
    step = float(f"{factor}e{exponent}")
    if not step or math.isinf(low / step) or math.isinf(high / step):
        return [low]
    first, last = math.ceil(low / step - _SLACK), math.floor(high / step + _SLACK)
    if last - first > 1000:  # far more than anyone asks for
        return [low] * 1001
    return [float(f"{number * factor}e{exponent}") for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """For an axis by powers of ten, both ends positive: 1, 2 and 5 times each, 1 and 3 times, the powers, or some of
    them: at most `most`. If there is none, those of `ticks`.

    >>> log_ticks(0.01, 1.0, 3), log_ticks(0.9, 30.0, 9)
    ([0.01, 0.1, 1.0], [1.0, 2.0, 5.0, 10.0, 20.0])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    most = max(1, most)
    for factors in (_FACTORS, (1, 3), (1,)):
        found = [value for d in decades for f in factors if low <= (value := float(f"{f}e{d}")) <= high]
        if len(found) <= most:
            break
    else:
        found = found[:: math.ceil(len(found) / most)]
    if len(found) > 1:
        return found
    return [value for value in ticks(low, high, most) if low <= value <= high] or found


def labels(values: Sequence[float], unit: str = "", *, log: bool = False) -> list[str]:
    """What is written at ticks, with the digits that tell them apart; `log`: each with its own first digit.

    >>> labels([0.0, 0.5, 1.0]), labels([0.9, 0.95], "share"), labels([1e-5, 1e-3, 0.1], log=True)
    (['0.0', '0.5', '1.0'], ['90%', '95%'], ['1e-5', '0.001', '0.1'])
    """
    if log:
        return [label(value, _magnitude(value), unit) for value in values]
    step = min((after - before for before, after in pairwise(values)), default=_magnitude(values[0]) if values else 1.0)
    # one way of writing for all of them: that of the one that needs the most room
    largest = max((abs(value) for value in values), default=0.0)
    return [label(value, step, unit, largest) for value in values]


def label(value: float, step: float, unit: str = "", largest: float | None = None) -> str:
    """A number to the digits that a `step` from one tick to the next shows; `largest`: that on the same axis.

    >>> label(0.25, 0.05), label(0.25, 0.05, "share"), label(2e-5, 1e-5), label(2.5e7, 5e6), label(0.0, 1e-5)
    ('0.25', '25%', '2e-5', '2.5e7', '0')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    sign = "%" if unit == "share" and math.isfinite(100 * value) else ""
    if sign:
        value, step = 100 * value, 100 * step
    size = max(abs(value), 0.0 if largest is None else largest)
    places = max(0, -_exponent(step))
    if places <= _PLACES and size < _LARGE:
        return f"{value:.{places}f}{sign}"
    if value == 0:
        return f"0{sign}"
    digits = min(17, max(0, _exponent(value) - _exponent(step)))
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}{sign}"


def _exponent(value: float) -> int:
    """Of ten, such that the first digit is in that place."""
    return math.floor(math.log10(abs(value)) + _SLACK) if value and math.isfinite(value) else 0


def _magnitude(value: float) -> float:
    return 10.0 ** _exponent(value) if value and math.isfinite(value) else 1.0
