"""What a compiled model asks for besides its loss, and what its class defines: followed, named, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn.protocols import Asked
from multilearn_keras.metrics.compiled import compiled_metrics

__all__ = ["asked_by", "refuse_overridden"]

_PREDICTING = ("predict_step", "make_predict_function")
_STEPS = (
    *("train_step", "test_step", "compute_metrics", "get_metrics_result", "compute_loss_and_updates"),
    *("stateless_compute_loss", "make_train_function", "make_test_function", *_PREDICTING),
)


def refuse_overridden(model: Any, predicting: bool = False) -> None:
    """Raise `ConfigurationError` if a model has its own version of what Keras' `fit` calls: it would be ignored.

    `predicting`: only of what `predict` calls. An own `compute_loss` is used.
    """
    if not isinstance(model, keras.Model):
        return
    for name in _PREDICTING if predicting else _STEPS:
        if getattr(type(model), name, None) is not getattr(keras.Model, name, None) or name in vars(model):
            raise ConfigurationError(
                f"A model's own {name} is written for Keras' own loop and would be ignored here.",
                received=f"{type(model).__name__}.{name}",
                remedy="Put what it computes into a task: step(batch, training) returns the loss and what metrics see, "
                "predict(batch) what is predicted.",
            )


def asked_by(task: Any) -> Asked:
    """What was passed to `compile`, of a model or of that of a task, which has a loss and metrics of its own.

    Raises `ConfigurationError` for metrics that cannot be measured.
    """
    alone = isinstance(task, keras.Model)
    model = task if alone else getattr(task, "model", None)
    if not (isinstance(model, keras.Model) and model.compiled):
        return Asked()
    metrics = compiled_metrics(model)
    notes = list(_without_effect(model))
    if metrics and not alone:
        names = ", ".join(repr(metric.name) for metric in metrics)
        notes.append(
            f"A task measures what is registered with .metrics(...), not what its model was compiled with: {names}."
        )
    return Asked(metrics if alone else (), bool(model.run_eagerly), tuple(notes))


def _without_effect(model: keras.Model) -> Iterator[str]:
    steps = model.steps_per_execution
    if steps != 1:
        yield (
            f"compile(steps_per_execution={steps!r}) has no effect: every step is run by itself, and its metrics are "
            "fetched together with those of others."
        )
    if model.run_eagerly:
        return
    backend, jit = keras.backend.backend(), model.jit_compile
    if jit is True and backend != "jax" and not model._resolve_auto_jit_compile():
        compiler = "inductor" if backend == "torch" else "xla"
        yield (
            "compile(jit_compile=True) has no effect: steps are captured as graphs without a compiler. "
            f'Ask for one with .engine(compile="{compiler}").'
        )
    if jit is False and backend == "jax" and model._resolve_auto_jit_compile():
        yield (
            "compile(jit_compile=False) has no effect: JAX compiles every step. "
            "Run them eagerly with .engine(capture=False)."
        )
