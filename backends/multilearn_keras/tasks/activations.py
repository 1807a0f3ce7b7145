"""What a model ends in: an activation of its last layer decides whether its output is logits."""

from __future__ import annotations

from typing import Any

import keras

from multilearn.errors import ConfigurationError

__all__ = ["last_activation", "refuse_activated", "refuse_activated_output"]


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
    layers = getattr(model, "layers", None)
    if not layers or (not isinstance(model, keras.Sequential) and not hasattr(model, "operations")):
        return "", ""
    return _activation_of(_last_layer(model))


def _activation_of(last: Any) -> tuple[str, str]:
    while isinstance(last, keras.layers.Wrapper):
        last = last.layer
    if isinstance(last, keras.Model):
        return last_activation(last)
    activation = getattr(last, "activation", None)
    return getattr(activation, "__name__", type(last).__name__).lower(), last.name


def _last_layer(model: keras.Model) -> Any:
    if isinstance(model, keras.Sequential):
        return model.layers[-1]
    outputs = keras.tree.flatten(model.outputs)
    history = getattr(outputs[0], "_keras_history", None)
    return history.operation if history is not None else model.layers[-1]
