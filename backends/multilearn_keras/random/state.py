"""The random streams that are in no variable of the model: Keras' stream of unseeded draws, and the framework's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from multilearn.checkpoint import HostTensor
from multilearn.errors import RecordError
from multilearn_keras.keras_internals import seed_generator, unseeded_state
from multilearn_keras.random.pipelines import seed_tensorflow
from multilearn_keras.state.transfer import assign, to_host

__all__ = ["require_streams", "restore_streams", "seed_native", "streams"]


def seed_native(n: int) -> None:
    """Start the framework's own stream from `n`: for a task that draws from it, past Keras. JAX has none.

    TensorFlow's starts from it under every framework, for pipelines of `tf.data`.
    """
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(n)
    seed_tensorflow(n)


def streams() -> dict[str, Any]:
    """Their state, as plain data and tensors for a record. A stream of TensorFlow's or JAX's own cannot be read."""
    unseeded = unseeded_state()
    framework = keras.backend.backend()
    return {
        "framework": framework,
        "unseeded": to_host(unseeded[0]) if unseeded else None,
        "native": _native() if framework == "torch" else None,
    }


def require_streams(state: Mapping[str, Any]) -> None:
    """Raise `RecordError` unless `restore_streams` can go on from it; nothing is touched."""
    try:
        framework, unseeded, native = state["framework"], state["unseeded"], state["native"]
        if unseeded is not None and (unseeded.dtype, unseeded.shape) != ("U32", (2,)):
            raise ValueError(f"{unseeded} as the state of Keras' stream")
        if native is not None and framework == keras.backend.backend():
            import torch

            torch.Generator().set_state(torch.from_numpy(native.array.copy()))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise RecordError(
            "The record of random streams must be as this version writes it.",
            received=f"{type(error).__name__}: {str(error)[:200]}",
            remedy="Resume from another checkpoint.",
        ) from error


def restore_streams(state: Mapping[str, Any]) -> None:
    """Go on from what `streams` returned; the framework's own stream only where it is the same framework."""
    if state["unseeded"] is not None:
        assign(seed_generator.global_seed_generator().state, state["unseeded"])
    if state["native"] is not None and state["framework"] == keras.backend.backend():
        import torch

        torch.set_rng_state(torch.from_numpy(state["native"].array.copy()))


def _native() -> HostTensor:
    import torch

    return HostTensor.of(torch.get_rng_state().numpy().copy())
