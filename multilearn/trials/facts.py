"""What is seen of a model while it is trained on a few batches, and of these batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from multilearn.metrics import Accuracy, HammingScore
from multilearn.outputs import ClassificationOutput, MultiLabelOutput
from multilearn.protocols import ArrayOps, Batch, Entry, Measured, Output, Parts, State, Tensor, Update

__all__ = ["Facts", "PartNorms", "Right"]


@dataclass(frozen=True)
class PartNorms:
    """The sum of the absolute values of the gradient, for each trained variable; an entry is the sum of all."""

    name: ClassVar[str] = "PartNorms"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def measure_update(self, ops: ArrayOps, update: Update) -> Mapping[str, Tensor]:
        found = map(ops.float32, update.gradients)
        # no squares: those of small numbers are zero
        return {str(at): ops.sum(ops.absolute(gradient)) for at, gradient in enumerate(found)}

    def merge(self, state: State | None, measured: Measured) -> State:
        return {name: float(value) for name, value in measured.items()}

    def entry(self, state: State) -> Entry:
        return Entry(sum(state.values()))


@dataclass(frozen=True)
class Right:
    """The share of items that are predicted right, of an output of which that can be said."""

    name: ClassVar[str] = "Right"
    unit: ClassVar[str] = "share"
    numeric: ClassVar[bool] = True

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        if isinstance(output, ClassificationOutput):
            return Accuracy().measure(ops, output)
        return HammingScore().measure(ops, output) if isinstance(output, MultiLabelOutput) else {}

    def merge(self, state: State | None, measured: Measured) -> State:
        return Accuracy().merge(state, measured) if measured else state or {"correct": 0, "count": 0}

    def entry(self, state: State) -> Entry:
        return Accuracy().entry(state)


@dataclass(frozen=True)
class Facts:
    """`losses` and `gradients` (of each trained variable the sum of absolute values) by update, of `of_each` batches in
    turn; `evaluated` and `right`: the loss and the share of right answers on them afterwards, without dropout.

    `moved`: whether any weight has changed; `rate`: the first learning rate; `goal`: what is nearly zero.
    """

    losses: tuple[float, ...]
    gradients: tuple[tuple[float, ...], ...]
    parts: Parts
    batches: Sequence[Batch]
    evaluated: float
    right: float
    moved: bool
    rate: float
    goal: float

    def fits(self, loss: float) -> bool:
        """Whether it is nearly zero, without what regularizers add."""
        return self.goal > 0 and loss - self.parts.penalty <= self.goal

    def mean(self, first: int, end: int) -> float:
        """Of the losses from number `first` to before `end`."""
        part = self.losses[first:end]
        return math.fsum(part) / len(part)

    @property
    def begin(self) -> float:
        """The loss of the first pass over the batches."""
        return self.mean(0, min(len(self.batches), len(self.losses)))

    @property
    def end(self) -> float:
        """That of the last pass."""
        return self.mean(-min(len(self.batches), len(self.losses)), len(self.losses))
