"""Batches from the host, in the types that a model takes on every framework; and what the step of a task returned."""

from __future__ import annotations

import re
from collections.abc import Callable
from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

from multilearn.data.aligned import copied
from multilearn.data.arrays import host_array as as_numpy
from multilearn.data.arrays import is_text, require_numbers
from multilearn.data.nested import flat, leaves, mapped
from multilearn.errors import ConfigurationError, DataError
from multilearn.protocols import Batch, Output
from multilearn_keras.engines.signatures import input_axes_open
from multilearn_keras.tasks import unpack
from multilearn_keras.tasks.supervised import Supervised
from multilearn_keras.tasks.turns import turns_of

__all__ = [
    "described",
    "host_array",
    "preprocessing_of",
    "refuse_complex",
    "refused_inputs",
    "require_items",
    "require_numeric",
    "require_output",
    "said",
    "symbolic",
]

_INT32 = np.iinfo(np.int32)
_SEVERAL = (
    "Give several inputs together, in one list or dict: ([a, b], y), and ([a, b],) without targets. As in Keras, a "
    "batch [x, y] is (x, y)."
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


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


def refused_inputs(error: Exception, x: Any, model: keras.Model) -> DataError:
    """The error for what a model raised when it was called with `x`."""
    declared = len(getattr(model, "inputs", None) or ())
    one = "Compare them with " + ("the model's Input." if declared else "what the layers of the model take.")
    return DataError(
        "The model must accept the inputs of the first batch.",
        received=f"inputs of shape {keras.tree.map_structure(lambda a: tuple(a.shape), x)}, and the model raised: "
        f"{said(error).removesuffix('.')}",
        remedy=_SEVERAL if declared > 1 else one,
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


def preprocessing_of(task: Any) -> Callable[[Batch], Batch] | None:
    """What makes of a batch (x, y, sample_weight) of a loader what goes into the model; None if that is the same.

    A model with a `preprocessor` and `preprocess_samples` has its data preprocessed, as by its own `fit`, unless the
    task has a step of its own: that reads batches as it likes. Texts of x go in as lists of `str`, as keras-hub's own
    `fit` has them: its tokenizers of byte pairs take nothing else. The function raises `DataError` if they are bytes
    that are no UTF-8.
    """
    model = task.model
    if (hasattr(task, "step") or turns_of(task)) and not isinstance(task, Supervised):
        return None
    if getattr(model, "preprocessor", None) is None or not hasattr(model, "preprocess_samples"):
        return None

    def preprocessed(batch: Batch) -> Batch:
        x, y, weight = unpack(batch)
        return mapped(_on_host, model.preprocess_samples(mapped(_listed, x), y, weight))

    return preprocessed


def _listed(leaf: Any) -> Any:
    return _decoded(leaf.tolist()) if isinstance(leaf, np.ndarray) and leaf.size and is_text(leaf) else leaf


def _decoded(texts: Any) -> Any:
    if isinstance(texts, list):
        return [_decoded(each) for each in texts]
    if isinstance(texts, str):
        return texts
    try:
        return texts.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            "Texts for a preprocessor must be str, or bytes in UTF-8.",
            received=f"{texts[:40]!r}: {error.reason}",
            remedy="Decode them where batches are made, in transform= or .map(...).",
        ) from error


def _on_host(leaf: Any) -> Any:
    if leaf is None or isinstance(leaf, np.ndarray):
        return leaf
    return ops.convert_to_numpy(leaf) if ops.is_tensor(leaf) else np.asarray(leaf)


def require_output(output: Any, step: str) -> Output:
    """`output` itself, of the step called so. Raises `ConfigurationError` for what is none, or has no numbers."""
    if isinstance(output, type) or not (hasattr(output, "loss") and hasattr(output, "count")):
        raise ConfigurationError(
            f"The step of a task must return an Output: the loss, and what it is a mean over ({step}).",
            received=described(output),
            remedy="Return multilearn.outputs.Output(loss, count), where count is the number of items: "
            "keras.ops.shape(y)[0].",
        )
    loss, count = output.loss, output.count
    if not (ops.is_tensor(loss) and _is_scalar(loss) and "float" in keras.backend.standardize_dtype(loss.dtype)):
        raise ConfigurationError(
            f"The loss of an Output must be one floating-point number that the step computed, a 0-d tensor ({step}).",
            received=described(loss),
            remedy="Take the mean over the items, keras.ops.mean(losses), of what the model outputs.",
        )
    number = isinstance(count, (Real, np.generic)) or (hasattr(count, "dtype") and _is_scalar(count))
    if not number or isinstance(count, bool):
        raise ConfigurationError(
            f"The count of an Output must be one number: what the loss is a mean over ({step}).",
            received=described(count),
            remedy="Give the number of items, keras.ops.shape(y)[0], or the sum of the weights.",
        )
    found: Output = output
    return found


def _is_scalar(tensor: Any) -> bool:
    shape = tensor.shape
    return getattr(shape, "rank", 0) is None or len(shape) == 0


def described(value: Any) -> str:
    """In a few words what was received in place of something else."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}, and no object of it"
    if ops.is_tensor(value) or isinstance(value, (np.ndarray, np.generic)):
        shape = "unknown" if getattr(value.shape, "rank", 0) is None else tuple(value.shape)
        return f"a {'tensor' if ops.is_tensor(value) else 'numpy array'} of shape {shape} and type {value.dtype}"
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, (tuple, list, dict)) else "")


def said(error: Exception) -> str:
    """What a framework says, on one line and without its colours."""
    return " ".join(_COLOUR.sub("", str(error)).split())
