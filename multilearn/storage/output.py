"""Files that were asked for by name, such as a figure or a report: refused before any work where they cannot be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from multilearn.errors import ConfigurationError
from multilearn.storage.atomic import write_atomically

__all__ = ["checked_output", "write_output"]

_OF_A_RUN = frozenset({"attachments", "checkpoint", "test", "train", "valid"})
"""The folders of a run's directory."""


def checked_output(path: str | os.PathLike[str], suffixes: Sequence[str], what: str) -> Path:
    """Where it is to be written: what is there already will be replaced.

    Raises `ConfigurationError` for another suffix, a directory, a folder that is not there, and one of a run's own.
    """
    target = Path(os.path.expanduser(path))
    if target.suffix not in suffixes:
        raise ConfigurationError(
            f"{what} is written to a file that ends with {' or '.join(suffixes)}.", received=target
        )
    if os.path.isdir(target):
        raise ConfigurationError(f"{what} is written to a file.", received=f"{target}, a directory")
    folder = target.parent
    if not os.path.isdir(folder):
        remedy = f"Make it before: mkdir -p '{folder}'"
        raise ConfigurationError(f"{what} is written into a directory.", received=f"{folder}, not found", remedy=remedy)
    real = Path(os.path.realpath(folder))
    for own in (real, *real.parents):
        if own.name in _OF_A_RUN and os.path.isfile(own.parent / "experiment.json"):
            remedy = "Choose another place; beside experiment.json is fine."
            raise ConfigurationError("The folders of a run hold its own files only.", received=target, remedy=remedy)
    return target


def write_output(path: Path, content: bytes) -> None:
    """Write it completely, or not at all. Raises `ConfigurationError` for what the system refuses."""
    try:
        write_atomically(path, content)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationError("A file that is asked for can be written.", received=f"{path}: {reason}") from error
