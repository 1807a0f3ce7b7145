"""The bytes of a PNG file, as trackers take images."""

from __future__ import annotations

from io import BytesIO
from typing import Any

__all__ = ["opened", "size"]


def opened(png: bytes) -> Any:
    """An image of Pillow's."""
    from PIL import Image

    return Image.open(BytesIO(png))


def size(png: bytes) -> tuple[int, int]:
    """Width and height, in pixels: the first that a PNG file says, behind its signature."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
