"""What Keras 3 computes in another way on one framework than on the others, computed alike on all: as
docs/identical_experiments.md lists it.

Cross-entropies of probabilities are those of what the model outputs: on TensorFlow Keras looks for the logits that an
activation was made of, whichever it was, and clips probabilities for class ids before it normalises them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from multilearn.errors import DataError
from multilearn_keras.devices import has_gpu
from multilearn_keras.keras_internals import around, backend_module, replaces

__all__ = ["install", "lined_up", "of_rows", "own_copy"]

# those that consist of several operations
_ACTIVATIONS = ("elu", "gelu", "log_sigmoid", "log_softmax", "mish", "selu", "sigmoid", "silu", "softmax", "softplus")
_HALF = ("bfloat16", "float16")


def install() -> None:
    """Replace what is not there in every Keras, where this framework needs it. To be called once."""
    backend = keras.backend.backend()
    if backend != "torch":
        nn: Any = backend_module("nn")
        for name in _ACTIVATIONS:
            if hasattr(nn, name):
                setattr(nn, name, around(getattr(nn, name), _in_single_precision))
    if backend != "jax" and hasattr(keras.optimizers, "ScheduleFreeAdamW"):
        keras.optimizers.ScheduleFreeAdamW.update_step = _schedule_free_step


def own_copy(tensor: Any) -> Any:
    """A copy of a tensor of torch, for a function of Keras that would write into its caller's."""
    return tensor.clone() if hasattr(tensor, "clone") else tensor


@replaces("losses.loss:apply_mask", "sample_weight mask dtype reduction", "torch")
def _masked(original: Callable[..., Any], sample_weight: Any, *rest: Any, **options: Any) -> Any:
    return original(own_copy(sample_weight), *rest, **options)


@replaces(
    "backend:nn.dot_product_attention",
    "query key value bias mask scale is_causal flash_attention attn_logits_soft_cap",
    "torch",
)
def _without_unattending_queries(
    original: Callable[..., Any],
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *rest: Any,
    **options: Any,
) -> Any:
    """A query whose keys are all masked looks at all of them alike, and torch's kernel gets the gradient of that wrong:
    too large for the values, and not zero for queries and keys.
    """
    if mask is not None:
        mask = ops.cast(mask, "bool")
        mask = ops.reshape(mask, (1,) * (4 - len(mask.shape)) + tuple(mask.shape))
        if options.get("is_causal") or rest[1:2] == (True,):
            mask = ops.logical_and(mask, ops.tril(ops.ones((query.shape[1], key.shape[1]), "bool")))
        attending = ops.any(mask, axis=-1, keepdims=True)
        # all keys weigh the same where all are masked, and where all scores are 0; the latter has no gradient
        mask = ops.logical_or(mask, ops.logical_not(attending))
        query = ops.where(ops.swapaxes(attending, 1, 2), query, ops.zeros_like(query))
    return original(query, key, value, bias, mask, *rest, **options)


@replaces("backend:numpy.matmul", "x1 x2", "tensorflow")
@replaces("backend:numpy.einsum", "subscripts operands kwargs", "tensorflow")
def _rounded(original: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Of bfloat16, the product in float32, rounded: TensorFlow's kernel cuts it off, and `einsum` sums in bfloat16."""
    first = 1 if isinstance(args[0], str) else 0
    factors = [ops.convert_to_tensor(factor) for factor in args[first:]]
    if any(factor.dtype != "bfloat16" for factor in factors) or has_gpu():
        return original(*args, **options)
    wide = (ops.cast(factor, "float32") for factor in factors)
    return ops.cast(original(*args[:first], *wide, **options), "bfloat16")


def _in_single_precision(original: Callable[..., Any], x: Any, *args: Any, **options: Any) -> Any:
    """Rounded once, as on torch, where in half precision the others round each operation."""
    kind = keras.backend.standardize_dtype(x.dtype) if hasattr(x, "dtype") else None
    if kind not in _HALF:
        return original(x, *args, **options)
    return ops.cast(original(ops.cast(x, "float32"), *args, **options), kind)


def _schedule_free_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
    """One update of `ScheduleFreeAdamW`: of momentum z, average x, and weights y = (1 - beta_1) z + beta_1 x.

    Of the momentum before it, as in the paper (arxiv.org/abs/2405.15682) and on JAX.
    """
    number = functools.partial(ops.cast, dtype=variable.dtype)
    rate, gradient, step = number(learning_rate), number(gradient), number(self.iterations + 1)
    beta_1, beta_2 = number(self.beta_1), number(self.beta_2)
    if self.warmup_steps > 0:
        rate = rate * ops.minimum(step / number(self.warmup_steps), 1.0)
    at = self._get_variable_index(variable)
    momentum, velocity = self._momentums[at], self._velocities[at]
    x = (ops.copy(variable) - (1 - beta_1) * ops.copy(momentum)) / beta_1
    self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - beta_2))
    corrected = velocity / (1 - ops.power(beta_2, step))
    self.assign_sub(momentum, rate * gradient / (ops.sqrt(corrected) + number(self.epsilon)))
    x = (1 - 1 / step) * x + (1 / step) * momentum
    self.assign(variable, (1 - beta_1) * momentum + beta_1 * x)


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

    Raises `DataError` if there are too many that are longer.
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
