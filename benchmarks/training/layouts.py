"""From Keras' layouts to those of the loops written by hand."""

from __future__ import annotations

import numpy as np

from benchmarks.training.workloads import WIDTH

__all__ = ["joined_attention"]


def joined_attention(arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Query, key and value in one kernel (width, 3 width) and bias; the kernel and bias of what follows."""
    kernel = np.concatenate([part.reshape(WIDTH, WIDTH) for part in arrays[0:6:2]], axis=1)
    bias = np.concatenate([part.reshape(WIDTH) for part in arrays[1:6:2]])
    return kernel, bias, arrays[6].reshape(WIDTH, WIDTH), arrays[7]
