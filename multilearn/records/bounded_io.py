"""Files read and written piece by piece, with no more memory than what is asked for may take: plain, or gzipped.

gzip is by ISA-L where it is installed (fifteen times the speed), else by the standard library.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from multilearn.errors import RecordError
from multilearn.records.recorder import Readable, Writable, damaged

try:
    from isal import isal_zlib as _isal
except ImportError:
    _codec: Any = zlib
else:
    _codec = _isal

__all__ = ["GzipReader", "GzipSink", "Reader", "Sink", "within_memory"]

_FORMAT = 31  # a gzip member with the largest window; its header holds neither a time nor a file name
_PIECE, _SOURCE_PIECE = 1 << 20, 1 << 18


@contextmanager
def within_memory() -> Iterator[None]:
    """Raise `RecordError` if there is no memory for what a file holds, or says that it holds."""
    try:
        yield
    except MemoryError as error:
        raise RecordError(
            "A record must fit into the memory that is free.",
            received="one that does not",
            remedy="It is damaged, or of a model that is too large for this machine.",
        ) from error


class Sink:
    """What an encoder writes into: bytes as they are. `size` counts what went in."""

    def __init__(self, file: Writable) -> None:
        self._file = file
        self.size = 0

    def write(self, view: memoryview) -> None:
        self.size += view.nbytes
        self._file.write(view)

    def finish(self) -> None:
        """Write what is left; the file stays open."""


class GzipSink(Sink):
    """Compresses at level 1."""

    def __init__(self, file: Writable) -> None:
        super().__init__(file)
        self._deflate = _codec.compressobj(1, _codec.DEFLATED, _FORMAT)

    def write(self, view: memoryview) -> None:
        self.size += view.nbytes
        for start in range(0, view.nbytes, _PIECE):
            self._file.write(self._deflate.compress(view[start : start + _PIECE]))

    def finish(self) -> None:
        self._file.write(self._deflate.flush())


class Reader:
    """Hands out at most `limit` bytes of a file. Raises `RecordError` for more, and where the file ends too early."""

    def __init__(self, file: Readable, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._ready = memoryview(b"")
        self.left = limit

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        self.spend(size)
        if size <= len(self._ready):
            taken, self._ready = self._ready[:size], self._ready[size:]
            return bytes(taken)
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


class GzipReader(Reader):
    """Hands out at most `limit` bytes of the one member that a file consists of. Raises `RecordError` for all else."""

    def __init__(self, file: Readable, limit: int) -> None:
        super().__init__(file, limit)
        self._inflate = _codec.decompressobj(_FORMAT)

    def finish(self) -> None:
        """Check that the member ends here, intact, and the file with it."""
        super().finish()
        if self._inflate.unused_data or self._file.read(1):
            raise damaged("A record must be all there is in its file.", "more data behind the compressed part")

    def _next(self) -> bytes:
        """The next uncompressed piece; empty where the member ends."""
        while not self._inflate.eof:
            given = self._inflate.unconsumed_tail or self._file.read(_SOURCE_PIECE)
            try:
                piece: bytes = self._inflate.decompress(given, _PIECE)
            except (_codec.error, zlib.error) as error:
                raise damaged("A record must be an intact gzip file.", f"one that is not ({error})") from error
            if piece:
                return piece
            if not given:
                raise damaged("A record must be complete.", "a gzip file that ends too early")
        return b""
