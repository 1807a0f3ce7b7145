"""The bytes of a PNG file, as trackers take images."""

from __future__ import annotations

from io import BytesIO
from typing import Any

__all__ = ["opened", "size"]


def opened(png: bytes | None) -> Any:
    """An image of Pillow's, None for none and for what it cannot read."""
    from PIL import Image, UnidentifiedImageError

    try:
        return None if png is None else Image.open(BytesIO(png))
    except UnidentifiedImageError:
        return None


def size(png: bytes) -> tuple[int, int]:
    """Width and height, in pixels: the first that a PNG file says, behind its signature."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
