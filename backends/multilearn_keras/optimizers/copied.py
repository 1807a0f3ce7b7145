"""A copy of an optimizer with all that it has come to be, for the same model."""

from __future__ import annotations

import copy
from typing import Any

import keras

__all__ = ["copied"]


def copied(optimizer: keras.optimizers.Optimizer, shared: dict[int, Any]) -> keras.optimizers.Optimizer:
    """A copy that shares the objects in `shared`, by id, and changes nothing of `optimizer`.

    Attribute by attribute: `copy.deepcopy` would save and load it as a file, which new instances of custom classes and
    built optimizers do not survive.
    """
    made: keras.optimizers.Optimizer = object.__new__(type(optimizer))
    memo = {**shared, id(optimizer): made}
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        memo[id(inner)] = copied(inner, shared)
    strategy = getattr(optimizer, "_distribution_strategy", None)  # TensorFlow allows one of each
    memo[id(strategy)] = strategy
    vars(made).update({name: copy.deepcopy(value, memo) for name, value in vars(optimizer).items()})
    return made
