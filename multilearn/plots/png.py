"""Arrays and figures as PNG files."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np

from multilearn.errors import ConfigurationError
from multilearn.plain import as_array

__all__ = ["png_of"]

_PNG = b"\x89PNG\r\n\x1a\n"
_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
"""The colour type of PNG by the number of channels: grey, grey and alpha, RGB, RGBA."""
_MOST = 1 << 28  # pixels


def png_of(image: Any) -> bytes:
    """`image`: as `EpochReport.log_image` takes it. Raises `ConfigurationError` for what is none."""
    if isinstance(image, bytes):
        if not _is_whole(image):
            raise _unfit("Bytes of an image are those of a PNG file, all of them", image[:20])
        return image
    if callable(save := getattr(image, "savefig", None)):
        file = io.BytesIO()
        save(file, format="png")
        return file.getvalue()
    found = as_array(image)
    pixels = np.asarray(image if found is None else found)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in _COLOURS or 0 in pixels.shape:
        raise _unfit("An image is (height, width) or (height, width, channels), of 1 to 4 channels", pixels)
    if np.issubdtype(pixels.dtype, np.floating):
        # NaN is black
        pixels = np.round(np.nan_to_num(np.clip(pixels, 0, 1)) * 255).astype(np.uint8)
    elif pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype != np.uint8:
        raise _unfit("The values of an image are uint8, or floats from 0 to 1", pixels)
    return _encoded(pixels)


def _is_whole(image: bytes) -> bool:
    """Whether it is a PNG file from its head to its end, every checksum right, of a size that can be shown."""
    at, kind, pixels = len(_PNG), b"", 0
    while image.startswith(_PNG) and kind != b"IEND" and at + 12 <= len(image):
        length, kind = struct.unpack(">I4s", image[at : at + 8])
        data, check = image[at + 8 : at + 8 + length], image[at + 8 + length : at + 12 + length]
        if check != struct.pack(">I", zlib.crc32(kind + data)):
            return False
        if kind == b"IHDR" and length == 13:
            width, height = struct.unpack(">II", data[:8])
            pixels = width * height
        at += 12 + length
    return kind == b"IEND" and at == len(image) and 0 < pixels <= _MOST


def _encoded(pixels: np.ndarray[Any, Any]) -> bytes:
    """An array (height, width, channels) of uint8 as a PNG file, by its specification (ISO/IEC 15948)."""
    height, width, channels = pixels.shape
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter: none
    lines[:, 1:] = pixels.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")]
    return _PNG + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _unfit(rule: str, received: Any) -> ConfigurationError:
    shape = getattr(received, "shape", None)
    what = repr(received)[:80] if shape is None else f"an array {tuple(shape)} of {received.dtype}"
    return ConfigurationError(
        f"{rule}.",
        received=what,
        remedy="Give an array of uint8, or of floats from 0 to 1, or the bytes of a PNG file.",
    )
