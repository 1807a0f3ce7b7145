"""PNG files in pages."""

from __future__ import annotations

import base64
import re

from multilearn.plots.picture import picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(width: int) -> bytes:
    """The head of a file: length and name of its first chunk, then the width."""
    return SIGNATURE + (13).to_bytes(4) + b"IHDR" + width.to_bytes(4) + bytes(9)


def test_the_file_is_in_the_address_and_its_name_is_text() -> None:
    shown = picture(png(640), '"><b>')
    found = re.fullmatch(r'<img alt="&quot;&gt;&lt;b&gt;" src="data:image/png;base64,([^"]+)"/>', shown)
    assert found and base64.b64decode(found[1]) == png(640)


def test_a_small_image_is_enlarged_by_a_whole_number() -> None:
    assert 'width="252" class="pixels"' in picture(png(28), "digit")
    assert "width" not in picture(png(0), "none") and "width" not in picture(SIGNATURE, "torn")


def test_what_is_no_image_or_too_large_is_said() -> None:
    assert picture(b"GIF89a", "a") == '<p class="dim">left out: no PNG</p>'
    assert picture(SIGNATURE + bytes(1 << 20), "a", 1 << 20) == '<p class="dim">left out: larger than 1 MiB</p>'
