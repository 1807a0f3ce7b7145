"""What a model must be to be trained as Keras' own `fit` would: compiled, and with that loop's methods as they are."""

from __future__ import annotations

from typing import Any

import keras

from multilearn.errors import ConfigurationError

__all__ = ["refuse_overridden", "require_compiled"]

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


def require_compiled(model: Any) -> None:
    """Raise `ConfigurationError` unless it is a Keras model that was compiled."""
    if not (isinstance(model, keras.Model) and model.compiled):
        what = f"the {type(model).__name__} {model.name!r}, which is not" if isinstance(model, keras.Model) else ""
        raise ConfigurationError(
            "A model that is not compiled has no loss to minimise.",
            received=f"{what} compiled" if what else type(model).__name__,
            remedy="Wrap it, for instance as Classification(model), or compile it with a loss.",
        )
