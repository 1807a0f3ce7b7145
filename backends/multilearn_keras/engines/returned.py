"""What the step of a task returned, before an engine makes anything of it."""

from __future__ import annotations

from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn.protocols import Output

__all__ = ["require_output"]


def require_output(output: Any, task: Any) -> Output:
    """`output` itself. Raises `ConfigurationError` if it is no output, or no number is its loss or its count."""
    if isinstance(output, type) or not (hasattr(output, "loss") and hasattr(output, "count")):
        raise ConfigurationError(
            f"The step of a task must return an Output: the loss, and what it is a mean over ({_step(task)}).",
            received=_described(output),
            remedy="Return multilearn.outputs.Output(loss, count), where count is the number of items: "
            "keras.ops.shape(y)[0].",
        )
    loss, count = output.loss, output.count
    if not (ops.is_tensor(loss) and _is_scalar(loss) and "float" in keras.backend.standardize_dtype(loss.dtype)):
        raise ConfigurationError(
            f"The loss of an Output must be one floating-point number that the step computed, a 0-d tensor "
            f"({_step(task)}).",
            received=_described(loss),
            remedy="Take the mean over the items, keras.ops.mean(losses), of what the model outputs.",
        )
    number = isinstance(count, (Real, np.generic)) or (hasattr(count, "dtype") and _is_scalar(count))
    if not number or isinstance(count, bool):
        raise ConfigurationError(
            f"The count of an Output must be one number: what the loss is a mean over ({_step(task)}).",
            received=_described(count),
            remedy="Give the number of items, keras.ops.shape(y)[0], or the sum of the weights.",
        )
    found: Output = output
    return found


def _step(task: Any) -> str:
    return f"{type(task).__name__}.step"


def _is_scalar(tensor: Any) -> bool:
    shape = tensor.shape
    return getattr(shape, "rank", 0) is None or len(shape) == 0


def _described(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}, and no object of it"
    if ops.is_tensor(value) or isinstance(value, (np.ndarray, np.generic)):
        shape = "unknown" if getattr(value.shape, "rank", 0) is None else tuple(value.shape)
        return f"a {'tensor' if ops.is_tensor(value) else 'numpy array'} of shape {shape} and type {value.dtype}"
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, (tuple, list, dict)) else "")
