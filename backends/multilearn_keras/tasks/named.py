"""The outputs of a model with several, each with its loss, targets and weights, by name."""

from __future__ import annotations

from typing import Any

import keras

from multilearn_keras.tasks.losses import understood

__all__ = ["named"]


def named(model: keras.Model, outputs: Any, y: Any, weight: Any) -> dict[str, tuple[keras.losses.Loss, Any, Any, Any]]:
    """`(loss, output, targets, sample weights)` of every output that the model was compiled with a loss for.

    A dict of outputs is named by its keys, a list by the model's `output_names`. Losses, targets and weights are dicts
    by these names, or lists in this order; one loss and one array of weights are those of every output. An output
    that nothing can be assigned to is left out.
    """
    if isinstance(outputs, dict):
        names, found = list(outputs), list(outputs.values())
    else:
        names, found = list(getattr(model, "output_names", ())), list(outputs)
    if (
        len(names) != len(found)
        or not isinstance(y, (dict, list, tuple))
        or any(isinstance(output, (dict, list)) for output in found)
    ):
        return {}
    several = {}
    for index, (name, output) in enumerate(zip(names, found, strict=True)):
        # Keras orders a dict of outputs by its keys wherever it meets a list
        place = sorted(names).index(name) if isinstance(outputs, dict) else index
        loss, target = _of(model.loss, name, place, len(names)), _of(y, name, place, len(names))
        if loss is not None and target is not None:
            several[name] = understood(loss), output, target, _of(weight, name, place, len(names))
    return several


def _of(given: Any, name: str, place: int, length: int) -> Any:
    if isinstance(given, dict):
        return given.get(name)
    if isinstance(given, (list, tuple)):
        if len(given) == length:
            return given[place]
        return given[0] if len(given) == 1 else None
    return given
