"""LSTM and GRU against their formulas in numpy, step by step, with and without a mask."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.programs import compiled
from support.training import numbers, trained

from multilearn_keras import Regression
from multilearn_keras.patches.install import install

Array = np.ndarray[Any, Any]

BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 6
MASK = np.array([[0, 1, 0, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)


@pytest.fixture(autouse=True)
def _mended() -> None:
    install()


def lstm_step(x: Any, states: list[Any], weights: list[Any], np: Any = np) -> list[Any]:
    """`np`: numpy, or torch."""
    gates = x @ weights[0] + states[0] @ weights[1] + (weights[2] if weights[2:] else 0)
    i, f, g, o = (gates[:, k * UNITS : (k + 1) * UNITS] for k in range(4))
    carry = states[1] / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    return [np.tanh(carry) / (1 + np.exp(-o)), carry]


def gru_step(x: Any, states: list[Any], weights: list[Any], np: Any = np) -> list[Any]:
    """`np`: numpy, or torch."""
    own, recurrent = weights[2] if weights[2:] else (0, 0)
    given, inner = x @ weights[0] + own, states[0] @ weights[1] + recurrent
    z, r = (1 / (1 + np.exp(-given[:, k : k + UNITS] - inner[:, k : k + UNITS])) for k in (0, UNITS))
    return [z * states[0] + (1 - z) * np.tanh(given[:, 2 * UNITS :] + r * inner[:, 2 * UNITS :])]


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


OPTIONS = [
    (None, {}),
    (MASK, {}),
    (MASK, {"go_backwards": True, "use_bias": False, "dtype": "float64"}),
    (MASK, {"zero_output_for_mask": True}),
    (None, {"go_backwards": True, "use_bias": False}),
    (None, {"unroll": True, "dtype": "float64"}),
]
if keras.backend.backend() == "jax":
    del OPTIONS[3:]  # what is left are the words of Keras' own layers, which nothing is put in the place of


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize(("mask", "options"), OPTIONS, ids=str)
def test_outputs_and_states_are_those_of_the_formula(kind: Any, mask: Array | None, options: dict[str, Any]) -> None:
    layer, x = layer_of(kind, **options), numbers(BATCH, STEPS, FEATURES)
    states = [numbers(BATCH, UNITS, seed=9 + k) for k in range(len(layer.state_size))]
    run = compiled(lambda x, *states: layer(x, initial_state=list(states), mask=mask))
    found = run(*map(ops.convert_to_tensor, (x, *states)))
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

    trained(Regression(model, loss=keras.losses.MeanSquaredError()), "sgd", [(x, y)], 1.0)
    for k, (before, after) in enumerate(zip(weights, layer.get_weights(), strict=True)):
        slope = np.array([(loss(k, at, 1e-5) - loss(k, at, -1e-5)) / 2e-5 for at in np.ndindex(before.shape)])
        np.testing.assert_allclose((before - after).ravel(), slope, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_bidirectional_gives_the_two_directions_and_joins_them(kind: Any) -> None:
    x = numbers(BATCH, STEPS, FEATURES)
    both = layers.Bidirectional(kind(UNITS, return_sequences=True), merge_mode=None)
    one, other = (ops.convert_to_numpy(way) for way in both(x))
    zeros = [np.zeros((BATCH, UNITS))] * (2 if kind is layers.LSTM else 1)
    ways = (both.forward_layer, both.backward_layer)
    expected = [by_hand(way, x, zeros, None, way.get_weights())[0] for way in ways]
    np.testing.assert_allclose(one, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(other, expected[1][:, ::-1], rtol=1e-5, atol=1e-6)
    for mode, joined in {"concat": np.concatenate([one, other], -1), "ave": (one + other) / 2}.items():
        both.merge_mode = mode
        np.testing.assert_allclose(ops.convert_to_numpy(both(x)), joined, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_a_stateful_layer_goes_on_where_it_stopped(kind: Any) -> None:
    x = numbers(BATCH, STEPS, FEATURES)
    layer = kind(UNITS, stateful=True, return_sequences=True)
    halves = [ops.convert_to_numpy(layer(x[:, :2])), ops.convert_to_numpy(layer(x[:, 2:]))]
    zeros = [np.zeros((BATCH, UNITS))] * len(layer.state_size)
    expected = by_hand(layer, x, zeros, None, layer.get_weights())[0]
    np.testing.assert_allclose(np.concatenate(halves, axis=1), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_dropout_of_the_inputs_is_the_same_at_every_step(kind: Any) -> None:
    """What is dropped shows in a twin without dropout: its outputs for inputs times one of the possible masks."""
    layer, x = layer_of(kind, dropout=0.5, seed=3, implementation=2), np.ones((BATCH, STEPS, FEATURES), "float32")
    found = ops.convert_to_numpy(layer(x, training=True)[0])
    zeros = [np.zeros((1, UNITS))] * len(layer.state_size)
    for item in range(BATCH):
        possible = [
            by_hand(layer, x[:1] * 2 * np.array(kept), zeros, None, layer.get_weights())[0]
            for kept in itertools.product((0, 1), repeat=FEATURES)
        ]
        assert min(np.abs(found[item] - each[0]).max() for each in possible) < 1e-5
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(x, training=False)[0])[:1],
        by_hand(layer, x[:1], zeros, None, layer.get_weights())[0],
        rtol=1e-5,
        atol=1e-6,
    )


needs_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="These are the kernels of torch.")
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="This is the kernel of TensorFlow."
)


def operations(step: Any, x: Any) -> list[str]:
    """Those of the library in the graph of a step, after the graph was run again and gave the same bits."""
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    graph, eager = make_fx(step)(x), step(x)
    with torch.no_grad():
        assert all(torch.equal(one, other) for one, other in zip(graph(x), eager, strict=True))
    return [str(node.target).split(".")[1] for node in graph.graph.nodes if str(node.target).startswith("multilearn.")]


@needs_torch
@pytest.mark.parametrize(
    ("kind", "dtype", "masked", "expected"),
    [
        (layers.LSTM, "float32", False, "onednn_lstm"),
        (layers.LSTM, "float32", True, "lstm"),
        (layers.LSTM, "float64", False, "lstm"),
        (layers.GRU, "float32", True, "gru"),
        (layers.GRU, "float64", False, "gru"),
    ],
)
def test_on_torch_a_layer_is_one_operation_and_one_for_its_gradient(
    kind: Any, dtype: str, masked: bool, expected: str
) -> None:
    import torch

    if expected == "onednn_lstm" and not torch.backends.mkldnn.is_available():
        expected = "lstm"
    layer, x = layer_of(kind, dtype=dtype), torch.from_numpy(numbers(BATCH, STEPS, FEATURES).astype(dtype))
    weights = [variable.value for variable in layer.trainable_variables]

    def step(x: Any) -> Any:
        outputs, *_ = layer(x, mask=torch.from_numpy(MASK) if masked else None, training=True)
        return outputs, *torch.autograd.grad(outputs.square().sum(), weights)

    assert operations(step, x) == [expected, f"{expected}_backward"]


@needs_torch
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (layers.LSTM, {"activation": "relu"}),
        (layers.LSTM, {"recurrent_activation": "hard_sigmoid"}),
        (layers.LSTM, {"recurrent_dropout": 0.2}),
        (layers.LSTM, {"use_cudnn": False}),
        (layers.LSTM, {"dtype": "bfloat16"}),
        (layers.GRU, {"reset_after": False}),
    ],
    ids=str,
)
def test_on_torch_what_the_operation_does_not_know_runs_in_steps(kind: Any, options: dict[str, Any]) -> None:
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    layer = layer_of(kind, **options)
    x = torch.from_numpy(numbers(BATCH, STEPS, FEATURES)).to(layer.trainable_variables[0].value.dtype)
    names = [str(node.target) for node in make_fx(lambda x: layer(x, training=True))(x).graph.nodes]
    assert len(names) > STEPS
    assert not any(name.startswith("multilearn.") for name in names)


@needs_torch
@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize(("dtype", "masked"), [("float32", False), ("float64", False), ("float64", True)])
def test_on_torch_gradients_and_their_gradients_are_those_of_autograd(kind: Any, dtype: str, masked: bool) -> None:
    """The steps of the formula in float64 are the reference: for both outputs, all weights, states and the inputs."""
    import torch

    layer = layer_of(kind, dtype=dtype)
    mask = torch.from_numpy(MASK) if masked else None
    arrays = [
        numbers(BATCH, STEPS, FEATURES),
        *(numbers(BATCH, UNITS, seed=9 + k) for k, _ in enumerate(layer.state_size)),
    ]
    weights = [variable.value for variable in layer.trainable_variables]

    def formula(x: Any, states: list[Any], kernels: list[Any]) -> list[Any]:
        shown, outputs = torch.zeros_like(states[0]), []
        for step in range(STEPS):
            following = STEP[kind](x[:, step], states, kernels, torch)
            present = torch.ones(BATCH, 1, dtype=torch.bool) if mask is None else mask[:, step, None]
            shown = torch.where(present, following[0], shown)
            states = [torch.where(present, new, old) for new, old in zip(following, states, strict=True)]
            outputs.append(shown)
        return [torch.stack(outputs, 1), *states]

    def gradients(run: Any, given: list[Any], own: list[Any]) -> list[Any]:
        x, *states = given
        total = sum((k + output.sin()).square().sum() for k, output in enumerate(run(x, states, own)))
        plain = torch.autograd.grad(total, [*given, *own], retain_graph=True)
        first = torch.autograd.grad(total, [*given, *own], create_graph=True)
        penalty = sum(each.square().sum() for each in first)
        return [*plain, *first, *torch.autograd.grad(penalty, [*given, *own])]

    given = [torch.from_numpy(array.astype(dtype)).requires_grad_() for array in arrays]
    found = gradients(lambda x, states, _: layer(x, initial_state=states, mask=mask), given, weights)
    wide = [each.detach().double().requires_grad_() for each in [*given, *weights]]
    expected = gradients(formula, wide[: len(given)], wide[len(given) :])
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, float(other.detach().abs().max()))
        assert float((one - other).detach().abs().max()) <= tolerance * scale


def steps_on_tensorflow(layer: Any, compiled: bool = False) -> Any:
    """The outputs of the layer and the gradient of its weights, as a graph for any batch size and length."""
    import tensorflow as tf

    weights = [variable.value for variable in layer.trainable_variables]

    def step(x: Any, mask: Any) -> Any:
        with tf.GradientTape() as tape:
            outputs, *_ = layer(x, mask=mask, training=True)
            total = tf.reduce_sum(outputs**2)
        return outputs, tape.gradient(total, weights)

    return tf.function(step, autograph=False, jit_compile=compiled)


def kernels(graph: Any) -> list[str]:
    return [found.type for found in graph.graph.get_operations() if found.type.startswith("BlockLSTM")]


@needs_tensorflow
def test_on_tensorflow_the_layer_is_one_operation_and_one_for_its_gradient() -> None:
    import tensorflow as tf

    layer = layer_of(layers.LSTM)
    for shape in ((BATCH, STEPS, FEATURES), (None, None, FEATURES)):
        graph = steps_on_tensorflow(layer).get_concrete_function(tf.TensorSpec(shape), None)
        assert kernels(graph) == ["BlockLSTM", "BlockLSTMGrad"]
        assert "While" not in {found.type for found in graph.graph.get_operations()}
        for batch, length in ((BATCH, STEPS), (1, 1)) if shape[0] is None else ((BATCH, STEPS),):
            x = numbers(batch, length, FEATURES)
            expected = steps_on_tensorflow(twin_in_steps(layer, "float32"))(tf.constant(x), None)
            for one, other in zip(tf.nest.flatten(graph(tf.constant(x))), tf.nest.flatten(expected), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@needs_tensorflow
@pytest.mark.parametrize(
    ("options", "masked", "compiled"),
    [
        ({"activation": "relu"}, False, False),
        ({"recurrent_activation": "hard_sigmoid"}, False, False),
        ({"recurrent_dropout": 0.2}, False, False),
        ({"use_cudnn": False}, False, False),
        ({"dtype": "float64"}, False, False),
        ({"dtype": "mixed_bfloat16"}, False, False),
        ({}, True, False),
        ({}, False, True),
    ],
    ids=str,
)
def test_on_tensorflow_what_the_kernel_does_not_know_is_left_to_keras(
    options: dict[str, Any], masked: bool, compiled: bool
) -> None:
    import tensorflow as tf

    layer = layer_of(layers.LSTM, **options)
    x, mask = tf.constant(numbers(BATCH, STEPS, FEATURES), layer.input_dtype), tf.constant(MASK) if masked else None
    graph = steps_on_tensorflow(layer, compiled).get_concrete_function(x, mask)
    assert kernels(graph) == []
    outputs, _ = graph(*([x] if mask is None else [x, mask]))
    assert outputs.shape == (BATCH, STEPS, UNITS)


def twin_in_steps(layer: Any, dtype: str, unroll: bool = False) -> Any:
    """A layer with the same weights that runs Keras' own loop."""
    twin = layer_of(type(layer), dtype=dtype, use_cudnn=False, unroll=unroll)
    twin.set_weights(layer.get_weights())
    return twin


@needs_tensorflow
def test_on_tensorflow_gradients_and_their_gradients_are_those_of_keras_own_steps() -> None:
    """In float64: for outputs and both states, of all weights, initial states and the inputs."""
    import tensorflow as tf

    def gradients(layer: Any, given: list[Any]) -> list[Any]:
        watched = [*given, *(variable.value for variable in layer.trainable_variables)]
        with tf.GradientTape() as outer:
            outer.watch(given)
            with tf.GradientTape() as inner:
                inner.watch(given)
                outputs = layer(given[0], initial_state=given[1:])
                total = sum(tf.reduce_sum((k + tf.sin(output)) ** 2) for k, output in enumerate(outputs))
            first = inner.gradient(total, watched)
            penalty = sum(tf.reduce_sum(each**2) for each in first)
        return [*first, *outer.gradient(penalty, watched)]

    layer = layer_of(layers.LSTM)
    arrays = [numbers(BATCH, STEPS, FEATURES), *(numbers(BATCH, UNITS, seed=9 + k) for k in range(2))]
    expected = gradients(
        twin_in_steps(layer, "float64", unroll=True), [tf.constant(array, "float64") for array in arrays]
    )
    for run in (gradients, tf.function(gradients, autograph=False)):
        for one, other in zip(run(layer, [tf.constant(array) for array in arrays]), expected, strict=True):
            scale = max(1.0, np.abs(other.numpy()).max())
            assert np.abs(one.numpy() - other.numpy()).max() <= 2e-5 * scale
