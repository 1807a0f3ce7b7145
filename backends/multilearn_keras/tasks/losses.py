"""What a Keras loss divides by, and what it expects: read off the loss, so that counts are exact."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any

import keras
from keras import ops

from multilearn.data import mapped
from multilearn.errors import ConfigurationError
from multilearn_keras.keras_internals import LossFunctionWrapper, apply_mask, get_keras_mask, set_keras_mask
from multilearn_keras.metrics.array_ops import KerasOps
from multilearn_keras.patches.parity import lined_up, of_rows

__all__ = [
    "counted",
    "divisor",
    "from_logits_of",
    "ignored_by",
    "is_binary",
    "is_categorical",
    "item_weights",
    "leaving_out",
    "own",
    "spread",
    "takes_class_ids",
    "takes_probabilities",
    "understood",
]

_OPS = KerasOps()


def understood(loss: Any, from_logits: bool | None = None) -> keras.losses.Loss:
    """The Keras loss that an object, a name or a function stands for; a name or a function gets `from_logits`.

    Raises `ConfigurationError` for what Keras does not know as a loss, and where it is not reduced to one number.
    """
    try:
        found = keras.losses.get(loss)
    except ValueError as error:
        raise ConfigurationError(
            "The loss must be one of Keras: an object, its name, or a function of (y_true, y_pred).",
            received=repr(loss),
            remedy="Write for instance keras.losses.MeanSquaredError(), or 'mse'.",
        ) from error
    if not isinstance(found, keras.losses.Loss):
        asks = from_logits is not None and "from_logits" in inspect.signature(found).parameters
        # averaged as Keras does with a plain function of (y_true, y_pred)
        arguments = {"from_logits": from_logits} if asks else {}
        found = LossFunctionWrapper(found, name=getattr(found, "__name__", "loss"), **arguments)
    elif isinstance(loss, str) and from_logits is not None and "from_logits" in found.get_config():
        found = type(found).from_config({**found.get_config(), "from_logits": from_logits})
    if found.reduction in (None, "none"):
        raise ConfigurationError(
            "A loss must be reduced to one number.",
            received=f"{found.name} with reduction={found.reduction!r}",
            remedy="Leave the reduction at its default, 'sum_over_batch_size'.",
        )
    return found


def is_categorical(loss: keras.losses.Loss) -> bool:
    """Whether the loss is a cross-entropy over classes."""
    return any("categorical" in name for name in _plain_names(loss))


def is_binary(loss: keras.losses.Loss) -> bool:
    """Whether the loss is a cross-entropy over labels that are each true or not."""
    return any("binarycrossentropy" in name or "binaryfocalcrossentropy" in name for name in _plain_names(loss))


def _plain_names(loss: keras.losses.Loss) -> tuple[str, str]:
    """What its class is called, and it itself."""
    return type(loss).__name__.lower(), loss.name.lower().replace("_", "")


def takes_class_ids(loss: keras.losses.Loss) -> bool:
    """Whether the loss wants class ids rather than one-hot targets."""
    # the generalized one is not called sparse
    return any(name.startswith(("sparse", "categoricalgeneralized")) for name in _plain_names(loss))


def from_logits_of(loss: keras.losses.Loss) -> bool | None:
    """The loss's own `from_logits`; None if it has no such argument."""
    return getattr(loss, "_fn_kwargs", {}).get("from_logits")


def takes_probabilities(loss: keras.losses.Loss) -> bool:
    """Whether it is a cross-entropy that is to be given no logits, by an argument or by its default."""
    given, function = from_logits_of(loss), getattr(loss, "fn", None)
    if given is None and isinstance(function, FunctionType):
        parameter = inspect.signature(function).parameters.get("from_logits")
        given = None if parameter is None else parameter.default
    return given is False


def ignored_by(loss: keras.losses.Loss) -> int | None:
    """The class whose items the loss leaves out, if any."""
    return getattr(loss, "ignore_class", None)


def counted(logits: Any, ids: Any, loss: keras.losses.Loss) -> Any:
    """Which items enter the loss, (batch, ...): those neither the model masks nor the loss ignores; None for all."""
    mask = get_keras_mask(logits)
    if ignored_by(loss) is None:
        return mask
    kept = ops.not_equal(ids, ignored_by(loss))
    return kept if mask is None else ops.logical_and(mask, kept)


def leaving_out(padding: int, ids: Any, logits: Any, targets: Any) -> tuple[Any, Any]:
    """Logits with a Keras mask that leaves out, too, the items with the target `padding`; and targets with a class
    that the loss can look up in their place. `ids`: (batch, ...), `targets`: the same, or one-hot."""
    kept = ops.not_equal(ids, padding)
    mask = get_keras_mask(logits)
    if mask is not None:
        kept = ops.logical_and(ops.cast(mask, "bool"), kept)
    if len(targets.shape) == len(ids.shape):
        targets = ops.where(kept, targets, ops.zeros_like(targets))
    logits = ops.copy(logits)
    set_keras_mask(logits, kept)
    return logits, targets


def own(weight: Any) -> Any:
    """A copy, in float32, for a Keras loss: on torch it multiplies the mask into the very tensor it is given."""
    return mapped(lambda w: ops.copy(ops.cast(w, "float32")), weight)


def spread(weight: Any, items: Any, mask: Any) -> Any:
    """`weight` in float32, with as many axes as `items`, (batch, ...): lined up with the first axes.

    If axes are missing, or there is a mask, it has the whole shape of `items`: a mean by weights divides by all of
    them, and on torch Keras multiplies the mask into it in place.
    """
    if weight is None:
        return None
    weight = of_rows(ops.cast(weight, "float32"), items)
    return weight if mask is None else ops.multiply(weight, ops.ones_like(items, dtype="float32"))


def divisor(reduction: str, items: Any, mask: Any, weight: Any) -> Any:
    """What the loss was divided by: a number or a 0-d float32 tensor.

    `items`: any tensor with one element per loss value, (batch, ...). Follows Keras' `reduce_weighted_values`:
    unmasked items where there is a mask, else all items; with `mean_with_sample_weight` the sum of weights;
    a loss with reduction `sum` is divided by 1.
    """
    if reduction == "sum":
        return 1
    if reduction == "mean_with_sample_weight" and (mask is not None or weight is not None):
        return ops.sum(apply_mask(own(weight), mask, "float32", reduction))
    if mask is not None:
        return ops.sum(ops.cast(mask, "float32"))
    return _OPS.size(items)


def item_weights(items: Any, mask: Any, weight: Any) -> Any:
    """The weight of each item, float32, in the shape of `items`, (batch, ...); None if all weigh 1."""
    if mask is None and weight is None:
        return None
    total = ops.ones_like(items, dtype="float32")
    for factor in (mask, weight):
        if factor is not None:
            total = ops.multiply(total, lined_up(ops.cast(factor, "float32"), items))
    return total
