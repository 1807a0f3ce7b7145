"""Files read and written piece by piece, with no more memory than what is asked for may take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Protocol

import numpy as np
import numpy.typing as npt

from multilearn.errors import RecordError
from multilearn.records.recorder import Readable, Writable

__all__ = ["PlainWriter", "Reader", "Sink", "damaged", "within_memory"]

_SOURCE_PIECE = 1 << 18


def damaged(rule: str, received: object) -> RecordError:
    """The error for a file that is no intact record."""
    remedy = 'Use another checkpoint ("latest" takes the newest intact one), or copy the file again.'
    return RecordError(rule, received=received, remedy=remedy)


@contextmanager
def within_memory() -> Iterator[None]:
    """Raise `RecordError` where there is no memory for what a file holds, or says that it holds."""
    try:
        yield
    except MemoryError as error:
        raise RecordError(
            "A record must fit into the memory that is free.",
            received="one that does not",
            remedy="It is damaged, or of a model that is too large for this machine.",
        ) from error


class Sink(Protocol):
    """What an encoder writes into. `size` counts what went in."""

    @property
    def size(self) -> int: ...
    def write(self, view: memoryview) -> None: ...
    def finish(self) -> None:
        """Write what is left; the file stays open."""
        ...


class PlainWriter:
    """Writes bytes as they are."""

    def __init__(self, file: Writable) -> None:
        self._file = file
        self.size = 0

    def write(self, view: memoryview) -> None:
        self.size += view.nbytes
        self._file.write(view)

    def finish(self) -> None:
        """Nothing is held back."""


class Reader:
    """Hands out at most `limit` bytes of a file. Raises `RecordError` for more, and where the file ends too early."""

    def __init__(self, file: Readable, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._ready = memoryview(b"")
        self.left = limit

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        if size <= len(self._ready):
            self.spend(size)
            taken, self._ready = self._ready[:size], self._ready[size:]
            return bytes(taken)
        self.spend(size)
        held = BytesIO()
        while held.tell() < size:
            held.write(self._piece(size - held.tell()))
        return held.getvalue()

    def array(self, size: int) -> npt.NDArray[np.uint8]:
        """Exactly `size` bytes, as an array of its own; what is not in the file never takes memory."""
        self.spend(size)
        filled = np.empty(size, np.uint8)
        at = 0
        while at < size:
            piece = self._piece(size - at)
            filled[at : at + len(piece)] = piece
            at += len(piece)
        return filled

    def finish(self) -> None:
        """Check that nothing follows."""
        if self._ready or self._next():
            raise damaged("A record must be all there is in its file.", "more data behind the record")

    def spend(self, size: int) -> None:
        """Take `size` bytes from what may still be handed out, or made of it."""
        if size > self.left:
            raise RecordError(
                f"This record may have at most {self._limit} bytes uncompressed, for what it is to be loaded into.",
                received="a file with more than that",
                remedy="It is damaged, or the record of another, larger model: use the checkpoint of this one.",
            )
        self.left -= size

    def _piece(self, size: int) -> memoryview:
        """What is there of the next `size` bytes, one at least."""
        if not self._ready:
            self._ready = memoryview(self._next())
            if not self._ready:
                raise damaged("A record must be complete.", "a file whose content ends too early")
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece

    def _next(self) -> bytes:
        """The next piece; empty at the end."""
        return self._file.read(_SOURCE_PIECE)
