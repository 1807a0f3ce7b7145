"""The gradient of a function inside of a step, which the loss may use: Keras has no operation for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn_keras.keras_internals import get_stateless_scope
from multilearn_keras.state.assignments import refusing_trained

__all__ = ["gradient"]

Function = Callable[[Any], Any]


def gradient(function: Function, x: Any) -> Any:
    """The gradient of the sum of `function(x)` by the tensor `x`, of its shape: of a critic of samples, that of each
    sample's score by the sample, as long as the critic looks at samples one by one.

    It can be differentiated again, so that a loss may be made of it, as the gradient penalty of a WGAN is:

        slopes = gradient(lambda x: self.critic(x, training=training), mixed)

    Where `function` does not depend on x the gradient is zero. In evaluation it is computed too. What layers assign in
    `function`, such as batch statistics, is assigned once. Where there is no second derivative the framework raises
    what it has to say. Raises `ConfigurationError` for what has no gradient at all, whole numbers, and for layers that
    assign to weights that are trained, as SpectralNormalization does in training.
    """
    x = ops.convert_to_tensor(x)
    _require_float(x, "x")
    return _BACKENDS[keras.backend.backend()](function, x)


def _value(function: Function, x: Any) -> Any:
    with refusing_trained():
        found = function(x)
    _require_float(found, "what the function returns")
    return found


def _require_float(tensor: Any, what: str) -> None:
    if not (ops.is_tensor(tensor) and "float" in keras.backend.standardize_dtype(tensor.dtype)):
        kind = keras.backend.standardize_dtype(tensor.dtype) if ops.is_tensor(tensor) else type(tensor).__name__
        raise ConfigurationError(
            f"A gradient is that of a tensor of floats by another one: {what} must be such a tensor.",
            received=kind,
            remedy="Write gradient(self.critic, x), with a model or a function of one tensor, and a tensor of floats.",
        )


def _torch(function: Function, x: Any) -> Any:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    again = torch.is_grad_enabled()
    # the other kernels of attention have no second derivative
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        # a place of its own in the graph: the gradient is that by the argument, whatever else x is used for
        given = x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
        made = _value(function, given)
        if not made.requires_grad:
            return torch.zeros_like(x)
        (found,) = torch.autograd.grad(made, given, torch.ones_like(made), create_graph=again, allow_unused=True)
    return torch.zeros_like(x) if found is None else found


def _tensorflow(function: Function, x: Any) -> Any:
    import tensorflow as tf

    from multilearn_keras.patches.twice import differentiable_twice

    x = tf.identity(x)
    with differentiable_twice(), tf.GradientTape() as tape:
        tape.watch(x)
        made = _value(function, x)
    # dense, as on the others
    return tf.convert_to_tensor(tape.gradient(made, x, unconnected_gradients=tf.UnconnectedGradients.ZERO))


def _jax(function: Function, x: Any) -> Any:
    import jax

    outer = get_stateless_scope()

    def of(x: Any) -> tuple[Any, Any]:
        with _Inner(outer) as scope:
            made = _value(function, x)
        variables.extend(scope.updated.values())
        return made, ([scope.state_mapping[key] for key in scope.updated], scope.losses)

    variables: list[keras.Variable] = []
    made, back, (values, losses) = jax.vjp(of, x, has_aux=True)
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    if outer is not None:
        outer.losses.extend(losses)
    return back(jax.numpy.ones_like(made))[0]


class _Inner(keras.StatelessScope):
    """What is assigned within stays within: it would be a tracer that outlives its trace."""

    def __init__(self, outer: Any) -> None:
        super().__init__(collect_losses=outer is not None and outer.collect_losses, initialize_variables=False)
        self.state_mapping = {} if outer is None else dict(outer.state_mapping)
        self.updated: dict[int, keras.Variable] = {}

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        super().add_update(update)
        self.updated[id(update[0])] = update[0]


_BACKENDS: dict[str, Callable[[Function, Any], Any]] = {"torch": _torch, "tensorflow": _tensorflow, "jax": _jax}
