"""Files that were asked for by name, such as a figure or a report: refused before any work where they cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from multilearn.errors import ConfigurationError
from multilearn.storage.atomic import replacing
from multilearn.storage.layout import RunDirectory

__all__ = ["checked_output", "output_file", "refuse_own", "write_output"]

_FOLDERS = frozenset({"attachments", "checkpoint", "test", "train", "valid"})
"""Of a run's directory."""


def checked_output(path: str | os.PathLike[str], suffixes: Sequence[str], what: str) -> Path:
    """Where it is to be written: what is there already will be replaced. `suffixes`: none for any.

    Raises `ConfigurationError` for another suffix, a directory, a folder that is not there, and one of a run's own.
    """
    target = Path(os.path.expanduser(path))
    if suffixes and target.suffix not in suffixes:
        raise ConfigurationError(
            f"{what} is written to a file that ends with {' or '.join(suffixes)}.", received=target
        )
    if os.path.isdir(target):
        raise ConfigurationError(f"{what} is written to a file.", received=f"{target}, a directory")
    folder = target.parent
    if not os.path.isdir(folder):
        remedy = f"Make it before: mkdir -p '{folder}'"
        raise ConfigurationError(f"{what} is written into a directory.", received=f"{folder}, not found", remedy=remedy)
    refuse_own(target)
    return target


def refuse_own(path: Path) -> None:
    """Raise `ConfigurationError` for what is, or would be, a file of a run, or be in one of its folders."""
    real = Path(os.path.realpath(path))
    run = RunDirectory(real.parent)
    own = real in (run.experiment, run.log, run.timeline, run.trackers, run.lock, run.stop)
    own = own and os.path.isfile(run.experiment)
    inside = (each for each in real.parents if each.name in _FOLDERS)
    if own or any(os.path.isfile(each.parent / run.experiment.name) for each in inside):
        remedy = "Choose another place; beside experiment.json is fine."
        raise ConfigurationError("The files of a run are its own.", received=path, remedy=remedy)


def write_output(path: Path, content: bytes) -> None:
    """Write it completely, or not at all. Raises `ConfigurationError` for what the system refuses."""
    with output_file(path) as file:
        file.write(content)


@contextmanager
def output_file(path: Path) -> Iterator[BinaryIO]:
    """A file whose content becomes that of `path` at the end; a device or a pipe is written into. Links are followed.

    Raises `ConfigurationError` for what the system refuses.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
        else:
            with replacing(target) as file:
                yield file
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error.__cause__ or error)
        raise ConfigurationError("A file that is asked for can be written.", received=f"{path}: {reason}") from error
