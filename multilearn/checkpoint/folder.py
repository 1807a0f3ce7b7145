"""The checkpoints of a run on disk: written so that no kill and no power cut takes away what was durable."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from multilearn.checkpoint import recovery as leftovers
from multilearn.checkpoint.manifest import NAME, PARTS, Checkpoint, Manifest, ManifestFile, file_name, steadily
from multilearn.checkpoint.part import fault, misfit, read_part, write_part
from multilearn.errors import CheckpointError, CheckpointNotFound, RecordError
from multilearn.events import Position
from multilearn.protocols import Record
from multilearn.records.formats import check_extension, largest, recorder_of
from multilearn.records.mpk import MpkGzRecorder
from multilearn.records.recorder import Contents, Recorder
from multilearn.storage import atomic
from multilearn.storage.own_files import is_folder, remove_folder
from multilearn.storage.refusals import storing
from multilearn.storage.throw_away import found

__all__ = ["CheckpointFolder"]


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints in a folder. The methods that read never write; one process and thread writes at a time.

    A checkpoint exists if and only if the manifest names it as written. Every method that needs the manifest raises
    `RecordError` if there is one that is not valid.

    `recorder` writes, and reads what has its extension; what any of the built-in recorders wrote is read too.
    """

    path: Path
    recorder: Recorder = field(default_factory=MpkGzRecorder)
    _found: Manifest | None = field(default=None, repr=False)
    _file: ManifestFile = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path = Path(self.path)  # a text is a path, too
        # a full path is not looked at again: that of what is resumed is named while what it is tried in is there
        object.__setattr__(self, "path", path if path.is_absolute() else found(path))
        object.__setattr__(self, "_file", ManifestFile(self.path))
        check_extension(self.recorder)

    def recovered(self) -> tuple[CheckpointFolder, str | None]:
        """This folder, and None; where the manifest is damaged or gone, the folder as its files tell, and that.

        Nothing is written: `mend` does.
        """
        found = leftovers.recovered(self.path, self.recorder)
        return (self, None) if found is None else (replace(self, _found=found[0]), found[1])

    def mend(self) -> None:
        """Write the manifest that was `recovered`, if it was."""
        if self._found is not None:
            self._file.save(self._found)

    def positions(self) -> list[Position]:
        """The checkpoints that exist, ascending; none if there is no folder."""
        return [each.position for each in self._manifest().checkpoints]

    def problem(self, position: Position) -> str | None:
        """What is wrong with a checkpoint's files (all of it), or None if they are as they were written."""
        return _faults(self.path, self._find(position))

    def misfit(self, position: Position) -> str | None:
        """The same as far as the sizes of the files tell, which takes no time."""
        return _faults(self.path, self._find(position), by_size=True)

    def latest_intact(self) -> tuple[Position | None, list[str]]:
        """The newest intact checkpoint, and a line for each newer one: why it is skipped."""
        return steadily(self.path, self._latest_intact, lambda found: not found[1])

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
        found = {}
        for name, facts in wanted.items():
            part = name.partition("-")[0]
            limit = (limits or {}).get(part, min(facts.uncompressed, largest(facts.size)))
            found[part] = read_part(self.path / name, recorder_of(name, self.recorder), limit)
        return found

    def save(self, position: Position, parts: Mapping[str, Record], drop: Collection[Position] = ()) -> None:
        """Make a checkpoint durable; then remove those in `drop` and all mid-epoch ones before it.

        `parts`: records by `model`, `optim`, `scheduler`; the files say in their metadata which `part` they are, of
        which `checkpoint`. However this is cut short, by an error or by a kill, all other checkpoints are intact, and
        this one is either complete or does not exist. One that is at this position already is left as it is if it would
        be written equally, and replaced otherwise.
        """
        _check(parts)
        with storing(self.path):
            atomic.make_folder(self.path)
        self.clean()
        manifest = self._file.load()
        leftover = tuple(name for name in manifest.removing if os.path.lexists(self.path / name))
        manifest = replace(manifest, writing=position, removing=leftover)
        self._file.save(manifest)
        with self._tidied():
            checkpoint = self._written(position, parts)
        before = manifest.find(position)
        if before == checkpoint and self.problem(position) is None:
            leftovers.remove_temporary(self.path, self.recorder)
        else:
            if before is not None:
                manifest = manifest.without({position})
                self._file.save(manifest)
            with self._tidied():
                for name in checkpoint.files:
                    atomic.replace(atomic.temporary(self.path / name), self.path / name)
            atomic.sync_folder(self.path)
        stops = {stop for stop in self.positions() if stop.batch is not None and stop < position}
        self._file.save(manifest.without({*drop, *stops}).with_checkpoint(checkpoint))
        self.sweep()

    def withdraw(self, after: Position) -> list[Position]:
        """Checkpoints later than `after` cease to exist at once; returns them. Their files go after the next `save`."""
        manifest = self._file.load()
        later = [each.position for each in manifest.checkpoints if each.position > after]
        if later:
            self._file.save(manifest.without(later))
        return later

    def remove(self, positions: Collection[Position]) -> None:
        """These checkpoints cease to exist, and their files go."""
        self._file.save(self._file.load().without(set(positions)))
        self.sweep()

    def sweep(self) -> None:
        """Remove the files of checkpoints that have ceased to exist."""
        for name in self._file.load().removing:
            leftovers.remove(self.path / name)

    def clean(self) -> None:
        """Remove what a killed process left behind: parts of a checkpoint it was writing, and temporary files."""
        manifest = self._file.load()
        leftovers.remove_temporary(self.path, self.recorder)
        if manifest.writing is not None:
            if manifest.find(manifest.writing) is None:
                leftovers.remove_records(self.path, manifest.writing, self.recorder)
            self._file.save(replace(manifest, writing=None))

    def clear(self) -> None:
        """Remove the manifest, its files and temporary ones, and the folder if nothing else is in it.

        If the manifest is not valid, whatever has a name of our own form.
        """
        try:
            self.clean()
            manifest = self._file.load()
            names = {*manifest.files(), *manifest.removing}
        except RecordError:
            leftovers.remove_temporary(self.path, self.recorder)
            names = leftovers.records(self.path, self.recorder)
        if not is_folder(self.path):
            return
        with storing(self.path):
            for name in (*names, NAME):
                with storing(self.path / name):
                    (self.path / name).unlink(missing_ok=True)
            remove_folder(self.path)

    def _latest_intact(self) -> tuple[Position | None, list[str]]:
        skipped: list[str] = []
        for position in reversed(self.positions()):
            problem = self.problem(position)
            if problem is None:
                return position, skipped
            skipped.append(f"checkpoint {position} is skipped: {problem}")
        return None, skipped

    def _manifest(self) -> Manifest:
        return self._file.load() if self._found is None else self._found

    def _written(self, position: Position, parts: Mapping[str, Record]) -> Checkpoint:
        """All parts, in temporary files."""
        files = {}
        for part, record in parts.items():
            name = file_name(part, position, self.recorder.extension)
            metadata = {"part": part, "checkpoint": str(position)}
            files[name] = write_part(atomic.temporary(self.path / name), self.recorder, record, metadata)
        return Checkpoint(position, files)

    @contextmanager
    def _tidied(self) -> Iterator[None]:
        """On an error, temporary files are removed."""
        try:
            yield
        except BaseException:
            leftovers.remove_temporary(self.path, self.recorder)
            raise

    def _find(self, position: Position) -> Checkpoint:
        manifest = self._manifest()
        found = manifest.find(position)
        if found is None:
            exist = ", ".join(str(each.position) for each in manifest.checkpoints) or "none"
            raise CheckpointNotFound(
                f"The checkpoint must be one of those in {self.path}.",
                received=position,
                remedy=f"These exist: {exist}.",
            )
        return found


def _faults(folder: Path, checkpoint: Checkpoint, *, by_size: bool = False) -> str | None:
    found = [(misfit if by_size else fault)(folder / name, facts) for name, facts in checkpoint.files.items()]
    return "; ".join(each for each in found if each) or None


def _check(parts: Mapping[str, Record]) -> None:
    if not parts or not parts.keys() <= set(PARTS):
        raise CheckpointError(
            f"The parts of a checkpoint are called {', '.join(PARTS)}, and there is at least one.",
            received=", ".join(map(str, parts)) or "none",
            remedy="Put the rest into one of these.",
        )
