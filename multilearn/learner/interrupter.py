"""How a run is asked to stop: by a signal, a rule, a renderer or another thread."""

from __future__ import annotations

import atexit
import builtins
import dis
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Final, Self

from multilearn import environment_variables
from multilearn.errors import ConfigurationError
from multilearn.storage.shield import SHIELD, end_with

__all__ = ["EXIT_STATUS", "ExitStatus", "Interrupter", "Signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 10.0  # seconds

_Handler = Callable[[int, FrameType | None], Any] | int | None


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
                "The reason for stopping a run must be a text.",
                received=repr(reason),
                remedy="Write for instance 'enough'.",
            )
        if self.reason is None:
            self._reason = reason


class Signals:
    """SIGINT and SIGTERM while a run is at work; the handlers found are put back at the end, when all else is closed.

    Before `take` a SIGINT raises KeyboardInterrupt as ever. After it the first signal asks `interrupter` to stop.
    The second one raises at once where the run is `interruptible`, and at the end elsewhere: what is being closed then
    gets closed. Later ones are ignored, until ten seconds have passed.

    Off the main thread Python allows no handlers: there it does nothing.
    """

    def __init__(self, interrupter: Interrupter) -> None:
        self._interrupter = interrupter
        self._found: dict[signal.Signals, _Handler] = {}
        self._asked = False
        self._starting = self._interruptible = True
        self._last: float | None = None
        self._held: int | None = None

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._install(signal.SIGINT)
        return self

    def take(self) -> None:
        """From here on the first signal asks the run to stop."""
        self._starting = self._interruptible = False
        for number in _SIGNALS:
            self._install(number)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """While it lasts the second signal raises at once."""
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        try:
            self._put_back(signal.SIGTERM)
        finally:  # the one that may raise from then on comes last
            self._put_back(signal.SIGINT)
        if kind is None and self._held is not None:
            end_with(self._held)

    def _install(self, number: signal.Signals) -> None:
        if threading.current_thread() is threading.main_thread() and number not in self._found:
            self._found[number] = signal.getsignal(number)
            signal.signal(number, self._received)

    def _put_back(self, number: signal.Signals) -> None:
        if number in self._found:
            handler = self._found[number]
            # a handler that was not installed from Python reads as None and cannot be put back by Python
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if not self._starting and not self._asked:
            self._asked = True
            self._interrupter.stop(signal.Signals(number).name)
            return
        now = time.monotonic()
        first = self._last is None
        if (first and self._interruptible) or (self._last is not None and now - self._last > _PATIENCE):
            self._last = now
            self._held = None
            SHIELD.let(number)
        if first:
            self._last, self._held = now, number


class ExitStatus:
    """That of a script whose last fit was stopped by a signal: as if the signal had ended it, 130 or 143 in a shell.

    A script that says itself how it ends, by `sys.exit(...)` or an error, ends so. Sessions, in which there is no
    script to end, are left alone.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._registered = False

    def fitted(self, stopped_by: str | None) -> None:
        """A fit has ended; the last one counts."""
        self._number = next((each for each in _SIGNALS if each.name == stopped_by), None)
        if self._number is not None and not self._registered and (script := _script()) is not None:
            self._registered = True
            atexit.register(self._ending, script)

    def _ending(self, script: FrameType) -> None:
        ended_by = dis.opname[script.f_code.co_code[script.f_lasti]]
        if self._number is None or not ended_by.startswith("RETURN_"):
            return
        signal.signal(self._number, signal.SIG_DFL)
        # to those that started a rank, one that a signal has killed is one that was lost
        rank = environment_variables.read(environment_variables.LEASH) is not None
        end = partial(os._exit, 128 + self._number) if rank else partial(os.kill, os.getpid(), self._number)
        # the last thing that the interpreter lets go of: all else is closed and flushed then
        vars(sys)["_multilearn_ending"] = _AtLast(end)


class _AtLast:
    """Calls `end` when it is let go of."""

    def __init__(self, end: Callable[[], object]) -> None:
        self._end = end

    def __del__(self) -> None:
        self._end()


def _script() -> FrameType | None:
    """The outermost code of the script that this process runs; None in a session."""
    if hasattr(sys, "ps1") or sys.flags.interactive or hasattr(builtins, "__IPYTHON__"):
        return None
    names = vars(sys.modules["__main__"])
    found, frame = None, sys._getframe()
    while (above := frame.f_back) is not None:
        frame = above
        if frame.f_globals is names and frame.f_code.co_name == "<module>":
            found = frame
    return found


EXIT_STATUS: Final = ExitStatus()
