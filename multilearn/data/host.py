"""Any framework's arrays as numpy's: what is loaded for one framework trains on every other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from multilearn.data.memory import copied
from multilearn.data.refusals import no_numbers
from multilearn.data.structure import leaves
from multilearn.errors import DataError

__all__ = ["fresh", "host_array", "hosted", "is_tensor", "owned", "require_numbers"]

Array = np.ndarray[Any, Any]


def is_tensor(leaf: Any) -> bool:
    """Whether it is an array of any framework, or of numpy."""
    return isinstance(leaf, np.ndarray) or (hasattr(leaf, "shape") and hasattr(leaf, "dtype"))


def host_array(leaf: Any, where: str = "batch") -> Array:
    """`leaf` as a numpy array, without a copy where that is possible; bfloat16 as float32, which numpy calculates in.

    Raises `DataError`, calling it `where`, for what has no such form, as sparse and ragged tensors.
    """
    try:
        array = _numpy(leaf)
    except Exception as error:
        raise no_numbers(leaf, where, error) from error
    kind = array.dtype.kind
    if kind == "O" and not isinstance(leaf, np.ndarray):
        raise no_numbers(leaf, where)
    # numpy knows the narrow floats of ml_dtypes as void types with a name
    return array.astype(np.float32) if kind == "V" and "float" in array.dtype.name else array


def require_numbers(array: Array, where: str = "batch") -> Array:
    """`array` itself. Raises `DataError`, calling it `where`, if it does not hold numbers, or has masked values."""
    if array.dtype.kind not in "biufc" or (isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array)):
        raise no_numbers(array, where)
    return array


def hosted(batch: Any) -> Any:
    """A batch as it is trained on: the same nesting, numpy arrays as leaves; a list of columns is a tuple, as in Keras.

    Lists of numbers are arrays, None stays None.
    """
    return _batch(batch, _host)


def fresh(batch: Any) -> Any:
    """`hosted`, in memory of its own: for batches that may be views of the user's arrays, or a buffer that is reused.

    The loop looks one batch ahead, and a step may work in place.
    """
    return _batch(batch, _copied)


def owned(batch: Any) -> Any:
    """`fresh`, of batches that may have tensors on another device than the host: these stay on it."""
    return _batch(batch, _owned)


def _batch(batch: Any, of_leaf: Callable[[Any], Any]) -> Any:
    if batch is None:
        raise DataError(
            "A batch is made of arrays.", received="None in place of a batch", remedy="Leave it out of the loader."
        )
    try:
        if isinstance(batch, list) and _holds_arrays(batch):
            return tuple(_nested(part, of_leaf) for part in batch)
        return _nested(batch, of_leaf)
    except DataError:
        for path, leaf in leaves(batch, "batch"):
            require_numbers(host_array(leaf, path), path)
        raise


def _nested(nested: Any, of_leaf: Callable[[Any], Any]) -> Any:
    if nested is None:
        return None
    if isinstance(nested, Mapping):
        return {key: _nested(value, of_leaf) for key, value in nested.items()}
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*(_nested(value, of_leaf) for value in nested))
    if isinstance(nested, tuple) or (isinstance(nested, list) and _holds_arrays(nested)):
        return type(nested)(_nested(value, of_leaf) for value in nested)
    return of_leaf(nested)


def _host(leaf: Any) -> Array:
    return require_numbers(host_array(leaf))


def _copied(leaf: Any) -> Array:
    return copied(_host(leaf))


def _owned(leaf: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(leaf, torch.Tensor) and not leaf.is_cpu:
        return leaf.detach().clone()
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(leaf, jax.Array) and any(each.platform != "cpu" for each in leaf.devices()):
        # nobody can write into it
        return leaf
    return _copied(leaf)


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
        return np.asarray(leaf.numpy())
    return np.asarray(leaf)
