"""Keras optimizers and learning rates, as `build` takes them; its schedules, as the learner asks them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn.plain import real
from multilearn.protocols import LRScheduler
from multilearn.schedulers import Constant
from multilearn.schedulers.schedule import Pure

__all__ = [
    "KerasSchedule",
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
            "The optimizer must be a Keras optimizer object, or the name of one that Keras has.",
            received=repr(optimizer),
            remedy="Write keras.optimizers.Adam() with parentheses, or 'adam'.",
        )
    if isinstance(_inner(optimizer), getattr(keras.optimizers, "MultiOptimizer", ())):
        raise ConfigurationError(
            "A learner sets one learning rate, and every part of a MultiOptimizer has its own.",
            received=f"a MultiOptimizer of {len(_inner(optimizer).optimizers)}",
            remedy="Use one optimizer, or a task with turns, which have one each (docs/tasks.md, Two optimizers).",
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


AHEAD = 64
Rates = Callable[[int], dict[int, float]]


class KerasSchedule(Pure):
    """A Keras `LearningRateSchedule` as one of ours, to be a part of others; `build` also takes it as it is.

    lr(i) = schedule(i), computed in Keras' float type

    `Warmup(KerasSchedule(keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.9)), updates=50)`

    It counts optimizer updates, and must be a function of them: on TensorFlow and JAX it is traced. Two are equal if
    they are of one class with one configuration. Raises `ConfigurationError` for anything else than such a schedule.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule) -> None:
        if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            raise ConfigurationError(
                "KerasSchedule wraps a Keras LearningRateSchedule.",
                received=repr(schedule),
                remedy="Write for instance KerasSchedule(keras.optimizers.schedules.CosineDecay(0.1, 1000)).",
            )
        self._schedule = schedule
        self._rates: Rates | None = None
        self._known: dict[int, float] = {}

    def learning_rate(self, update: int) -> float:
        if update not in self._known:
            # on the processor: a rate that is waiting behind the steps in an accelerator's queue would stall them
            with keras.device("cpu:0"):
                self._rates = self._rates or _rates(self._schedule)
                self._known = self._rates(update)
        return self._known[update]

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KerasSchedule) and self._described == other._described

    def __hash__(self) -> int:
        return hash(type(self._schedule))

    def __repr__(self) -> str:
        kind, configuration = self._described
        return f"KerasSchedule({kind.__name__}({configuration}))"

    @property
    def _described(self) -> tuple[type, Any]:
        try:
            return type(self._schedule), self._schedule.get_config()
        except NotImplementedError:
            # a custom one, without get_config
            return type(self._schedule), ""


def _rates(schedule: Any) -> Rates:
    """How rates are worked out: compiled, for many updates at once, where one by one takes long."""

    def eager(update: int) -> dict[int, float]:
        return {update: float(schedule(ops.convert_to_tensor(update, dtype="int32")))}

    if keras.backend.backend() not in _COMPILED:
        return eager
    several = _COMPILED[keras.backend.backend()](lambda step: ops.cast(schedule(step), keras.config.floatx()))

    def ahead(update: int) -> dict[int, float]:
        steps = np.arange(update, update + AHEAD, dtype=np.int32)
        return dict(zip(steps.tolist(), ops.convert_to_numpy(several(steps)).tolist(), strict=True))

    try:
        ahead(0)
    except Exception:
        # one that cannot be traced may still be called
        return eager
    return ahead


def _jax(schedule: Any) -> Any:
    import jax

    return jax.jit(lambda steps: jax.lax.map(schedule, steps))


def _tensorflow(schedule: Any) -> Any:
    import tensorflow as tf

    floats = tf.as_dtype(keras.config.floatx())
    return tf.function(lambda steps: tf.map_fn(schedule, steps, fn_output_signature=floats), autograph=False)


# uncompiled, one rate takes 0.6 to 2 ms on TensorFlow, and up to 250 ms on JAX, which compiles each `cond` again
_COMPILED: Mapping[str, Callable[[Any], Any]] = {"jax": _jax, "tensorflow": _tensorflow}
