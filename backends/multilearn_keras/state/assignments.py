"""What a step assigns that is not part of a record: seen where it is assigned, and refused by name."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn_keras.keras_internals import around, unseeded_state

__all__ = ["Assigned", "assigned_besides", "install", "kept_by_keras", "place", "refusal", "refusing_trained"]

_LIBRARIES = frozenset(
    {"contextlib", "functools", "jax", "keras", "multilearn", "multilearn_keras", "tensorflow", "torch"}
)


@dataclass(frozen=True)
class Assigned:
    """Something that was assigned: in words, and where in the user's code, as far as that is known."""

    what: str
    where: str | None
    variable: keras.Variable | None = None

    def __str__(self) -> str:
        return self.what if self.where is None else f"{self.what}, assigned {self.where}"


class _Watch(threading.local):
    """What is to be seen in this thread: others may prepare batches meanwhile, with variables of their own."""

    see: Callable[[keras.Variable], None] | None = None


_watch = _Watch()


def install() -> None:
    """Have Keras' one way to assign to a variable be seen. To be called once."""
    keras.Variable.assign = around(keras.Variable.assign, _seen)


@contextmanager
def assigned_besides(known: Container[int]) -> Iterator[list[Assigned]]:
    """Meanwhile, the variables that are assigned and whose `id` is not in `known` are put into the list, each once."""
    found: dict[int, Assigned] = {}
    listed: list[Assigned] = []

    def see(variable: keras.Variable) -> None:
        if id(variable) not in known and id(variable) not in found:
            what = f"the variable {variable.path!r} {tuple(variable.shape)} {variable.dtype}"
            found[id(variable)] = Assigned(what, place(), variable)

    before, _watch.see = _watch.see, see
    try:
        yield listed
    finally:
        _watch.see = before
        listed += found.values()


@contextmanager
def refusing_trained() -> Iterator[None]:
    """Meanwhile, raise `ConfigurationError` if a trained variable is assigned."""
    before = _watch.see

    def see(variable: keras.Variable) -> None:
        if variable.trainable:
            raise ConfigurationError(
                "In a function whose gradient is taken no trained weight is assigned: whether the gradient passes "
                "through the assignment differs between frameworks.",
                received=f"an assignment to {variable.path!r}",
                remedy="Layers such as SpectralNormalization assign in training: give the model training=False there.",
            )
        if before is not None:
            before(variable)

    _watch.see = see
    try:
        yield
    finally:
        _watch.see = before


def place() -> str | None:
    """The innermost line of code that is no library's: `at file.py, line 3, in step`."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _LIBRARIES:
        frame = frame.f_back
    if frame is None:
        return None
    return f"at {frame.f_code.co_filename}, line {frame.f_lineno}, in {frame.f_code.co_name}"


def kept_by_keras(model: keras.Model) -> Iterator[keras.Variable]:
    """Variables that a step may assign and that no record has to hold: of metrics that `compile` adds.

    And the stream of unseeded draws, which is recorded elsewhere.
    """
    for layer in model._flatten_layers():
        metrics = [getattr(layer, name, None) for name in ("_loss_tracker", "_compile_metrics")]
        metrics += getattr(getattr(layer, "_compile_loss", None), "metrics", ())
        for metric in metrics:
            yield from getattr(metric, "variables", ())
    yield from unseeded_state()


def refusal(found: Sequence[Assigned]) -> ConfigurationError:
    """The error for what a training step must not assign."""
    return ConfigurationError(
        "What a training step assigns must be part of the record: a keras.Variable, SeedGenerator or metric that "
        "attributes of the task or of its layers lead to, through lists, tuples, dicts and plain objects.",
        received="; ".join(map(str, found)),
        remedy="Keep it in an attribute, such as self.counter = keras.Variable(0.0, trainable=False). Assign a layer "
        "directly to an attribute of the task or of another layer. A part with its own optimizer has a turn of its own "
        "(docs/tasks.md, Two optimizers).",
    )


def _seen(original: Callable[..., Any], variable: keras.Variable, value: Any) -> Any:
    if _watch.see is not None:
        _watch.see(variable)
    return original(variable, value)
