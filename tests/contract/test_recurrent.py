"""LSTM and GRU against their formulas in numpy, step by step, with and without a mask."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from training import engine_of, numbers, train

from multilearn_keras import Regression, random

Array = np.ndarray[Any, Any]

BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 6
MASK = np.array([[0, 1, 0, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)


@pytest.fixture(autouse=True)
def _mended() -> None:
    random.install()


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def lstm_step(x: Array, states: list[Array], weights: list[Array]) -> list[Array]:
    i, f, g, o = np.split(x @ weights[0] + states[0] @ weights[1] + (weights[2] if weights[2:] else 0), 4, axis=1)
    carry = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(carry), carry]


def gru_step(x: Array, states: list[Array], weights: list[Array]) -> list[Array]:
    biases = weights[2] if weights[2:] else np.zeros((2, 1))
    z, r, h = np.split(x @ weights[0] + biases[0], 3, axis=1)
    inner_z, inner_r, inner_h = np.split(states[0] @ weights[1] + biases[1], 3, axis=1)
    z, r = sigmoid(z + inner_z), sigmoid(r + inner_r)
    return [z * states[0] + (1 - z) * np.tanh(h + r * inner_h)]


STEP = {layers.LSTM: lstm_step, layers.GRU: gru_step}


def by_hand(layer: Any, x: Array, states: list[Array], mask: Array | None, weights: list[Array]) -> list[Array]:
    """All outputs, (batch, steps, units), and the last states."""
    # where the first step is masked, Keras shows the initial state on JAX, and zeros elsewhere
    shown, outputs = states[0] if keras.backend.backend() == "jax" else np.zeros_like(states[0]), []
    for step in range(STEPS)[:: -1 if layer.go_backwards else 1]:
        present = np.ones((len(x), 1), bool) if mask is None else mask[:, step, None]
        following = STEP[type(layer)](x[:, step], states, weights)
        shown = np.where(present, following[0], np.zeros_like(shown) if layer.zero_output_for_mask else shown)
        states = [np.where(present, new, old) for new, old in zip(following, states, strict=True)]
        outputs.append(shown)
    return [np.stack(outputs, axis=1), *states]


def layer_of(kind: Any, **options: Any) -> Any:
    layer = kind(UNITS, return_sequences=True, return_state=True, **options)
    layer.build((BATCH, STEPS, FEATURES))
    layer.set_weights([numbers(*weight.shape, seed=k) / 2 for k, weight in enumerate(layer.get_weights())])
    return layer


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize(
    "options", [{}, {"use_bias": False}, {"go_backwards": True}, {"zero_output_for_mask": True}], ids=str
)
def test_outputs_and_states_are_those_of_the_formula(kind: Any, mask: Array | None, options: dict[str, Any]) -> None:
    layer, x = layer_of(kind, **options), numbers(BATCH, STEPS, FEATURES)
    states = [numbers(BATCH, UNITS, seed=9 + k) for k in range(len(layer.state_size))]
    found = layer(x, initial_state=[ops.convert_to_tensor(state) for state in states], mask=mask)
    wide = [weight.astype("float64") for weight in layer.get_weights()]
    expected = by_hand(layer, x.astype("float64"), [state.astype("float64") for state in states], mask, wide)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_an_update_follows_the_gradient_of_the_formula(kind: Any, masked: bool) -> None:
    """Differences of the loss in float64, weight for weight, through a mask that the model makes."""
    x, y = numbers(BATCH, STEPS, FEATURES), numbers(BATCH, STEPS, UNITS, seed=1)
    x = np.where(MASK[..., None], x, 0).astype("float32") if masked else x
    inner = [layers.Masking()] if masked else []
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), *inner, kind(UNITS, return_sequences=True)])
    layer = model.layers[-1]
    layer.set_weights([numbers(*weight.shape, seed=k) / 2 for k, weight in enumerate(layer.get_weights())])
    weights = [weight.astype("float64") for weight in layer.get_weights()]

    def loss(k: int, at: tuple[int, ...], change: float) -> float:
        moved = [weight.copy() for weight in weights]
        moved[k][at] += change
        states = [np.zeros((BATCH, UNITS)) for _ in layer.state_size]
        shown = by_hand(layer, x.astype("float64"), states, MASK if masked else None, moved)[0]
        errors = np.square(shown - y).mean(axis=-1)
        return float(errors[MASK].mean() if masked else errors.mean())

    engine = engine_of(Regression(model, loss=keras.losses.MeanSquaredError()), "sgd", (x, y))
    train(engine, [(x, y)], 1.0)
    engine.release()
    for k, (before, after) in enumerate(zip(weights, layer.get_weights(), strict=True)):
        slope = np.array([(loss(k, at, 1e-5) - loss(k, at, -1e-5)) / 2e-5 for at in np.ndindex(before.shape)])
        np.testing.assert_allclose((before - after).ravel(), slope, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave"])
def test_bidirectional_joins_the_two_directions(kind: Any, mode: str) -> None:
    x = numbers(BATCH, STEPS, FEATURES)
    both = layers.Bidirectional(kind(UNITS, return_sequences=True), merge_mode=mode)
    found = ops.convert_to_numpy(both(x))
    ways = [
        by_hand(way, x, [np.zeros((BATCH, UNITS))] * len(way.state_size), None, way.get_weights())[0]
        for way in (both.forward_layer, both.backward_layer)
    ]
    one, other = ways[0], ways[1][:, ::-1]
    joined = {"concat": np.concatenate([one, other], -1), "sum": one + other, "mul": one * other}
    np.testing.assert_allclose(found, joined.get(mode, (one + other) / 2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_on_torch_a_layer_is_one_operation_and_one_for_its_gradient(kind: Any) -> None:
    if keras.backend.backend() != "torch":
        pytest.skip("Only torch has a loop in Python to replace.")
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    layer, x = layer_of(kind, dtype="float64"), torch.from_numpy(numbers(BATCH, STEPS, FEATURES)).double()
    weights = [variable.value for variable in layer.trainable_variables]

    def step(x: Any) -> Any:
        outputs, *_ = layer(x, mask=torch.from_numpy(MASK), training=True)
        return outputs, *torch.autograd.grad(outputs.square().sum(), weights)

    graph, eager = make_fx(step)(x), step(x)
    own = [node for node in graph.graph.nodes if "multilearn" in str(node.target)]
    assert len(own) == 2
    with torch.no_grad():
        assert all(torch.equal(one, other) for one, other in zip(graph(x), eager, strict=True))
    states = [np.zeros((BATCH, UNITS))] * len(layer.state_size)
    expected = by_hand(layer, x.numpy(), states, MASK, layer.get_weights())[0]
    np.testing.assert_allclose(eager[0].detach().numpy(), expected, rtol=1e-12, atol=1e-13)
