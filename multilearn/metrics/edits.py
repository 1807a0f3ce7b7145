"""Edits: how many tokens must be inserted, deleted or replaced to make one sequence of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from multilearn.errors import ConfigurationError
from multilearn.metrics.items import class_items
from multilearn.protocols import Entry, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["added_edits", "edit_distances", "error_rate", "measured_sequences", "sequences"]

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


def measured_sequences(ops: ArrayOps, output: Output, metric: str) -> dict[str, Tensor]:
    """The most probable and the true ids of each sequence, (batch, time), int32; negative where one does not count."""
    items = class_items(ops, output, metric)
    if len(items.targets.shape) != 2:
        raise ConfigurationError(
            f"The metric {metric} needs sequences: targets (batch, time), logits (batch, time, classes).",
            received=f"targets of shape {tuple(items.targets.shape)}",
            remedy="Use it with a SequenceClassification task, or measure single items by Accuracy.",
        )
    return {"predicted": items.only(ops, ops.argmax(items.logits)), "true": items.only(ops, items.targets)}


def sequences(ids: Any, padding: int | None) -> list[Array]:
    """The tokens of each sequence: without padding, and without what does not count."""
    ids = np.asarray(ids, np.int64)
    kept = (ids >= 0) if padding is None else (ids >= 0) & (ids != padding)
    return [row[mask] for row, mask in zip(ids, kept, strict=True)]


def added_edits(state: State | None, references: Sequence[Array], hypotheses: Sequence[Array]) -> State:
    """The edits, and the tokens of the references, of all sequences so far."""
    edits = int(edit_distances(references, hypotheses).sum())
    tokens = sum(map(len, references))
    if state is None:
        return {"edits": edits, "tokens": tokens}
    return {"edits": state["edits"] + edits, "tokens": state["tokens"] + tokens}


def error_rate(state: State) -> Entry:
    """edits / tokens; NaN where there is no token."""
    edits, tokens = state["edits"], state["tokens"]
    return Entry(edits / tokens if tokens else float("nan"), tokens)


def _padded(rows: Sequence[Array]) -> tuple[Array, Array]:
    """The lengths, (rows,), and the numbers, (rows, longest), filled up with zeros."""
    lengths = np.array([len(row) for row in rows], np.int64)
    table = np.zeros((len(rows), int(lengths.max(initial=0))), np.int64)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return lengths, table
