"""A run in a notebook: one output, which is replaced as the run goes, and stays as it ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeVar

from multilearn.errors import ConfigurationError
from multilearn.events import Evaluating, Event, Finished, Started
from multilearn.renderers.renderer import CliRenderer, Renderer

__all__ = ["NotebookRenderer", "default", "in_notebook"]

_REFRESH_SECONDS = 0.5
_DRAWING_SHARE = 0.03

T = TypeVar("T")


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook. IPython is not loaded for it."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def default() -> Renderer:
    """What shows a run that has no `.renderer(...)`."""
    return NotebookRenderer() if in_notebook() else CliRenderer()


@dataclass
class NotebookRenderer:
    """Shows a run below the cell that trains: progress, values, and a chart of each plotted metric.

    It is drawn twice a second at most, and in at most 3 % of the time. Chosen by itself in the kernel of a notebook. An
    evaluation is one line, and so is each epoch if there is no notebook: of a script that was a notebook once.
    """

    def __post_init__(self) -> None:
        self._lines = CliRenderer()
        self._shown: _Output | None = None

    def host(self, fit: Callable[[], T]) -> T:
        """Run `fit`. Raises `ConfigurationError` before it where IPython is missing."""
        if "IPython" not in sys.modules and find_spec("IPython") is None:
            raise ConfigurationError(
                "NotebookRenderer shows a run in a notebook.",
                received="IPython is not installed",
                remedy="Choose another renderer, or none, or run: pip install ipykernel",
            )
        return fit()

    def render(self, event: Event) -> None:
        if isinstance(event, (Started, Evaluating)):
            self.close()
            self._shown = _Output(event) if isinstance(event, Started) and in_notebook() else None
        elif self._shown is not None:
            self._shown.render(event)
        if self._shown is None:
            self._lines.render(event)

    def close(self) -> None:
        shown, self._shown = self._shown, None
        if shown is not None:
            shown.draw()
        self._lines.close()


class _Output:
    """One output of a cell."""

    def __init__(self, started: Started) -> None:
        from IPython.display import display

        from multilearn.renderers.board import Board

        now = time.monotonic()
        self._board = Board(started, now)
        self._due = now + _REFRESH_SECONDS
        self._drawn = self._board.version
        self._handle: Any = display(self._bundle(now), raw=True, display_id=True)

    def render(self, event: Event) -> None:
        now = time.monotonic()
        self._board.take(event, now)
        if now >= self._due or isinstance(event, Finished):
            self.draw()

    def draw(self) -> None:
        """As it is now, unless it is drawn already."""
        if self._drawn == self._board.version:
            return
        self._drawn = self._board.version
        begun = time.monotonic()
        self._handle.update(self._bundle(begun), raw=True)
        ended = time.monotonic()
        self._due = ended + max(_REFRESH_SECONDS, (ended - begun) / _DRAWING_SHARE)

    def _bundle(self, now: float) -> dict[str, str]:
        from multilearn.renderers.html import as_html, headline

        words = headline(self._board, now)
        return {"text/html": as_html(self._board, words), "text/plain": words}
