"""Losses that cannot be trained, since what they are of is the same for all weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn_keras.keras_internals import backend_module
from multilearn_keras.tasks import CompiledModel
from multilearn_keras.tasks.compiled import named
from multilearn_keras.tasks.losses import from_logits_of
from multilearn_keras.tasks.supervised import Supervised, last_activation, unpack

__all__ = ["refuse_constant_outputs", "refuse_unmoved", "softmaxes_of_one"]

_DIVIDED = (
    keras.losses.categorical_crossentropy,
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
)
_CLIPPED = (keras.losses.binary_crossentropy, keras.losses.binary_focal_crossentropy, keras.losses.kl_divergence)
_SOFTMAXES = ("softmax", "log_softmax", "sparsemax")
_REMEDY = (
    "For two classes end the model in Dense(1, activation='sigmoid') with a binary cross-entropy, or in "
    "Dense(2, activation='softmax') with a categorical one."
)


@contextmanager
def softmaxes_of_one() -> Iterator[list[str]]:
    """Meanwhile, the names of the softmax functions that are taken over an axis of length 1, which makes constants."""
    nn: Any = backend_module("nn")
    originals = {name: getattr(nn, name) for name in _SOFTMAXES if hasattr(nn, name)}
    met: list[str] = []

    def watched(name: str) -> Any:
        def softmax(x: Any, axis: Any = -1) -> Any:
            if isinstance(axis, int) and len(x.shape) > 0 and x.shape[axis] == 1:
                met.append(name)
            return originals[name](x, axis=axis)

        return softmax

    for name in originals:
        setattr(nn, name, watched(name))
    try:
        yield met
    finally:
        for name, original in originals.items():
            setattr(nn, name, original)


def refuse_unmoved(task: Any, batch: Any, shape: Any) -> None:
    """Raise `ConfigurationError` for a loss that is the same for all outputs of this shape, or of this activation.

    Over one class a categorical cross-entropy divides the output by itself, and over one unit a cosine similarity by
    its size. What clips to [epsilon, 1 - epsilon] makes epsilon of all logarithms of probabilities.
    `shape`: that of the model's output, nested as the model nests it.
    """
    judged = _judged(task, batch, shape)
    for name, (loss, of_output) in judged.items():
        axis, function = getattr(loss, "axis", -1), getattr(loss, "fn", None)
        if isinstance(axis, int) and of_output[axis] == 1 and function in (*_DIVIDED, keras.losses.cosine_similarity):
            categorical = function in _DIVIDED
            raise ConfigurationError(
                f"A {'categorical cross-entropy' if categorical else 'cosine similarity'} over one "
                f"{'class' if categorical else 'unit'} is the same whatever the model outputs.",
                received=f"{loss.name} of {name} of shape ({', '.join(map(str, ('batch', *of_output[1:])))})",
                remedy=_REMEDY if categorical else "Give the model more units, or use a loss such as 'mse'.",
            )
        ending = last_activation(task.model)[0] if len(judged) == 1 else ""
        if function in _CLIPPED and not from_logits_of(loss) and ending in ("log_softmax", "log_sigmoid"):
            raise ConfigurationError(
                f"The loss {loss.name} needs probabilities: of their logarithms it is constant.",
                received=f"{name} of a model that ends in a {ending}",
                remedy=f"Replace the {ending} by a {ending.removeprefix('log_')}.",
            )


def refuse_constant_outputs(task: Any, batch: Any, met: list[str]) -> None:
    """Raise `ConfigurationError` if an output with a loss stays the same where the model's weights change a little.

    That is so with its own weights and with others: one unit divided by its size is 1 or -1.
    `batch`: a few items, as tensors; `met`: what `softmaxes_of_one` found in a step. Without any, and without layers
    that normalise one unit, nothing is computed.
    """
    if not isinstance(task, Supervised):
        return
    met = [*met, *_normalisations_of_one(task.model)]
    if not met:
        return
    pairs = [[_numbers(task, batch, scale, shift) for shift in (0.0, 0.01)] for scale in (None, 0.05, 1.0)]
    outputs = [each for pair in pairs for each in pair]
    same = keras.tree.map_structure(_stays, *outputs)
    for name, (_, constant) in _judged(task, batch, same).items():
        if constant:
            raise ConfigurationError(
                "The loss of an output that is the same for all weights cannot be trained.",
                received=f"{name} is a {met[-1]} over one unit",
                remedy=_REMEDY,
            )


def _normalisations_of_one(model: keras.Model) -> Iterator[str]:
    """The layers that may divide one unit by its size, or subtract it from itself."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.UnitNormalization):
            yield f"{layer.name} (UnitNormalization)"
        elif isinstance(layer, keras.layers.LayerNormalization) and not (layer.scale or layer.center):
            yield f"{layer.name} (LayerNormalization)"


def _stays(*outputs: Any) -> bool:
    """Whether the first output is the second one, the third one the fourth one, and so on; but for rounding."""
    return all(
        np.allclose(one, other, rtol=1e-6, atol=1e-7) for one, other in zip(outputs[::2], outputs[1::2], strict=True)
    )


def _numbers(task: Supervised, batch: Any, scale: float | None, shift: float) -> Any:
    """What the model outputs with its own weights, or with normally distributed ones, shifted by such numbers too."""
    random = np.random.default_rng(0)
    mapping = []
    for variable in task.model.trainable_variables:
        drawn, shifts = random.standard_normal((2, *variable.shape))
        value = ops.convert_to_numpy(variable) if scale is None else scale * drawn
        shifted = value + shift * (scale or 1.0) * shifts
        mapping.append((variable, ops.convert_to_tensor(shifted, dtype=variable.dtype)))
    with keras.StatelessScope(mapping):
        output = task.model(task.inputs(batch), training=False)
    return keras.tree.map_structure(ops.convert_to_numpy, output)


def _judged(task: Any, batch: Any, outputs: Any) -> Mapping[str, tuple[keras.losses.Loss, Any]]:
    """The loss of each output, and what of `outputs`, nested as the model nests them, belongs to it, by what it is."""
    if not isinstance(task, Supervised):
        return {}
    if isinstance(task, CompiledModel) and type(task.model).compute_loss is not keras.Model.compute_loss:
        return {}
    nested = isinstance(outputs, (dict, list)) or (
        isinstance(outputs, tuple) and any(isinstance(each, (tuple, bool)) for each in outputs)
    )
    if not nested:
        return {} if task.loss is None else {"the output": (task.loss, outputs)}
    _, y, weight = unpack(batch)
    found = named(task.model, outputs, y, weight)
    return {f"the output {name!r}": (loss, part) for name, (loss, part, *_) in found.items()}
