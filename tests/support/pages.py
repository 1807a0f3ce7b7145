"""An HTML page as a tree: read by the standard library, with every tag closed where it must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = frozenset({"br", "img", "input", "meta"})


@dataclass
class Node:
    """An element; `parts` are its texts and elements in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    parts: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())

    def nodes(self, tag: str | None = None, kind: str | None = None) -> Iterator[Node]:
        """It and all below it, in order, of this tag and class."""
        if tag in (None, self.tag) and (kind is None or kind in self.classes):
            yield self
        for part in self.parts:
            if isinstance(part, Node):
                yield from part.nodes(tag, kind)

    def one(self, tag: str | None = None, kind: str | None = None) -> Node:
        (found,) = self.nodes(tag, kind)
        return found

    def section(self, place: str) -> Node:
        return next(node for node in self.nodes() if node.attributes.get("id") == place)

    def rows(self) -> list[list[Node]]:
        """The cells of a table, row by row."""
        return [[*row.nodes("th"), *row.nodes("td")] for row in self.nodes("tr")]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Node("document")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].parts.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].parts.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"{self.getpos()}: </{tag}> ends <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].parts.append(data)

    def close(self) -> None:
        super().close()
        assert self._open == [self.root], f"not closed: {[node.tag for node in self._open[1:]]}"


def parse(path: Path) -> Node:
    """The tree of the page in a file."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return reader.root
