"""What a framework's settings do to the rounding of the same computation."""

from __future__ import annotations

import os
from typing import Any

import keras

from multilearn_keras.devices import available

__all__ = ["numerics"]


def numerics() -> dict[str, str | bool | int]:
    """Of the framework that Keras runs on.

    `tf32`: whether a GPU that is here may round factors to TF32; `onednn`: whether its kernels are used on the CPU;
    `deterministic`: whether the framework was asked to repeat itself; `intra_op_threads` and `inter_op_threads`, where
    the framework has these numbers: 0 leaves them to it.
    """
    return {"torch": _torch, "tensorflow": _tensorflow, "jax": _jax}[keras.backend.backend()]()


def _torch() -> dict[str, str | bool | int]:
    import torch

    return {
        "tf32": _has_gpu() and _torch_rounds(torch.backends),
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


def _tensorflow() -> dict[str, str | bool | int]:
    import tensorflow as tf
    from tensorflow.python.framework import config

    return {
        "tf32": _has_gpu() and tf.config.experimental.tensor_float_32_execution_enabled(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false"),
        "deterministic": bool(config.is_op_determinism_enabled()),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
    }


def _jax() -> dict[str, str | bool | int]:
    import jax

    flags = os.environ.get("XLA_FLAGS", "").lower().split()
    exact = {"highest", "float32", "bf16_bf16_f32_x6", "f32_f32_f32", "f64_f64_f64"}
    precision = jax.config.jax_default_matmul_precision
    return {
        "tf32": _has_gpu() and str(precision).lower() not in exact,
        "onednn": any(flag in ("--xla_cpu_use_onednn", "--xla_cpu_use_onednn=true") for flag in flags),
        "deterministic": any(flag.startswith("--xla_gpu_deterministic_ops") and "false" not in flag for flag in flags),
    }


def _has_gpu() -> bool:
    return any(device.kind == "gpu" for device in available())
