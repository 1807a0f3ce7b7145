"""Models that learn a batch and models that do not: what is said of them is the same on every framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import multilearn as ml
from multilearn.trials import OverfitReport, Verdict
from multilearn_keras import Classification

X = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 24).astype("int32")


def network(*between: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), *between, layers.Dense(3, name="last")], name="net")


def relu(units: int = 32, **options: Any) -> layers.Layer:
    return layers.Dense(units, activation="relu", **options)


def overfit(model: Any, lr: float = 1e-2, **options: Any) -> OverfitReport:
    task = Classification(model) if isinstance(model, keras.Model) else model
    return ml.overfit(task, keras.optimizers.Adam(), [(X, Y)], lr=lr, **{"updates": 300, **options})


def test_a_network_with_statistics_regularizers_and_dropout_learns() -> None:
    ml.set_seed(1)
    penalty = keras.regularizers.L2(1e-2)
    found = overfit(network(relu(kernel_regularizer=penalty), layers.BatchNormalization(momentum=0.5), relu()))
    assert found.verdict is Verdict.FITS
    (said,) = found.findings
    assert "are the penalty of regularizers on the weights" in said
    found = overfit(network(relu(), layers.Dropout(0.5, name="drop"), relu(64)))
    assert found.verdict is Verdict.FITS
    assert found.evaluated < 0.1


class Distance:
    """Its loss has no gradient where it is zero."""

    def __init__(self) -> None:
        self.model = network(layers.Dense(3, kernel_initializer="zeros", name="first"))

    def step(self, batch: Any, training: bool) -> ml.outputs.Output:
        outputs = self.model(batch[0], training=training)
        return ml.outputs.Output(ops.mean(ops.sqrt(ops.sum(ops.square(outputs), axis=-1))), ops.shape(outputs)[0])


def cut() -> keras.Model:
    inputs = keras.Input((6,))
    stopped = ops.stop_gradient(relu(2, name="first")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="last")(stopped))


BROKEN: dict[str, tuple[Callable[[], Any], Verdict | None, str]] = {
    "ReLU that is dead": (
        lambda: network(relu(name="first", bias_initializer=keras.initializers.Constant(-99.0)), relu(name="second")),
        Verdict.STUCK,
        "No gradient reaches net/first, net/second: ",
    ),
    "a gradient that is stopped": (cut, None, "No gradient reaches first: "),
    "a layer that is not trained": (
        lambda: network(relu(2, trainable=False, name="first")),
        None,
        "Not trained, because trainable is False: net/first.",
    ),
    "a square root at zero": (Distance, Verdict.NOT_FINITE, "the gradients of net/first/kernel"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_part_that_does_not_learn_is_named(what: str) -> None:
    ml.set_seed(1)
    make, verdict, words = BROKEN[what]
    found = overfit(make(), updates=40)
    assert found.verdict is verdict or (verdict is None and not found.fits)
    assert words in str(found)
