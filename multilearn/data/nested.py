"""Batches are nested tuples, lists and dicts of arrays: what can be done with all their arrays at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["flat", "leaves", "mapped"]


def mapped(function: Callable[[Any], Any], nested: Any) -> Any:
    """`nested` with `function` applied to every leaf; None stays None."""
    if nested is None:
        return None
    if isinstance(nested, dict):
        return {key: mapped(function, value) for key, value in nested.items()}
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*(mapped(function, value) for value in nested))
    if isinstance(nested, (tuple, list)):
        return type(nested)(mapped(function, value) for value in nested)
    return function(nested)


def leaves(nested: Any, path: str = "data") -> Iterator[tuple[str, Any]]:
    """Every leaf with a readable path, such as `data[0]['image']`."""
    if nested is None:
        return
    if isinstance(nested, dict):
        for key, value in nested.items():
            yield from leaves(value, f"{path}[{key!r}]")
    elif isinstance(nested, (tuple, list)):
        for index, value in enumerate(nested):
            yield from leaves(value, f"{path}[{index}]")
    else:
        yield path, nested


def flat(nested: Any) -> list[Any]:
    """Every leaf, in the order of `leaves` and without a path, which takes longer to write than the rest."""
    if isinstance(nested, (tuple, list)):
        return [leaf for value in nested for leaf in flat(value)]
    if isinstance(nested, dict):
        return [leaf for value in nested.values() for leaf in flat(value)]
    return [] if nested is None else [nested]
