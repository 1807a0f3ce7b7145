"""Character error rate: edits over characters of the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from multilearn.metrics.arguments import index
from multilearn.metrics.edits import added_edits, error_rate, measured_sequences, sequences
from multilearn.metrics.names import named
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["CharErrorRate"]


@dataclass(frozen=True)
class CharErrorRate:
    """insertions, deletions and replacements of all sequences / characters of all references: a share, which can be
    above 1. Every id is a character; a prediction is the most probable one at each place.

    Ids equal to `padding` are taken out of predictions and references alike, as is what stands in places of weight
    zero. Needs a `ClassificationOutput` of sequences: logits (batch, time, classes), targets (batch, time).
    NaN where the references have no character.

    >>> CharErrorRate().name, CharErrorRate(padding=0).name
    ('CharErrorRate', 'CharErrorRate(padding=0)')
    """

    padding: int | None = None

    unit: ClassVar[str] = "share"
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", index("The padding of CharErrorRate", self.padding))

    @property
    def name(self) -> str:
        return named("CharErrorRate", padding=self.padding)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        return measured_sequences(ops, output, self.name)

    def merge(self, state: State | None, measured: Measured) -> State:
        references, hypotheses = (sequences(measured[name], self.padding) for name in ("true", "predicted"))
        return added_edits(state, references, hypotheses)

    def entry(self, state: State) -> Entry:
        return error_rate(state)
