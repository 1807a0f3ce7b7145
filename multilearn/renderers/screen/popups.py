"""What lies over the screen for a moment: the question how to leave it, and texts to be read."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from multilearn.printable import printable
from multilearn.renderers.screen.shown import Shown
from multilearn.storage.layout import RunDirectory
from multilearn.storage.location import readable

__all__ = ["Leaving", "TextPopup", "attachments", "configuration"]

_NAME = 32


class Leaving(ModalScreen[str]):  # type: ignore[misc]
    """What `q` asks. The answer is `stop`, `kill`, `leave`, or nothing."""

    BINDINGS = [  # noqa: RUF012
        Binding("s", "answer('stop')"),
        Binding("k", "answer('kill')"),
        Binding("d", "answer('leave')"),
        Binding("c,escape,q", "dismiss('')"),
    ]

    def __init__(self, wishes: Sequence[str]) -> None:
        super().__init__()
        self._answers = {*wishes, "leave"}

    def compose(self) -> ComposeResult:
        ways = {
            "s": ("stop", "stop after this batch and save; the script continues"),
            "k": ("kill", "kill: raise KeyboardInterrupt now"),
            "d": ("leave", "leave the screen; training continues"),
        }
        ask = Text()
        for key, what in [*((key, what) for key, (way, what) in ways.items() if way in self._answers), ("c", "cancel")]:
            ask.append(f" {key} ", "bold reverse").append(f"  {what}\n")
        ask.right_crop(1)
        box = Static(ask, id="ask")
        box.border_title = "leave?"
        yield box

    def action_answer(self, answer: str) -> None:
        if answer in self._answers:
            self.dismiss(answer)


class TextPopup(ModalScreen[None]):  # type: ignore[misc]
    """A text, to be scrolled and closed."""

    BINDINGS = [Binding("q,escape,i,a,enter", "dismiss(None)")]  # noqa: RUF012

    def __init__(self, content: tuple[str, Text]) -> None:
        super().__init__()
        self._title, self._text = content

    def compose(self) -> ComposeResult:
        box = VerticalScroll(Static(self._text), id="reading")
        box.border_title, box.border_subtitle = self._title, "↑↓ scroll · esc close"
        yield box


def configuration(shown: Shown) -> tuple[str, Text]:
    """What experiment.json says of the runs."""
    text = Text()
    for run in shown.runs:
        if run.board is None or run.facts is None:
            continue
        text.append(f"{printable(readable(run.board.state.started.directory))}\n", "bold underline")
        for heading, rows in run.facts.sections():
            if rows:
                text.append(f"\n{heading}\n", "bold")
            for name, value in rows:
                text.append(f"  {name:{_NAME}} ", "dim").append(f"{value}\n")
        text.append("\n")
    return "configuration and environment", text if text else Text("no run has begun")


def attachments(shown: Shown) -> tuple[str, Text]:
    """The texts that were logged after epochs, the newest first; of pictures their files."""
    text = Text()
    for run in shown.runs:
        for attached in reversed(run.board.attached if run.board is not None else []):
            assert run.board is not None
            where = f"{run.name}  " if len(shown.runs) > 1 else ""
            text.append(f"{where}epoch {attached.epoch}  {printable(attached.name)}\n", "bold")
            if attached.text is not None:
                content = "\n".join(printable(line) for line in attached.text.split("\n"))
            else:
                directory = RunDirectory(run.board.state.started.directory)
                content = f"a picture: {printable(str(directory.attached(attached.epoch, attached.name, '.png')))}"
            text.append(f"{content}\n\n")
    return "texts and pictures", text if text else Text("nothing was logged by .on_epoch(...) yet")
