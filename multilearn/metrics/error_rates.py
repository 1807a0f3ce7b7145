"""Error rates of texts: how many edits make the predicted sequence of tokens the true one, per token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import numpy as np

from multilearn.errors import ConfigurationError
from multilearn.events import Direction
from multilearn.metrics.items import Parametrized, class_items
from multilearn.metrics.mean import summed
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor

__all__ = ["CharErrorRate", "WordErrorRate", "edit_distances"]

Array = np.ndarray[Any, Any]


def edit_distances(references: Sequence[Array], hypotheses: Sequence[Array]) -> Array:
    """The Levenshtein distance of each pair of sequences of whole numbers, (pairs,), int64.

    Row by row for all pairs at once: the longest reference decides how many rows there are.

    >>> edit_distances([np.array([1, 2, 3]), np.array([5])], [np.array([1, 3]), np.array([], int)]).tolist()
    [1, 1]
    """
    lengths, reference = _padded(references)
    widths, hypothesis = _padded(hypotheses)
    pairs = np.arange(len(references))
    columns = np.arange(hypothesis.shape[1] + 1)
    row = np.broadcast_to(columns, (len(pairs), len(columns)))
    distances = np.where(lengths == 0, widths, 0)
    for number in range(1, reference.shape[1] + 1):
        replaced = row[:, :-1] + (hypothesis != reference[:, number - 1 : number])
        without_insertions = np.empty_like(row)
        without_insertions[:, 0] = number
        np.minimum(row[:, 1:] + 1, replaced, out=without_insertions[:, 1:])
        # an insertion costs one per column: the least of all that begin further left
        row = np.minimum.accumulate(without_insertions - columns, axis=1) + columns
        distances = np.where(lengths == number, row[pairs, widths], distances)
    return distances


def _padded(rows: Sequence[Array]) -> tuple[Array, Array]:
    """The lengths, (rows,), and the numbers, (rows, longest), filled up with zeros."""
    lengths = np.array([len(row) for row in rows], np.int64)
    table = np.zeros((len(rows), int(lengths.max(initial=0))), np.int64)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return lengths, table


class _ErrorRate(Parametrized):
    """edits / tokens of the references, over all sequences; NaN if there is no token."""

    padding: int | None
    unit: ClassVar[str] = "share"
    better: ClassVar[Direction] = "lowest"
    numeric: ClassVar[bool] = True

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        """The most probable and the true ids, (batch, time), int32; negative where one does not count."""
        items = class_items(ops, output, self.name)
        if len(items.targets.shape) != 2:
            raise ConfigurationError(
                f"The metric {self.name} needs sequences: targets (batch, time), logits (batch, time, classes).",
                received=f"targets of shape {tuple(items.targets.shape)}",
                remedy="Use it with a SequenceClassification task, or measure single items by Accuracy.",
            )
        return {"predicted": items.only(ops, ops.argmax(items.logits)), "true": items.only(ops, items.targets)}

    def merge(self, state: State | None, measured: Measured) -> State:
        references, hypotheses = self.tokens([self._counted(measured[name]) for name in ("true", "predicted")])
        edits = int(edit_distances(references, hypotheses).sum())
        return summed(state, edits=edits, tokens=sum(map(len, references)))

    def entry(self, state: State) -> Entry:
        edits, tokens = state["edits"], state["tokens"]
        return Entry(edits / tokens if tokens else float("nan"), tokens)

    def tokens(self, texts: list[list[Array]]) -> list[list[Array]]:
        """What is counted of references and hypotheses: the ids themselves."""
        return texts

    def _counted(self, ids: Any) -> list[Array]:
        """The ids of each sequence: without padding, and without what does not count."""
        ids = np.asarray(ids, np.int64)
        kept = (ids >= 0) if self.padding is None else (ids >= 0) & (ids != self.padding)
        return [row[mask] for row, mask in zip(ids, kept, strict=True)]


@dataclass(frozen=True)
class CharErrorRate(_ErrorRate):
    """insertions, deletions and replacements of all sequences / characters of all references: a share, which can be
    above 1. Every id is a character; a prediction is the most probable one at each place.

    Ids equal to `padding` are taken out of predictions and references alike, as is what stands in places of weight
    zero. Needs a `ClassificationOutput` of sequences: logits (batch, time, classes), targets (batch, time).
    NaN where the references have no character.

    >>> CharErrorRate().name, CharErrorRate(padding=0).name
    ('CharErrorRate', 'CharErrorRate(padding=0)')
    """

    padding: int | None = None


@dataclass(frozen=True)
class WordErrorRate(_ErrorRate):
    """insertions, deletions and replacements of words / words of all references: a share, which can be above 1.

    Every id is a word. If ids are characters, `separator` is the one between words; several in a row are one, and
    those at the ends none. A prediction is the most probable id at each place. Ids equal to `padding` are taken out of
    predictions and references alike, as is what stands in places of weight zero. Needs a `ClassificationOutput` of
    sequences: logits (batch, time, classes), targets (batch, time). NaN where the references have no word.

    >>> WordErrorRate(padding=0).name, WordErrorRate(padding=0, separator=1).name
    ('WordErrorRate(padding=0)', 'WordErrorRate(padding=0, separator=1)')
    """

    padding: int | None = None
    separator: int | None = None

    def tokens(self, texts: list[list[Array]]) -> list[list[Array]]:
        """Each word as a number; words that are equal have the same one."""
        if self.separator is None:
            return texts
        known: dict[tuple[int, ...], int] = {}
        return [[self._words(row, known) for row in rows] for rows in texts]

    def _words(self, row: Array, known: dict[tuple[int, ...], int]) -> Array:
        """A number for each word; new words are added to those that are known."""
        parts = groupby(row.tolist(), lambda token: token != self.separator)
        words = (tuple(tokens) for is_word, tokens in parts if is_word)
        return np.array([known.setdefault(word, len(known)) for word in words], np.int64)
