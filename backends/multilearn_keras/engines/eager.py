"""Steps that cannot be traced, because they ask for values: they run eagerly, as they are written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

__all__ = ["EagerSteps", "chain"]

_log = logging.getLogger("multilearn")


class EagerSteps:
    """Knows which exceptions mean that a step asked for a value, and says once of each kind of step that it did."""

    def __init__(self, asks_for_value: Callable[[BaseException], bool]) -> None:
        self._asks_for_value = asks_for_value
        self._warned: set[str] = set()

    def accepts(self, kind: str, error: BaseException) -> bool:
        """Whether the step that raised this while it was traced is to run eagerly; then the log says so.

        `kind`: what the step does, such as "training".
        """
        reason = next((each for each in chain(error) if self._asks_for_value(each)), None)
        if reason is None:
            return False
        if kind not in self._warned:
            self._warned.add(kind)
            _log.warning(
                "Steps of %s run eagerly, which is correct but slower: the task or the model reads a value "
                "while the step is traced (%s: %s). To have them compiled, write keras.ops.where or keras.ops.cond in "
                "place of if.",
                kind,
                type(reason).__name__,
                str(reason).strip().splitlines()[0].split(". ")[0].rstrip(".")[:200],
            )
        return True


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those that it came from: Keras puts another one in the place of what a layer raised."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
