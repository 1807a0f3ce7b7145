"""What Textual has of the screen: a widget that is lines of segments, and the colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.geometry import Region
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
        """Textual is asked to show only the lines that have changed: that takes most of the time."""
        width, height = self.size
        made: Any = version, width, height
        if made == self._made or not (width and height):
            return
        whole, self._made = self._made is None or made[1:] != self._made[1:], made
        style, before = self.rich_style, self._strips
        lines = [*self._draw(width, height), *([[]] * height)][:height]
        self._strips = [Strip(fitted(line, width), width).apply_style(style) for line in lines]
        if whole:
            self.refresh()
        else:
            changed = (y for y, (strip, old) in enumerate(zip(self._strips, before, strict=False)) if strip != old)
            regions = [Region(0, y, width, 1) for y in changed]
            if regions:  # without any, all of it would be shown again
                self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """Of another width for a moment after the terminal has changed its size."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)


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
