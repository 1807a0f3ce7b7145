"""What a loss leads to, by the tape of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["leads_to"]

_ZERO = ("Ceil", "Floor", "Heaviside", "Round", "Sgn", "Sign", "Trunc")
"""What has a gradient that is zero everywhere: JAX and TensorFlow have none for it."""


def leads_to(parameters: Sequence[torch.Tensor], loss: torch.Tensor) -> bool:
    """Whether the loss has a gradient by any of the parameters, be it zero at this point."""
    wanted = set(map(id, parameters))
    steps: list[Any] = [loss.grad_fn]
    seen: set[Any] = set()
    while steps:
        step = steps.pop()
        if step is None or step in seen or step.name().rstrip("01").removesuffix("Backward") in _ZERO:
            continue
        seen.add(step)
        # torch's checkpointing computes its steps again, and does not say of what
        if id(getattr(step, "variable", None)) in wanted or "Checkpoint" in step.name():
            return True
        steps += [following for following, _ in step.next_functions]
    return False
