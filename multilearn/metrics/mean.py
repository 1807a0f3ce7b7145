"""Means over an epoch: of the loss, of a number that a task's own output carries, and perplexity, a function of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from multilearn.errors import ConfigurationError
from multilearn.events import Direction
from multilearn.metrics.items import Parametrized, class_items, named
from multilearn.outputs import TurnsOutput
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor

__all__ = ["Loss", "Mean", "MeanOfSums", "Perplexity", "summed", "sums_by_item"]


def summed(state: State | None, **amounts: float) -> State:
    """The amounts of one more batch, added to those before it."""
    return amounts if state is None else {name: state[name] + amount for name, amount in amounts.items()}


class _WeightedMean:
    """value = sum(value_b * count_b) / sum(count_b) over the batches b; NaN when nothing was counted."""

    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True
    _measured: ClassVar[str] = "value"

    def merge(self, state: State | None, measured: Measured) -> State:
        count = float(measured["count"])
        # a batch in which nothing is counted says nothing, whatever its 0/0 came out as
        total = float(measured[self._measured]) * count if count else 0.0
        return summed(state, total=total, count=count)

    def entry(self, state: State) -> Entry:
        count = state["count"]
        value = state["total"] / count if count else float("nan")
        return Entry(value, int(count) if float(count).is_integer() else count)


@dataclass(frozen=True)
class Mean(_WeightedMean):
    """The mean of `output.<field>`, a 0-d number of each batch, weighted as the loss is: by `output.count`.

    value = sum(field_b * count_b) / sum(count_b) over the batches b; NaN when nothing was counted. For a task of one's
    own whose output carries more than a loss, such as the two losses of an autoencoder.
    Raises `ConfigurationError` if the output has no such field, or it is not 0-d.

    >>> Mean("reconstruction").name
    'Mean(reconstruction)'
    """

    field: str

    def __post_init__(self) -> None:
        if not isinstance(self.field, str) or not self.field.isidentifier():
            raise ConfigurationError(
                "Mean takes the name of a field of the task's output.",
                received=repr(self.field),
                remedy='Write for instance Mean("reconstruction").',
            )

    @property
    def name(self) -> str:
        return named("Mean", self.field)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        value: Any = getattr(output, self.field, None)
        if not _is_number(value):
            fields = ", ".join(name for name in vars(output) if _is_number(getattr(output, name))) or "none"
            shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
            raise ConfigurationError(
                f"The metric {self.name} needs an output with a 0-d number called {self.field!r}.",
                received=f"{type(output).__name__}, where that is {type(value).__name__}{shape}",
                remedy=f"It has these: {fields}. Add others to a dataclass of your own that extends Output.",
            )
        return {"value": ops.float32(value), "count": ops.float32(output.count)}


def _is_number(value: Any) -> bool:
    if isinstance(value, (int, float)):
        return not isinstance(value, bool)
    return hasattr(value, "shape") and len(value.shape) == 0


@dataclass(frozen=True)
class Loss(_WeightedMean):
    """The loss, layer losses included, averaged over what it divides by: items, unmasked tokens, or weights.

    value = sum(loss_b * count_b) / sum(count_b) over the batches b; NaN when nothing was counted. Of a task with turns
    it is the sum of these values of its turns, without those that were not taken.
    """

    name: ClassVar[str] = "Loss"
    better: ClassVar[Direction] = "lowest"
    _measured: ClassVar[str] = "loss"

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        if isinstance(output, TurnsOutput):
            return {"loss": output.losses, "count": output.counts}
        return {"loss": ops.float32(output.loss), "count": ops.float32(output.count)}

    def merge(self, state: State | None, measured: Measured) -> State:
        if not np.ndim(measured["count"]):
            return super().merge(state, measured)
        counts = np.asarray(measured["count"], np.float64)
        totals = np.where(counts == 0, 0.0, measured["loss"] * counts)
        return {"total": totals, "count": counts} if state is None else _added(state, totals, counts)

    def entry(self, state: State) -> Entry:
        if not np.ndim(state["count"]):
            return super().entry(state)
        taken = state["count"] != 0
        means = state["total"][taken] / state["count"][taken]
        return Entry(float(means.sum()) if taken.any() else float("nan"))

    def is_finite(self, measured: Measured) -> bool:
        """Whether what was measured of a batch is; where nothing counts it is no number, and nothing is wrong."""
        loss, count = measured["loss"], measured["count"]
        if np.ndim(count):
            return all(self.is_finite({"loss": one, "count": of}) for one, of in zip(loss, count, strict=True))
        count = float(count)
        return not count or math.isfinite(float(loss) * count / count)


def _added(state: State, totals: Any, counts: Any) -> State:
    return {"total": state["total"] + totals, "count": state["count"] + counts}


class MeanOfSums:
    """The mean over everything that counts, of what is summed for each item; NaN when nothing was counted."""

    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def merge(self, state: State | None, measured: Measured) -> State:
        total = float(np.sum(measured["sums"], dtype=np.float64))
        return summed(state, total=total, count=int(measured["count"]))

    def entry(self, state: State) -> Entry:
        total, count = state["total"], state["count"]
        return Entry(total / count if count else float("nan"), count)


def sums_by_item(ops: ArrayOps, values: Tensor, counted: Tensor | None) -> Mapping[str, Tensor]:
    """What `MeanOfSums` merges: the sums of (batch, ...) over all axes but the first, and how many values count."""
    if counted is None:
        count = ops.size(values)
    else:
        values, count = ops.where(counted, values, 0.0), ops.sum(counted)
    while len(values.shape) > 1:
        values = ops.sum(values, axis=-1)
    return {"sums": values, "count": count}


@dataclass(frozen=True)
class Perplexity(Parametrized, MeanOfSums):
    """exp(total negative log likelihood / total tokens) over the epoch; no mean of the batches' perplexities.

    Tokens of weight zero (padding), and those whose target is `ignore_index`, are in neither; all others count alike.
    The likelihood of a token is the probability of its class, from logits or from probabilities as the output says;
    a probability of 0 makes it inf. Layer losses are no part of it. Needs a `ClassificationOutput`, of items or of
    sequences. NaN when nothing was counted.

    >>> Perplexity().name, Perplexity(ignore_index=0).name
    ('Perplexity', 'Perplexity(ignore_index=0)')
    """

    ignore_index: int | None = None

    better: ClassVar[Direction] = "lowest"

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        items = class_items(ops, output, self.name, self.ignore_index)
        log = ops.log_softmax if items.output.from_logits else ops.log
        own = ops.equal(np.arange(items.classes, dtype=np.int32), ops.expand_dims(items.targets, -1))
        likelihoods = ops.sum(ops.where(own, log(items.logits), 0.0), axis=-1)
        # a target that is no class has no likelihood
        surprise = ops.where(ops.greater(ops.sum(own, axis=-1), 0), ops.subtract(0.0, likelihoods), float("nan"))
        return sums_by_item(ops, surprise, items.counted)

    def entry(self, state: State) -> Entry:
        try:
            return Entry(math.exp(float(super().entry(state).value)))
        except OverflowError:
            return Entry(math.inf)
