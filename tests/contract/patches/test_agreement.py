"""Where Keras computes another thing on one framework than on the others, by hand and in numpy."""

from __future__ import annotations

from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import layers, ops
from support.training import engine_of, evaluate, numbers, train, trained, twins

from multilearn_keras import Regression

Array = np.ndarray[Any, Any]


class Noisy(layers.Layer):
    """Writes into its inputs, where the framework lets it."""

    def call(self, x: Any) -> Any:
        x += 1.0
        return x


@pytest.mark.parametrize("augmented", [Noisy, lambda: layers.RandomBrightness(0.5, (0.0, 1.0))], ids=["own", "Keras'"])
def test_what_a_model_writes_into_its_inputs_is_not_written_into_the_data(augmented: Any) -> None:
    x, y = abs(numbers(8, 4, 4, 3)), numbers(8, 2)
    kept = x.copy()
    model = keras.Sequential([keras.Input((4, 4, 3)), augmented(), layers.Flatten(), layers.Dense(2)])
    engine = engine_of(Regression(model), "sgd", (x, y))
    for batch in ((x, y), (ops.convert_to_tensor(x), ops.convert_to_tensor(y))):
        train(engine, [batch], 0.1)
        evaluate(engine, [batch])
        np.testing.assert_array_equal(ops.convert_to_numpy(batch[0]), kept)


def softmaxed(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_masked_attention_has_the_gradient_of_its_formula_also_where_all_keys_are_masked() -> None:
    """One update of a model that is nothing but attention, against differences of the loss in float64."""
    x, y = numbers(2, 3, 4), numbers(2, 3, 4, seed=1)
    # the first item has one key, and the queries at 1 and 2 have none
    seen = np.array([[True, False, False], [True, True, True]])
    mask = seen[:, :, None] & seen[:, None, :]

    class Attending(layers.Layer):
        def build(self, shape: Any) -> None:
            self.kernels = self.add_weight(shape=(3, 4, 4), initializer="glorot_normal")

        def call(self, x: Any) -> Any:
            query, key, value = (ops.expand_dims(ops.matmul(x, self.kernels[k]), 2) for k in range(3))
            return ops.dot_product_attention(query, key, value, mask=mask[:, None])[:, :, 0]

    def loss(kernels: Array) -> float:
        query, key, value = (x.astype("float64") @ kernels[k] for k in range(3))
        scores = np.where(mask, query @ key.transpose(0, 2, 1) / 2.0, -1e9)
        return float(np.mean((softmaxed(scores) @ value - y) ** 2))

    model = twins(lambda: keras.Sequential([keras.Input((3, 4), batch_size=2), Attending()]))[0]
    before = ops.convert_to_numpy(model.weights[0]).astype("float64")
    gradient = np.zeros_like(before)
    for place in np.ndindex(*before.shape):
        step = np.zeros_like(before)
        step[place] = 1e-5
        gradient[place] = (loss(before + step) - loss(before - step)) / 2e-5
    trained(Regression(model), keras.optimizers.SGD(), [(x, y)], 1.0)
    moved = before - ops.convert_to_numpy(model.weights[0])
    np.testing.assert_allclose(moved, gradient, rtol=1e-4, atol=1e-6)


def test_products_of_half_precision_are_rounded_and_not_cut_off() -> None:
    one, other = (
        numbers(*shape, seed=seed).astype(ml_dtypes.bfloat16) for seed, shape in enumerate([(9, 32), (32, 7)])
    )
    exact = one.astype("float64") @ other.astype("float64")
    rounded = exact.astype("float32").astype(ml_dtypes.bfloat16).astype("float32")
    first, second = (ops.cast(ops.convert_to_tensor(each.astype("float32")), "bfloat16") for each in (one, other))
    for product in (ops.matmul(first, second), ops.einsum("ab,bc->ac", first, second)):
        assert keras.backend.standardize_dtype(product.dtype) == "bfloat16"
        found = ops.convert_to_numpy(ops.cast(product, "float32"))
        # a sum in another order may round to the neighbour, now and then
        assert np.mean(found != rounded) < 0.05


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["elu", "gelu", "log_softmax", "sigmoid", "silu", "softmax", "softplus"])
def test_activations_in_half_precision_are_those_in_single_precision_rounded(name: str, kind: str) -> None:
    activation = getattr(ops, name)
    x = ops.cast(ops.convert_to_tensor(3 * numbers(16, 32)), kind)
    found, single = activation(x), activation(ops.cast(x, "float32"))
    assert keras.backend.standardize_dtype(found.dtype) == kind
    found, expected = (ops.convert_to_numpy(ops.cast(ops.cast(y, kind), "float32")) for y in (found, single))
    # torch has kernels of its own, which now and then are on the other side of a rounding
    assert np.mean(found != expected) < 0.2


def test_a_kernel_that_is_normalised_in_training_has_the_gradient_of_what_it_became() -> None:
    x, y = numbers(8, 4), numbers(8, 3, seed=1)
    layer = layers.SpectralNormalization(layers.Dense(3, use_bias=False))
    model = twins(lambda: keras.Sequential([keras.Input((4,)), layer]))[0]
    kernel, u = (ops.convert_to_numpy(v).astype("float64") for v in (layer.layer.kernel, layer.vector_u))
    trained(Regression(model), keras.optimizers.SGD(), [(x, y)] * 2, 0.1)
    for _ in range(2):
        v = u @ kernel.T / np.linalg.norm(u @ kernel.T)
        u = v @ kernel / np.linalg.norm(v @ kernel)
        kernel = kernel / (v @ kernel @ u.T)
        kernel = kernel - 0.1 * x.T @ (2 * (x @ kernel - y) / y.size)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.layer.kernel), kernel, rtol=1e-4, atol=1e-6)


def test_the_schedule_free_optimizer_averages_from_the_momentum_of_before() -> None:
    if not hasattr(keras.optimizers, "ScheduleFreeAdamW"):
        pytest.skip("this Keras has no ScheduleFreeAdamW")
    x, y = numbers(8, 3), numbers(8, 1, seed=1)
    model = twins(lambda: keras.Sequential([keras.Input((3,)), layers.Dense(1, use_bias=False)]))[0]
    weights = ops.convert_to_numpy(model.weights[0]).astype("float64")
    optimizer = keras.optimizers.ScheduleFreeAdamW(warmup_steps=2)
    trained(Regression(model), optimizer, [(x, y)] * 4, 0.1)
    # algorithm 1 of the paper, with the step as the weight of the average, and Adam's second moments
    z, average, second = weights, weights, np.zeros_like(weights)
    for step in range(1, 5):
        gradient = x.T @ (2 * (x @ weights - y) / y.size)
        second = 0.999 * second + 0.001 * gradient**2
        rate = 0.1 * min(step / 2, 1)
        z = z - rate * gradient / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        average = (1 - 1 / step) * average + z / step
        weights = 0.1 * z + 0.9 * average
    np.testing.assert_allclose(ops.convert_to_numpy(model.weights[0]), weights, rtol=1e-4)


def test_a_masked_loss_leaves_the_weights_of_the_batch_as_they_are() -> None:
    predictions, targets, weights = numbers(2, 3, 1), numbers(2, 3, 1, seed=1), abs(numbers(2, 3, seed=2))
    seen, masked = ops.convert_to_tensor(weights), ops.convert_to_tensor(predictions)
    keras.src.backend.set_keras_mask(masked, ops.convert_to_tensor([[True, False, True], [True, True, False]]))
    found = float(keras.losses.MeanSquaredError()(targets, masked, sample_weight=seen))
    kept = np.array([[1, 0, 1], [1, 1, 0]])
    assert found == pytest.approx(float(((targets - predictions)[..., 0] ** 2 * weights * kept).sum() / 4), rel=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(seen), weights)
