"""What a Keras loss makes of the same output and weights, alike on all frameworks.

The cross-entropies of probabilities are those of what the model outputs, by the formulas in
docs/identical_experiments.md: on TensorFlow Keras looks for the logits that an activation was made of, whichever it
was, and clips probabilities for class ids before it normalises them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from multilearn.errors import DataError
from multilearn_keras.keras_internals import backend_module, replaces

__all__ = ["lined_up", "of_rows"]

Function = Callable[..., Any]
_OF_CLASSES = "target output from_logits axis"


@replaces("backend:nn.binary_crossentropy", "target output from_logits", "tensorflow")
@replaces("backend:nn.categorical_crossentropy", _OF_CLASSES, "tensorflow")
def _of_the_output(original: Function, target: Any, output: Any, *rest: Any, **options: Any) -> Any:
    """TensorFlow's, of a tensor from which no activation can be recognised."""
    import tensorflow as tf

    return original(target, tf.identity(output), *rest, **options)


@replaces("backend:nn.sparse_categorical_crossentropy", _OF_CLASSES, "tensorflow")
def _one_hot(original: Function, target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """Class ids with the same definition as one-hot targets where the output is probabilities."""
    if from_logits:
        return _of_the_output(original, target, output, from_logits, axis)
    target, output = _squeezed(target, output, axis)
    one_hot = ops.one_hot(ops.cast(target, "int32"), ops.shape(output)[axis], axis=axis, dtype=output.dtype)
    nn: Any = backend_module("nn")
    return nn.categorical_crossentropy(one_hot, output, False, axis)


@replaces("backend:nn.sparse_categorical_crossentropy", _OF_CLASSES, "torch")
def _flattened(original: Function, target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """torch's, of an output (items, classes): it has no gradient for the layout that Keras makes of images."""
    target, output = _squeezed(target, output, axis)
    output = ops.moveaxis(output, axis, -1)
    if len(output.shape) < 3 or target.shape != output.shape[:-1]:
        return original(target, output, from_logits, -1)
    flat = original(target.reshape(-1), output.reshape(-1, output.shape[-1]), from_logits, -1)
    return flat.reshape(target.shape)


@replaces("losses.loss:reduce_weighted_values", "values sample_weight mask reduction dtype")
def _by_rows(original: Function, values: Any, sample_weight: Any = None, *rest: Any, **options: Any) -> Any:
    """Weights with fewer axes than there are values are those of rows; Keras lines up the last axes."""
    # of a loss that is one number already, Keras makes one for each weight
    if sample_weight is not None and len(values.shape) > 0:
        sample_weight = of_rows(sample_weight, values)
    return original(values, sample_weight, *rest, **options)


def _squeezed(target: Any, output: Any, axis: int) -> tuple[Any, Any]:
    """Class ids without an axis for the classes, and the output, as tensors."""
    target, output = ops.convert_to_tensor(target), ops.convert_to_tensor(output)
    if len(target.shape) == len(output.shape) and target.shape[axis] == 1:
        target = ops.squeeze(target, axis)
    return target, output


def of_rows(weight: Any, items: Any) -> Any:
    """`weight` with as many axes as `items`: as it is, or, where axes are missing, in the shape of `items`.

    So a mean by weights divides by the weights of all items.
    """
    if len(weight.shape) >= len(items.shape):
        return lined_up(weight, items)
    return ops.multiply(lined_up(weight, items), ops.ones_like(items, dtype=weight.dtype))


def lined_up(weight: Any, items: Any) -> Any:
    """`weight` with as many axes as `items`: what is missing, or too many, are axes of length 1 at the end.

    Raises `DataError` where there are too many that are longer.
    """
    extra = tuple(weight.shape)[len(items.shape) :]
    if any(length != 1 for length in extra):
        raise DataError(
            "Sample weights must not have more axes than there are values of the loss.",
            received=f"weights of shape {tuple(weight.shape)}, and loss values of shape {tuple(items.shape)}",
            remedy="Give one weight for each item of which the loss has a value.",
        )
    for _ in extra:
        weight = ops.squeeze(weight, -1)
    while len(weight.shape) < len(items.shape):
        weight = ops.expand_dims(weight, -1)
    return weight
