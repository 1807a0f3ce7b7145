"""The learning rate of an optimizer in training: the scheduler sets it, and no other code may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from multilearn.errors import ConfigurationError

__all__ = ["RateGuard"]

_ASSIGN = "_direct_assign"


class RateGuard:
    """Refuses what is assigned to the variable from outside, in the line that does it: it would be overwritten."""

    def __init__(self, variable: keras.Variable) -> None:
        self._variable = variable
        # that of another engine, if this one is made while that one trains
        self._outer = vars(variable).get(_ASSIGN)
        vars(variable)[_ASSIGN] = _refuse

    def release(self) -> None:
        self._put(self._outer)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """While it lasts the rate may be assigned, as by a record that is restored."""
        before = vars(self._variable).get(_ASSIGN)
        self._put(None)
        try:
            yield
        finally:
            self._put(before)

    def _put(self, assign: Any) -> None:
        vars(self._variable).pop(_ASSIGN, None)
        if assign is not None:
            vars(self._variable)[_ASSIGN] = assign


def _refuse(value: Any) -> None:
    raise ConfigurationError(
        "In training the scheduler sets the learning rate, before every update.",
        received=f"an assignment of {float(value):g} to optimizer.learning_rate",
        remedy="Give build a scheduler: multilearn.schedulers.ReduceOnPlateau, Piecewise, or an object with a method "
        "learning_rate(update). In a loop of your own, give train_step the rate.",
    )
