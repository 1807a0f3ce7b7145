"""Text as HTML and SVG: whatever is not `Markup` is escaped, so a name can be nothing but text in a page."""

from __future__ import annotations

import re
from html import escape

from multilearn.printable import printable

__all__ = ["Markup", "element", "joined", "text"]

_NO_CHARACTER = re.compile("[\ufffe\uffff]")  # of XML
_EMPTY = frozenset({"br", "img", "input", "meta", "path", "rect"})
"""Elements that may be without content, and then need no end."""

Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def text(content: str) -> Markup:
    """What shows as `content`. Line breaks stay; what is invisible or turns the direction of text is made visible.

    >>> text("</script> & \\u202e")
    '&lt;/script&gt; &amp; \\\\u202e'
    """
    if isinstance(content, Markup):
        return content
    lines = map(printable, content.split("\n"))
    return Markup(escape(_NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", "\n".join(lines))))


def joined(*parts: str) -> Markup:
    """One after the other."""
    return Markup("".join(map(text, parts)))


def element(name: str, /, *content: str, **attributes: Attribute) -> Markup:
    """One element. `class_`, `text_anchor`: the attributes `class` and `text-anchor`; None and False leave one out.

    >>> element("b", "a < b", class_="dim", hidden=False)
    '<b class="dim">a &lt; b</b>'
    """
    written = "".join(
        f' {key.removesuffix("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if not content and name in _EMPTY:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{joined(*content)}</{name}>")


def _value(value: Attribute) -> str:
    if value is True:
        return ""
    return text(value) if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else str(value)
