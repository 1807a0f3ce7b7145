"""What the tasks share: a model, a loss, what the model ends in, and batches as Keras reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from multilearn.errors import ConfigurationError, DataError
from multilearn_keras.tasks.losses import from_logits_of, takes_probabilities, understood

__all__ = [
    "Supervised",
    "agreeing",
    "both_forms",
    "last_activation",
    "raw_for_probabilities",
    "refuse_activated",
    "refuse_activated_output",
    "require_items",
    "single",
    "unpack",
    "with_layer_losses",
]

_WITH_KERNEL = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


class Supervised:
    """A model that is trained on batches x, (x, y) or (x, y, sample_weight)."""

    def __init__(self, model: keras.Model, loss: keras.losses.Loss | None) -> None:
        if not isinstance(model, keras.layers.Layer):
            raise ConfigurationError(
                "A task trains a Keras model.",
                received=type(model).__name__,
                remedy="Give a keras.Model or keras.Sequential object.",
            )
        self.model = model
        self.loss = loss

    def inputs(self, batch: Any) -> Any:
        """What of a batch goes into the model."""
        return unpack(batch)[0]


def unpack(batch: Any) -> tuple[Any, Any, Any]:
    """`(x, y, sample_weight)` of a batch as Keras reads it; what is not there is None."""
    if not isinstance(batch, tuple):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise DataError(
            "A batch must be x, (x, y) or (x, y, sample_weight).",
            received=f"a tuple of {len(batch)}",
            remedy="Several inputs go into one dict or list: ({'a': a, 'b': b}, y).",
        )
    x, y, weight = (*batch, None, None)[:3]
    return x, y, weight


def agreeing(loss: Any, default: type[keras.losses.Loss], model: keras.Model, from_logits: bool) -> keras.losses.Loss:
    """The loss of a task that states whether its model outputs logits.

    Raises `ConfigurationError` if the loss says otherwise, or the model ends in a softmax or sigmoid all the same.
    """
    found = understood(loss or default(from_logits=from_logits), from_logits)
    if from_logits_of(found) not in (None, from_logits):
        raise ConfigurationError(
            "The loss and the task must agree on whether the model outputs logits.",
            received=f"from_logits={from_logits}, and a loss with from_logits={from_logits_of(found)}",
            remedy="Give both the same.",
        )
    if from_logits:
        refuse_activated(model)
    return found


def require_items(shape: Any) -> None:
    """Raise `ConfigurationError` for an output that has no axis of items."""
    if shape == ():
        raise ConfigurationError(
            "A model must output something for each item, (batch, ...).",
            received="an output of shape (), one number for the whole batch",
            remedy="Leave the first axis as it is, as keras.ops.mean(x, axis=-1) does and keras.ops.mean(x) does not; "
            "the mean over the batch is taken by the loss.",
        )


def single(shape: Any, task: object) -> tuple[int | None, ...]:
    """The shape of a model's one output, (None, ...). Raises `ConfigurationError` if it has several, or no items."""
    require_items(shape)
    if isinstance(shape, tuple) and not any(isinstance(part, (tuple, list, dict)) for part in shape):
        return shape
    raise ConfigurationError(
        f"A {type(task).__name__} trains a model with one output.",
        received=f"outputs {shape}",
        remedy="Compile the model with a loss for each output, or write a task of your own.",
    )


def with_layer_losses(loss: Any, model: keras.Model) -> Any:
    """`loss` plus what the layers of the model add: regularizers, and calls of `add_loss`."""
    for extra in model.losses:
        # a layer may add several numbers at once
        loss = loss + ops.sum(ops.cast(extra, loss.dtype))
    return loss


def both_forms(y: Any, logits: Any, sparse: bool) -> tuple[Any, Any]:
    """Targets as class ids, (batch, ...), and in the form the loss takes."""
    classes = logits.shape[-1]
    if len(y.shape) == len(logits.shape) and y.shape[-1] == classes and classes > 1:
        ids = ops.cast(ops.argmax(y, axis=-1), "int32")
        return ids, ids if sparse else y
    if len(y.shape) == len(logits.shape):
        y = ops.squeeze(y, axis=-1)
    ids = ops.cast(y, "int32")
    if sparse:
        return ids, ids
    return ids, ops.cast(ops.equal(ops.expand_dims(ids, -1), ops.arange(classes, dtype="int32")), logits.dtype)


def refuse_activated(model: keras.Model) -> None:
    """Raise `ConfigurationError` if the model's last layer is a softmax or a sigmoid, whose output is no logits."""
    _refuse("the model", *last_activation(model))


def refuse_activated_output(name: str, output: Any) -> None:
    """The same of one of several outputs of a model with a graph, a symbolic tensor."""
    history = getattr(output, "_keras_history", None)
    if history is not None:
        _refuse(f"the output {name!r}", *_activation_of(history.operation))


def _refuse(what: str, name: str, layer: str) -> None:
    if name in ("softmax", "log_softmax", "sigmoid"):
        raise ConfigurationError(
            f"from_logits=True expects unnormalised outputs, and {what} ends in a {name}.",
            received=f"last layer {layer!r}",
            remedy=f"Remove the {name} from the last layer (better), or give from_logits=False.",
        )


def last_activation(model: keras.Model) -> tuple[str, str]:
    """The names of the activation that a model ends in and of its layer; empty if the model has no graph."""
    return _activation_of(_last_layer(model)) if _has_graph(model) else ("", "")


def raw_for_probabilities(task: Any) -> Iterator[str]:
    """A sentence if a loss of probabilities is certain to get what is none: what a layer of Keras computes with its
    kernel and no activation is of any size. Another layer may have made probabilities of it in a way of its own.
    """
    own = isinstance(task, keras.Model)
    if not own and not (isinstance(task, Supervised) and _is_ours(type(task).step)):  # type: ignore[attr-defined]
        return
    model, loss = task if own else task.model, getattr(task, "loss", None)
    loss = understood(loss) if isinstance(loss, str) else loss
    if not isinstance(loss, keras.losses.Loss) or not takes_probabilities(loss) or not _has_graph(model):
        return
    if not isinstance(model, keras.Sequential) and len(keras.tree.flatten(model.outputs)) > 1:
        return
    last = _innermost(_last_layer(model))
    if type(last) in _WITH_KERNEL and last.kernel_constraint is None and last.activation is keras.activations.linear:
        yield (
            f"The loss {loss.name} takes probabilities (from_logits=False), and the model ends in {last.name!r} "
            "without a softmax or sigmoid: its outputs are none. Give from_logits=True, or the layer an activation."
        )


def _is_ours(function: Any) -> bool:
    return str(function.__module__).startswith("multilearn_keras.")


def _has_graph(model: Any) -> bool:
    layers = getattr(model, "layers", None)
    return bool(layers) and (isinstance(model, keras.Sequential) or hasattr(model, "operations"))


def _innermost(last: Any) -> Any:
    """The layer that it is around, or that it ends in; itself if it has no graph."""
    while isinstance(last, keras.layers.Wrapper):
        last = last.layer
    return _innermost(_last_layer(last)) if _has_graph(last) else last


def _activation_of(last: Any) -> tuple[str, str]:
    last = _innermost(last)
    if isinstance(last, keras.Model):
        return "", ""
    activation = getattr(last, "activation", None)
    return getattr(activation, "__name__", type(last).__name__).lower(), last.name


def _last_layer(model: keras.Model) -> Any:
    if isinstance(model, keras.Sequential):
        return model.layers[-1]
    outputs = keras.tree.flatten(model.outputs)
    history = getattr(outputs[0], "_keras_history", None)
    return history.operation if history is not None else model.layers[-1]
