"""Arrays of the host as tensors of torch, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import torch

__all__ = ["borrowed", "on_host", "owned"]


def on_host(tensors: Sequence[torch.Tensor]) -> list[np.ndarray[Any, Any]]:
    """Copies, in the same order: from another device, the tensors of one type are brought over together."""
    if all(tensor.device.type == "cpu" and tensor.dtype != torch.bfloat16 for tensor in tensors):
        return [np.array(tensor.detach().numpy()) for tensor in tensors]
    kinds: dict[torch.dtype, list[int]] = {}
    for place, tensor in enumerate(tensors):
        kinds.setdefault(tensor.dtype, []).append(place)
    found: list[Any] = [None] * len(tensors)
    for places in kinds.values():
        together = keras.ops.convert_to_numpy(torch.cat([tensors[place].reshape(-1) for place in places]))
        start = 0
        for place in places:
            shape = tensors[place].shape
            end = start + tensors[place].numel()
            found[place] = together[start:end].reshape(shape)
            start = end
    return found


def owned(leaf: Any, device: str) -> torch.Tensor:
    """A copy, for a model may write into its inputs: `x += noise` would go into the data that was loaded."""
    if isinstance(leaf, np.ndarray):
        # to another device it is copied anyhow; torch takes neither negative strides nor arrays it must not write to
        owned = np.array(leaf, order="C") if device == "cpu" else np.require(leaf, requirements=["C", "W"])
        return torch.from_numpy(owned).to(device)
    return keras.ops.convert_to_tensor(leaf).to(device, copy=True)


def borrowed(leaf: Any, device: str) -> torch.Tensor:
    """A tensor that is only read, and may be the memory of `leaf`."""
    if isinstance(leaf, np.ndarray):
        tensor = torch.from_numpy(np.require(leaf, requirements=["C", "W"]))
        return tensor if device == "cpu" else tensor.to(device)
    return keras.ops.convert_to_tensor(leaf).to(device).contiguous()
