"""Compiled steps, of which those used last are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import Any

__all__ = ["RecentlyUsed"]

_log = logging.getLogger("multilearn")

_KEPT = 64
"""How many are kept: another one is compiled again when it is needed."""

Compiled = Callable[..., Any]


class RecentlyUsed:
    """What was compiled, by the shapes it is for. Without room for more, what was not used for longest is dropped."""

    def __init__(self) -> None:
        self._compiled: dict[Hashable, Compiled] = {}
        self._warned = False

    def __len__(self) -> int:
        return len(self._compiled)

    def get(self, key: Hashable) -> Compiled | None:
        """What was put there, which counts as used now; None for what is not there, or not any more."""
        compiled = self._compiled.pop(key, None)
        if compiled is not None:
            self._compiled[key] = compiled
        return compiled

    def put(self, key: Hashable, compiled: Compiled, kind: str) -> None:
        """`kind`: what the step does, such as "training", for the one warning that there are too many."""
        self._compiled[key] = compiled
        if len(self._compiled) <= _KEPT:
            return
        del self._compiled[next(iter(self._compiled))]
        if not self._warned:
            self._warned = True
            _log.warning(
                "Steps of %s have had more than %d combinations of shapes, and each is compiled: only the last %d are "
                "kept. Pad the batches to a few lengths, or declare the axes that vary, by keras.Input((None, ...)).",
                kind,
                _KEPT,
                _KEPT,
            )
