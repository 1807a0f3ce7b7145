"""All that is replaced in Keras: looked at first, then replaced, so that a Keras that is not known is left as it is."""

from __future__ import annotations

import keras

from multilearn.errors import BackendError
from multilearn_keras.keras_internals import INSIDE, exists, inside, replace_all, unlike
from multilearn_keras.patches import augmentation, draws, parity, statistics, vectorized
from multilearn_keras.patches.recurrent import layers as recurrent
from multilearn_keras.random import pipelines
from multilearn_keras.state import assignments

__all__ = ["install"]

_DECLARING = (pipelines, recurrent, statistics, vectorized)
"""Modules that declare by `replaces` all that they replace."""


def install() -> None:
    """Replace draws, seeds, augmentation, recurrent kernels and what frameworks compute differently. Idempotent.

    Raises `BackendError`, with nothing replaced, on a Keras whose inside is not as this library knows it.
    """
    if exists("backend:random") and hasattr(inside("backend:random"), draws.MARK):
        return
    _check_keras()
    replace_all()
    draws.install()
    augmentation.install()
    parity.install()
    assignments.install()


def _check_keras() -> None:
    wrong = [found for name, parameters in INSIDE.items() if (found := unlike(name, parameters))]
    wrong += [f"{name} missing" for name in draws.CALLERS if not exists(name)]
    if not wrong and len({id(inside(name)) for name in draws.CALLERS}) > 1:
        wrong = ["several random modules, where callers should share one"]
    if wrong:
        raise BackendError(
            "The random draws of this Keras cannot be replaced: its internals are not those "
            "that this multilearn supports.",
            received=f"Keras {keras.__version__}: {', '.join(wrong)}",
            remedy="Install a Keras from 3.12 to 3.15, or a newer multilearn.",
        )
