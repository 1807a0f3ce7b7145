"""Functions of Keras that write into a tensor of their caller, where the framework lets them: they get a copy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["on_a_copy"]


def on_a_copy(original: Callable[..., Any], at: int) -> Callable[..., Any]:
    """`original`, whose positional argument number `at` it writes into if that is a tensor of torch."""

    @functools.wraps(original)
    def called(*args: Any, **named: Any) -> Any:
        if hasattr(args[at], "clone"):
            args = (*args[:at], args[at].clone(), *args[at + 1 :])
        return original(*args, **named)

    return called
