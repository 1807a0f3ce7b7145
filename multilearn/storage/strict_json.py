"""JSON from files that anybody may have changed: nothing is guessed, and little memory taken for little text."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["parsed"]

_LARGEST = 1 << 1023
"""Of whole numbers: larger ones are no float, and what is made of them overflows."""
_MARKS = (b",", b":", b"[", b"{")
"""There is one of them at least for each value, which takes a hundred times the byte that it has in the text."""


def parsed(
    text: bytes, *, marks: int = 1 << 21, depth: int = 100, numbers: bool = True, file_names: bool = False
) -> Any:
    """What the text holds. `marks`: how many commas, colons and brackets it may have, also in strings; `depth`: of
    lists and maps in each other; `numbers`: whether it is read as numbers of all kinds, so that NaN and the infinities,
    which are no JSON, are taken, and no whole number is beyond all floats; `file_names`: whether texts may hold what
    stands for bytes of file names that are not UTF-8 (U+DC80 to U+DCFF).

    Raises `ValueError` for what is no UTF-8, no JSON, larger or deeper, has a key twice, or half of a surrogate pair.
    """
    if sum(map(text.count, _MARKS)) > marks:
        raise ValueError("it holds too many values")
    try:
        found = json.loads(
            text.decode("utf-8"), object_pairs_hook=_once, parse_constant=None if numbers else _no_constant
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check(found, depth, numbers, "surrogateescape" if file_names else "strict")
    return found


def _check(found: Any, depth: int, numbers: bool, errors: str) -> None:
    """By levels: what holds itself so often that a recursion would not end well is what this looks for."""
    level = [found]
    for _ in range(depth + 1):
        if not level:
            return
        inner: list[Any] = []
        for value in level:
            if isinstance(value, str):
                value.encode(errors=errors)
            elif numbers and isinstance(value, int) and abs(value) >= _LARGEST:
                raise ValueError("a number that is beyond all floats")
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, dict):
                inner += value
                inner += value.values()
        level = inner
    if level:
        raise ValueError(f"it is nested more than {depth} deep")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in a map")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
