"""What a framework's settings do to the rounding of the same computation, and what a seeded experiment sets."""

from __future__ import annotations

import os
from typing import Any

import keras

from multilearn.errors import BackendError
from multilearn_keras.devices import has_gpu

__all__ = ["numerics", "settle"]

_XLA = "--xla_gpu_deterministic_ops=true"


def settle(deterministic: bool) -> None:
    """Have no GPU round float32 factors to TF32, of 10 bits; with `deterministic`, have no kernel add in any order.

    Raises `BackendError` if JAX has begun to use a GPU, which it does with the flags that it found then.
    """
    {"torch": _settle_torch, "tensorflow": _settle_tensorflow, "jax": _settle_jax}[keras.backend.backend()](
        deterministic
    )


def _settle_torch(deterministic: bool) -> None:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)


def _settle_tensorflow(deterministic: bool) -> None:
    import tensorflow

    tensorflow.config.experimental.enable_tensor_float_32_execution(False)
    if deterministic:
        tensorflow.config.experimental.enable_op_determinism()


def _settle_jax(deterministic: bool) -> None:
    import jax
    from jax._src import xla_bridge  # the only place that says it without doing it

    flags = os.environ.get("XLA_FLAGS", "")
    if deterministic and _XLA not in flags.split():
        os.environ["XLA_FLAGS"] = f"{flags} {_XLA}".strip()
        if xla_bridge.backends_are_initialized() and has_gpu():
            os.environ["XLA_FLAGS"] = flags
            raise BackendError(
                "Determinism of JAX on a GPU must be set before JAX is first used.",
                received="set_seed(..., deterministic=True) after JAX was used",
                remedy=f'Call it before, or start the process with XLA_FLAGS="{_XLA}".',
            )
    jax.config.update("jax_default_matmul_precision", "highest")


def numerics() -> dict[str, str | bool | int]:
    """Of the framework that Keras runs on.

    `tf32`: whether a GPU that is here may round factors to TF32; `onednn`: whether its kernels are used on the CPU;
    `deterministic`: whether the framework was asked to repeat itself; `intra_op_threads` and `inter_op_threads`, where
    the framework has these numbers: 0 leaves them to it.
    """
    return {"torch": _torch_numerics, "tensorflow": _tensorflow_numerics, "jax": _jax_numerics}[
        keras.backend.backend()
    ]()


def _torch_numerics() -> dict[str, str | bool | int]:
    import torch

    return {
        "tf32": has_gpu() and _torch_rounds(torch.backends),
        "onednn": bool(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "intra_op_threads": torch.get_num_threads(),
        "inter_op_threads": torch.get_num_interop_threads(),
    }


def _torch_rounds(backends: Any) -> bool:
    # once the new settings were used, asking for the old ones raises
    if hasattr(backends.cuda.matmul, "fp32_precision"):
        kernels = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]
        return any(kernel.fp32_precision == "tf32" for kernel in kernels)
    return bool(backends.cuda.matmul.allow_tf32 or backends.cudnn.allow_tf32)


def _tensorflow_numerics() -> dict[str, str | bool | int]:
    import tensorflow as tf
    from tensorflow.python.framework import config

    return {
        "tf32": has_gpu() and tf.config.experimental.tensor_float_32_execution_enabled(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false"),
        "deterministic": bool(config.is_op_determinism_enabled()),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
    }


def _jax_numerics() -> dict[str, str | bool | int]:
    import jax

    flags = os.environ.get("XLA_FLAGS", "").lower().split()
    exact = {"highest", "float32", "bf16_bf16_f32_x6", "f32_f32_f32", "f64_f64_f64"}
    precision = jax.config.jax_default_matmul_precision
    return {
        "tf32": has_gpu() and str(precision).lower() not in exact,
        "onednn": any(flag in ("--xla_cpu_use_onednn", "--xla_cpu_use_onednn=true") for flag in flags),
        "deterministic": any(flag.startswith("--xla_gpu_deterministic_ops") and "false" not in flag for flag in flags),
    }
