"""Datasets and transforms that worker processes import."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np


class Squares:
    """Item i is (i, i * i)."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return np.full(2, index, np.float32), index * index


class FailingAt(Squares):
    """Its item 5 is missing."""

    def __getitem__(self, index: int) -> Any:
        if index == 5:
            raise KeyError("five")
        return super().__getitem__(index)


class DyingAt(Squares):
    """Whoever loads its item 5 dies as when memory runs out."""

    def __getitem__(self, index: int) -> Any:
        if index == 5:
            os.kill(os.getpid(), 9)
        return super().__getitem__(index)


class Chatty(Squares):
    """Prints, which must not get into what is sent."""

    def __getitem__(self, index: int) -> Any:
        print("loading", index)
        return super().__getitem__(index)


class Drawing(Squares):
    """Items out of the global generators."""

    def __getitem__(self, index: int) -> Any:
        return random.random(), np.random.rand()


class InFile:
    """Rows of a file that is mapped into memory, but for the first; `opened` is noted where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.rows = np.load(path, mmap_mode="r")[1:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.rows[index] * 1, int(isinstance(self.rows, np.memmap))


def jittered(item: Any, rng: np.random.Generator) -> Any:
    x, y = item
    return x + rng.normal(size=np.shape(x)), y


def whoever(item: Any) -> Any:
    """The process that made it."""
    return os.getpid()
