"""Batches from the host, in the types that a model takes on every framework, and symbols in their place."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from multilearn.data.aligned import copied
from multilearn.data.arrays import host_array as as_numpy
from multilearn.data.arrays import require_numbers
from multilearn.data.nested import flat, leaves, mapped
from multilearn.errors import DataError
from multilearn.protocols import Batch
from multilearn_keras.engines.signatures import input_axes_open

__all__ = ["host_array", "refuse_complex", "require_items", "require_numeric", "symbolic"]

_INT32 = np.iinfo(np.int32)


def host_array(leaf: Any, floats: str) -> Any:
    """`leaf` with floating-point numbers as `floats` and whole ones in at most 32 bits; a framework's tensor as it is.

    Raises `DataError` for whole numbers that do not fit, and for what is no number.
    """
    if isinstance(leaf, np.ndarray):
        array = leaf
    elif keras.ops.is_tensor(leaf):
        return leaf
    else:
        array = as_numpy(leaf)
    # no framework takes numbers in the byte order of another machine
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind in "OSTUMm":
        require_numbers(array)
    if array.dtype.kind == "f":
        return array if array.dtype == floats else copied(array, np.dtype(floats))
    if array.dtype.kind in "iu" and not np.can_cast(array.dtype, np.int32):
        if array.size and (array.min() < _INT32.min or array.max() > _INT32.max):
            raise DataError(
                "Whole numbers in a batch must fit into 32 bits: JAX has no others.",
                received=f"values from {array.min()} to {array.max()}",
                remedy="Number the categories from 0, or convert the values to float.",
            )
        return array.astype(np.int32)
    return array.astype(np.int32) if array.dtype == np.uint16 else array


def require_items(batch: Batch) -> None:
    """Raise `DataError` if all arrays of a batch are without items: their mean is 0, NaN or an error."""
    first = batch[0] if type(batch) is tuple and batch else batch
    if isinstance(first, np.ndarray) and first.size:
        # before every step: this takes a tenth of the time
        return
    shapes = []
    for leaf in flat(batch):
        shape = np.shape(leaf)
        if shape[:1] != (0,):
            return
        shapes.append(tuple(shape))
    if shapes:
        raise DataError(
            "A batch that is trained on or evaluated must have at least one item.",
            received=f"a batch with arrays of shape {', '.join(map(str, shapes))}",
            remedy="Have the loader skip it, as by `if len(x): yield x, y`; filtering items may leave none.",
        )


def require_numeric(batch: Batch, part: Any = None) -> None:
    """Raise `DataError`, saying where, if `batch` (`part`: what it has of it) holds text, or what else is no number."""
    looked_at = None if part is None else set(map(id, flat(part)))
    for path, leaf in leaves(batch, "batch"):
        if looked_at is None or id(leaf) in looked_at:
            require_numbers(as_numpy(leaf, path), path)


def refuse_complex(x: Any, model: keras.Model) -> None:
    """Raise `DataError` for complex inputs of a model of real ones: Keras would leave out the imaginary parts."""
    declared = [str(getattr(each, "dtype", "")) for each in getattr(model, "inputs", None) or ()]
    for path, leaf in leaves(x, "x"):
        if "complex" in str(leaf.dtype) and declared and not any("complex" in dtype for dtype in declared):
            raise DataError(
                "The inputs of this model are real numbers.",
                received=f"{path} of type {leaf.dtype}",
                remedy="Give real and imaginary parts as two channels: numpy.stack([x.real, x.imag], axis=-1).",
            )


def symbolic(x: Any, model: keras.Model) -> Any:
    """What stands for the inputs; an axis that the model declares to be of any length is not that of this batch."""
    arrays = keras.tree.flatten(x)
    found = {id(array): axes for array, axes in zip(arrays, input_axes_open(arrays, model), strict=True)}

    def symbol(array: Any) -> keras.KerasTensor:
        axes = found.get(id(array), frozenset())
        shape = tuple(None if axis in axes else length for axis, length in enumerate(array.shape))
        return keras.KerasTensor(shape, keras.backend.standardize_dtype(array.dtype))

    return mapped(symbol, x)
