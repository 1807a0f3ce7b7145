"""A trained model into Keras' own file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn.storage import atomic

__all__ = ["save_model"]


def save_model(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model, or a task's, into a `.keras` file, which plain Keras loads on any backend.

    It is what `model.save` writes: architecture and weights, and of a compiled model also how it is compiled and the
    state of its optimizer. The file is durable on return; if anything fails it is as it was. Classes of your own need
    `keras.saving.register_keras_serializable` or `custom_objects` where the file is loaded.

    Raises `ConfigurationError` for what is no built model, and for one that Keras cannot write.
    """
    path = Path(path).expanduser()
    model = model if isinstance(model, keras.Model) else getattr(model, "model", model)
    if not isinstance(model, keras.Model) or not model.built:
        raise ConfigurationError(
            "Only a built model can be saved.",
            received="a model that is not built" if isinstance(model, keras.Model) else type(model).__name__,
            remedy="Call the model on a batch before, or train it.",
        )
    if path.suffix != ".keras":
        raise ConfigurationError(
            "The file of a model ends in .keras.",
            received=path.name,
            remedy="To keep the weights in another format, save a run and convert its records.",
        )
    temporary = path.with_name(f"{path.stem}.tmp.keras")
    try:
        model.save(temporary)
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ConfigurationError(
            "Keras must be able to write the model.",
            received=f"{type(error).__name__}: {error}",
            remedy="Give each layer of your own a get_config.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    atomic.sync_folder(path.absolute().parent)
