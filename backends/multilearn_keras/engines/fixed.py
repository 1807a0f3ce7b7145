"""What must not change in training: the learning rate, and attributes whose change a step would not see."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn_keras.described import parameters
from multilearn_keras.state.keys import all_layers
from multilearn_keras.state.places import Readings, alike, contents

__all__ = ["Fixed", "RateGuard"]

_VARIABLE = "Keep what changes in a keras.Variable, which steps read, or train with .engine(capture=False)."
_ADAPT = "Adapt the layer before the model is trained."
_RESTART = (
    "End the run and start another: change the model, load the weights with load_weights, and build a new "
    "learner with a new optimizer."
)
_STOP = "Ask an Interrupter for it, or give the builder .early_stopping(rule)."
_SCHEDULER = "Give build the schedule: it is asked for the learning rate before every update."


class _Fact(NamedTuple):
    """An attribute as it was. `where`: how a message calls its owner."""

    where: str
    owner: Any
    name: str
    value: Any
    remedy: str


class Fixed:
    """Looks whether these things are still what they were when it was made.

    If steps are `compiled`: plain arguments of the constructors of layers, the task and the optimizer, and what steps
    read of the user's own objects. Besides: what layers were adapted to, what is trainable, how the model is compiled,
    where the learning rate comes from.
    """

    def __init__(
        self, task: Any, optimizer: Any, variables: Mapping[str, keras.Variable], readings: Readings, *, compiled: bool
    ) -> None:
        layers = all_layers(task)
        owners = [*((key or "the model", layer) for key, layer in layers.items()), ("the task", task)]
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        facts = [_fact("the optimizer", inner, "_learning_rate", _SCHEDULER)]
        facts += [_fact(key or "the model", layer, "trainable", _RESTART) for key, layer in layers.items()]
        facts += [_fact(key, variable, "trainable", _RESTART) for key, variable in variables.items()]
        model = task.model
        facts += [_fact("the model", model, name, _RESTART) for name in ("optimizer", "_loss_tracker")]
        # what a callback of Keras would set; Keras makes it when it first trains
        facts.append(_Fact("the model", model, "stop_training", getattr(model, "stop_training", False), _STOP))
        facts.append(_fact("the task", task, "model", _RESTART))
        if compiled:
            facts += [fact for where, owner in (*owners, ("the optimizer", inner)) for fact in _of(where, owner)]
            facts += [_Fact("the task", task, name, value, _RESTART) for name, value in _losses(task)]
            facts += [_fact(type(owner).__name__, owner, name, _VARIABLE) for owner, name in readings]
        self._facts = facts
        self._statistics = [
            (f"{variable.name} of {key}", variable, ops.convert_to_numpy(variable))
            for key, layer in layers.items()
            if isinstance(layer, keras.layers.Normalization)
            for variable in layer.variables
        ]

    def verify(self) -> None:
        """Raise `ConfigurationError` for the first that has changed."""
        for where, variable, value in self._statistics:
            # such as by set_weights: what the layer applies has been computed from them before
            if not np.array_equal(ops.convert_to_numpy(variable), value):
                raise _changed(where, "what it was", "other statistics", _ADAPT)
        for where, owner, name, value, remedy in self._facts:
            now = getattr(owner, name, value)
            if now is not value and not alike(contents(now), value):
                before, after = _said(value), _said(now)
                if isinstance(value, tuple) or before == after:
                    before, after = "what it was", f"another {after}"
                raise _changed(f"{name.lstrip('_')} of {where}", before, after, remedy)


def _changed(what: str, before: str, now: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(
        "The model must not be changed during training: steps are made for it as it is at the beginning.",
        received=f"{what}, changed from {before} to {now}",
        remedy=remedy,
    )


def _fact(where: str, owner: Any, name: str, remedy: str) -> _Fact:
    return _Fact(where, owner, name, contents(getattr(owner, name, None)), remedy)


def _losses(task: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a task that are losses."""
    held = getattr(task, "__dict__", {})
    return ((name, value) for name, value in held.items() if isinstance(value, keras.losses.Loss))


def _of(where: str, owner: Any) -> Iterator[_Fact]:
    held = getattr(owner, "__dict__", {})
    for name in parameters(type(owner)):
        for attribute in (name, f"_{name}"):
            if attribute in held and _is_plain(held[attribute], owner):
                yield _Fact(where, owner, attribute, held[attribute], _VARIABLE)
    if hasattr(owner, "finalize_state"):
        for name, value in held.items():
            if not name.startswith("_") and not isinstance(value, (keras.Variable, keras.layers.Layer)):
                yield _Fact(where, owner, name, value, _VARIABLE)


def _is_plain(value: Any, owner: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        # what else has one may be counting how often it is traced
        return type(owner).__module__.partition(".")[0] == "keras"
    return value is None or isinstance(value, (bool, float, str)) or inspect.isroutine(value)


def _said(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    return getattr(value, "__name__", type(value).__name__)


_ASSIGN = "_direct_assign"


class RateGuard:
    """Refuses what is assigned to the variable from outside, in the line that does it: it would be overwritten."""

    def __init__(self, variable: keras.Variable) -> None:
        self._variable = variable
        # that of another engine, if this one is made while that one trains
        self._outer = vars(variable).get(_ASSIGN)
        vars(variable)[_ASSIGN] = _refuse

    def release(self) -> None:
        self._put(self._outer)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """While it lasts the rate may be assigned, as by a record that is restored."""
        before = vars(self._variable).get(_ASSIGN)
        self._put(None)
        try:
            yield
        finally:
            self._put(before)

    def _put(self, assign: Any) -> None:
        vars(self._variable).pop(_ASSIGN, None)
        if assign is not None:
            vars(self._variable)[_ASSIGN] = assign


def _refuse(value: Any) -> None:
    raise ConfigurationError(
        "In training the scheduler sets the learning rate, before every update.",
        received=f"an assignment of {float(value):g} to optimizer.learning_rate",
        remedy="Give build a scheduler: multilearn.schedulers.ReduceOnPlateau, Piecewise, or an object with a method "
        "learning_rate(update). In a loop of your own, give train_step the rate.",
    )
