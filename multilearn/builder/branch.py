"""Which builders were made of one: for the mistake of dropping what a method returns."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator

__all__ = ["Branch"]


class Branch:
    """A builder, by the `method` that made it, and those that were made of it. `built`: whether it was built."""

    def __init__(self, method: str = "", builder: object = None) -> None:
        self.built = False
        self._method = method
        self._builder = None if builder is None else weakref.ref(builder)
        self._branches: list[Branch] = []

    def __reduce__(self) -> tuple[type[Branch], tuple[()]]:
        """In another process nothing has been made of it."""
        return Branch, ()

    def grown(self, builder: object) -> Branch:
        """The branch of a builder that a public method makes of this one."""
        branch = Branch(_calling(), builder)
        self._branches.append(branch)
        return branch

    def dropped(self) -> Iterator[str]:
        """The methods whose results are gone, and nothing was built with them."""
        yield from (branch._method for branch in self._branches if branch._is_dropped())

    def _is_dropped(self) -> bool:
        gone = self._builder is not None and self._builder() is None
        return gone and not self.built and all(branch._is_dropped() for branch in self._branches)


def _calling() -> str:
    """The name of the innermost public method that is being called."""
    frame = sys._getframe(2)
    while frame.f_code.co_name.startswith("_") and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_name
