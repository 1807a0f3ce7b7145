"""What stopping rules accept as a number."""

from __future__ import annotations

from numbers import Real
from typing import Any

__all__ = ["is_number"]


def is_number(value: Any) -> bool:
    """Whether it is a real number, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)
