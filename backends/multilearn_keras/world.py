"""The world that this process is in, if a launcher has put it into one: joined when the backend is loaded."""

from __future__ import annotations

from abc import abstractmethod
from importlib import import_module
from typing import Any

import keras

from multilearn.protocols import ALONE, LaunchedRank, World
from multilearn.protocols.world import end_with_launcher, show_without_traceback

__all__ = ["KerasWorld", "current", "join", "summed"]


class KerasWorld(World):
    """Several processes, with what steps hand over by the framework's own means."""

    def __init__(self, place: LaunchedRank) -> None:
        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size

    @abstractmethod
    def gather_rows(self, own: Any) -> Any:
        """(size, n) of the tensors (n,) of all processes."""

    @abstractmethod
    def sum(self, flat: Any) -> Any:
        """The sum of all processes' tensors, which may be in the place of this one's."""

    @abstractmethod
    def summed(self, x: Any) -> Any:
        """The sum of all processes' tensors, whose gradient is the sum of theirs: also in a captured step."""


_joined: World | None = None


def join() -> None:
    """Take part in the world that the environment describes. Raises `WorldError` if it does not form."""
    global _joined
    place = LaunchedRank.of_environment()
    if place is None or _joined is not None:
        return
    end_with_launcher()
    show_without_traceback()
    _joined = import_module(f"multilearn_keras.engines.{keras.backend.backend()}.world").connected(place)


def summed(x: Any) -> Any:
    """The sum of all processes' tensors, whose gradient is the sum of theirs."""
    assert isinstance(_joined, KerasWorld)
    return _joined.summed(x)


def current() -> World:
    """The one that was joined; else that of one process alone."""
    return ALONE if _joined is None else _joined
