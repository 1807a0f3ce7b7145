"""What a seeded experiment asks of a framework: no rounding of factors, and on request the same bits on GPUs too."""

from __future__ import annotations

import os

import keras

from multilearn.errors import BackendError
from multilearn_keras.devices import available

__all__ = ["settle"]

_XLA = "--xla_gpu_deterministic_ops=true"


def settle(deterministic: bool) -> None:
    """Have no GPU round float32 factors to TF32, of 10 bits; with `deterministic`, have no kernel add in any order.

    Raises `BackendError` where JAX has begun to use a GPU, which it does with the flags that it found then.
    """
    {"torch": _torch, "tensorflow": _tensorflow, "jax": _jax}[keras.backend.backend()](deterministic)


def _torch(deterministic: bool) -> None:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)


def _tensorflow(deterministic: bool) -> None:
    import tensorflow

    tensorflow.config.experimental.enable_tensor_float_32_execution(False)
    if deterministic:
        tensorflow.config.experimental.enable_op_determinism()


def _jax(deterministic: bool) -> None:
    import jax
    from jax._src import xla_bridge  # the only place that says it without doing it

    flags = os.environ.get("XLA_FLAGS", "")
    if deterministic and _XLA not in flags.split():
        os.environ["XLA_FLAGS"] = f"{flags} {_XLA}".strip()
        if xla_bridge.backends_are_initialized() and any(device.kind == "gpu" for device in available()):
            os.environ["XLA_FLAGS"] = flags
            raise BackendError(
                "JAX reads once what it does on a GPU, and has done so.",
                received="set_seed(..., deterministic=True) after JAX was used",
                remedy=f'Call it before, or start the process with XLA_FLAGS="{_XLA}".',
            )
    jax.config.update("jax_default_matmul_precision", "highest")
