"""Numbers and arrays of any library as Python's and numpy's own. No framework is imported for it."""

from __future__ import annotations

import math
import operator
from numbers import Complex, Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["as_array", "as_number", "is_number", "real", "whole"]


def as_number(value: Any) -> Any:
    """The bool, int or float that `value` is: a number of numpy's, a 0-d array or variable of a framework, a `Decimal`
    or a `Fraction`; anything else, complex numbers included, as it is.

    A float of fewer bits keeps its value: that of `np.float32(0.1)` is 0.10000000149011612.

    >>> as_number(np.float32(0.5)), as_number(np.asarray(3)), as_number("0.5")
    (0.5, 3, '0.5')
    """
    if type(value) in (float, int, bool) or isinstance(value, (str, bytes)) or not _is_scalar(value):
        return value
    kind = str(getattr(value, "dtype", ""))
    try:
        if "bool" in kind:
            return bool(int(value))
        return int(value) if "int" in kind or isinstance(value, Integral) else float(value)
    except Exception:  # whatever a library raises for a number that it cannot convert
        return value


def is_number(value: Any) -> bool:
    """Whether it is a bool, int or float of Python's."""
    return isinstance(value, (int, float))


def whole(value: Any) -> int | None:
    """The int that an argument is, of whatever library; None for anything else, `True` and 2.0 included.

    >>> whole(np.asarray(3)), whole(True), whole(2.0)
    (3, None, None)
    """
    number = as_number(value)
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        return None
    try:
        return operator.index(number)
    except Exception:  # an array has the method, and no such value
        return None


def real(value: Any) -> float:
    """The float that an argument is, of whatever library; NaN for anything else, `True` included.

    >>> real(np.asarray(0.5)), real(2), real("2")
    (0.5, 2.0, nan)
    """
    number = as_number(value)
    if isinstance(number, bool) or not is_number(number):
        return math.nan
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def as_array(value: Any) -> npt.NDArray[Any] | None:
    """A copy on the host of an array of a framework, None for anything else, and for what numpy cannot hold."""
    if isinstance(value, type) or not (hasattr(value, "__array__") and hasattr(value, "dtype")):
        return None
    try:
        # torch only converts what is on the host and belongs to no gradient
        held = value.detach().cpu() if hasattr(value, "detach") else value
        found = np.array(held)
    except Exception:  # traced, deleted, or of a type that numpy does not know
        return None
    return None if found.dtype == object else found


def _is_scalar(value: Any) -> bool:
    if isinstance(value, type):
        return False
    if isinstance(value, Complex) and not isinstance(value, Real):
        return False
    if isinstance(value, Real) or type(value).__module__ == "decimal":
        return True
    shape = getattr(value, "shape", None)
    if shape is None or "complex" in str(getattr(value, "dtype", "")):
        return False
    try:
        return len(shape) == 0
    except (TypeError, ValueError):  # a shape that is not known
        return False
