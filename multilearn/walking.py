"""A step taken apart: what the first batch becomes on its way through a model, for `multilearn diff-step`.

Where the environment variable is set, `fit` does not train. It has its backend walk the first batch, writes all that
was seen to the file that the variable names, and ends the process. Nothing of the run's directory is touched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from zipfile import BadZipFile

import numpy as np

from multilearn.errors import BackendError, DataError
from multilearn.protocols import Example, Subject

__all__ = ["VARIABLE", "Phase", "Traced", "Walker", "asked", "read", "walk", "write"]

VARIABLE = "MULTILEARN_WALK"
_HEADER = "header"


class Phase(StrEnum):
    """The parts of a step, in the order in which one follows from the other."""

    BATCH = "batch"
    WEIGHTS = "weights at start"
    FORWARD = "outputs"
    LOSS = "loss"
    BACKWARD = "gradients of outputs"
    GRADIENTS = "gradients"
    UPDATE = "update"
    EVALUATION = "outputs in evaluation"


@dataclass(frozen=True)
class Traced:
    """What was seen at one place: arrays on the host. `kind` is the class of the layer, or what else it is.

    A key that comes several times within a phase is of a layer that was called as often. `epsilon`: the distance from
    1 to the next number in the coarsest of the types that the arrays had on the device, 0 for whole numbers.
    """

    phase: Phase
    key: str
    kind: str
    arrays: tuple[np.ndarray[Any, Any], ...]
    epsilon: float = 0.0


@runtime_checkable
class Walker(Protocol):
    """A backend that can take a step apart."""

    def walk(self, subject: Subject, example: Example, lr: float, device: str | None) -> Iterable[Traced]:
        """Everything on the way of the example's batch, phase by phase: outputs in the order in which layers are done
        (what is inside a layer before the layer itself), gradients in the order of backpropagation, from the loss back.

        `lr` is the learning rate of the one update. The arrays are of types that numpy knows by itself.
        """
        ...


def asked() -> Path | None:
    """Where to write, if `fit` is to walk instead of train."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def walk(backend: Any, subject: Subject, example: Example, lr: float, device: str | None, path: Path) -> None:
    """Write what the backend sees on the way. Raises `BackendError` for a backend that cannot take a step apart."""
    if not isinstance(backend, Walker):
        raise BackendError(
            "diff-step needs a backend that can take a step apart.",
            received=f"{getattr(backend, 'name', backend)}, which has no method walk",
            remedy="Use torch, tensorflow or jax.",
        )
    write(list(backend.walk(subject, example, lr, device)), path)


def write(traces: Sequence[Traced], path: Path) -> None:
    """One file, for `read`."""
    arrays: dict[str, Any] = {}
    header = []
    for traced in traces:
        names = [str(len(arrays) + at) for at in range(len(traced.arrays))]
        arrays.update(zip(names, traced.arrays, strict=True))
        header.append([traced.phase.name, traced.key, traced.kind, names, traced.epsilon])
    arrays[_HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read(path: Path) -> tuple[Traced, ...]:
    """What `write` wrote. Raises `DataError` for another file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays: Mapping[str, Any] = dict(stored)
        header = json.loads(bytes(arrays[_HEADER]))
        return tuple(
            Traced(Phase[phase], key, kind, tuple(arrays[name] for name in names), epsilon)
            for phase, key, kind, names, epsilon in header
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise DataError("This is no trace of a step.", received=f"{path}: {error}") from error
