"""A PNG file as a part of a page."""

from __future__ import annotations

import base64
from typing import Any

from multilearn.plots.markup import Markup, element

__all__ = ["picture"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_WIDTH = slice(16, 20)  # in the head of the file
_SMALL, _SEEN = 130, 260  # pixels


def picture(content: bytes, name: str, most: int = 2 << 20) -> Markup:
    """The image itself, a small one enlarged; of one larger than `most` bytes, and of what is no PNG, that in words."""
    if len(content) > most or not content.startswith(_SIGNATURE):
        reason = f"larger than {most >> 20} MiB" if len(content) > most else "no PNG"
        return element("p", f"left out: {reason}", class_="dim")
    width = int.from_bytes(content[_WIDTH])
    enlarged: dict[str, Any] = {"width": _SEEN // width * width, "class_": "pixels"} if 0 < width < _SMALL else {}
    address = Markup(f"data:image/png;base64,{base64.b64encode(content).decode()}")
    return element("img", alt=name, src=address, **enlarged)
