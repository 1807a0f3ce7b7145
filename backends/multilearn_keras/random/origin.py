"""Under which seed the weights of a model were drawn, if they are still those."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from multilearn_keras.random.seeds import chosen_seed, given_under

__all__ = ["drawn_too_early"]

_SUFFIX = "_initializer"


def drawn_too_early(model: Any) -> Iterator[str]:
    """A sentence if weights were drawn under another seed than the one that was set since.

    Weights that were loaded or trained are no longer those that were drawn, and so nothing is said of them; nor of
    initializers with a seed of their own.
    """
    seed = chosen_seed()
    if seed is None or not isinstance(model, keras.layers.Layer):
        return
    early = [(variable, initializer) for variable, initializer, under in _seeded(model) if under != seed]
    # one that is to be drawn yet is drawn from a seed of before; of the others the smallest tells
    yet = any(variable is None for variable, _ in early)
    if early and (yet or _is_as_drawn(*min(early, key=lambda each: math.prod(each[0].shape)))):
        yield (
            f"set_seed({seed}) was called after the model was made: its weights do not follow from that seed, and "
            "another start of the script may have others. Call set_seed first."
        )


def _is_as_drawn(variable: Any, initializer: Any) -> bool:
    drawn = keras.ops.convert_to_numpy(initializer(variable.shape, dtype=variable.dtype))
    return np.array_equal(drawn, keras.ops.convert_to_numpy(variable))


def _seeded(model: Any) -> Iterator[tuple[Any, Any, int]]:
    """Variables, None for one that is not made yet, with their initializers, if the seed of these followed from that of
    the experiment, and which one that was."""
    for layer in model._flatten_layers():
        for name, initializer in vars(layer).items():
            if not name.endswith(_SUFFIX) or not isinstance(initializer, keras.initializers.Initializer):
                continue
            under = given_under(getattr(initializer, "seed", None))
            variable = getattr(layer, name.removesuffix(_SUFFIX), None)
            if under is not None and (isinstance(variable, keras.Variable) or not layer.built):
                yield variable if isinstance(variable, keras.Variable) else None, initializer, under
