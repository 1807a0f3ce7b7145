"""Batches are nested tuples, lists and dicts of arrays: what can be done with all their arrays at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["flat", "leaves", "mapped"]


def is_sequence(nested: Any) -> bool:
    """Whether it is a tuple or a list, of whatever."""
    return isinstance(nested, (tuple, list))


def mapped(function: Callable[[Any], Any], nested: Any, splits: Callable[[Any], bool] = is_sequence) -> Any:
    """`nested` with `function` applied to every leaf; None stays None. `splits`: whether a sequence is no leaf."""
    if nested is None:
        return None
    if isinstance(nested, np.ndarray):
        # the usual leaf: to ask it whether it is a mapping takes longer
        return function(nested)
    if isinstance(nested, Mapping):
        return {key: mapped(function, value, splits) for key, value in nested.items()}
    if not splits(nested):
        return function(nested)
    parts = [mapped(function, value, splits) for value in nested]
    return type(nested)(*parts) if hasattr(nested, "_fields") else type(nested)(parts)


def leaves(nested: Any, path: str = "data", splits: Callable[[Any], bool] = is_sequence) -> Iterator[tuple[str, Any]]:
    """Every leaf with a readable path, such as `data[0]['image']`; `splits` as in `mapped`."""
    if isinstance(nested, Mapping):
        for key, value in nested.items():
            yield from leaves(value, f"{path}[{key!r}]", splits)
    elif splits(nested):
        for index, value in enumerate(nested):
            yield from leaves(value, f"{path}[{index}]", splits)
    elif nested is not None:
        yield path, nested


def flat(nested: Any) -> list[Any]:
    """Every leaf, in the order of `leaves` and without a path, which takes longer to write than the rest."""
    if isinstance(nested, (tuple, list)):
        return [leaf for value in nested for leaf in flat(value)]
    if isinstance(nested, dict):
        return [leaf for value in nested.values() for leaf in flat(value)]
    return [] if nested is None else [nested]
