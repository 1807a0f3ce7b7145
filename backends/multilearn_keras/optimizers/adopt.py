"""Keras optimizers and learning rates, as `build` takes them."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn.plain import real
from multilearn.protocols import LRScheduler
from multilearn.schedulers import Constant
from multilearn_keras.optimizers.keras_schedule import KerasSchedule

__all__ = [
    "adopt_optimizer",
    "adopt_schedule",
    "rate_variable",
    "refuse_built_for_another",
    "require_trainable",
    "scales_loss_dynamically",
    "track_all",
]


def adopt_optimizer(optimizer: Any, model: keras.Model) -> keras.optimizers.Optimizer:
    """The Keras optimizer that `build` was given as an object, a name, or None for a compiled model's own.

    For a model of the policy `mixed_float16` it is wrapped in a `LossScaleOptimizer`, as `compile` does, and not if the
    model was compiled with `auto_scale_loss=False`.
    """
    given = optimizer
    if optimizer is None:
        optimizer = getattr(model, "optimizer", None)
        if optimizer is None:
            raise ConfigurationError(
                "The optimizer may be left out only for a compiled model.",
                received="None",
                remedy="Give one, for instance keras.optimizers.Adam().",
            )
    if isinstance(optimizer, str):
        # a name that Keras does not know stays one, and is refused below
        with suppress(ValueError):
            optimizer = keras.optimizers.get(optimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ConfigurationError(
            "The optimizer must be a Keras optimizer object or its name.",
            received=repr(optimizer),
            remedy="Write keras.optimizers.Adam() with parentheses, or 'adam'.",
        )
    if isinstance(_inner(optimizer), getattr(keras.optimizers, "MultiOptimizer", ())):
        raise ConfigurationError(
            "A learner sets one learning rate, and every part of a MultiOptimizer has its own.",
            received=f"a MultiOptimizer of {len(_inner(optimizer).optimizers)}",
            remedy="Use one optimizer, or a loop of your own with an engine for each (examples/custom_loop.py).",
        )
    steps = _inner(optimizer).gradient_accumulation_steps
    if steps:
        raise ConfigurationError(
            "Gradients are accumulated by the learner, exactly, and not by the optimizer.",
            received=f"gradient_accumulation_steps={steps}",
            remedy=f"Leave it out and use .grads_accumulation({steps}).",
        )
    refuse_built_for_another(optimizer, model)
    scales = scales_loss_dynamically(optimizer) or _compiled_without_scaling(model)
    policy = getattr(getattr(model, "dtype_policy", None), "name", None)
    if given is not None and policy == "mixed_float16" and not scales:
        # as Keras' own compile does: small gradients would be zero in half precision
        return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
    return optimizer


def refuse_built_for_another(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> None:
    """Raise `ConfigurationError` if the optimizer has state for the variables of another model."""
    built_for = _inner(optimizer)._trainable_variables
    if optimizer.built and model.built and list(map(id, built_for)) != list(map(id, model.trainable_variables)):
        raise ConfigurationError(
            "An optimizer keeps state for each variable of one model, and this one was built for another.",
            received=f"{optimizer.name}, built for {len(built_for)} variables of another model",
            remedy=f"Make a new one: keras.optimizers.{type(optimizer).__name__}(...).",
        )


def adopt_schedule(lr: Any, optimizer: keras.optimizers.Optimizer) -> LRScheduler:
    """What `build` was given as a scheduler, a number, a Keras schedule, or None for the optimizer's own rate."""
    if lr is None:
        own = _inner(optimizer)._learning_rate
        lr = own if isinstance(own, keras.optimizers.schedules.LearningRateSchedule) else float(optimizer.learning_rate)
    if isinstance(lr, keras.optimizers.schedules.LearningRateSchedule):
        return KerasSchedule(lr)
    if not math.isnan(number := real(lr)):
        return Constant(number)
    if isinstance(lr, LRScheduler) and not isinstance(lr, type):
        return lr
    raise ConfigurationError(
        "The learning rate must be a number, a multilearn scheduler, a Keras LearningRateSchedule, or None.",
        received=repr(lr),
        remedy="Write for instance 1e-3 or multilearn.schedulers.Cosine(1e-3).",
    )


def require_trainable(model: keras.Model) -> None:
    """Raise `ConfigurationError` if a built model has nothing to train."""
    if not model.trainable_variables:
        raise ConfigurationError(
            "There is nothing to train: the model has no trainable weights.",
            received=f"{model.name} with {len(model.variables)} variables, none of them trainable",
            remedy="Set trainable=True on the layers to be trained.",
        )


def rate_variable(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """The variable that holds the optimizer's learning rate, made to be one if it was a schedule.

    The scheduler's value is written into it before each update, which Keras refuses to do for one made with a schedule.
    """
    inner = _inner(optimizer)
    if not isinstance(inner._learning_rate, keras.Variable):
        variable = keras.Variable(0.0, name="learning_rate", trainable=False, dtype=keras.config.floatx())
        inner._track_variable(variable)
        inner._learning_rate = variable
    return inner._learning_rate


def track_all(optimizer: keras.optimizers.Optimizer) -> None:
    """Have a built optimizer list all of its variables: Keras forgets some of a wrapped Nadam or Adafactor."""
    inner = _inner(optimizer)
    known = {id(variable) for variable in (*inner.variables, *inner._trainable_variables)}
    for value in list(vars(inner).values()):
        for held in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(held, keras.Variable) and id(held) not in known:
                inner._track_variable(held)


def scales_loss_dynamically(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether it finds out by itself how far it can scale the loss, and makes no update where gradients overflow."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def _inner(optimizer: Any) -> Any:
    return getattr(optimizer, "inner_optimizer", optimizer)


def _compiled_without_scaling(model: Any) -> bool:
    own = getattr(model, "optimizer", None)
    return isinstance(own, keras.optimizers.Optimizer) and not scales_loss_dynamically(own)
