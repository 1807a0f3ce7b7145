"""The same seed gives the same initial weights, dropout masks and draws on every framework."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

BACKENDS = [name for name in ("torch", "tensorflow", "jax") if find_spec(name)]
PAIRS = list(itertools.combinations(BACKENDS, 2))


def draw_everything() -> dict[str, np.ndarray]:
    """What one framework draws: under `exact/...` what must be equal bit for bit, under `near/...` traced floats."""
    import keras
    from keras import layers, ops
    from keras.src.utils.backend_utils import DynamicBackend

    from multilearn_keras import random

    drawn = {}

    def keep(name: str, tensor: object) -> None:
        drawn[name] = np.asarray(ops.convert_to_numpy(tensor))

    def convolutional() -> keras.Model:
        image = layers.Input((8, 8, 1))
        x = layers.Conv2D(4, 3, kernel_initializer="he_normal")(image)
        x = layers.Dropout(0.3)(layers.ReLU()(layers.BatchNormalization()(x)))
        return keras.Model(image, layers.Dense(3, kernel_initializer="truncated_normal")(layers.Flatten()(x)))

    def recurrent() -> keras.Model:
        tokens = layers.Input((None,), dtype="int32")
        x = layers.Bidirectional(layers.LSTM(24, dropout=0.2, recurrent_dropout=0.3))(layers.Embedding(11, 9)(tokens))
        return keras.Model(tokens, layers.Dense(3)(x))

    def attention() -> keras.Model:
        x = inputs = layers.Input((6, 8))
        x = layers.MultiHeadAttention(2, 4, dropout=0.2)(x, x)
        return keras.Model(inputs, layers.Dense(2, kernel_initializer="orthogonal")(x))

    random.reset(42)
    for make in (convolutional, recurrent, attention):
        for k, weight in enumerate(make().weights):
            keep(f"exact/{make.__name__}/{k}", ops.cast(weight, "int64" if "seed" in weight.path else weight.dtype))

    dropouts = [layers.Dropout(0.3), layers.SpatialDropout1D(0.4), layers.Dropout(0.1, seed=-7)]
    for step, (k, layer) in itertools.product(range(4), enumerate(dropouts)):
        keep(f"exact/mask/{k}/{step}", layer(ops.ones((5, 6, 7)), training=True) != 0)
    x = ops.reshape(ops.arange(96, dtype="float32"), (4, 8, 3)) / 96
    for layer in (layers.GaussianNoise(1.0), layers.AlphaDropout(0.4), layers.LSTM(6, recurrent_dropout=0.3)):
        for step in range(3):
            keep(f"near/{type(layer).__name__}/{step}", layer(x, training=True))

    for step in range(3):
        keep(f"exact/uniform/{step}", keras.random.uniform((50,)))
        keep(f"exact/randint/{step}", keras.random.randint((50,), -(2**31), 2**31 - 1))
        keep(f"exact/shuffle/{step}", keras.random.shuffle(ops.arange(20)))
        keep(f"exact/categorical/{step}", keras.random.categorical(ops.zeros((3, 5)), 10))
        keep(f"near/normal/{step}", keras.random.normal((50,)))
        keep(f"near/truncated_normal/{step}", keras.random.truncated_normal((50,)))
    for dtype in ("float16", "bfloat16"):
        keep(f"exact/{dtype}", ops.cast(keras.random.dropout(ops.ones((50,), dtype=dtype), 0.3), "float32"))

    random.reset(43)
    keep("other seed", convolutional().weights[0])
    if find_spec("tensorflow"):  # as in a tf.data pipeline, whatever the framework that trains
        foreign = DynamicBackend("tensorflow")
        drawn["exact/tf.data"] = foreign.random.uniform(
            (50,), seed=keras.random.SeedGenerator(1, backend=foreign)
        ).numpy()
    return drawn


@pytest.fixture(scope="module")
def draws(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """What each installed framework draws, in a process of its own."""
    directory, everything = tmp_path_factory.mktemp("draws"), {}
    for backend in BACKENDS:
        environment = {**os.environ, "KERAS_BACKEND": backend, "MULTILEARN_BACKEND": backend}
        file = directory / f"{backend}.npz"
        run = subprocess.run([sys.executable, __file__, file], env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        with np.load(file) as arrays:
            everything[backend] = dict(arrays)
    return everything


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.parametrize("what", ["convolutional", "recurrent", "attention"])
def test_initial_weights_are_equal_bit_for_bit(
    draws: dict[str, dict[str, np.ndarray]], what: str, one: str, other: str
) -> None:
    names = [name for name in draws[one] if name.startswith(f"exact/{what}/")]
    assert len(names) >= 4
    assert names == [name for name in draws[other] if name.startswith(f"exact/{what}/")]
    for name in names:
        assert draws[one][name].dtype == draws[other][name].dtype, name
        assert draws[one][name].tobytes() == draws[other][name].tobytes(), name


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_masks_integers_and_unseeded_uniform_draws_are_equal_bit_for_bit(
    draws: dict[str, dict[str, np.ndarray]], one: str, other: str
) -> None:
    names = [name for name in draws[one] if name.startswith("exact/")]
    assert len(names) > 40
    for name in names:
        np.testing.assert_array_equal(draws[one][name], draws[other][name], err_msg=name)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_traced_floats_are_equal_to_nearly_the_last_digit(
    draws: dict[str, dict[str, np.ndarray]], one: str, other: str
) -> None:
    names = [name for name in draws[one] if name.startswith("near/")]
    assert len(names) == 15
    for name in names:
        np.testing.assert_allclose(draws[one][name], draws[other][name], 3e-6, 3e-6, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_differ_from_step_to_step_and_weights_from_seed_to_seed(
    draws: dict[str, dict[str, np.ndarray]], backend: str
) -> None:
    drawn = draws[backend]
    for k in range(3):
        masks = {drawn[f"exact/mask/{k}/{step}"].tobytes() for step in range(4)}
        assert len(masks) == 4
    assert not np.array_equal(drawn["exact/convolutional/0"], drawn["other seed"])


if __name__ == "__main__":
    np.savez(Path(sys.argv[1]), **draw_everything())
