"""Compiled steps: which are kept, which run eagerly, and what they measure, in few tensors."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = ["EagerSteps", "Measures", "Packed", "PackedLayout", "RecentlyUsed", "chain", "packed"]

_log = logging.getLogger("multilearn")

_KEPT = 64
"""How many are kept: another one is compiled again when it is needed."""

Compiled = Callable[..., Any]


class RecentlyUsed:
    """What was compiled, by the shapes it is for. Without room for more, what was not used for longest is dropped."""

    def __init__(self) -> None:
        self._compiled: dict[Hashable, Compiled] = {}
        self._warned = False

    def __len__(self) -> int:
        return len(self._compiled)

    def get(self, key: Hashable) -> Compiled | None:
        """What was put there, which counts as used now; None for what is not there, or not any more."""
        compiled = self._compiled.pop(key, None)
        if compiled is not None:
            self._compiled[key] = compiled
        return compiled

    def put(self, key: Hashable, compiled: Compiled, kind: str) -> None:
        """`kind`: what the step does, such as "training", for the one warning that there are too many."""
        self._compiled[key] = compiled
        if len(self._compiled) <= _KEPT:
            return
        del self._compiled[next(iter(self._compiled))]
        if not self._warned:
            self._warned = True
            _log.warning(
                "Steps of %s have had more than %d combinations of shapes, and each is compiled: only the last %d are "
                "kept. Pad the batches to a few lengths, or declare the axes that vary, by keras.Input((None, ...)).",
                kind,
                _KEPT,
                _KEPT,
            )


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


Measures = Mapping[str, Mapping[str, Any]]

_SHARING = ("float32", "int32")
_SMALL = 1024
"""Elements of a leaf that still shares: more are not worth another copy on the device."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """Where a measured leaf is: from `start` to `stop` among those of its type in the shared tensor, or in its own."""

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
    floats: int
    """Elements of the shared tensor that are bits of floats; the others are whole numbers."""

    def unpacked(self, arrays: Sequence[np.ndarray[Any, Any]]) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
        """The measures, of the packed tensors as arrays on the host."""
        found: dict[str, dict[str, np.ndarray[Any, Any]]] = {metric: {} for metric in self.metrics}
        views = {"float32": arrays[0][: self.floats].view("float32"), "int32": arrays[0][self.floats :]}
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
    return [shared, *own], PackedLayout(tuple(measures), tuple(leaves), sizes["float32"])


def _joined(tensors: Sequence[Any]) -> Any:
    """One axis for all of them; None for nothing."""
    if not tensors:
        return None
    if all(tuple(tensor.shape) == () for tensor in tensors):
        return ops.stack(tensors)
    return ops.concatenate([ops.reshape(tensor, (-1,)) for tensor in tensors])
