"""manifest.json: which checkpoints exist. What it does not name does not."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from multilearn.errors import CheckpointError, RecordError
from multilearn.events import Position
from multilearn.records.recorder import EXTENSION
from multilearn.storage.atomic import write_atomically
from multilearn.storage.own_files import kind_of
from multilearn.storage.reading import parsed, read_whole
from multilearn.storage.refusals import refused

__all__ = ["NAME", "PARTS", "RECORD", "Checkpoint", "FileFacts", "Manifest", "ManifestFile", "file_name", "steadily"]

T = TypeVar("T")

NAME = "manifest.json"
PARTS = ("model", "optim", "scheduler")
_VERSION = 1
_LARGEST = 1 << 25
_TRIES = 10
_SAID = 300  # characters of what is wrong with it
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 1 << 63  # bytes that a file may have
RECORD = re.compile(rf"(model|optim|scheduler)-([0-9]+(?:\.[0-9]+)?)\.({EXTENSION})", re.ASCII)
"""The name of a record: its part, its position and its extension."""


def file_name(part: str, position: Position, extension: str) -> str:
    """The file of a part of a checkpoint: `model-3.mpk.gz`, `optim-3.120.mpk.gz`."""
    return f"{part}-{position}.{extension}"


@dataclass(frozen=True)
class FileFacts:
    """What a file is known by: its bytes on disk, the bytes of its record, and the checksum of the former."""

    size: int
    uncompressed: int
    sha256: str


@dataclass(frozen=True)
class Checkpoint:
    """A durable checkpoint and its files by name."""

    position: Position
    files: Mapping[str, FileFacts]

    @cached_property
    def entry(self) -> str:
        """As the manifest has it: made once, for a manifest with thousands of them is written after every epoch."""
        return json.dumps(
            {"name": str(self.position), "files": {name: vars(each) for name, each in self.files.items()}}
        )


@dataclass(frozen=True)
class Manifest:
    """The checkpoints of a folder, in the order of their positions.

    `writing`: the one being written, of which parts may lie about. `removing`: files that belong to no checkpoint any
    more; they may still be there, and go after the next durable commit. `version` is 1.
    """

    checkpoints: tuple[Checkpoint, ...] = ()
    writing: Position | None = None
    removing: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """The manifest in `folder`; an empty one if there is none. Raises `RecordError` if it is not a valid one."""
        path = folder / NAME
        try:
            text = read_whole(path, _LARGEST, folder.parent)
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except OSError as error:
            raise _broken(path, str(error)) from error
        try:
            return _parsed(parsed(text, numbers=False))
        except (TypeError, LookupError, AttributeError, ValueError, OverflowError) as error:
            raise _broken(path, str(error)) from error

    def save(self, folder: Path) -> None:
        """Make this the manifest of `folder`, durably. Raises `StorageError` if that is a link."""
        if kind_of(folder) == "a link":
            raise refused(folder, OSError(errno.ELOOP, "A link where a folder must be"))
        content = {
            "version": json.dumps(_VERSION),
            "writing": json.dumps(None if self.writing is None else str(self.writing)),
            "checkpoints": "[{}]".format(",".join(f"\n  {each.entry}" for each in self.checkpoints)),
            "removing": json.dumps(self.removing),
        }
        text = ",".join(f'\n "{key}": {value}' for key, value in content.items())
        write_atomically(folder / NAME, f"{{{text}\n}}\n".encode())

    def find(self, position: Position) -> Checkpoint | None:
        return next((each for each in self.checkpoints if each.position == position), None)

    def files(self) -> list[str]:
        """The files of all checkpoints."""
        return [name for each in self.checkpoints for name in each.files]

    def without(self, positions: Collection[Position]) -> Manifest:
        """Those checkpoints gone, and their files to be removed."""
        gone = [name for each in self.checkpoints if each.position in positions for name in each.files]
        kept = tuple(each for each in self.checkpoints if each.position not in positions)
        return Manifest(kept, self.writing, tuple(dict.fromkeys([*self.removing, *gone])))

    def with_checkpoint(self, checkpoint: Checkpoint) -> Manifest:
        """That checkpoint written, in the place of one at its position."""
        others = [each for each in self.checkpoints if each.position != checkpoint.position]
        removing = tuple(name for name in self.removing if name not in checkpoint.files)
        return Manifest(_ordered([*others, checkpoint]), None, removing)


class ManifestFile:
    """The manifest of a folder, read again only if the file is another than the one that was read or written last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: tuple[tuple[int, ...] | None, Manifest] | None = None

    def load(self) -> Manifest:
        """As `Manifest.load`."""
        # asked before: what a writer puts there meanwhile is then another file
        identity = _identity(self._folder)
        if identity is None or self._known is None or self._known[0] != identity:
            self._known = (identity, Manifest.load(self._folder))
        return self._known[1]

    def save(self, manifest: Manifest) -> None:
        """As `Manifest.save`."""
        self._known = None
        manifest.save(self._folder)
        self._known = (_identity(self._folder), manifest)


def steadily(folder: Path, look: Callable[[], T], good: Callable[[T], bool] = lambda found: True) -> T:
    """What `look` returns or raises, in a folder that another process may be writing to.

    It is called again where its result is not `good`, or a `CheckpointError`, and the manifest was written meanwhile:
    a checkpoint that it named is replaced or removed then, and not damaged.
    """
    for _ in range(_TRIES):
        before = _identity(folder)
        try:
            found = look()
            if good(found) or _identity(folder) == before:
                return found
        except CheckpointError:
            if _identity(folder) == before:
                raise
    return look()


def _identity(folder: Path) -> tuple[int, ...] | None:
    """Of the manifest's file, another one each time that it is written: None if there is none."""
    try:
        found = os.stat(folder / NAME)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _ordered(checkpoints: Iterable[Checkpoint]) -> tuple[Checkpoint, ...]:
    return tuple(sorted(checkpoints, key=lambda each: each.position))


def _broken(path: Path, what: str) -> RecordError:
    return RecordError(
        f"{path} must be a valid manifest of version {_VERSION}.",
        received=what if len(what) <= _SAID else f"{what[:_SAID]}...",
        remedy=f"Restore it from a copy, or move {path.parent} away and start again.",
    )


def _parsed(content: Any) -> Manifest:
    """Raises `TypeError`, `LookupError`, `AttributeError` or `ValueError` for what is no manifest of this version."""
    if content.keys() != {"version", "writing", "checkpoints", "removing"} or content["version"] != _VERSION:
        raise ValueError(f"version {content.get('version')!r} with {', '.join(content)}")
    writing = None if content["writing"] is None else Position.parse(content["writing"])
    checkpoints = _ordered(map(_checkpoint, content["checkpoints"]))
    manifest = Manifest(checkpoints, writing, tuple(_file(name)[0] for name in content["removing"]))
    listed = [*manifest.files(), *manifest.removing]
    if not isinstance(content["checkpoints"], list) or len({each.position for each in checkpoints}) < len(checkpoints):
        raise ValueError("no list of checkpoints, or one of them twice")
    if len(set(listed)) < len(listed):
        raise ValueError("a file that is listed twice")
    return manifest


def _checkpoint(entry: Any) -> Checkpoint:
    position, files = Position.parse(entry["name"]), {}
    for key, facts in entry["files"].items():
        name, of = _file(key)
        if of != position:
            raise ValueError(f"the file {name} in the checkpoint {position}")
        files[name] = of_file = FileFacts(**facts)
        sizes = of_file.size, of_file.uncompressed
        if not all(type(size) is int and 0 <= size < _MOST for size in sizes) or not _SHA256.fullmatch(of_file.sha256):
            raise ValueError(f"{name} with {facts}")
    if not files:
        raise ValueError(f"no files in the checkpoint {position}")
    return Checkpoint(position, files)


def _file(name: str) -> tuple[str, Position]:
    """A plain file name of our own form: nothing else is ever opened or removed on a manifest's word."""
    matched = RECORD.fullmatch(name)
    if matched is None:
        raise ValueError(f"the file name {name!r}")
    return matched[0], Position.parse(matched[2])
