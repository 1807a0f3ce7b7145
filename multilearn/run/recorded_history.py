"""The history that a checkpoint counts: in the journal beside its records, or, of older versions, in one of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from multilearn.checkpoint import CheckpointFolder
from multilearn.errors import RecordError
from multilearn.events import Position
from multilearn.protocols import Record
from multilearn.records.journal import Journal, fault, is_extent, read_journal
from multilearn.records.object_state import as_written
from multilearn.storage.layout import RunDirectory

__all__ = ["history_problem", "journal_of", "newest_with_history"]

_LIMIT = 64 << 20
"""Bytes of a record that is only asked how much of the journal counts."""


def journal_of(parts: Mapping[str, Record], folder: CheckpointFolder, position: Position) -> tuple[Journal, str | None]:
    """The journal up to a checkpoint of a folder, and what is wrong with its file, None if nothing is.

    Raises `RecordError` if the record does not hold what this version wrote, or an earlier one.
    """
    with as_written("The record of the schedule"):
        found = parts["scheduler"]["metrics"]["history"]
        if is_extent(found):
            return read_journal(_journal(folder), found, position.epoch)
        return Journal.of_state(found, position.epoch), None


def history_problem(folder: CheckpointFolder, position: Position) -> str | None:
    """What is wrong with the part of the journal that a checkpoint counts; None if it is as it was written.

    Raises `RecordError` if the record does not say which part that is, or cannot be read.
    """
    parts = folder.load(position, {"scheduler": _LIMIT}, ("scheduler",))
    with as_written("The record of the schedule"):
        found = parts["scheduler"]["metrics"]["history"]
        return fault(_journal(folder), found) if is_extent(found) else None


def newest_with_history(folder: CheckpointFolder, before: Position) -> Position | None:
    """The newest checkpoint before that which is intact, and its part of the journal with it."""
    for position in reversed(folder.positions()):
        with suppress(RecordError):
            if position < before and not (folder.problem(position) or history_problem(folder, position)):
                return position
    return None


def _journal(folder: CheckpointFolder) -> Path:
    return RunDirectory(folder.path.parent).history
