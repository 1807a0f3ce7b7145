"""What gradients say: layers that get none, or one that is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from multilearn.trials.facts import Facts

__all__ = ["layer_of", "named", "of_gradients"]

_TINY = 1e-7  # of the largest gradient
_SHOWN = 6


def of_gradients(facts: Facts, *, learns: bool) -> Iterator[str]:
    """Sentences; if the model `learns`, only what is certain."""
    names, seen = facts.parts.trained, np.array(facts.gradients)
    if not names or seen.ndim != 2 or seen.shape[1] != len(names):
        return
    finite = np.isfinite(seen)
    if not finite.all():
        yield from _of_non_finite(facts, finite)
        return
    layers = list(dict.fromkeys(map(layer_of, names)))
    sums = seen @ np.array([[layer_of(name) == layer for layer in layers] for name in names], float)
    reached = {layer: np.flatnonzero(column) for layer, column in zip(layers, sums.T, strict=True)}
    never = [layer for layer, updates in reached.items() if not updates.size]
    if len(never) == len(layers):
        yield (
            "No layer gets a gradient: the loss is flat where the model is, as behind a saturated activation or a ReLU "
            "whose inputs are all negative, or it does not depend on what is trained."
        )
        return
    if never:
        yield (
            f"No gradient reaches {named(never)}: what comes out there does not get to the loss, or passes something "
            "with slope zero: a ReLU whose inputs are all negative, stop_gradient, argmax, rounding."
        )
    if learns:
        return
    half = len(sums) // 2
    died = {layer: int(updates[-1]) + 2 for layer, updates in reached.items() if updates.size and updates[-1] < half}
    if died:
        yield (
            f"From update {max(died.values())} on no gradient reaches {named(list(died))}: a ReLU whose inputs are all "
            "negative now, or a saturated activation. A lower rate, or leaky_relu, prevents it."
        )
    last = sums[half:].mean(axis=0)
    small = [layer for layer, size in zip(layers, last, strict=True) if 0 < size < _TINY * last.max()]
    if small and not died:
        yield f"The gradients of {named(small)} are less than {_TINY:g} of the largest: they vanish on the way back."


def _of_non_finite(facts: Facts, finite: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Iterator[str]:
    update = int(np.flatnonzero(~finite.all(axis=1))[0])
    if math.isfinite(facts.losses[update]):
        bad = [name for name, good in zip(facts.parts.trained, finite[update], strict=True) if not good]
        yield (
            f"In update {update + 1} the loss is {facts.losses[update]:.4g} and the gradients of {named(bad)} are not "
            "finite: a square root, a norm, a logarithm or a quotient at zero has none."
        )


def layer_of(name: str) -> str:
    """The layer of a variable, by their names."""
    return name.rpartition("/")[0] or name


def named(names: Sequence[str]) -> str:
    """The first of them, without repetition, and how many more there are."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
