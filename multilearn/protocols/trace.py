"""A step taken apart: what is seen on its way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np

from multilearn.protocols.engine import Example, Subject

__all__ = ["Phase", "Traced", "Walker"]


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
