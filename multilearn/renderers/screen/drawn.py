"""What Textual has of the screen: a widget that is lines of segments, and the colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.segment import Segment
from textual.strip import Strip
from textual.theme import Theme
from textual.widget import Widget

from multilearn.plots.canvas import Line, fitted
from multilearn.renderers.screen.looks import Looks

__all__ = ["Drawn", "theme"]


class Drawn(Widget):  # type: ignore[misc]
    """Something that draws itself into lines of segments, made again when what it shows is another."""

    def __init__(self, draw: Callable[[int, int], list[Line]], **more: Any) -> None:
        super().__init__(**more)
        self._draw, self._made, self._strips = draw, None, list[Strip]()

    def renew(self, version: object) -> None:
        made: Any = version, self.size
        if made != self._made and self.size.width > 0 and self.size.height > 0:
            self._made = made
            lines = self._draw(self.size.width, self.size.height)
            self._strips = [Strip(fitted(line, self.size.width), self.size.width) for line in lines]
            self.refresh()

    def render_line(self, y: int) -> Strip:
        if y < len(self._strips):
            return self._strips[y].adjust_cell_length(self.size.width, self.rich_style).apply_style(self.rich_style)
        return Strip([Segment(" " * self.size.width, self.rich_style)])


def theme(looks: Looks) -> Theme:
    """What the style sheet calls `$background`, `$edge` and so on."""
    return Theme(
        looks.name,
        primary=str(looks.accent.color and looks.accent.color.name),
        foreground=looks.text,
        background=looks.background,
        surface=looks.background,
        panel=looks.raised,
        dark=looks.dark,
        variables={"edge": looks.edge},
    )
