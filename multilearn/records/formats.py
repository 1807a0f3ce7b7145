"""Which recorder a file belongs to, by how its name ends, and files moved from one format into another."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from multilearn.errors import ConfigurationError, RecordError
from multilearn.records.mpk import MpkGzRecorder, MpkRecorder
from multilearn.records.recorder import EXTENSION, RESERVED, Contents, Recorder
from multilearn.records.safetensors import SafetensorsRecorder
from multilearn.records.tensors import halved
from multilearn.storage import atomic
from multilearn.storage.reading import opened
from multilearn.storage.throw_away import found

__all__ = ["BUILT_IN", "check_extension", "convert", "largest", "read_file", "recorder_of"]

BUILT_IN: Sequence[MpkRecorder | SafetensorsRecorder] = (MpkGzRecorder(), MpkRecorder(), SafetensorsRecorder())
"""The recorders that any run can be read with."""

Precision = Literal["full", "half"]

_BEST_RATIO = 1032  # deflate packs no more into a byte
_SLACK = 1 << 20
_OF_CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_extension(recorder: Recorder) -> None:
    """Raise `ConfigurationError` for an extension that names no files of a checkpoint."""
    extension = recorder.extension
    if not isinstance(extension, str) or not re.fullmatch(EXTENSION, extension, re.ASCII) or extension.endswith("tmp"):
        raise ConfigurationError(
            "A recorder's extension consists of lower-case letters and digits, in parts joined by dots; tmp is taken.",
            received=repr(extension),
            remedy='Write for instance "npz", without a leading dot.',
        )


def recorder_of(name: str, own: Recorder | None = None) -> Recorder:
    """The recorder of a file: `own` if its name ends as that says, else the built-in one.

    Raises `RecordError` if it ends like none of them.
    """
    known = [*([] if own is None else [own]), *BUILT_IN]
    for recorder in known:
        if name.endswith(f".{recorder.extension}"):
            return recorder
    raise RecordError(
        f"A record ends in {', '.join(f'.{recorder.extension}' for recorder in known)}.",
        received=name,
        remedy="Give the recorder that it was written with.",
    )


def read_file(path: str | os.PathLike[str], recorder: Recorder | None = None, limit: int | None = None) -> Contents:
    """The record in a file of any built-in format, or of `recorder`'s.

    `limit`: how many uncompressed bytes it may have (see `nbytes`); by default what a file of its size can hold, and at
    most half of the memory that this process may have. Raises `RecordError` for a file that is no intact record,
    `OSError` for one that cannot be opened.
    """
    path = found(Path(path))
    reading = recorder_of(path.name, recorder)
    try:
        with opened(path) as file:
            return reading.read(file, largest(path.stat().st_size) if limit is None else limit)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    recorder: Recorder | None = None,
    *,
    precision: Precision = "full",
) -> None:
    """Write the record in the file `source` into the file `target`, in the format that its name ends with.

    `recorder`: one of your own for either of the two. `precision`: `"half"` exports the weights of a model in half the
    space, F32 and F64 as F16; a tensor with values beyond 65504 stays as it is, with a warning. The metadata is kept.
    The target is durable on return; if anything fails it is as it was. Raises `RecordError` for a source that is no
    intact record, `CheckpointError` for what the format of the target has no place for, `ConfigurationError` for
    another precision, and for half of it of what is no model.
    """
    if precision not in get_args(Precision):
        raise ConfigurationError(
            'The precision of a conversion is "full" or "half".',
            received=repr(precision),
            remedy="Leave it out for full precision.",
        )
    target = Path(target)
    writing = recorder_of(target.name, recorder)
    contents = read_file(source, recorder)
    metadata = {key: value for key, value in contents.metadata.items() if key not in RESERVED}
    item = contents.item
    if precision == "half":
        if (part := metadata.get("part", "model")) != "model":
            raise ConfigurationError(
                "Only the weights of a model are converted to half precision.",
                received=f"{source}, the part {part}",
                remedy="Convert the file that begins with model-.",
            )
        item = halved(item)
    with atomic.replacing(target) as file:
        writing.write(file, item, metadata)


def largest(length: int) -> int:
    """How many bytes a file of that length can hold, but no more than half of the memory that this process may have."""
    possible = _BEST_RATIO * length + _SLACK
    memory = _available()
    return possible if memory is None else min(possible, memory // 2)


def _available() -> int | None:
    """How many bytes of memory this process may have: all that the machine has, or what a container or a limit allows.

    None if the operating system does not say.
    """
    found: list[int] = []
    with suppress(ImportError):
        import resource

        found.append(resource.getrlimit(resource.RLIMIT_AS)[0])  # negative if there is no limit
    with suppress(AttributeError, OSError, ValueError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _OF_CONTAINERS:
        with suppress(OSError, ValueError):  # "max" if there is no limit
            found.append(int(Path(path).read_text(encoding="ascii")))
    return min((each for each in found if each > 0), default=None)
