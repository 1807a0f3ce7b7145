"""The checkpoints of a run on disk: written so that no kill and no power cut takes away what was durable."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from multilearn.checkpoint import atomic
from multilearn.checkpoint.files import fault, read_part, write_part
from multilearn.checkpoint.formats import BUILT_IN, check_extension, recorder_of
from multilearn.checkpoint.manifest import NAME, PARTS, Checkpoint, Manifest, file_name
from multilearn.checkpoint.mpk import MpkGzRecorder
from multilearn.checkpoint.recorder import Contents, Recorder
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

    `recorder` writes, and reads what has its extension; what any of the built-in recorders wrote is read too.
    """

    path: Path
    recorder: Recorder = field(default_factory=MpkGzRecorder)

    def __post_init__(self) -> None:
        # a text is a path, too
        object.__setattr__(self, "path", Path(self.path))
        check_extension(self.recorder)

    def positions(self) -> list[Position]:
        """The checkpoints that exist, ascending; none if there is no folder."""
        return [each.position for each in Manifest.load(self.path).checkpoints]

    def problem(self, position: Position) -> str | None:
        """What is wrong with a checkpoint's files (all of it), or None if they are as they were written."""
        return _faults(self.path, self._find(position))

    def latest_intact(self) -> tuple[Position | None, list[str]]:
        """The newest intact checkpoint, and a line for each newer one: why it is skipped."""
        skipped: list[str] = []
        for position in reversed(self.positions()):
            problem = self.problem(position)
            if problem is None:
                return position, skipped
            skipped.append(f"checkpoint {position} is skipped: {problem}")
        return None, skipped

    def load(
        self, position: Position, limits: Mapping[str, int] | None = None, parts: Collection[str] = PARTS
    ) -> dict[str, Record]:
        """The records of a checkpoint by part, as `read` gives them."""
        return {part: contents.item for part, contents in self.read(position, limits, parts).items()}

    def read(
        self, position: Position, limits: Mapping[str, int] | None = None, parts: Collection[str] = PARTS
    ) -> dict[str, Contents]:
        """What is in the files of a checkpoint, by part; checksums are verified before anything is decoded.

        `limits`: how many uncompressed bytes a part may have (see `nbytes`); by default what the manifest says.
        `parts`: those to look at. Raises `CheckpointNotFound`, which lists what exists, and `RecordError` for files
        that are not intact, or that neither `recorder` nor a built-in one reads.
        """
        checkpoint = self._find(position)
        wanted = {name: facts for name, facts in checkpoint.files.items() if name.partition("-")[0] in parts}
        if problem := _faults(self.path, replace(checkpoint, files=wanted)):
            raise RecordError(
                "The files of a checkpoint must be as they were written.",
                received=f"checkpoint {position} in {self.path}: {problem}",
                remedy='Choose another one; "latest" takes the newest that is intact.',
            )
        recorders = {name: recorder_of(name, self.recorder) for name in wanted}
        found = {}
        for name, facts in wanted.items():
            part = name.partition("-")[0]
            limit = (limits or {}).get(part, facts.uncompressed)
            found[part] = read_part(self.path / name, recorders[name], limit)
        return found

    def save(self, position: Position, parts: Mapping[str, Record], drop: Collection[Position] = ()) -> None:
        """Make a checkpoint durable; then remove those in `drop` and all mid-epoch ones before it.

        `parts`: records by `model`, `optim`, `scheduler`; the files say in their metadata which `part` they are, of
        which `checkpoint`. However this is cut short, by an error or by a kill, all other checkpoints are intact, and
        this one is either complete or does not exist. One that is at this position already is left as it is if it would
        be written equally, and replaced otherwise.
        """
        _check(position, parts, drop)
        self._create()
        self.clean()
        manifest = Manifest.load(self.path)
        leftover = tuple(name for name in manifest.removing if os.path.lexists(self.path / name))
        manifest = replace(manifest, writing=position, removing=leftover)
        manifest.save(self.path)
        checkpoint = self._write(position, parts)
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

    def remove(self, positions: Collection[Position]) -> None:
        """These checkpoints cease to exist, and their files go."""
        manifest = Manifest.load(self.path).without(set(positions))
        manifest.save(self.path)
        for name in manifest.removing:
            self._remove(name)

    def clean(self) -> None:
        """Remove what a killed process left behind: parts of a checkpoint it was writing, and temporary files."""
        manifest = Manifest.load(self.path)
        self._remove_temporary()
        if manifest.writing is not None:
            if manifest.find(manifest.writing) is None:
                for part in PARTS:
                    for extension in self._extensions():
                        self._remove(file_name(part, manifest.writing, extension))
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

    def _write(self, position: Position, parts: Mapping[str, Record]) -> Checkpoint:
        """All parts into temporary files; none is left on an error."""
        files = {}
        try:
            for part, record in parts.items():
                name = file_name(part, position, self.recorder.extension)
                metadata = {"part": part, "checkpoint": str(position)}
                files[name] = write_part(atomic.temporary(self.path / name), self.recorder, record, metadata)
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

    def _remove(self, name: str) -> None:
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:  # the manifest lists it still: the next save tries again
            _log.warning("%s could not be removed yet: %s", self.path / name, error)

    def _extensions(self) -> list[str]:
        """Of the files that may be ours."""
        return list(dict.fromkeys([self.recorder.extension, *(recorder.extension for recorder in BUILT_IN)]))

    def _of_parts(self) -> str:
        """A regular expression for the names of our records."""
        extensions = "|".join(map(re.escape, self._extensions()))
        return rf"({'|'.join(PARTS)})-[0-9]+(\.[0-9]+)?\.({extensions})"

    def _remove_temporary(self) -> None:
        """Remove files that have the names of our temporary ones."""
        ours = re.compile(rf"({re.escape(NAME)}|{self._of_parts()})\.tmp", re.ASCII)
        if self.path.is_dir():
            for path in self.path.iterdir():
                if ours.fullmatch(path.name):
                    self._remove(path.name)


def _faults(folder: Path, checkpoint: Checkpoint) -> str | None:
    found = [fault(folder / name, facts) for name, facts in checkpoint.files.items()]
    return "; ".join(each for each in found if each) or None


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
