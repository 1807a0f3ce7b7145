"""What a compiled step measures, in few tensors: small numbers of 32 bits share one, which is fetched by one copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = ["Measures", "Packed", "PackedLayout", "packed"]

Measures = Mapping[str, Mapping[str, Any]]

_SHARING = ("float32", "int32")
_SMALL = 1024
"""Elements of a leaf that still shares: more are not worth another copy on the device."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """Where a measured leaf is: the elements from `start` to `stop` of the shared tensor, or one of its own."""

    metric: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int
    own: int | None = None


@dataclass(frozen=True, slots=True)
class PackedLayout:
    """How `packed` arranged the measures of a step, found out when it is traced."""

    metrics: tuple[str, ...]
    leaves: tuple[_Leaf, ...]

    def unpacked(self, arrays: Sequence[np.ndarray[Any, Any]]) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
        """The measures, of the packed tensors as arrays on the host."""
        found: dict[str, dict[str, np.ndarray[Any, Any]]] = {metric: {} for metric in self.metrics}
        views = {dtype: arrays[0].view(dtype) for dtype in _SHARING} if arrays else {}
        for leaf in self.leaves:
            if leaf.own is None:
                array = views[leaf.dtype][leaf.start : leaf.stop].reshape(leaf.shape)
            else:
                array = arrays[leaf.own]
            found[leaf.metric][leaf.name] = array
        return found


class Packed(Mapping[str, Mapping[str, Any]]):
    """The measures of a step on the device: an engine's `fetch` unpacks them, as does looking into them."""

    __slots__ = ("layout", "tensors")

    def __init__(self, tensors: Sequence[Any], layout: PackedLayout) -> None:
        self.tensors = tensors
        self.layout = layout

    def on_host(self, copied: Callable[[Any], np.ndarray[Any, Any]]) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
        return self.layout.unpacked([copied(tensor) for tensor in self.tensors])

    def __getitem__(self, metric: str) -> Mapping[str, Any]:
        return self.on_host(ops.convert_to_numpy)[metric]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout.metrics)

    def __len__(self) -> int:
        return len(self.layout.metrics)


def packed(measures: Measures, bits: Callable[[Any], Any]) -> tuple[list[Any], PackedLayout]:
    """The tensors to return from a step, the shared one first, and where in them the measures are.

    `bits`: float32 as the int32 with the same bits.
    """
    leaves, own = [], []
    groups: dict[str, list[Any]] = {dtype: [] for dtype in _SHARING}
    sizes = dict.fromkeys(_SHARING, 0)
    for metric, measured in measures.items():
        for name, value in measured.items():
            tensor = ops.convert_to_tensor(value)
            dtype, shape = keras.backend.standardize_dtype(tensor.dtype), tuple(tensor.shape)
            if dtype in _SHARING and None not in shape and math.prod(shape) <= _SMALL:
                groups[dtype].append(tensor)
                start, sizes[dtype] = sizes[dtype], sizes[dtype] + math.prod(shape)
                leaves.append(_Leaf(metric, name, dtype, shape, start, sizes[dtype]))
            else:
                own.append(tensor)
                leaves.append(_Leaf(metric, name, dtype, (), 0, 0, len(own)))
    floats, ints = (_joined(groups[dtype]) for dtype in _SHARING)
    parts = ([] if floats is None else [bits(floats)]) + ([] if ints is None else [ints])
    shared = ops.concatenate(parts) if len(parts) > 1 else parts[0] if parts else ops.zeros((0,), "int32")
    return [shared, *own], PackedLayout(tuple(measures), tuple(_moved(leaf, sizes["float32"]) for leaf in leaves))


def _moved(leaf: _Leaf, by: int) -> _Leaf:
    """Whole numbers come behind the others."""
    if leaf.own is not None or leaf.dtype != "int32":
        return leaf
    return _Leaf(leaf.metric, leaf.name, leaf.dtype, leaf.shape, leaf.start + by, leaf.stop + by)


def _joined(tensors: Sequence[Any]) -> Any:
    """One axis for all of them; None for nothing."""
    if not tensors:
        return None
    if all(tuple(tensor.shape) == () for tensor in tensors):
        return ops.stack(tensors)
    return ops.concatenate([ops.reshape(tensor, (-1,)) for tensor in tensors])
