"""The checkpoints of a run on disk: written so that no kill and no power cut takes away what was durable."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from multilearn.checkpoint import atomic
from multilearn.checkpoint.manifest import NAME, PARTS, Checkpoint, FileFacts, Manifest, file_name
from multilearn.checkpoint.mpk import MpkGzRecorder
from multilearn.checkpoint.recorder import Recorder
from multilearn.errors import CheckpointError, CheckpointNotFound, RecordError
from multilearn.position import Position
from multilearn.protocols import Record

__all__ = ["CheckpointFolder"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints in a folder. The methods that read never write; one process and thread writes at a time.

    A checkpoint exists if and only if the manifest names it as written. Every method that needs the manifest raises
    `RecordError` if there is one that is not valid.
    """

    path: Path
    recorder: Recorder = field(default_factory=MpkGzRecorder)

    def positions(self) -> list[Position]:
        """The checkpoints that exist, ascending; none if there is no folder."""
        return [each.position for each in Manifest.load(self.path).checkpoints]

    def problem(self, position: Position) -> str | None:
        """What is wrong with a checkpoint's files (all of it), or None if they are as they were written."""
        found = [self._fault(name, facts) for name, facts in self._find(position).files.items()]
        return "; ".join(fault for fault in found if fault) or None

    def latest_intact(self) -> tuple[Position | None, list[str]]:
        """The newest intact checkpoint, and a line for each newer one: why it is skipped."""
        skipped: list[str] = []
        for position in reversed(self.positions()):
            problem = self.problem(position)
            if problem is None:
                return position, skipped
            skipped.append(f"checkpoint {position} is skipped: {problem}")
        return None, skipped

    def load(self, position: Position, limits: Mapping[str, int] | None = None) -> dict[str, Record]:
        """The records of a checkpoint by part, checksums verified before anything is decoded.

        `limits`: how many uncompressed bytes a part may have (see `nbytes`); by default what the manifest says.
        Raises `CheckpointNotFound`, which lists what exists, and `RecordError` for files that are not intact.
        """
        checkpoint = self._find(position)
        if problem := self.problem(position):
            raise RecordError(
                "The files of a checkpoint must be as they were written.",
                received=f"checkpoint {position} in {self.path}: {problem}",
                remedy='Choose another one; "latest" takes the newest that is intact.',
            )
        records = {}
        for name, facts in checkpoint.files.items():
            part = name.partition("-")[0]
            if name != file_name(part, position, self.recorder.extension):
                raise RecordError(
                    f"This recorder reads .{self.recorder.extension} files.",
                    received=name,
                    remedy="Load it with the recorder it was written with.",
                )
            limit = (limits or {}).get(part, facts.uncompressed)
            try:
                with open(self.path / name, "rb") as file:
                    records[part] = self.recorder.read(file, limit).item
            except (RecordError, OSError) as error:
                raise RecordError(f"{self.path / name}: {error}") from error
        return records

    def save(
        self,
        position: Position,
        parts: Mapping[str, Record],
        drop: Collection[Position] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a checkpoint durable; then remove those in `drop` and all mid-epoch ones before it.

        `parts`: records by `model`, `optim`, `scheduler`. However this is cut short, by an error or by a kill, all
        other checkpoints are intact, and this one is either complete or does not exist. One that is at this position
        already is left as it is if it would be written equally, and replaced otherwise.
        """
        _check(position, parts, drop)
        self._create()
        self.clean()
        manifest = Manifest.load(self.path)
        leftover = tuple(name for name in manifest.removing if os.path.lexists(self.path / name))
        manifest = replace(manifest, writing=position, removing=leftover)
        manifest.save(self.path)
        checkpoint = self._write(position, parts, metadata or {})
        before = manifest.find(position)
        if before == checkpoint and self.problem(position) is None:
            self._remove_temporary()
        else:
            if before is not None:
                manifest = manifest.without({position})
                manifest.save(self.path)
            self._rename(checkpoint)
        stops = {stop for stop in self.positions() if stop.batch is not None and stop < position}
        manifest = manifest.without({*drop, *stops}).with_checkpoint(checkpoint)
        manifest.save(self.path)
        for name in manifest.removing:
            self._remove(name)

    def withdraw(self, after: Position) -> list[Position]:
        """Checkpoints later than `after` cease to exist at once; returns them. Their files go after the next `save`."""
        manifest = Manifest.load(self.path)
        later = [each.position for each in manifest.checkpoints if each.position > after]
        if later:
            manifest.without(later).save(self.path)
        return later

    def clean(self) -> None:
        """Remove what a killed process left behind: parts of a checkpoint it was writing, and temporary files."""
        manifest = Manifest.load(self.path)
        self._remove_temporary()
        if manifest.writing is not None:
            if manifest.find(manifest.writing) is None:
                for part in PARTS:
                    self._remove(file_name(part, manifest.writing, self.recorder.extension))
            replace(manifest, writing=None).save(self.path)

    def clear(self) -> None:
        """Remove the manifest, its files and temporary ones, and the folder if nothing else is in it.

        Where the manifest is not valid, whatever has a name of our own form.
        """
        try:
            self.clean()
            manifest = Manifest.load(self.path)
            names = {*manifest.files(), *manifest.removing}
        except RecordError:
            self._remove_temporary()
            ours = re.compile(self._of_parts(), re.ASCII)
            names = {path.name for path in self.path.iterdir() if ours.fullmatch(path.name)}
        for name in (*names, NAME):
            (self.path / name).unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def _create(self) -> None:
        if not self.path.is_dir():
            self.path.mkdir(parents=True)
            atomic.sync_folder(self.path.parent)

    def _write(self, position: Position, parts: Mapping[str, Record], metadata: Mapping[str, Any]) -> Checkpoint:
        """All parts into temporary files; none is left on an error."""
        files = {}
        try:
            for part, record in parts.items():
                name = file_name(part, position, self.recorder.extension)
                with atomic.written(atomic.temporary(self.path / name)) as file:
                    digest = _Digest(file)
                    uncompressed = self.recorder.write(digest, record, metadata)
                files[name] = FileFacts(digest.size, uncompressed, digest.sha256.hexdigest())
        except BaseException:
            self._remove_temporary()
            raise
        return Checkpoint(position, files)

    def _rename(self, checkpoint: Checkpoint) -> None:
        try:
            for name in checkpoint.files:
                atomic.replace(atomic.temporary(self.path / name), self.path / name)
        except BaseException:
            self._remove_temporary()
            raise
        atomic.sync_folder(self.path)

    def _find(self, position: Position) -> Checkpoint:
        manifest = Manifest.load(self.path)
        found = manifest.find(position)
        if found is None:
            exist = ", ".join(str(each.position) for each in manifest.checkpoints) or "none"
            raise CheckpointNotFound(
                f"The checkpoint must be one of those in {self.path}.",
                received=position,
                remedy=f"These exist: {exist}.",
            )
        return found

    def _fault(self, name: str, facts: FileFacts) -> str | None:
        path = self.path / name
        if not path.is_file():
            return f"{name} is missing"
        try:
            if (size := path.stat().st_size) != facts.size:
                return f"{name} has {size} bytes instead of {facts.size}"
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return f"{name} cannot be read ({error})"
        return None if digest == facts.sha256 else f"{name} was changed after it was written (its sha256 is another)"

    def _remove(self, name: str) -> None:
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:  # the manifest lists it still: the next save tries again
            _log.warning("%s could not be removed yet: %s", self.path / name, error)

    def _of_parts(self) -> str:
        """A regular expression for the names of our records."""
        return rf"({'|'.join(PARTS)})-[0-9]+(\.[0-9]+)?\.{re.escape(self.recorder.extension)}"

    def _remove_temporary(self) -> None:
        """Remove files that have the names of our temporary ones."""
        ours = re.compile(rf"({re.escape(NAME)}|{self._of_parts()})\.tmp", re.ASCII)
        if self.path.is_dir():
            for path in self.path.iterdir():
                if ours.fullmatch(path.name):
                    self._remove(path.name)


class _Digest:
    """A file that knows the size and checksum of what was written into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes, /) -> None:
        self._file.write(data)
        self.size += len(data)
        self.sha256.update(data)


def _check(position: Position, parts: Mapping[str, Record], drop: Collection[Position]) -> None:
    if not parts or not parts.keys() <= set(PARTS):
        raise CheckpointError(
            f"The parts of a checkpoint are called {', '.join(PARTS)}, and there is at least one.",
            received=", ".join(map(str, parts)) or "none",
            remedy="Put the rest into one of these.",
        )
    if position in drop:
        raise CheckpointError(
            "A checkpoint is not dropped by its own save.", received=position, remedy="Drop others, or do not save it."
        )
