"""Before the first update: a few items as one batch, and as the parts that several processes have, give the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from multilearn.data import mapped
from multilearn.errors import ConfigurationError
from multilearn.protocols import Batch, Shard, World, rows_of
from multilearn_keras.engines.joint import Joint

__all__ = ["HALF", "Named", "require_joint", "require_same_model"]

Named = Mapping[str, np.ndarray[Any, Any]]
"""Arrays by the paths of variables."""

_ALIKE, _ALIKE_IN_HALF_PRECISION = 1e-4, 5e-2
"""In single precision what can be shared is 3e-7 apart, and what cannot 0.15 and more."""

HALF = ("float16", "bfloat16")


def require_same_model(world: World, state: Mapping[str, keras.Variable]) -> None:
    """Raise `ConfigurationError`, in all processes, unless their variables have the same values."""
    if world.size == 1:
        return
    arrays = {key: keras.ops.convert_to_numpy(variable.value) for key, variable in state.items()}
    hashes = {key: hashlib.sha256(array.tobytes()).hexdigest() for key, array in arrays.items()}
    remedy = "Call set_seed before the model is made, and make it alike on all of them."
    world.require_same("initial weights", hashes, remedy)


def require_joint(
    gradients_of: Callable[[Batch, Shard | None], tuple[Named, Named]],
    items_of: Callable[[int], Batch],
    joint: Joint,
    half_precision: bool,
) -> None:
    """Raise `ConfigurationError`, in all processes, for a model or a loss that works across the items of a batch: what
    they make of their parts is then not what one makes of the whole. Models that differ between them show here too.

    `gradients_of(batch, shard)`: see `KerasEngine`. `items_of(n)`: a batch of so many items.
    """
    world = joint.world
    items = 3 * world.size - 1  # the last part is smaller than the others
    first, end, whole = rows_of(items, world.rank, world.size)
    expected = gradients_of(items_of(items), None)
    own = mapped(lambda leaf: leaf[first:end], items_of(items))
    found = gradients_of(own, Shard(own, first, items, whole))
    limit = _ALIKE_IN_HALF_PRECISION if half_precision else _ALIKE
    # a gradient is measured by the largest of all: that of a bias before a normalisation is zero but for rounding
    largest = max(map(_largest, expected[0].values()))
    off = {
        f"gradient of {name}": _apart(found[0][name], each, largest, half_precision)
        for name, each in expected[0].items()
    }
    off |= {name: _apart(found[1][name], each, _largest(each), half_precision) for name, each in expected[1].items()}
    worst = joint.largest_of(list(off.values()))
    for name, apart in zip(off, worst, strict=True):
        if not apart <= limit:
            raise ConfigurationError(
                "If several processes share a batch, nothing but BatchNormalization mixes its items.",
                received=f"a model or a loss that does: for {items} items the {name} differs by {apart:.1e} of its "
                "largest number if they are shared",
                remedy="Train on one device, or on several with JAX, where it is exact.",
            )


def _apart(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], scale: float, half_precision: bool) -> float:
    """How far they are apart; not a number if one of them is none. In half precision, where a loss that is scaled may
    overflow at first, such numbers are not looked at."""
    finite = np.isfinite(found) & np.isfinite(expected)
    left_out = ~finite if half_precision else ~(np.isfinite(found) | np.isfinite(expected))
    with np.errstate(invalid="ignore"):
        return float(np.abs(np.where(left_out, 0, found - expected)).max(initial=0.0)) / (scale or 1.0)


def _largest(array: np.ndarray[Any, Any]) -> float:
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
