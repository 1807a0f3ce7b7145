"""Datasets and transforms that worker processes import."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
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


class Odd(Exception):
    """Cannot be unpickled: it has two arguments and keeps one."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)


class Troubled(FailingAt):
    """Item 5 is missing, 6 fails with an error that cannot be sent, and 7 is the end, as where memory runs out."""

    def __getitem__(self, index: int) -> Any:
        if index == 6:
            raise Odd("odd", "ly")
        if index == 7:
            os.kill(os.getpid(), 9)
        return super().__getitem__(index)


@dataclass
class Witness:
    """Items that tell who made them, what the global generators gave, and of a file that is mapped into memory."""

    path: Path

    def __post_init__(self) -> None:
        self.rows = np.load(self.path, mmap_mode="r")[1:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        drawn = random.random(), np.random.rand()
        return {"pid": os.getpid(), "drawn": drawn, "row": self.rows[index] * 1, "mapped": type(self.rows) is np.memmap}


def jittered(item: Any, rng: np.random.Generator) -> Any:
    x, y = item
    return x + rng.normal(size=np.shape(x)), y


class Words:
    """Item i is (words[i], i)."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int) -> Any:
        return self.words[index], index
