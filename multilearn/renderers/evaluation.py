"""An evaluation on a screen: one line, redrawn in place on a terminal while it runs."""

from __future__ import annotations

import shutil

from multilearn.events import Evaluating, Event, Finished, SplitEnded, Stepped
from multilearn.printable import printable
from multilearn.renderers.notation import seconds, shown
from multilearn.renderers.stream import ForgivingStream

__all__ = ["EvaluationLine"]

_REFRESH_SECONDS = 0.1
_WHOLE_LINE = "\r\x1b[K"


class EvaluationLine:
    """`test clean  Loss 0.1096  Accuracy 97.50 %  0.2 s`. Times are in seconds on any steady clock."""

    def __init__(self, stream: ForgivingStream, evaluating: Evaluating, now: float, *, live: bool) -> None:
        self._stream = stream
        self._evaluating = evaluating
        self._begun = self._due = now
        self._live = live
        self._drawn = False

    def render(self, event: Event, now: float) -> None:
        match event:
            case Stepped():
                if self._live and now >= self._due:
                    self._due = now + _REFRESH_SECONDS
                    values = {name: reading.running for name, reading in event.readings.items()}
                    self._draw([self._count(event.batch), *self._values(values)])
            case SplitEnded():
                values = {name: reading.value for name, reading in event.readings.items()}
                self._say([*self._values(values), seconds(now - self._begun)])
            case Finished(error=str(error)):
                self._say([f"failed: {printable((error.splitlines() or ['no reason given'])[0])}"])
            case _:
                pass

    def close(self) -> None:
        if self._drawn:
            self._stream.write(_WHOLE_LINE)
            self._drawn = False
        self._stream.flush()

    def _count(self, batch: int) -> str:
        total = self._evaluating.batches
        return f"{batch}/{total}" if total else f"{batch} batches"

    def _values(self, values: dict[str, float | str]) -> list[str]:
        infos = self._evaluating.metrics
        return [
            f"{printable(info.name)} {shown(values[info.name], info.unit)}" for info in infos if info.name in values
        ]

    def _line(self, parts: list[str]) -> str:
        checkpoint = self._evaluating.checkpoint
        weights = "" if checkpoint is None else f" (checkpoint {checkpoint})"
        return "  ".join([f"test {shown(self._evaluating.name)}{weights}", *parts])

    def _draw(self, parts: list[str]) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"{_WHOLE_LINE}{self._line(parts)[:width]}")
        self._stream.flush()
        self._drawn = True

    def _say(self, parts: list[str]) -> None:
        self.close()
        self._stream.say(self._line(parts))
