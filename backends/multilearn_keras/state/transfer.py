"""Between Keras variables and the host: real copies, bit for bit, in one type on every framework.

Counters are int64 on one framework and int32 on another, seed states int32, int64 or uint32: a record has signed
integers of 32 or 64 bits as `I64` and seed states as `U32`. Everything else keeps the variable's own type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import ml_dtypes
import numpy as np

from multilearn.errors import RecordMismatch
from multilearn.records.tensors import HostTensor
from multilearn_keras.state.host_copies import HostCopies
from multilearn_keras.state.keys import nest

__all__ = ["Assigning", "assign", "is_seed_state", "record_of", "specification", "to_device", "to_host"]

Array = np.ndarray[Any, Any]

Assigning = Sequence[tuple[keras.Variable, HostTensor]]
"""Variables, and what is to be assigned to them."""

SEED_STATE = "seed_generator_state"  # how Keras calls the one variable of a SeedGenerator


def to_host(tensor: Any) -> HostTensor:
    """A copy that nothing done to `tensor` later can change; in the record's type if `tensor` is a variable."""
    if isinstance(tensor, keras.Variable):
        return _recorded(tensor, tensor.value, partial(HostCopies().copied, tensor.path))
    return HostTensor.of(np.array(_seen(tensor), order="C", copy=True))


def to_device(variable: keras.Variable, tensor: HostTensor) -> Any:
    """A new tensor of the framework, of the variable's type, that shares no memory with `tensor`.

    Raises `RecordMismatch` if type or shape is not what `to_host(variable)` has, and for numbers that the variable
    cannot hold on this framework.
    """
    return _tensor(_fitting(variable, tensor, copy=True), variable)


def assign(variable: keras.Variable, tensor: HostTensor) -> None:
    """Put into `variable` what `to_host` gave of it, or of its counterpart on another framework.

    Raises `RecordMismatch` if type or shape is not what `to_host(variable)` has.
    """
    # torch copies into the memory of the variable, and needs no copy of its own for that
    copy = keras.backend.backend() != "torch" or not tensor.array.flags.writeable
    variable.assign(_tensor(_fitting(variable, tensor, copy=copy), variable))


def record_of(
    variables: Mapping[str, keras.Variable], values: Mapping[str, Any] | None = None, copies: HostCopies | None = None
) -> dict[str, Any]:
    """Nested maps of copies. `values` has, under the same keys, what is kept outside of the variables.

    `copies`: whose memory they are made in; it is used again for the same variables once the record is freed.
    """
    made = HostCopies() if copies is None else copies
    made.begin()
    return nest(
        {
            key: _recorded(variable, variable.value if values is None else values[key], partial(made.copied, key))
            for key, variable in variables.items()
        }
    )


def specification(variables: Mapping[str, keras.Variable]) -> dict[str, Any]:
    """What `record_of` gives, with zeros for the values: nothing is copied, and no memory touched."""
    return nest({key: _blank(variable) for key, variable in variables.items()})


def is_seed_state(variable: keras.Variable) -> bool:
    """Whether it is the state of a `SeedGenerator`."""
    return variable.name == SEED_STATE and tuple(variable.shape) == (2,)


def _fitting(variable: keras.Variable, tensor: HostTensor, *, copy: bool) -> Array:
    """The values of `tensor` in the type that `variable` has on this framework; raises as `to_device` says."""
    wanted = _blank(variable)
    if (tensor.dtype, tensor.shape) != (wanted.dtype, wanted.shape):
        raise RecordMismatch(
            "A tensor must have the type and shape of the variable that it is restored into.",
            received=f"{tensor} for {wanted}",
        )
    own = _numpy_dtype(keras.backend.standardize_dtype(variable.value.dtype))
    if tensor.dtype == "I64" and tensor.array.size and not _fits(tensor.array, own):
        raise RecordMismatch(f"On this framework this variable holds {own}.", received=f"up to {tensor.array.max()}")
    if tensor.dtype == "F64" and not _holds(tensor.array, own):
        raise RecordMismatch(
            f"On this framework this variable holds {own}.",
            received="float64 numbers that it would round",
            remedy="Have JAX compute in 64 bits: set JAX_ENABLE_X64=1.",
        )
    array = tensor.array.view(ml_dtypes.bfloat16) if tensor.dtype == "BF16" else tensor.array
    return array.astype(own, order="C", copy=copy)


def _recorded(variable: keras.Variable, value: Any, copied: Callable[[Array, np.dtype[Any]], Array]) -> HostTensor:
    # From a signed to an unsigned type numpy keeps the lower bits, which is what a seed state consists of.
    return HostTensor.of(copied(_seen(value), _recorded_dtype(variable)))


def _blank(variable: keras.Variable) -> HostTensor:
    return HostTensor.of(np.zeros(tuple(variable.shape), _recorded_dtype(variable)))


def _recorded_dtype(variable: keras.Variable) -> np.dtype[Any]:
    if is_seed_state(variable):
        return np.dtype(np.uint32)
    return _numpy_dtype("int64" if variable.dtype == "int32" else variable.dtype)


def _numpy_dtype(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, name))


def _holds(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether numbers survive in this type as they are."""
    with np.errstate(over="ignore"):
        return np.array_equal(array.astype(dtype), array, equal_nan=True)


def _fits(array: Array, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= array.min() and array.max() <= limits.max)


def _seen(tensor: Any) -> Array:
    """`tensor` as an array, of its own memory where that is the host's: to be read at once, and not kept."""
    backend = keras.backend.backend()
    if backend == "torch":
        return _seen_on_torch(tensor)
    if backend == "tensorflow":
        return _seen_on_tensorflow(tensor)
    return np.asarray(tensor)


def _seen_on_torch(tensor: Any) -> Array:
    import torch

    near = torch.as_tensor(tensor).detach().cpu()
    if near.dtype == torch.bfloat16:  # unknown to torch's numpy()
        return np.asarray(near.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    return np.asarray(near.numpy())


def _seen_on_tensorflow(tensor: Any) -> Array:
    value = tensor.value() if hasattr(tensor, "assign") else tensor
    try:
        return np.asarray(memoryview(value))
    except (
        TypeError,
        ValueError,
        BufferError,
        NotImplementedError,
    ):  # types that buffers have no letter for, and other devices
        return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


def _tensor(array: Array, variable: keras.Variable) -> Any:
    """`array` as a tensor of the framework; it must not be used elsewhere."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(variable.value.device)
        return torch.from_numpy(array).to(variable.value.device)
    if backend == "jax":
        import jax.numpy as jnp

        return jnp.array(array, copy=True)
    return keras.ops.convert_to_tensor(array)
