"""How well found regions and true ones overlap, and the metrics of segmentation that are functions of that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from multilearn.arguments import choice, flag, optional_whole, probability, settle
from multilearn.events import Direction
from multilearn.metrics.counts import Array, Counts, added, of_classes, of_labels, top_ids
from multilearn.metrics.items import class_items, label_items, named
from multilearn.outputs import MultiLabelOutput
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor

__all__ = ["Dice", "MeanIoU", "OverlapMetric"]


@dataclass(frozen=True)
class OverlapMetric(ABC):
    """A function of the pixels (items) that are found to be, and are, of each class, summed over the epoch.

    Of a `ClassificationOutput`, (batch, height, width, classes): a pixel is found to be of its most probable class, and
    without `include_background` class 0 is left out of the result. Of a `MultiLabelOutput`, masks of (batch, height,
    width, labels) that may overlap: a pixel is in the mask of a label if its score, a probability, is above
    `threshold`; there is no background, and no class of what is outside a mask.
    `average`: `"macro"` is the mean over classes, without those that occur neither in targets nor in predictions;
    `"micro"` counts all classes as one. Pixels of weight zero, or whose target is `ignore_index`, are counted nowhere.
    NaN if no class occurs at all.
    """

    threshold: float = 0.5
    average: str = "macro"
    include_background: bool = True
    ignore_index: int | None = None

    unit: ClassVar[str] = "share"
    better: ClassVar[Direction] = "highest"
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        kind = type(self).__name__
        settle(self, threshold=probability(f"The threshold of {kind}", self.threshold))
        settle(self, ignore_index=optional_whole(f"The ignore_index of {kind}", self.ignore_index))
        choice(f"{kind} has an average over classes", self.average, ("micro", "macro"))
        flag(f"The include_background of {kind}", self.include_background, "To count class 0 too, leave it out.")

    @property
    def name(self) -> str:
        return named(
            type(self).__name__,
            *([self.average] if self.average != "macro" else []),
            *([] if self.include_background else ["without background"]),
            threshold=None if self.threshold == 0.5 else self.threshold,
            ignore_index=self.ignore_index,
        )

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        if isinstance(output, MultiLabelOutput):
            return of_labels(ops, label_items(ops, output, self.name, self.ignore_index), self.threshold)
        items = class_items(ops, output, self.name, self.ignore_index)
        return of_classes(ops, items, top_ids(ops, items, 1, self.name), self.include_background)

    def merge(self, state: State | None, measured: Measured) -> State:
        return added(state, measured)

    def entry(self, state: State) -> Entry:
        counts = Counts.of(state)
        if self.average == "micro":
            counts = counts.summed()
        counts = counts.among(counts.present)
        return Entry(float(np.mean(self.of_each(counts))) if counts.hits.size else float("nan"))

    @abstractmethod
    def of_each(self, counts: Counts) -> Array:
        """The value for each class on its own; each occurs."""


@dataclass(frozen=True)
class Dice(OverlapMetric):
    """2 |found and true| / (|found| + |true|) of each class, with pixels summed over the epoch, averaged over classes.

    See `OverlapMetric` for the settings.

    >>> Dice().name, Dice(average="micro", include_background=False).name
    ('Dice', 'Dice(micro, without background)')
    """

    def of_each(self, counts: Counts) -> Array:
        return np.asarray(2 * counts.hits / (counts.predicted + counts.actual))


@dataclass(frozen=True)
class MeanIoU(OverlapMetric):
    """|found and true| / |found or true| of each class, with pixels summed over the epoch, averaged over classes.

    See `OverlapMetric` for the settings.

    >>> MeanIoU().name, MeanIoU(ignore_index=255).name
    ('MeanIoU', 'MeanIoU(ignore_index=255)')
    """

    def of_each(self, counts: Counts) -> Array:
        return np.asarray(counts.hits / (counts.predicted + counts.actual - counts.hits))
