"""All scores of an epoch against what is true, and the metrics that are areas below curves through them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from multilearn.events import Direction
from multilearn.metrics.items import NOT_COUNTED, ModalMetric, class_items
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor

__all__ = ["AUROC", "AveragePrecision", "Sweep"]

Array = np.ndarray[Any, Any]

_CELLS_AT_ONCE = 2**20


@dataclass(frozen=True)
class Sweep:
    """What is found as the threshold sinks from score to score, equal scores at once; (items, columns), int64.

    `hits` and `alarms` count the true and the false ones that are found; `earlier_*` are those of the next higher
    score. `ends` marks the rows that count: one for each distinct score of a column.
    """

    hits: Array
    alarms: Array
    earlier_hits: Array
    earlier_alarms: Array
    ends: Array

    @classmethod
    def of(cls, scores: Array, truths: Array) -> Sweep:
        """Of scores and truths, (items, columns): 1 for true, 0 for false, anything else is in neither."""
        order = np.argsort(-scores, axis=0)
        scores, truths = np.take_along_axis(scores, order, 0), np.take_along_axis(truths, order, 0)
        ends = np.ones(scores.shape, np.bool_)
        ends[:-1] = scores[1:] != scores[:-1]
        hits, alarms = (np.cumsum(truths == kind, axis=0, dtype=np.int64) for kind in (1, 0))
        return cls(hits, alarms, _before(hits, ends), _before(alarms, ends), ends)


def _before(found: Array, ends: Array) -> Array:
    """At each row, what was found at the last end above it: counts never sink."""
    earlier = np.zeros_like(found)
    earlier[1:] = np.maximum.accumulate(np.where(ends, found, 0), axis=0)[:-1]
    return earlier


@dataclass(frozen=True, kw_only=True)
class CurveMetric(ModalMetric, ABC):
    """An area below a curve through all scores of the epoch, which are kept for it (4 bytes a score), with settings:

    `mode`: `"binary"` (one label, or class 1 of two classes), `"multiclass"` (each class against all others) or
    `"multilabel"`. `average` (multiclass, multilabel; default macro): `"macro"` is the mean over the classes,
    without those for which all items are true or all are false; `"micro"` counts all classes as one.
    `ignore_index`: items (labels) with this target are counted nowhere, and nor are those of weight zero.

    NaN, with one warning, if there is nothing to tell apart in any class; NaN as soon as a score is.
    """

    better: ClassVar[Direction] = "highest"
    costly: ClassVar[bool] = True

    @classmethod
    def binary(cls, *, ignore_index: int | None = None) -> Self:
        """Of one label, or of class 1 out of two classes."""
        return cls(mode="binary", ignore_index=ignore_index)

    @classmethod
    def multiclass(cls, average: str = "macro", *, ignore_index: int | None = None) -> Self:
        """Of one class out of several, each against all the others."""
        return cls(mode="multiclass", average=average, ignore_index=ignore_index)

    @classmethod
    def multilabel(cls, average: str = "macro", *, ignore_index: int | None = None) -> Self:
        """Of several labels."""
        return cls(mode="multilabel", average=average, ignore_index=ignore_index)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        if self.mode == "multiclass":
            items = class_items(ops, output, self.name, self.ignore_index)
            kind = "logits" if items.output.from_logits else "scores"
            return {kind: ops.float32(items.logits), "truths": items.only(ops, items.targets)}
        labels = self.labels(ops, output)
        truths = ops.int32(labels.true)
        counted = truths if labels.counted is None else ops.where(labels.counted, truths, NOT_COUNTED)
        return {"scores": labels.ranks(ops), "truths": counted}

    def merge(self, state: State | None, measured: Measured) -> State:
        scores = _softmax(measured["logits"]) if "logits" in measured else np.asarray(measured["scores"], np.float32)
        truths = np.asarray(measured["truths"], np.int32)
        columns = scores.shape[-1]
        scores = scores.reshape(-1, columns)
        truths = truths.reshape((-1,) if self.mode == "multiclass" else (-1, columns))
        counted = (truths != NOT_COUNTED).any(axis=tuple(range(1, truths.ndim)))
        of_batch = {"scores": scores[counted], "truths": truths[counted]}
        state = {"scores": [], "truths": []} if state is None else state
        return {name: _with_chunk(state[name], chunk) for name, chunk in of_batch.items()}

    def entry(self, state: State) -> Entry:
        values: list[float] = []
        for scores, truths in self._columns(state):
            if np.isnan(scores).any():
                return Entry(float("nan"))
            sweep = Sweep.of(scores, truths)
            told_apart = (sweep.hits[-1:] > 0).any(axis=0) & (sweep.alarms[-1:] > 0).any(axis=0)
            values += self.of_each(sweep)[told_apart].tolist() if told_apart.any() else []
        return Entry(float(np.mean(values)) if values else float("nan"))

    def caution(self, state: State) -> str:
        """Why the value over `state` is not a number."""
        if any(np.isnan(scores).any() for scores, _truths in self._columns(state)):
            return f"{self.name} is not a number: some of the scores are not."
        return f"{self.name} is not a number: there are no two kinds of items to tell apart, in any class."

    @abstractmethod
    def of_each(self, sweep: Sweep) -> Array:
        """The value of each column; of no meaning where all are true, or all are false."""

    def _columns(self, state: State) -> Iterator[tuple[Array, Array]]:
        """Scores and truths, (items, columns), as many columns at once as are soon sorted."""
        scores, truths = (np.concatenate(state[name]) for name in ("scores", "truths"))
        classes = scores.shape[-1]
        if self.mode == "multiclass":
            counted = np.ones((1, classes), np.bool_)
        else:
            counted = truths != NOT_COUNTED
            scores = np.where(counted, scores, np.float32(0))
        step = classes if self.average != "macro" else max(1, _CELLS_AT_ONCE // max(1, len(scores)))
        for first in range(0, classes, step):
            ids = np.arange(first, min(first + step, classes))
            of_columns = truths[:, None] == ids if self.mode == "multiclass" else truths[:, ids]
            if self.average == "macro":
                yield scores[:, ids], of_columns.astype(np.int8)
            else:
                kept = np.broadcast_to(counted, scores.shape)
                yield scores[kept][:, None], of_columns[kept][:, None].astype(np.int8)


def _softmax(logits: Array) -> Array:
    """Here and not on the device: equal logits have equal scores wherever they are in a batch, on every framework."""
    exponents = np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):
        powers = np.exp(exponents - exponents.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def _with_chunk(chunks: Sequence[Array], chunk: Array) -> list[Array]:
    """One more chunk. Chunks that are no longer than the next one are joined with it: there are few, and each item is
    copied as often as the logarithm of their number."""
    joined = [*chunks, chunk]
    while len(joined) > 1 and len(joined[-2]) <= len(joined[-1]):
        last = joined.pop()
        joined[-1] = np.concatenate([joined[-1], last])
    return joined


@dataclass(frozen=True, kw_only=True)
class AUROC(CurveMetric):
    """The area under the receiver operating characteristic, exact: the chance that a true item scores above a false
    one, where equal scores count half. Counted in whole numbers, so the order of the items has no say in it.

    See `CurveMetric` for the settings.

    >>> AUROC.multiclass(average="micro").name
    'AUROC(multiclass, micro)'
    """

    def of_each(self, sweep: Sweep) -> Array:
        # trapezoids, doubled
        areas = (sweep.alarms - sweep.earlier_alarms) * (sweep.hits + sweep.earlier_hits)
        doubled = np.sum(areas, axis=0, where=sweep.ends)
        return np.asarray(doubled / np.maximum(2 * sweep.hits[-1] * sweep.alarms[-1], 1))


@dataclass(frozen=True, kw_only=True)
class AveragePrecision(CurveMetric):
    """sum over distinct scores of (recall - recall at the next higher score) * precision, exact, as in scikit-learn.

    See `CurveMetric` for the settings.

    >>> AveragePrecision.binary().name
    'AveragePrecision(binary)'
    """

    def of_each(self, sweep: Sweep) -> Array:
        precision = sweep.hits / np.maximum(sweep.hits + sweep.alarms, 1)
        total = np.sum((sweep.hits - sweep.earlier_hits) * precision, axis=0, where=sweep.ends)
        return np.asarray(total / np.maximum(sweep.hits[-1], 1))
