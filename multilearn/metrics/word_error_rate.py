"""Word error rate: edits over words of the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from multilearn.metrics.arguments import index
from multilearn.metrics.edits import added_edits, error_rate, measured_sequences, sequences
from multilearn.metrics.names import named
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["WordErrorRate"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class WordErrorRate:
    """insertions, deletions and replacements of words / words of all references: a share, which can be above 1.

    Every id is a word. Where ids are characters, `separator` is the one between words; several in a row are one, and
    those at the ends none. A prediction is the most probable id at each place. Ids equal to `padding` are taken out of
    predictions and references alike, as is what stands in places of weight zero. Needs a `ClassificationOutput` of
    sequences: logits (batch, time, classes), targets (batch, time). NaN where the references have no word.

    >>> WordErrorRate(padding=0).name, WordErrorRate(padding=0, separator=1).name
    ('WordErrorRate(padding=0)', 'WordErrorRate(padding=0, separator=1)')
    """

    padding: int | None = None
    separator: int | None = None

    unit: ClassVar[str] = "share"
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("padding", "separator"):
            object.__setattr__(self, name, index(f"The {name} of WordErrorRate", getattr(self, name)))

    @property
    def name(self) -> str:
        return named("WordErrorRate", padding=self.padding, separator=self.separator)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        return measured_sequences(ops, output, self.name)

    def merge(self, state: State | None, measured: Measured) -> State:
        references, hypotheses = (sequences(measured[name], self.padding) for name in ("true", "predicted"))
        if self.separator is None:
            return added_edits(state, references, hypotheses)
        known: dict[tuple[int, ...], int] = {}
        of_words = [[self._words(row, known) for row in rows] for rows in (references, hypotheses)]
        return added_edits(state, *of_words)

    def entry(self, state: State) -> Entry:
        return error_rate(state)

    def _words(self, row: Array, known: dict[tuple[int, ...], int]) -> Array:
        """A number for each word; new words are added to those that are known."""
        words = _parts(row.tolist(), self.separator)
        return np.array([known.setdefault(word, len(known)) for word in words], np.int64)


def _parts(ids: Sequence[int], separator: int | None) -> list[tuple[int, ...]]:
    """What stands between separators, where that is anything."""
    parts: list[list[int]] = [[]]
    for each in ids:
        if each == separator:
            parts.append([])
        else:
            parts[-1].append(each)
    return [tuple(part) for part in parts if part]
