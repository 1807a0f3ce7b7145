"""Whether the weights of a model follow from the seed that is in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest

import multilearn as ml
from multilearn import backend
from multilearn_keras import Classification


def model(**options: Any) -> keras.Model:
    layers = [keras.layers.Dense(4, **options), keras.layers.BatchNormalization(), keras.layers.Dense(2, **options)]
    return keras.Sequential([keras.Input((3,)), *layers])


def late() -> keras.Model:
    made = model()
    ml.set_seed(2)
    return made


def late_and_not_built() -> keras.Model:
    made = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(2)])
    ml.set_seed(2)
    return made


def in_time() -> keras.Model:
    ml.set_seed(2)
    return model()


def again() -> keras.Model:
    """A cell of a notebook that is run again."""
    made = model()
    ml.set_seed(1)
    return made


def loaded() -> keras.Model:
    made = model()
    made.set_weights([weight + 1 for weight in made.get_weights()])
    ml.set_seed(2)
    return made


def of_its_own_seed() -> keras.Model:
    made = model(kernel_initializer=keras.initializers.HeNormal(seed=3))
    ml.set_seed(2)
    return made


def constant() -> keras.Model:
    made = model(kernel_initializer="zeros")
    ml.set_seed(2)
    return made


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (late, True),
        (late_and_not_built, True),
        *((make, False) for make in (in_time, again, loaded, of_its_own_seed, constant)),
    ],
)
def test_weights_that_were_drawn_before_the_seed_was_set_are_noticed(
    make: Callable[[], keras.Model], said: bool
) -> None:
    ml.set_seed(1)
    notes = backend.load().asked_by(Classification(make())).notes
    assert [note.startswith("set_seed(2) was called after the model was made") for note in notes] == [True] * said
