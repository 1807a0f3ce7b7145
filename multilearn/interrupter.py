"""How a run is asked to stop: by a signal, a rule, a renderer or another thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from multilearn.errors import ConfigurationError

__all__ = ["Interrupter", "stopping_on_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupter:
    """Holds the reason to stop, once there is one. The loop looks at it after every batch; the first reason stays.

    One that is given to several learners stops every one of them, also those that are fitted later. `above`: another
    one whose reason holds here too.

    >>> interrupter = Interrupter()
    >>> interrupter.stop("the budget is spent")
    >>> interrupter.reason
    'the budget is spent'
    """

    def __init__(self, above: Interrupter | None = None) -> None:
        self._above = above
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why the run is to stop; None while it is not."""
        if self._reason is None and self._above is not None:
            self._reason = self._above.reason
        return self._reason

    def stop(self, reason: str) -> None:
        """Ask the run to stop after the batch it is at. Safe from any thread and from a signal handler.

        Raises `ConfigurationError` for a reason that is no text.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigurationError(
                "A run is stopped for a reason, in words.", received=repr(reason), remedy="Say for instance 'enough'."
            )
        if self.reason is None:
            self._reason = reason


@contextmanager
def stopping_on_signals(interrupter: Interrupter) -> Iterator[None]:
    """While it lasts, the first SIGINT or SIGTERM asks `interrupter` to stop, the next one raises at once.

    The handlers found are put back. Off the main thread Python allows no handlers: there it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    seen = 0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            interrupter.stop(signal.Signals(number).name)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(128 + number)

    found = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number in _SIGNALS:
            signal.signal(number, on_signal)
        yield
    finally:
        for number, handler in found.items():
            # a handler that was not installed from Python reads as None and cannot be put back by Python
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
