"""The sums of the gradients of a window."""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["averages", "divided", "in_one_buffer"]


def averages(sums: Sequence[torch.Tensor], weight: torch.Tensor) -> list[torch.Tensor]:
    """Nothing counted at all: the sums are zero, and so is the mean."""
    return list(torch._foreach_div(list(sums), weight + (weight == 0)))


def in_one_buffer(
    parameters: Sequence[torch.Tensor],
) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
    """Zeros, and what they are for: the sums of the gradients of the parameters, and of what these count."""
    wide = any(parameter.dtype == torch.float64 for parameter in parameters)
    dtype = torch.float64 if wide else torch.float32
    numbers = sum(parameter.numel() for parameter in parameters)
    flat = torch.zeros(numbers + 1, dtype=dtype, device=parameters[0].device)
    return flat, *divided(flat, parameters)


def divided(flat: torch.Tensor, parameters: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Views of such a buffer: the sums, and what they count."""
    parts = flat[:-1].split([parameter.numel() for parameter in parameters])
    return [part.view(p.shape) for part, p in zip(parts, parameters, strict=True)], flat[-1]
