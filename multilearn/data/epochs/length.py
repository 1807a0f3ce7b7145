"""A loader that may have no end: said once an epoch is far longer than it should be, or than any before it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from multilearn.events import Split
from multilearn.protocols import Batch

__all__ = ["EpochLength"]

_UNKNOWN = 1000
"""Batches after which an epoch without a known length may be endless."""
_MANY, _AT_LEAST = 10, 100
"""So many times as long as the longest epoch known, and so many batches, is far longer."""

_NAMES = {Split.TRAIN: "training", Split.VALID: "validation", Split.TEST: "test"}

_log = logging.getLogger("multilearn")


class EpochLength:
    """How many batches the epochs of a split have. `declared`: what its loader says, None if it does not know."""

    def __init__(self, split: Split, declared: int | None) -> None:
        self._split = split
        self._declared = declared
        self._longest = 0
        self._warned = False

    @property
    def suspicious(self) -> int:
        """How many batches are so many that a warning is due."""
        known = max(self._declared or 0, self._longest)
        return max(_MANY * known, _AT_LEAST) if known else _UNKNOWN

    def counted(self, batches: Iterable[Batch], epoch: int, done: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` after the first `done`; says once if they are suspiciously many."""
        suspicious = self.suspicious
        for batch in batches:
            yield batch
            done += 1
            if done == suspicious and not self._warned:
                self._warned = True
                self._warn(epoch, done)
        self._longest = max(self._longest, done)

    def _warn(self, epoch: int, batches: int) -> None:
        name = _NAMES[self._split]
        compared = f"the {name} loader does not know its length"
        if self._longest:
            compared = f"the longest epoch so far had {self._longest}"
        elif self._declared:
            compared = f"the length of the {name} loader is {self._declared}"
        _log.warning(
            "Epoch %d has had %d batches of %s data, and %s. If the loader has no end, neither has the epoch: bound it "
            "with multilearn.epoch_of(loader, n), or multilearn.take(loader, n) for the first n of each epoch.",
            epoch,
            batches,
            name,
            compared,
        )
