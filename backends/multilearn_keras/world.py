"""The world that this process is in, if a launcher has put it into one: joined when the backend is loaded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import keras
import numpy as np

from multilearn.errors import BackendError
from multilearn.protocols import ALONE, LaunchedRank, World
from multilearn.protocols.world import end_with_launcher, show_without_traceback

__all__ = ["KerasWorld", "LaunchedWorld", "current", "join", "met_too_late", "summed"]


class LaunchedWorld(World):
    """Several processes, that hand over what is on the host by the framework's own means."""

    def __init__(self, place: LaunchedRank) -> None:
        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size

    def gather(self, value: bytes) -> Sequence[bytes]:
        lengths = self.gather_words(np.array([len(value)], np.int32))[:, 0]
        # few sizes: for each of them a program is compiled, or a number kept
        words = 1 << (int(lengths.max()) // 4).bit_length()
        rows = self.gather_words(np.frombuffer(value.ljust(4 * words, b"\0"), np.int32).copy()).view(np.uint8)
        return [row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)]

    @abstractmethod
    def gather_words(self, own: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(size, n) of the (n,) int32 of all processes."""


class KerasWorld(LaunchedWorld):
    """Several processes that each compute their own rows, with what their steps hand over."""

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


def met_too_late() -> BackendError:
    """For a framework that has to know of the others before it makes anything."""
    return BackendError(
        f"On {keras.backend.backend()} several processes meet before the first tensor is made.",
        received="a model, or another tensor, made before multilearn's backend was loaded",
        remedy="Call multilearn.set_seed(n) before the model is made: it loads the backend.",
    )


def summed(x: Any) -> Any:
    """The sum of all processes' tensors, whose gradient is the sum of theirs."""
    assert isinstance(_joined, KerasWorld)
    return _joined.summed(x)


def current() -> World:
    """The one that was joined; else that of one process alone."""
    return ALONE if _joined is None else _joined
