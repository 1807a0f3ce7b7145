"""A learning-rate schedule of Keras, as the learner asks it: once per update, on the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn.schedulers.schedule import Pure

__all__ = ["KerasSchedule"]

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
