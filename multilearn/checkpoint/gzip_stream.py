"""gzip, piece by piece: by ISA-L where it is installed (fifteen times the speed), else by the standard library."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from multilearn.checkpoint.recorder import Readable, Writable
from multilearn.errors import RecordError

try:
    from isal import isal_zlib as _isal
except ImportError:
    _codec: Any = zlib
else:
    _codec = _isal

__all__ = ["GzipReader", "GzipWriter", "damaged"]

_FORMAT = 31  # a gzip member with the largest window; its header holds neither a time nor a file name
_PIECE = 1 << 20
_SOURCE_PIECE = 1 << 18


def damaged(rule: str, received: object) -> RecordError:
    """The error for a file that is no intact record."""
    remedy = 'Use another checkpoint ("latest" takes the newest intact one), or copy the file again.'
    return RecordError(rule, received=received, remedy=remedy)


class GzipWriter:
    """Compresses at level 1. `size` counts what went in."""

    def __init__(self, file: Writable) -> None:
        self._file = file
        self._deflate = _codec.compressobj(1, _codec.DEFLATED, _FORMAT)
        self.size = 0

    def write(self, view: memoryview) -> None:
        """Compress bytes, without a copy of them."""
        self.size += view.nbytes
        for start in range(0, view.nbytes, _PIECE):
            self._file.write(self._deflate.compress(view[start : start + _PIECE]))

    def finish(self) -> None:
        """Write what is left and the checksum. The file stays open."""
        self._file.write(self._deflate.flush())


class GzipReader:
    """Hands out at most `limit` bytes of the one member that a file consists of. Raises `RecordError` for all else."""

    def __init__(self, file: Readable, limit: int) -> None:
        self._file = file
        self._inflate = _codec.decompressobj(_FORMAT)
        self._limit = limit
        self._ready = memoryview(b"")
        self.left = limit

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        if size <= len(self._ready):
            self._spend(size)
            taken, self._ready = self._ready[:size], self._ready[size:]
            return bytes(taken)
        return self.array(size).tobytes()

    def array(self, size: int) -> npt.NDArray[np.uint8]:
        """Exactly `size` bytes, as an array of its own; what is not in the file never takes memory."""
        self._spend(size)
        filled = np.empty(size, np.uint8)
        at = 0
        while at < size:
            if not self._ready:
                self._ready = memoryview(self._next())
                if not self._ready:
                    raise damaged("A record must be complete.", "a file whose content ends too early")
            piece = self._ready[: size - at]
            filled[at : at + len(piece)] = piece
            self._ready = self._ready[len(piece) :]
            at += len(piece)
        return filled

    def finish(self) -> None:
        """Check that the member ends here, intact, and the file with it."""
        if self._ready or self._next():
            raise damaged("A record must be all there is in its file.", "more data behind the record")
        if self._inflate.unused_data or self._file.read(1):
            raise damaged("A record must be all there is in its file.", "more data behind the compressed part")

    def _spend(self, size: int) -> None:
        if size > self.left:
            raise RecordError(
                f"This record may have at most {self._limit} bytes uncompressed, for what it is to be loaded into.",
                received="a file with more than that",
                remedy="It is damaged, or the record of another, larger model: use the checkpoint of this one.",
            )
        self.left -= size

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
