"""The keys of an optimizer's variables: its scalars by attribute, its slots by role and by the variable they serve.

    iterations, learning_rate, ...           variables in an attribute
    slots/<role>/<key of the variable>       lists in the order of the trainable variables; the role is the attribute
    inner/...                                the optimizer in `inner_optimizer`; `inner/<k>/...` for a list of them

Names do not do: Adafactor's row and column slots are all called `kernel`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn_keras.state.keys import flatten, nest

__all__ = ["optimizer_variables"]

# Where Keras lists again what attributes already hold.
BOOKKEEPING = frozenset({"_obj_reference_counts_dict", "_trainable_variables", "_variables"})
TENSORFLOW_BOOKKEEPING = "_self_"


def optimizer_variables(
    optimizer: keras.optimizers.Optimizer, model_variables: Mapping[str, keras.Variable]
) -> dict[str, keras.Variable]:
    """All state of a built `optimizer` of a model with `model_variables` (by key), in the order of its record.

    More than `optimizer.variables` where Keras forgets some: the `u_product` of a Nadam in a LossScaleOptimizer.

    Raises `ConfigurationError` if a variable cannot be given a key, or belongs to another model.
    """
    keys = {id(variable): key for key, variable in model_variables.items()}
    found: dict[str, keras.Variable] = {}
    seen = set(keys)
    for key, variable in _walk(optimizer, keys):
        if id(variable) in seen:
            continue
        if key in found:
            raise _unmappable(optimizer, f"two variables that would both be called {key!r}")
        found[key] = variable
        seen.add(id(variable))
    lost = [f"{variable.path} {tuple(variable.shape)}" for variable in optimizer.variables if id(variable) not in seen]
    if lost:
        raise _unmappable(optimizer, f"{', '.join(lost)}, which no attribute leads to")
    return flatten(nest(found))


def _walk(optimizer: keras.optimizers.Optimizer, keys: Mapping[int, str]) -> Iterator[tuple[str, keras.Variable]]:
    for name, value in sorted(vars(optimizer).items(), key=lambda entry: entry[0].lstrip("_")):
        if name in BOOKKEEPING or name.startswith(TENSORFLOW_BOOKKEEPING):
            continue
        role = name.lstrip("_")
        if isinstance(value, keras.Variable):
            yield role, value
        elif isinstance(value, keras.optimizers.Optimizer):
            yield from _prefixed(role.removesuffix("_optimizer"), _walk(value, keys))
        elif isinstance(value, (list, tuple)):
            for k, inner in enumerate(value):
                if isinstance(inner, keras.optimizers.Optimizer):
                    yield from _prefixed(f"{role.removesuffix('_optimizers')}/{k}", _walk(inner, keys))
            if any(isinstance(slot, keras.Variable) and id(slot) not in keys for slot in value):
                yield from _prefixed(f"slots/{role}", _slots(optimizer, role, value, keys))


def _slots(
    optimizer: keras.optimizers.Optimizer, role: str, slots: Sequence[Any], keys: Mapping[int, str]
) -> Iterator[tuple[str, keras.Variable]]:
    trainable = optimizer._trainable_variables
    if len(slots) != len(trainable):
        raise _unmappable(optimizer, f"{len(slots)} slots in {role!r} for {len(trainable)} trainable variables")
    for variable, slot in zip(trainable, slots, strict=True):
        if id(variable) not in keys:
            raise ConfigurationError(
                "An optimizer must be built for the variables of the model it trains.",
                received=f"a slot {role!r} for {variable.path!r}, which is not in the model",
                remedy="Make a new optimizer for this model.",
            )
        if isinstance(slot, keras.Variable):  # None if this variable needs no such slot
            yield keys[id(variable)], slot


def _prefixed(prefix: str, entries: Iterator[tuple[str, keras.Variable]]) -> Iterator[tuple[str, keras.Variable]]:
    return ((f"{prefix}/{key}", variable) for key, variable in entries)


def _unmappable(optimizer: keras.optimizers.Optimizer, received: str) -> ConfigurationError:
    return ConfigurationError(
        f"The state of the optimizer {type(optimizer).__name__} cannot be saved by structure: its variables must be "
        "in attributes, or in lists in the order of the trainable variables.",
        received=received,
        remedy="Keep them there, use another optimizer, or train without a checkpointer.",
    )
