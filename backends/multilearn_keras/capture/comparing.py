"""The state of a step, taken and put back, and what two ways of running it differ in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from multilearn.streams import GlobalStreams
from multilearn_keras.capture.tracing import replaced

__all__ = ["Snapshot", "difference", "tensors_of"]

ROUNDINGS = 8
"""How far a number may be off, in roundings of the largest number in its tensor: 1e-6 of it in single precision."""
IN_DOUBLE = 1e-12


class Snapshot:
    """Copies of tensors, and where the random streams are."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._tensors = tensors
        self.values = [tensor.detach().clone() for tensor in tensors]
        self._streams = GlobalStreams.now()
        self._devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None

    def put_back(self) -> None:
        """Make the tensors and the streams what they were."""
        with torch.no_grad():
            for tensor, value in zip(self._tensors, self.values, strict=True):
                tensor.copy_(value)
        self._streams.put_back()
        if self._devices is not None:
            torch.cuda.set_rng_state_all(self._devices)


def tensors_of(nested: Any) -> list[torch.Tensor]:
    """The tensors in lists, tuples and dicts, in their order."""
    found: list[torch.Tensor] = []
    replaced(nested, found.append)
    return found


def difference(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """How far `found` is from `expected`, in what is allowed: 0 for the same bits, above 1 for too far.

    A count may be another one where what it counts is rounded otherwise, so that whole numbers are only looked at where
    everything else is the same.
    """
    pairs = list(zip(found, expected, strict=True))
    if any((a.shape, a.dtype) != (b.shape, b.dtype) for a, b in pairs):
        return float("inf")
    floating = [(a, b) for a, b in pairs if b.is_floating_point() or b.is_complex()]
    worst = max((_distance(a, b) for a, b in floating), default=0.0)
    if worst == 0.0 and not all(torch.equal(a, b) for a, b in pairs if not b.is_floating_point()):
        return float("inf")
    return worst


def _distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    if torch.equal(found, expected):
        return 0.0
    if not torch.equal(found.isfinite(), expected.isfinite()):
        return float("inf")
    # what is infinite or no number is so in both
    off, size = ((each.detach()[expected.isfinite()].double()).abs() for each in (found - expected, expected))
    if not size.numel() or not off.max():
        return 0.0
    allowed = IN_DOUBLE if expected.dtype == torch.float64 else ROUNDINGS * torch.finfo(expected.dtype).eps
    return float(off.max() / (allowed * size.max())) if size.max() else float("inf")
