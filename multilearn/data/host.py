"""Any framework's arrays as numpy's: what is loaded for one framework trains on every other."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from multilearn.data.memory import copied
from multilearn.data.structure import mapped
from multilearn.errors import DataError

__all__ = ["fresh", "host_array", "hosted", "is_tensor", "require_numbers"]

Array = np.ndarray[Any, Any]


def is_tensor(leaf: Any) -> bool:
    """Whether it is an array of any framework, or of numpy."""
    return isinstance(leaf, np.ndarray) or (hasattr(leaf, "shape") and hasattr(leaf, "dtype"))


def host_array(leaf: Any) -> Array:
    """`leaf` as a numpy array, without a copy where that is possible; bfloat16 as float32, which numpy calculates in.

    Raises `DataError` for what has no such form, as sparse and ragged tensors.
    """
    try:
        array = _numpy(leaf)
    except Exception as error:
        raise _no_array(f"{type(leaf).__name__}: {error}") from error
    if array.dtype == object and not isinstance(leaf, np.ndarray):
        raise _no_array(type(leaf).__name__)
    # numpy knows the narrow floats of ml_dtypes as void types with a name
    return array.astype(np.float32) if array.dtype.kind == "V" and "float" in array.dtype.name else array


def require_numbers(array: Array, what: str) -> Array:
    """`array` itself. Raises `DataError` where it does not hold numbers."""
    if array.dtype.kind not in "biufc":
        raise DataError(
            "A batch is made of numbers.",
            received=f"{what} of type {array.dtype}",
            remedy="Encode it, or leave it out: transform=lambda item: (item['x'], item['y']).",
        )
    return array


def hosted(batch: Any) -> Any:
    """A batch as it is trained on: the same nesting, numpy arrays as leaves; a list of columns is a tuple, as in Keras.

    Lists of numbers are arrays, None stays None.
    """
    if batch is None:
        raise _no_array("None in place of a batch")
    if isinstance(batch, list) and _holds_arrays(batch):
        return tuple(_hosted(part) for part in batch)
    return _hosted(batch)


def fresh(batch: Any) -> Any:
    """The same in memory of its own: for batches that may be views of the user's arrays, or a buffer that is reused.

    The loop looks one batch ahead, and a step may work in place.
    """
    return mapped(lambda leaf: copied(leaf) if isinstance(leaf, np.ndarray) else leaf, hosted(batch))


def _no_array(received: str) -> DataError:
    return DataError(
        "What a loader hands out must be arrays, or nested tuples, lists and dicts of arrays.",
        received=received,
        remedy="Convert it with numpy.asarray, a sparse or ragged one to a dense one first; encode text.",
    )


def _hosted(nested: Any) -> Any:
    if nested is None:
        return None
    if isinstance(nested, Mapping):
        return {key: _hosted(value) for key, value in nested.items()}
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*(_hosted(value) for value in nested))
    if isinstance(nested, tuple) or (isinstance(nested, list) and _holds_arrays(nested)):
        return type(nested)(_hosted(value) for value in nested)
    return require_numbers(host_array(nested), "an array")


def _holds_arrays(nested: list[Any]) -> bool:
    return any(part is None or isinstance(part, (tuple, Mapping)) or is_tensor(part) for part in nested)


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
