"""Any framework's arrays as numpy's: what is loaded for one framework trains on every other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from multilearn.data.aligned import copied
from multilearn.data.nested import leaves, mapped
from multilearn.data.refusals import no_numbers
from multilearn.errors import DataError

__all__ = ["fresh", "host_array", "hosted", "is_tensor", "is_text", "owned", "require_numbers", "require_values"]

Array = np.ndarray[Any, Any]


def is_tensor(leaf: Any) -> bool:
    """Whether it is an array of any framework, or of numpy."""
    return isinstance(leaf, np.ndarray) or (hasattr(leaf, "shape") and hasattr(leaf, "dtype"))


def host_array(leaf: Any, where: str = "batch") -> Array:
    """`leaf` as a numpy array, without a copy where that is possible; bfloat16 as float32, which numpy calculates in.

    Text, of whatever type, is an array of Python's `str` or `bytes`: its elements have no common length.

    Raises `DataError`, calling it `where`, for what has no such form, as sparse and ragged tensors.
    """
    try:
        array = _numpy(leaf)
    except Exception as error:
        raise no_numbers(leaf, where, error) from error
    kind = array.dtype.kind
    if kind in "OSTU":
        array = array.astype(object, copy=False)
        if not isinstance(leaf, np.ndarray) and (_is_of_a_table(leaf) or not is_text(array)):
            raise no_numbers(array if isinstance(leaf, (list, tuple)) else leaf, where)
        return array
    # numpy knows the narrow floats of ml_dtypes as void types with a name
    return array.astype(np.float32) if kind == "V" and "float" in array.dtype.name else array


def require_numbers(array: Array, where: str = "batch") -> Array:
    """`array` itself. Raises `DataError`, calling it `where`, if it does not hold numbers, or has masked values."""
    if array.dtype.kind not in "biufc" or (isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array)):
        raise no_numbers(array, where)
    return array


def is_text(array: Array) -> bool:
    """Whether it is text as `host_array` returns it: every element is a `str` or `bytes`."""
    return array.dtype.kind == "O" and all(issubclass(kind, (str, bytes)) for kind in set(map(type, array.flat)))


def require_values(array: Array, where: str = "batch") -> Array:
    """`array` itself. Raises `DataError`, calling it `where`, if it holds neither numbers nor text."""
    return array if is_text(array) else require_numbers(array, where)


def hosted(batch: Any) -> Any:
    """A batch as it is trained on: the same nesting, numpy arrays as leaves; a list of columns is a tuple, as in Keras.

    Lists of numbers are arrays, and lists and tuples of text too; None stays None.
    """
    return _batch(batch, _host)


def fresh(batch: Any) -> Any:
    """`hosted`, in memory of its own: for batches that may be views of the user's arrays, or a buffer that is reused.

    A step may work in place, and the device may read the memory after the next batch is made.
    """
    return _batch(batch, _copied)


def owned(batch: Any) -> Any:
    """`fresh`, of batches that may have tensors on another device than the host: these stay on it."""
    return _batch(batch, _owned)


def _batch(batch: Any, of_leaf: Callable[[Any], Any]) -> Any:
    if batch is None:
        raise DataError(
            "A batch is made of arrays.", received="None in place of a batch", remedy="Have the loader skip it."
        )
    try:
        if isinstance(batch, list) and _holds_arrays(batch):
            return tuple(mapped(of_leaf, part, _is_nested) for part in batch)
        return mapped(of_leaf, batch, _is_nested)
    except DataError:
        for path, leaf in leaves(batch, "batch", _is_nested):
            require_values(host_array(leaf, path), path)
        raise


def _host(leaf: Any) -> Array:
    return require_values(host_array(leaf))


def _copied(leaf: Any) -> Array:
    return copied(_host(leaf))


def _owned(leaf: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(leaf, torch.Tensor) and not leaf.is_cpu:
        return leaf.detach().clone()
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(leaf, jax.Array) and any(each.platform != "cpu" for each in leaf.devices()):
        # it is immutable
        return leaf
    return _copied(leaf)


def _is_nested(nested: Any) -> bool:
    if not isinstance(nested, (tuple, list)) or hasattr(nested, "_fields"):
        return isinstance(nested, tuple)
    if any(isinstance(part, (str, bytes)) for part in nested):
        # texts and what is missing between them; torch collates those of items that are tuples as a tuple
        return any(map(is_tensor, nested))
    return isinstance(nested, tuple) or _holds_arrays(nested)


def _is_of_a_table(leaf: Any) -> bool:
    """Whether it is a DataFrame, or a column of categories, in which numpy sees text."""
    return hasattr(leaf, "columns") or str(getattr(leaf, "dtype", "")) == "category"


def _holds_arrays(nested: list[Any]) -> bool:
    return any(
        part is None
        or isinstance(part, (tuple, Mapping))
        or (_holds_arrays(part) if type(part) is list else is_tensor(part))
        for part in nested
    )


def _numpy(leaf: Any) -> Array:
    if isinstance(leaf, np.ndarray):
        return leaf
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(leaf, torch.Tensor):
        leaf = leaf.detach().cpu()
        return np.asarray((leaf.float() if leaf.dtype == torch.bfloat16 else leaf).numpy())
    if hasattr(leaf, "numpy") and is_tensor(leaf):
        # one text has no shape
        leaf = leaf.numpy()
    array = np.asarray(leaf)
    # of a list numpy makes text of the numbers beside text, and cuts zeros off its end
    return np.asarray(leaf, object) if array.dtype.kind in "SU" and not is_tensor(leaf) else array
