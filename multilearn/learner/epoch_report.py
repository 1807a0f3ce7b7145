"""What functions of the user's get after each epoch, and what they may log: texts and images."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from multilearn.errors import ConfigurationError
from multilearn.events import Attached
from multilearn.plain import as_array
from multilearn.seeding.streams import kept_globals

__all__ = ["AfterEpoch", "EpochListener", "EpochReport"]

_PNG = b"\x89PNG\r\n\x1a\n"
_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
"""The colour type of PNG by the number of channels: grey, grey and alpha, RGB, RGBA."""

_History = Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True)
class EpochReport:
    """An epoch that is done: `epoch` counts from 1; `history` is that of the learner, up to this epoch.

    `model` is the model as it is trained so far: call it with `training=False`, or use `ml.predict` and Keras' own
    `predict`. Random streams are as they were afterwards, so that the run is the same without the function.
    """

    epoch: int
    history: _History
    model: Any
    _log: Callable[[Attached], None]

    def log_text(self, name: str, text: str) -> None:
        """Keep a text of this epoch: in `attachments/epoch-<n>/<name>.txt`, on screens, in reports and trackers."""
        if not isinstance(text, str):
            raise _unfit("A text that is logged is a str", text)
        self._log(Attached(self.epoch, _named(name), text=text))

    def log_image(self, name: str, image: Any) -> None:
        """Keep an image of this epoch, in `attachments/epoch-<n>/<name>.png` and wherever texts are shown.

        `image`: an array, (height, width) or (height, width, channels) with 1 to 4 channels, of uint8, or of floats
        from 0 to 1; the bytes of a PNG file; or a figure of matplotlib's.
        """
        self._log(Attached(self.epoch, _named(name), image=_png(image)))


EpochListener = Callable[[EpochReport], object]
"""What `LearnerBuilder.on_epoch` takes: its result is ignored, and what it raises stops the run."""


@dataclass(frozen=True)
class AfterEpoch:
    """Calls each of the functions with a report of the epoch, in their order. `keep` takes what they log."""

    functions: tuple[EpochListener, ...]
    model: Any
    history: Callable[[], _History]
    streams_kept: Callable[[], AbstractContextManager[None]]
    keep: Callable[[Attached], None]

    def __call__(self, epoch: int) -> None:
        with kept_globals(), self.streams_kept():
            for function in self.functions:
                function(EpochReport(epoch, self.history(), self.model, self.keep))


def _named(name: str) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 100:
        raise _unfit("The name of what is logged is a text of 1 to 100 characters", name)
    return name


def _png(image: Any) -> bytes:
    if isinstance(image, bytes):
        if not image.startswith(_PNG):
            raise _unfit("Bytes of an image are those of a PNG file", image[:20])
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
    return ConfigurationError(f"{rule}.", received=what, remedy="See EpochReport in the documentation of multilearn.")
