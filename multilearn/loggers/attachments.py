"""Texts and images that were logged after an epoch: files of their own in the directory of the run."""

from __future__ import annotations

from collections.abc import Iterator

from multilearn.errors import ConfigurationError
from multilearn.events import Attached
from multilearn.storage.atomic import write_atomically
from multilearn.storage.layout import RunDirectory, metric_name
from multilearn.storage.own_files import files_in, is_folder, require_folder
from multilearn.storage.reading import read_whole
from multilearn.storage.refusals import storing

__all__ = ["IMAGE", "LARGEST", "TEXT", "attachments", "write_attachment"]

TEXT, IMAGE = ".txt", ".png"
LARGEST = 64 << 20  # bytes


def write_attachment(run: RunDirectory, attached: Attached) -> None:
    """Put it into its file, in place of an earlier one of the same name. Raises `StorageError`."""
    ending, content = (
        (IMAGE, attached.image) if attached.text is None else (TEXT, attached.text.encode(errors="replace"))
    )
    if len(content or b"") > LARGEST:
        raise ConfigurationError(
            "A text or an image that is logged takes at most 64 MiB.",
            received=f"{attached.name!r} of {len(content or b'') >> 20} MiB",
            remedy="Log a smaller image, or a part of the text.",
        )
    path = run.attached(attached.epoch, attached.name, ending)
    with storing(path):
        require_folder(path.parent, run.path, create=True)
        write_atomically(path, content or b"")


def attachments(run: RunDirectory, epoch: int) -> Iterator[Attached]:
    """What was logged after an epoch, by name. Raises `OSError`."""
    folder = run.attachments / f"epoch-{epoch}"
    if not is_folder(folder):
        return
    for file in files_in(folder, run.path, (TEXT, IMAGE)):
        if (folder / file).stat().st_size > LARGEST:  # none of ours
            continue
        content, name = read_whole(folder / file, LARGEST, run.path), metric_name(file.rpartition(".")[0])
        if file.endswith(TEXT):
            yield Attached(epoch, name, text=content.decode(errors="replace"))
        else:
            yield Attached(epoch, name, image=content)
