"""What a task's step hands over to the engine and to the metrics. All tensors are the framework's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = [
    "ClassificationOutput",
    "MultiLabelOutput",
    "Output",
    "RegressionOutput",
    "SeveralOutputs",
    "TurnsOutput",
]


@dataclass(frozen=True)
class ClassificationOutput(Output):
    """One class out of several, for each item.

    `logits`: (batch, ..., classes), unnormalised unless `from_logits` is False;
    `targets`: (batch, ...), class ids, int32;
    `weights`: (batch, ...) or None; items of weight zero (padding) are not counted by metrics.
    """

    logits: Tensor
    targets: Tensor
    weights: Tensor | None = None
    from_logits: bool = True

    def scores(self, ops: ArrayOps) -> Tensor:
        """Probabilities, (batch, ..., classes)."""
        return ops.softmax(self.logits) if self.from_logits else self.logits


@dataclass(frozen=True)
class MultiLabelOutput(Output):
    """Several labels that are each true or not, for each item; a binary classification has one.

    `logits`: (batch, ..., labels), unnormalised unless `from_logits` is False;
    `targets`: (batch, ..., labels), 0 or 1, int32;
    `weights`: (batch, ...) or None; items of weight zero (padding) are not counted by metrics.
    """

    logits: Tensor
    targets: Tensor
    weights: Tensor | None = None
    from_logits: bool = True

    def scores(self, ops: ArrayOps) -> Tensor:
        """The probability of each label, (batch, ..., labels)."""
        return ops.sigmoid(self.logits) if self.from_logits else self.logits


@dataclass(frozen=True)
class RegressionOutput(Output):
    """`predictions` and `targets`: (batch, ...), float32; `weights`: (batch, ...) or None."""

    predictions: Any
    targets: Any
    weights: Tensor | None = None


@dataclass(frozen=True)
class SeveralOutputs(Output):
    """A model with several outputs, by name. `loss` is what is minimised, of all of them together.

    A metric is measured on one of them as `multilearn.metrics.OfOutput("name", metric)`.
    """

    parts: Mapping[str, Output]


@dataclass(frozen=True)
class TurnsOutput(SeveralOutputs):
    """What the turns of a task return, by turn: in training that of one of them, in evaluation those of all.

    `losses`, `counts`: (turns,), float32, with zeros for the turns that are not in it.
    """

    losses: Tensor
    counts: Tensor
