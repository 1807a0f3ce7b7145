"""What two batches have in common: the structure, types and shapes that a compiled step depends on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import keras
from keras import tree

from multilearn.data import flat
from multilearn_keras.keras_internals import Functional
from multilearn_keras.tasks import unpack

__all__ = [
    "Open",
    "Pattern",
    "declared_open",
    "input_axes_open",
    "joint_signature",
    "patterned",
    "shapes",
    "signature",
    "structure",
]

Open = tuple[frozenset[int], ...]
"""For each array of a batch, in order: the axes whose length is not known beforehand."""

Pattern = tuple[tuple[int | None, ...], ...]
"""The lengths of the axes of every array; None is any."""


def signature(nested: Any) -> Hashable:
    """Equal for batches that are nested alike, with arrays of the same types and shapes."""
    return _nested_as(nested, tuple)


def joint_signature(nested: Any, rows: int) -> Hashable:
    """That of a batch with so many rows, of which `nested` has some."""
    return _nested_as(nested, lambda shape: (rows, *shape[1:]))


def shapes(nested: Any) -> tuple[tuple[int, ...], ...]:
    """Those of all arrays, in order."""
    return tuple(tuple(leaf.shape) for leaf in flat(nested))


def declared_open(batch: Any, model: Any, output_shape: Any) -> Open:
    """The axes besides the first that vary from batch to batch, as far as the model says so, by `Input((None, ...))`.

    `output_shape`: what the model makes of it, nested as its outputs; targets and weights vary where it does.
    """
    x = unpack(batch)[0] if isinstance(batch, tuple) and 1 <= len(batch) <= 3 else batch
    arrays = tree.flatten(x)
    found = {id(leaf): axes for leaf, axes in zip(arrays, input_axes_open(arrays, model), strict=True)}
    lengths = _flat_shapes(output_shape) if any(found.values()) else []
    outputs = frozenset.intersection(*map(_open, lengths)) if lengths else frozenset()
    return tuple(
        found[id(leaf)] if id(leaf) in found else frozenset(axis for axis in outputs if axis < len(leaf.shape))
        for leaf in flat(batch)
    )


def structure(nested: Any) -> Hashable:
    """How a batch is nested, with the types and ranks of its arrays."""
    return _nested_as(nested, len)


def _nested_as(nested: Any, of_shape: Callable[[Any], Hashable]) -> Hashable:
    """How a batch is nested, with the type of each array and what `of_shape` says of its shape."""
    if isinstance(nested, (tuple, list)):
        return (type(nested), *(_nested_as(each, of_shape) for each in nested))
    if isinstance(nested, dict):
        return (dict, *((key, _nested_as(value, of_shape)) for key, value in nested.items()))
    return None if nested is None else (nested.dtype, of_shape(nested.shape))


def patterned(lengths: Pattern, opened: Open) -> Pattern:
    """The lengths with None for the first axis and the open ones."""
    axes: Iterator[frozenset[int]] = iter(opened)
    return tuple(_opened(shape, next(axes, frozenset())) for shape in lengths)


def _opened(shape: tuple[int | None, ...], axes: frozenset[int]) -> tuple[int | None, ...]:
    if not axes:
        return (None, *shape[1:]) if shape else shape
    return tuple(None if not axis or axis in axes else length for axis, length in enumerate(shape))


def input_axes_open(arrays: Sequence[Any], model: Any) -> list[frozenset[int]]:
    """The axes of a model's inputs, besides the first, that it declares to be of any length; none if it says nothing.

    `arrays`: its inputs, in the order in which Keras flattens them.
    """
    # a Sequential has inputs only if Keras could make a graph of it
    specs = getattr(model, "inputs", ()) if isinstance(model, (Functional, keras.Sequential)) and model.built else ()
    declared = [tuple(spec.shape) for spec in specs]
    if [len(getattr(array, "shape", ())) for array in arrays] != [len(shape) for shape in declared]:
        return [frozenset()] * len(arrays)
    return [_open(shape) for shape in declared]


def _open(shape: tuple[int | None, ...]) -> frozenset[int]:
    return frozenset(axis for axis, length in enumerate(shape) if axis and length is None)


def _flat_shapes(nested: Any) -> list[tuple[int | None, ...]]:
    """The shapes in a nest of them, which are tuples themselves."""
    if isinstance(nested, dict):
        return [shape for key in sorted(nested) for shape in _flat_shapes(nested[key])]
    if all(length is None or isinstance(length, int) for length in nested):
        return [tuple(nested)]
    return [shape for part in nested for shape in _flat_shapes(part)]
