"""What training must give, from forward passes in NumPy and float64: gradients are differences of the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def doubles(weights: Sequence[Any]) -> list[Array]:
    """Copies in float64."""
    return [np.array(weight, "float64") for weight in weights]


def slopes(loss: Callable[[list[Array]], float], weights: list[Array], step: float = 1e-5) -> list[Array]:
    """The gradient of the loss of these weights."""
    found = [np.zeros_like(weight) for weight in weights]
    for weight, slope in zip(weights, found, strict=True):
        for at in np.ndindex(weight.shape):
            kept, sides = weight[at], []
            for change in (step, -step):
                weight[at] = kept + change
                sides.append(loss(weights))
            weight[at] = kept
            slope[at] = (sides[0] - sides[1]) / (2 * step)
    return found


def descended(loss: Callable[[list[Array]], float], weights: Sequence[Any], rate: float) -> list[Array]:
    """The weights after an update of plain gradient descent."""
    given = doubles(weights)
    return [weight - rate * slope for weight, slope in zip(given, slopes(loss, given), strict=True)]
