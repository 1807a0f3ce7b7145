"""Which checkpoints there are where the manifest is damaged or gone: what the files themselves say."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from multilearn.checkpoint.manifest import NAME, PARTS, RECORD, Checkpoint, FileFacts, Manifest, file_name
from multilearn.errors import ConfigurationError, MultilearnError, RecordError
from multilearn.events import Position
from multilearn.printable import printable
from multilearn.records.formats import BUILT_IN, largest
from multilearn.records.recorder import RESERVED, Recorder
from multilearn.storage.layout import HISTORY
from multilearn.storage.own_files import is_folder
from multilearn.storage.reading import opened
from multilearn.storage.refusals import storing

__all__ = ["records", "recovered", "remove", "remove_records", "remove_temporary"]

_log = logging.getLogger(__name__)


def recovered(folder: Path, own: Recorder) -> tuple[Manifest, str] | None:
    """A manifest of what is intact, and what is to be said of it; None if the one in the folder will do.

    A checkpoint counts if its three parts, in one format, can be read whole and say that they are what their names say.
    The files of others go with the next save.
    """
    try:
        Manifest.load(folder)
    except RecordError as error:
        why = f"{folder / NAME} is damaged ({error.__cause__ or error})"
    else:
        if os.path.lexists(folder / NAME) or not _positions(folder, own):
            return None
        why = f"{folder / NAME} is missing"
    found = {position: _checkpoint(folder, position, own) for position in sorted(_positions(folder, own))}
    intact = tuple(each for each in found.values() if isinstance(each, Checkpoint))
    used = {name for each in intact for name in each.files}
    manifest = Manifest(intact, removing=tuple(sorted(records(folder, own) - used)) if found else ())
    names = ", ".join(str(each.position) for each in intact) or "none"
    skipped = [f"checkpoint {position} is skipped: {each}" for position, each in found.items() if isinstance(each, str)]
    return manifest, "; ".join([f"{why}: the checkpoints whose files are intact count, which are {names}", *skipped])


def _recorders(own: Recorder) -> Mapping[str, Recorder]:
    """By extension."""
    known: Sequence[Recorder] = (*BUILT_IN, own)
    return {recorder.extension: recorder for recorder in known}


def _positions(folder: Path, own: Recorder) -> set[Position]:
    """Those that the names of files speak of."""
    found = set()
    for name in _names(folder):
        with suppress(ConfigurationError):
            if written := _position(name, own):
                found.add(Position.parse(written))
    return found


def _checkpoint(folder: Path, position: Position, own: Recorder) -> Checkpoint | str:
    """The checkpoint, or what is wrong with its files."""
    problems = []
    for extension, recorder in _recorders(own).items():
        names = {part: file_name(part, position, extension) for part in PARTS}
        if not any(os.path.lexists(folder / name) for name in names.values()):
            continue
        facts = {}
        for part, name in names.items():
            try:
                facts[name] = _facts(folder / name, part, position, recorder)
            except (MultilearnError, OSError) as error:
                missing = isinstance(error, FileNotFoundError)
                problems.append(f"{name} is missing" if missing else f"{name} is damaged ({error})")
        if len(facts) == len(PARTS):
            return Checkpoint(position, facts)
    return ", ".join(problems)


def _facts(path: Path, part: str, position: Position, recorder: Recorder) -> FileFacts:
    with opened(path, path.parent.parent) as file:
        size = os.fstat(file.fileno()).st_size
        contents = recorder.read(file, largest(size))
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    said = {key: value for key, value in contents.metadata.items() if key not in RESERVED}
    if (said.get("part"), said.get("checkpoint")) != (part, str(position)):
        raise RecordError(
            "The content of a record must match its file name.", received=f"one that is {ascii(said)[:100]}"
        )
    with open(os.devnull, "wb") as nowhere:
        return FileFacts(size, recorder.write(nowhere, contents.item, said), digest)


def remove(path: Path) -> None:
    """Remove a file, if that is possible now."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # the manifest lists it still: the next save tries again
        _log.warning("%s could not be removed yet: %s", printable(str(path)), printable(str(error)))


def remove_records(folder: Path, position: Position, own: Recorder) -> None:
    """Remove what there is of the records of a checkpoint, in whatever format."""
    for part in PARTS:
        for extension in _recorders(own):
            remove(folder / file_name(part, position, extension))


def remove_temporary(folder: Path, own: Recorder) -> None:
    """Remove files that have the names of our temporary ones."""
    for name in _names(folder):
        target = name.removesuffix(".tmp")
        if target != name and (target in (NAME, HISTORY) or _position(target, own)):
            remove(folder / name)


def records(folder: Path, own: Recorder) -> set[str]:
    """The names of files that are called as our records are."""
    return {name for name in _names(folder) if _position(name, own)}


def _names(folder: Path) -> list[str]:
    with storing(folder):
        return os.listdir(folder) if is_folder(folder) else []


def _position(name: str, own: Recorder) -> str | None:
    """What the name of a record says, None for any other."""
    matched = RECORD.fullmatch(name)
    return matched[2] if matched and matched[3] in _recorders(own) else None
