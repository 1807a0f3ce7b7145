"""The gradient of a function inside of a step, and the gradient of what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import BACKEND, engine_of, numbers

from multilearn.errors import ConfigurationError
from multilearn.outputs import Output
from multilearn_keras import gradient


def computed(function: Callable[[Any], Any], x: Any) -> Any:
    """What it makes of `x`, on the host; on JAX as one program, for each operation would be one by itself."""

    def scoped(x: Any) -> Any:
        with keras.StatelessScope():
            return function(x)

    if BACKEND == "jax":
        import jax

        scoped = jax.jit(scoped)
    return ops.convert_to_numpy(ops.stop_gradient(scoped(x)))


def attention(x: Any) -> Any:
    return layers.MultiHeadAttention(2, 3)(x, x)


KINDS: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "convolution": ((6, 6, 2), lambda x: layers.Conv2D(3, 3, strides=2, activation="silu")(x)),
    "pooling": ((6, 6, 2), lambda x: layers.MaxPooling2D()(layers.Conv2D(3, 3, activation="silu")(x))),
    "items normalized": ((4,), lambda x: layers.LayerNormalization()(layers.Dense(5)(x))),
    "batches normalized": ((4,), lambda x: layers.BatchNormalization()(layers.Dense(5)(x))),
    "lstm": ((5, 3), lambda x: layers.LSTM(3)(x)),
    "gru": ((5, 3), lambda x: layers.GRU(3)(x)),
    "attention": ((4, 3), attention),
}
"""Shapes of items, and what frameworks, or this package, compute in a way of their own."""

if BACKEND == "jax":  # which differentiates programs, whatever is in them
    KINDS = {kind: KINDS[kind] for kind in ("batches normalized", "attention")}


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_a_gradient_is_what_differences_say(kind: str) -> None:
    shape, made = KINDS[kind]
    ml.set_seed(2)
    inputs = keras.Input(shape)
    hidden = layers.Dense(3, activation="tanh")(layers.Flatten()(made(inputs)))
    critic = keras.Model(inputs, layers.Dense(1)(hidden))
    x, along = numbers(3, *shape, seed=4), numbers(3, *shape, seed=5)

    def penalty(at: Any) -> Any:
        return ops.sum(ops.square(gradient(lambda x: critic(x, training=True), at)))

    exact = float(np.sum(computed(lambda at: gradient(penalty, at), x) * along, dtype="float64"))
    ups, downs = (float(computed(penalty, (x + step * along).astype("float32"))) for step in (1e-2, -1e-2))
    assert exact == pytest.approx((ups - downs) / 2e-2, rel=2e-2)


class Penalized:
    """A loss that is a gradient penalty alone."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def step(self, x: Any, training: bool) -> Output:
        slopes = gradient(lambda x: self.model(x, training=training), x)
        return Output(ops.mean(ops.square(ops.sqrt(ops.sum(ops.square(slopes), axis=1)) - 1)), ops.shape(x)[0])


def penalty_by_hand(x: Any, w: Any, b: Any, v: Any) -> float:
    """Of f(x) = v . tanh(w x + b), whose slope is w' (v (1 - tanh^2))."""
    slopes = ((1 - np.tanh(x @ w + b) ** 2) * v[:, 0]) @ w.T
    return float(np.mean((np.sqrt(np.sum(slopes**2, axis=1)) - 1) ** 2))


def test_a_penalty_of_the_slope_is_trained_as_by_hand() -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(1, use_bias=False)])
    x = numbers(5, 3, seed=4)
    before = model.get_weights()
    engine = engine_of(Penalized(model), keras.optimizers.SGD(), x)
    outputs = [engine.train_step(x, 1.0, True)]
    (trained,) = engine.fetch(outputs)
    engine.release()
    assert float(trained.measures["Loss"]["loss"]) == pytest.approx(penalty_by_hand(x, *before), rel=1e-5)
    for at, (old, new) in enumerate(zip(before, model.get_weights(), strict=True)):
        for place in np.ndindex(old.shape):
            moved = [[each.astype("float64") for each in before] for _ in range(2)]
            moved[0][at][place] += 1e-6
            moved[1][at][place] -= 1e-6
            slope = (penalty_by_hand(x, *moved[0]) - penalty_by_hand(x, *moved[1])) / 2e-6
            assert old[place] - new[place] == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_a_penalty_is_evaluated_too_and_statistics_are_assigned_once() -> None:
    norm = layers.BatchNormalization(momentum=0.5, scale=False, center=False)
    dense = [layers.Dense(4, activation="tanh"), layers.Dense(1, use_bias=False)]
    model, x = keras.Sequential([keras.Input((3,)), norm, *dense]), numbers(8, 3, seed=4)
    engine = engine_of(Penalized(model), keras.optimizers.SGD(), x)
    (evaluated,) = engine.fetch([engine.eval_step(x)])
    # with the first statistics, of mean 0 and variance 1
    w, b, v = (weights for layer in dense for weights in layer.get_weights())
    slope = penalty_by_hand(x, w / np.sqrt(1 + norm.epsilon), b, v)
    assert float(evaluated.measures["Loss"]["loss"]) == pytest.approx(slope, rel=1e-4)
    engine.train_step(x, 0.0, True)
    engine.release()
    np.testing.assert_allclose(ops.convert_to_numpy(norm.moving_mean), x.mean(0) / 2, rtol=1e-4, atol=1e-6)


def test_what_does_not_depend_on_the_argument_has_no_slope_and_whole_numbers_have_no_gradient() -> None:
    x = numbers(2, 3)
    assert not computed(lambda x: gradient(lambda _: ops.ones((2,)), x), x).any()
    with pytest.raises(ConfigurationError, match=r"floats by another one: x must.*Received: int32"):
        gradient(ops.sum, np.arange(3, dtype="int32"))
    with pytest.raises(ConfigurationError, match=r"what the function returns must.*Received: list"):
        gradient(lambda x: [x], x)


def test_weights_that_a_layer_assigns_in_training_are_refused_and_left_alone_without() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.SpectralNormalization(layers.Dense(3)), layers.Dense(1)])
    x = np.ones((2, 4), "float32")
    with pytest.raises(ConfigurationError, match=r"training=False"):
        computed(lambda x: gradient(lambda given: model(given, training=True), x), x)
    assert computed(lambda x: gradient(lambda given: model(given, training=False), x), x).shape == x.shape
