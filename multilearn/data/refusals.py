"""What a batch cannot be made of: what it is, in words, and what to do about it."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from multilearn.errors import DataError

__all__ = ["no_numbers"]

Array = np.ndarray[Any, Any]

_LOOKED_AT = 1000
"""How many elements of an array of Python objects say what it holds."""


def no_numbers(leaf: Any, where: str, error: Exception | None = None) -> DataError:
    """The error for a leaf of a batch, called `where`, that is no array of numbers; `error`: what numpy said of it."""
    what, remedy = _described(leaf, error)
    return DataError(
        "A batch is made of numbers: arrays of them, in nested tuples, lists and dicts.",
        received=f"{where}: {what}",
        remedy=remedy,
    )


def _described(leaf: Any, error: Exception | None) -> tuple[str, str]:
    name = type(leaf).__name__
    if hasattr(leaf, "dtypes") and hasattr(leaf, "columns"):
        return _of_table(leaf)
    if str(getattr(leaf, "dtype", "")) == "category":
        return "a column of categories", 'Give their numbers: column.cat.codes.to_numpy("int32").'
    if hasattr(leaf, "to_tensor") and "Ragged" in name:
        return f"a {name}: {_ROWS}", f"Pad them: {name}.to_tensor()."
    if "sparse" in f"{type(leaf).__module__} {name} {getattr(leaf, 'layout', '')}".lower():
        return f"a sparse {name}", "Make it dense where batches are made: .toarray(), .to_dense(), tf.sparse.to_dense."
    if isinstance(leaf, np.ma.MaskedArray):
        return "an array with masked values", "Fill them in, for instance by .filled(0), and give them a weight of 0."
    array = _seen(leaf)
    if array is None or array.dtype.kind == "O":
        one = array is not None and array.ndim == 0 and not isinstance(leaf, np.ndarray)
        return _of_objects(leaf, None if one else array, error)
    if array.dtype.kind in "Mm":
        return f"dates or times ({array.dtype})", _NUMBERS_OF_DATES
    if array.dtype.kind in "UST":
        return f"text ({array.dtype})", _ENCODE
    if array.dtype.names:
        return f"a structured array ({array.dtype})", "Give its fields as a dict: {name: array[name], ...}."
    return f"a {name} of type {array.dtype}", "Convert it to an array of numbers, with numpy.asarray."


_ENCODE = (
    "Encode it where batches are made, in transform= or .map(...), for instance by keras.layers.StringLookup or "
    "TextVectorization, give the model a preprocessor that does, or leave it out: "
    "transform=lambda item: (item['x'], item['y'])."
)
_TEXT_ALONE = "Give arrays of text alone: fill in what is missing, for instance by '', and write numbers as text."
_NUMBERS_OF_DATES = (
    "Give a number in its place: ((dates - dates.min()) / np.timedelta64(1, 'D')).astype('float32'), or leave it out."
)
_ROWS = "rows of different lengths"


def _of_table(frame: Any) -> tuple[str, str]:
    """A DataFrame: pandas has `kind` for a column's type, 'O' for text and categories."""
    types = {str(name): dtype for name, dtype in zip(frame.columns, frame.dtypes, strict=False)}
    others = [f"{name!r} ({dtype})" for name, dtype in types.items() if getattr(dtype, "kind", "f") not in "biuf"]
    convert = 'frame.to_numpy("float32"), with na_value=float("nan") if values may be missing'
    if others:
        return f"a DataFrame with columns that are no numbers: {', '.join(others[:8])}", (
            f"Encode these columns or leave them out, and convert the others: {convert}."
        )
    held = ", ".join(dict.fromkeys(map(str, types.values())))
    return f"a DataFrame with columns of several or nullable types ({held})", f"Convert it: {convert}."


def _of_objects(leaf: Any, array: Array | None, error: Exception | None) -> tuple[str, str]:
    elements = [] if array is None else list(islice(array.flat, _LOOKED_AT))
    kinds = {type(element) for element in elements}
    held = ", ".join(sorted(kind.__name__ for kind in kinds))
    dtype = f" ({leaf.dtype})" if hasattr(leaf, "dtype") else ""
    if texts := {kind for kind in kinds if issubclass(kind, (str, bytes))}:
        if texts == kinds:
            return f"text ({held})", _ENCODE
        return f"text among other objects ({held})", _TEXT_ALONE
    if any(kind.__module__.split(".")[0] in ("datetime", "pandas") and hasattr(kind, "resolution") for kind in kinds):
        return f"dates or times{dtype or f' ({held})'}", _NUMBERS_OF_DATES
    if any(hasattr(kind, "__len__") for kind in kinds) or "inhomogeneous" in str(error):
        return f"{_ROWS} or kinds", "Pad them to one length, for instance by keras.utils.pad_sequences, or stack them."
    if hasattr(leaf, "to_numpy"):
        return f"a {type(leaf).__name__} of {held}{dtype}", (
            'Convert it: .to_numpy("float32"), with na_value=float("nan") if values may be missing.'
        )
    if array is not None:
        return f"an array of Python objects ({held or 'none'})", "Convert it: array.astype('float32')."
    said = f": {error}" if error is not None else ""
    return f"a {type(leaf).__name__}{said}", "Give arrays, or what numpy.asarray makes an array of numbers of."


def _seen(leaf: Any) -> Array | None:
    """As numpy sees it; None where it cannot."""
    try:
        return leaf if isinstance(leaf, np.ndarray) else np.asarray(leaf.numpy() if hasattr(leaf, "numpy") else leaf)
    except Exception:
        return None
