"""Perplexity: among how many equally likely tokens a language model is undecided, on average."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from multilearn.arguments import optional_whole, settle
from multilearn.metrics.items import class_items
from multilearn.metrics.names import named
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["Perplexity"]


@dataclass(frozen=True)
class Perplexity:
    """exp(total negative log likelihood / total tokens) over the epoch; no mean of the batches' perplexities.

    Tokens of weight zero (padding), and those whose target is `ignore_index`, are in neither; all others count alike.
    The likelihood of a token is the probability of its class, from logits or from probabilities as the output says;
    a probability of 0 makes it inf. Layer losses are no part of it. Needs a `ClassificationOutput`, of items or of
    sequences. NaN when nothing was counted.

    >>> Perplexity().name, Perplexity(ignore_index=0).name
    ('Perplexity', 'Perplexity(ignore_index=0)')
    """

    ignore_index: int | None = None

    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        settle(self, ignore_index=optional_whole("The ignore_index of Perplexity", self.ignore_index))

    @property
    def name(self) -> str:
        return named("Perplexity", ignore_index=self.ignore_index)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        items = class_items(ops, output, self.name, self.ignore_index)
        log = ops.log_softmax if items.output.from_logits else ops.log
        own = ops.equal(np.arange(items.classes, dtype=np.int32), ops.expand_dims(items.targets, -1))
        likelihoods = ops.sum(ops.where(own, log(items.logits), 0.0), axis=-1)
        # a target that is no class has no likelihood
        surprise = ops.where(ops.greater(ops.sum(own, axis=-1), 0), ops.subtract(0.0, likelihoods), float("nan"))
        if items.counted is None:
            count = ops.size(items.targets)
        else:
            surprise, count = ops.where(items.counted, surprise, 0.0), ops.sum(items.counted)
        while len(surprise.shape) > 1:
            surprise = ops.sum(surprise, axis=-1)
        return {"surprise": surprise, "count": count}

    def merge(self, state: State | None, measured: Measured) -> State:
        total, count = float(np.sum(measured["surprise"], dtype=np.float64)), int(measured["count"])
        if state is None:
            return {"total": total, "count": count}
        return {"total": state["total"] + total, "count": state["count"] + count}

    def entry(self, state: State) -> Entry:
        if not state["count"]:
            return Entry(float("nan"))
        try:
            return Entry(math.exp(state["total"] / state["count"]))
        except OverflowError:
            return Entry(math.inf)
