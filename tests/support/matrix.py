"""All pairs of (trained on, resumed on): the processes that make them, and what is judged of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.processes import BACKENDS, SCRIPTS

SCRIPT = SCRIPTS / "moving.py"
PAIRS = list(itertools.product(BACKENDS, repeat=2))

Told = dict[str, dict[str, Any]]


class Matrix:
    """What all frameworks told of the cells that they wrote, and of those that they went on from."""

    def __init__(self, folder: Path) -> None:
        self._wrote = {backend: _told(folder / f"{backend}.write.json") for backend in BACKENDS}
        self._resumed = {backend: _told(folder / f"{backend}.resume.json") for backend in BACKENDS}
        self.cells = list(self._wrote[BACKENDS[0]])

    def failed(self) -> Iterator[str]:
        """The tracebacks of what did not run, by cell."""
        for action, told in (("write", self._wrote), ("resume", self._resumed)):
            for backend, cell in itertools.product(BACKENDS, self.cells):
                if "failed" in told[backend][cell]:
                    yield f"{backend}, {action}, {cell}: {told[backend][cell]['failed']}"

    def sent(self, source: str, cell: str) -> dict[str, Any]:
        """The variables as they were at the checkpoint: shape, type and bytes, by key."""
        return self._wrote[source][cell]["held"]

    def arrived(self, source: str, target: str, cell: str) -> dict[str, Any]:
        """The variables as they were after the checkpoint was taken over."""
        return self._resumed[target][cell][source]["held"]

    def apart(self, source: str, target: str, cell: str) -> float:
        """The largest relative difference of the losses after the checkpoint, with and without the move."""
        stayed, moved = self._wrote[source][cell]["next"], self._resumed[target][cell][source]["next"]
        return max(abs(one - other) / max(abs(one), abs(other)) for one, other in zip(stayed, moved, strict=True))

    def learned(self, source: str, cell: str) -> tuple[float, float]:
        """The first loss and the last one."""
        told = self._wrote[source][cell]
        return told["first"][0], told["next"][-1]


def made(run: Callable[[list[str]], None], folder: Path, *cells: str) -> Matrix:
    """`run(arguments)` runs the script on each framework, all of them before it returns."""
    for action in ("write", "resume"):
        run([action, str(folder), *cells])
    return Matrix(folder)


def _told(path: Path) -> Told:
    return json.loads(path.read_text())


def largest(source: str, target: str, cell: str) -> float:
    """The relative difference that the losses after a move may have."""
    policy = cell.split(", ")[-1]
    if source == target:
        return 0.0
    return {"mixed_bfloat16": 1e-2, "bfloat16": 1e-2, "mixed_float16": 1e-3}.get(policy, 1e-5)
