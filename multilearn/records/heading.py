"""What every record says of itself in its metadata: the format and its version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multilearn.errors import CheckpointError, RecordError
from multilearn.records.bounded_io import damaged

__all__ = ["FORMAT", "RESERVED", "VERSION", "check_heading", "heading"]

FORMAT = "multilearn"
VERSION = 1
RESERVED = frozenset({"format", "precision", "version"})
"""`precision` was "half" in records of earlier versions whose floats were stored as F16."""


def heading(item: object, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata to write with `item`. Raises `CheckpointError` for an item that is no map, and for reserved keys."""
    if taken := RESERVED & metadata.keys():
        raise CheckpointError(
            "The metadata keys format, precision and version belong to the file format.",
            received=", ".join(sorted(taken)),
            remedy="Choose other keys.",
        )
    if not isinstance(item, Mapping):
        raise CheckpointError("A record is a map.", received=type(item).__name__, remedy="Put it into one.")
    return {"format": FORMAT, "version": VERSION, **metadata}


def check_heading(metadata: Mapping[str, Any]) -> None:
    """Raise `RecordError` unless a record with this metadata can be read here."""
    if metadata.get("format") != FORMAT:
        raise damaged("A record says in its metadata that it is one of multilearn.", "a file of another format")
    version = metadata.get("version")
    if type(version) is not int or version != VERSION:
        raise RecordError(
            f"This multilearn reads records of version {VERSION}.",
            received=f"version {str(version)[:100]}",
            remedy="Read it with the multilearn that wrote it, or a later one.",
        )
