"""Keras draws from one portable generator: exact bits, sound distributions, and in every way a framework runs code."""

from __future__ import annotations

import itertools
import math
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from statistics import NormalDist
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src import backend as keras_backend
from keras.src.random import seed_generator
from support.programs import compiled, shape_of

from multilearn.errors import BackendError, ConfigurationError
from multilearn.seeding import seed as experiment_seed
from multilearn_keras import keras_internals
from multilearn_keras.keras_internals import INSIDE
from multilearn_keras.patches import draws
from multilearn_keras.patches.install import install
from multilearn_keras.random import initializers as initial
from multilearn_keras.random import seeds
from multilearn_keras.random.bits import derive, host_bits, host_halves, key_of, signed, traced_bits, traced_halves

BACKEND = keras.backend.backend()
STEP = 0x9E3779B9
KEYS = [(0, 0), (1, 0), (7, 1), (-5, 3), (2**31 - 1, 2**31 - 1), (-(2**31), -1), (2**40 + 3, 2**35 + 7), (-(2**50), 9)]


@pytest.fixture(autouse=True)
def seeded() -> None:
    seeds.reset(20)


def numbers(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def key_tensor(key: tuple[int, int]) -> Any:
    return ops.convert_to_tensor(np.array([signed(part) for part in key], "int32"))


def ways_to_run(function: Callable[..., Any], *examples: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """`function` of tensors, as each kind of tracing and compiling sees it."""
    if BACKEND != "jax":  # where every operation is a program of its own: the layers below draw so
        yield "eager", function
    if BACKEND == "torch":
        from torch.fx.experimental.proxy_tensor import make_fx

        yield "make_fx", make_fx(function)(*examples)
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        batch = examples[0]
        signature = [
            tf.TensorSpec([None, *batch.shape[1:]], batch.dtype),
            *map(tf.TensorSpec.from_tensor, examples[1:]),
        ]
        yield "tf.function", tf.function(function)
        yield "unknown batch", tf.function(function, input_signature=signature)
        yield "XLA", tf.function(function, input_signature=signature, jit_compile=True)
    else:
        import jax

        yield "jit", jax.jit(function)


def by_the_formula(i: int, k0: int, k1: int) -> int:
    """The formula of the generator, in Python's integers."""

    x = (i + 1) * STEP % 2**32 ^ (k0 * 0xC2B2AE35 + k1 * 0x85EBCA6B) % 2**32
    x = (x ^ x >> 17) * 0xED5AD4BB % 2**32 ^ k0 % 2**32
    x = (x ^ x >> 11) * 0xAC4C1B51 % 2**32
    x = (x ^ x >> 15) * 0x31848BAB % 2**32
    return x ^ x >> 14


@pytest.mark.parametrize("key", KEYS)
def test_host_bits_follow_the_formula_and_may_be_had_in_parts(key: tuple[int, int]) -> None:
    expected = [by_the_formula(i, *key) for i in range(50)]
    assert host_bits(0, 50, key).tolist() == expected
    assert host_bits(20, 30, key).tolist() == expected[20:]
    assert host_bits(0, 5, key, lane=3).tolist() == [by_the_formula(i, key[0], key[1] + 3 * 2**30) for i in range(5)]


def test_traced_bits_are_the_host_s_however_they_are_run() -> None:
    """In all lanes."""

    def draw(x: Any, key: Any) -> list[Any]:
        return [traced_bits(keras_backend, ops.shape(x), key, lane=lane) for lane in range(4)]

    x = ops.zeros((6, 7))
    for way, run in ways_to_run(draw, x, key_tensor((1, 1))):
        for key in KEYS:
            for lane, found in enumerate(run(x, key_tensor(key))):
                expected = host_bits(0, 42, key, lane=lane).view(np.int32).reshape(6, 7)
                np.testing.assert_array_equal(numbers(found), expected, err_msg=f"{way} {key} {lane}")


def test_neighbouring_seeds_give_unrelated_seeds_to_layers() -> None:
    made = {n: [derive(n, k) for k in range(500)] for n in (0, 1, 2, STEP, 2**32, 2**32 + 1, 2**63 - 1)}
    everything = [value for values in made.values() for value in values]
    assert all(0 < value < 2**31 for value in everything)
    assert len(set(everything)) >= len(everything) - 1


@pytest.mark.parametrize("seed", [0, 3, -1, -5, 2**31, 2**40, -(2**70)])
def test_an_integer_seed_draws_what_a_generator_with_that_seed_draws_first(seed: int) -> None:
    generator = keras.random.SeedGenerator(seed)
    assert generator.get_config()["seed"] == seed
    assert numbers(generator.state).tolist() == [key_of(seed)[0], 0]
    expected = numbers(keras.random.randint((20,), -(2**31), 2**31, seed=seed))
    np.testing.assert_array_equal(numbers(keras.random.randint((20,), -(2**31), 2**31, seed=generator)), expected)
    assert not np.array_equal(numbers(keras.random.randint((20,), -(2**31), 2**31, seed=generator)), expected)
    assert numbers(generator.state).tolist() == [key_of(seed)[0], 2]


def test_seeds_of_any_size_and_sign_are_told_apart() -> None:
    seeds = [5, -5, 2**31 + 5, 2**32 + 5, -(2**32) - 5, 2**64 + 5]
    assert len({key_of(seed) for seed in seeds}) == len(seeds)


DRAWS: dict[str, Callable[[Any, Any], Any]] = {
    "uniform": lambda x, seed: keras.random.uniform(ops.shape(x), -1.0, 3.0, seed=seed),
    "normal": lambda x, seed: keras.random.normal(ops.shape(x), 1.0, 2.0, seed=seed),
    "truncated_normal": lambda x, seed: keras.random.truncated_normal(ops.shape(x), 1.0, 2.0, seed=seed),
    "randint": lambda x, seed: keras.random.randint(ops.shape(x), -3, 1000, seed=seed),
    "dropout": lambda x, seed: keras.random.dropout(x + 1.0, 0.3, seed=seed),
    "shuffle": lambda x, seed: keras.random.shuffle(x + ops.cumsum(ops.ones_like(x), 0), seed=seed),
    "categorical": lambda x, seed: keras.random.categorical(x, 4, seed=seed),
    "gamma": lambda x, seed: keras.random.gamma(ops.shape(x), 0.7, seed=seed),
    "beta": lambda x, seed: keras.random.beta(ops.shape(x), x + 0.2, 2.0, seed=seed),
}


def test_a_traced_seed_is_an_input_of_the_compiled_draw() -> None:
    def drawn(x: Any, seed: Any) -> list[Any]:
        return [draw(x, seed) for draw in DRAWS.values()]

    x = ops.zeros((6, 5))
    # on the host, as far as there are floats
    expected = {seed: list(map(numbers, compiled(lambda x, seed=seed: drawn(x, seed))(x))) for seed in (3, 4)}
    for way, run in ways_to_run(drawn, x, key_tensor((1, 1))):
        for seed, of_host in expected.items():
            for name, found, its in zip(DRAWS, run(x, key_tensor((seed, 0))), of_host, strict=True):
                np.testing.assert_allclose(numbers(found), its, 1e-5, 1e-5, err_msg=f"{way} {name}")


@pytest.mark.skipif(BACKEND == "tensorflow", reason="tf.function makes a tensor of int(tensor)")
def test_what_makes_a_python_number_of_a_tensor_cannot_be_compiled_at_all() -> None:
    x, key = ops.zeros((6, 5)), key_tensor((1, 1))
    with pytest.raises((RuntimeError, TypeError)):
        for way, run in ways_to_run(lambda x, key: x + int(key[0]), x, key):
            if way != "eager":
                run(x, key)


@pytest.mark.skipif(BACKEND != "jax", reason="JAX only")
@pytest.mark.parametrize("name", DRAWS)
def test_jax_can_tell_shapes_without_drawing(name: str) -> None:
    import jax

    told = jax.eval_shape(DRAWS[name], ops.zeros((6, 5)), key_tensor((1, 1)))
    assert told.shape == ((6, 4) if name == "categorical" else (6, 5))
    assert told.dtype == ("int32" if name in ("randint", "categorical") else "float32")


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch only")
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_torch_draws_on_the_meta_device(draw: Callable[[Any, Any], Any]) -> None:
    with keras.device("meta"):
        assert draw(ops.zeros((6, 5)), keras.random.SeedGenerator(1)).device.type == "meta"


TYPES = ("float16", "bfloat16", "float32", "float64")


def test_every_float_type_is_drawn_alike_on_the_host_and_traced() -> None:
    cases = list(itertools.product(("uniform", "normal", "truncated_normal"), TYPES))

    def drawn(seed: Any) -> list[Any]:
        return [getattr(keras.random, draw)((500,), dtype=dtype, seed=seed) for draw, dtype in cases]

    for (draw, dtype), *both in zip(cases, drawn(5), compiled(drawn)(key_tensor((5, 0))), strict=True):
        held = "float32" if dtype == "float64" and BACKEND == "jax" else dtype
        assert {keras.backend.standardize_dtype(each.dtype) for each in both} == {held}
        rounding = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 5e-6, "float64": 1e-13}[held]
        host, traced = (numbers(ops.cast(each, "float32" if held != "float64" else held)) for each in both)
        np.testing.assert_allclose(traced, host, rounding, rounding, err_msg=f"{draw} {dtype}")
        if held == "float64":
            assert np.any(host != host.astype("float32"))


@pytest.mark.parametrize("traced", [False, True])
def test_uniform_never_reaches_its_upper_bound(traced: bool) -> None:
    cases = list(itertools.product(TYPES[:3], ((0.0, 1.0), (1.0, 2.0), (-1.0, 1e-3))))

    def drawn(seed: Any) -> list[Any]:
        return [keras.random.uniform((20_000,), *bounds, dtype=dtype, seed=seed) for dtype, bounds in cases]

    for (_, (low, high)), found in zip(cases, compiled(drawn)(key_tensor((1, 0))) if traced else drawn(1), strict=True):
        found = numbers(ops.cast(found, "float32"))
        assert low <= found.min()
        assert found.max() < high
    assert initial.below(2.0, 1.0, "float32") == 2.0 - 2.0**-23
    assert initial.below(1.0, 0.0, "bfloat16") == 1.0 - 2.0**-8


def test_randint_is_the_share_of_a_64_bit_number() -> None:
    largest = 2**31
    cases = [(0, 1), (0, 7), (-3, 1000), (-9, 65527), (-largest, largest - 1)]  # whose bounds are of the type
    cases += [(-(2**30), largest), (-largest, largest), (0, largest)]
    first, second = (host_bits(0, 300, (9, 0), lane=lane).tolist() for lane in (0, 1))
    expected = [
        [low + ((high - low) * (a * 2**32 + b) >> 64) for a, b in zip(first, second, strict=True)]
        for low, high in cases
    ]

    def drawn(seed: Any, bounds: Any = cases) -> list[Any]:
        return [keras.random.randint((300,), low, high, seed=seed) for low, high in bounds]

    of_tensors = compiled(lambda bounds: drawn(9, bounds))(
        [tuple(map(ops.convert_to_tensor, bounds)) for bounds in cases[:5]]
    )
    for found in (drawn(9), compiled(drawn)(key_tensor((9, 0))), of_tensors):
        assert [numbers(each).tolist() for each in found] == expected[: len(found)]


@pytest.mark.parametrize(("low", "high"), [(3, 3), (4, 3), (0, 2**31 + 1), (-(2**31) - 1, 0)])
def test_randint_refuses_bounds_that_hold_nothing_or_pass_32_bits(low: int, high: int) -> None:
    with pytest.raises(ConfigurationError, match="minval < maxval"):
        keras.random.randint((3,), low, high, seed=1)


def test_dropout_keeps_by_the_bits_and_scales_by_the_share_kept() -> None:
    bits = host_bits(0, 2000, (8, 0))
    halves = np.stack([bits & 0xFFFF, bits >> 16], axis=1).reshape(-1).astype("uint16").view("int16")
    kept = halves < round(0.7 * 2**16) - 2**15
    assert abs(kept.mean() - 0.7) < 0.03
    x = np.linspace(1, 2, 4000, dtype="float32")
    dropped = numbers(keras.random.dropout(ops.convert_to_tensor(x), 0.3, seed=8))
    np.testing.assert_allclose(dropped, np.where(kept, x / 0.7, 0), 1e-6)


@pytest.mark.parametrize("rate", [1e-3, 0.02, 0.98])
def test_dropout_near_nothing_and_near_everything_asks_all_bits(rate: float) -> None:
    kept = host_bits(0, 100_001, (8, 0)).view(np.int32) < round((1 - rate) * 2**32) - 2**31
    for seed in (8, key_tensor((8, 0))):
        assert np.array_equal(numbers(keras.random.dropout(ops.ones(100_001), rate, seed=seed)) != 0, kept)


def test_halves_are_the_host_s_however_they_are_run() -> None:
    sizes = (0, 1, 7, 8)

    def draw(x: Any, key: Any) -> list[Any]:
        return [traced_halves(keras_backend, ops.shape(x[:size]), key) for size in sizes]

    x = ops.zeros((8,))
    for way, run in ways_to_run(draw, x, key_tensor((1, 1))):
        for key in KEYS:
            for size, found in zip(sizes, run(x, key_tensor(key)), strict=True):
                bits = [by_the_formula(i, *key) for i in range((size + 1) // 2)]
                expected = [half for word in bits for half in (word & 0xFFFF, word >> 16)][:size]
                assert (numbers(found).astype("int64") % 2**16).tolist() == expected, f"{way} {key} {size}"
                assert (host_halves(size, key).astype("int64") % 2**16).tolist() == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dropout_keeps_the_type_of_its_input(dtype: str) -> None:
    x = ops.ones((100, 3), dtype=dtype)
    dropped = keras.random.dropout(x, 0.1, seed=keras.random.SeedGenerator(1))
    assert dropped.dtype == x.dtype
    values = np.unique(numbers(ops.cast(dropped, "float32")))
    np.testing.assert_allclose(values, [0, 1 / 0.9], {"bfloat16": 4e-3, "float16": 5e-4}.get(dtype, 1e-7))


def test_dropout_shares_a_mask_along_the_axes_of_its_noise_shape() -> None:
    x = ops.ones((8, 5, 6))
    dropped = numbers(keras.random.dropout(x, 0.5, noise_shape=(None, 1, 6), seed=2))
    assert np.all(dropped == dropped[:, :1])
    assert 0 < (dropped[:, 0] == 0).sum() < 48


def test_dropout_of_nothing_and_of_everything() -> None:
    x = ops.ones((3, 4))
    assert np.all(numbers(keras.random.dropout(x, 0.0, seed=1)) == 1)
    assert np.all(numbers(keras.random.dropout(x, 1.0, seed=1)) == 0)


def test_shapes_without_axes_or_elements() -> None:
    for seed in (1, keras.random.SeedGenerator(1)):
        assert numbers(keras.random.uniform((), seed=seed)).shape == ()
        assert numbers(keras.random.normal((3, 0, 2), seed=seed)).shape == (3, 0, 2)


def distance(drawn: np.ndarray, distribution: Callable[[float], float]) -> float:
    """Kolmogorov and Smirnov's, times the root of the sample's size: above 1.63 in one sample of a hundred."""
    drawn = np.sort(drawn.astype("float64"))
    expected = np.array([distribution(value) for value in drawn.tolist()])
    ranks = np.arange(drawn.size + 1) / drawn.size
    return max(np.max(ranks[1:] - expected), np.max(expected - ranks[:-1])) * math.sqrt(drawn.size)


def many(seed: Any) -> list[Any]:
    return [
        draw((20_000,), seed=seed)
        for draw in (keras.random.uniform, keras.random.normal, keras.random.truncated_normal)
    ]


TRACED_MANY = compiled(many)


@pytest.mark.parametrize("seed", [1, 2, 1 + STEP, 2**31 - 1])
def test_distributions(seed: int) -> None:
    cut = NormalDist().cdf(-2)
    for drawn in (many(seed), TRACED_MANY(key_tensor((seed, 1)))):
        uniform, normal, truncated = map(numbers, drawn)
        assert distance(uniform, lambda value: value) < 1.63
        assert distance(normal, NormalDist().cdf) < 1.63
        assert distance(truncated, lambda value: (NormalDist().cdf(value) - cut) / (1 - 2 * cut)) < 1.63
        assert abs(normal.mean()) < 0.03
        assert abs(normal.var() - 1) < 0.04
        assert np.abs(truncated).max() <= 2
        for lag in (1, 2, 100):
            assert abs(np.corrcoef(uniform[:-lag], uniform[lag:])[0, 1]) < 0.03


def test_shuffle_moves_whole_slices_and_every_order_comes_up() -> None:
    x = ops.reshape(ops.arange(12), (4, 3))
    shuffled = numbers(keras.random.shuffle(x, axis=1, seed=5))
    assert sorted(shuffled[0].tolist()) == [0, 1, 2]
    assert np.all(shuffled - shuffled[0] == 3 * np.arange(4)[:, None])
    generator = keras.random.SeedGenerator(1)
    orders = {tuple(numbers(keras.random.shuffle(ops.arange(3), seed=generator)).tolist()) for _ in range(60)}
    assert len(orders) == 6


def test_categorical_follows_the_logits() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    drawn = numbers(keras.random.categorical(np.log(shares + 1e-30), 20_000, seed=3))
    assert drawn.shape == (2, 20_000)
    for row, expected in zip(drawn, shares, strict=True):
        np.testing.assert_allclose(np.bincount(row, minlength=3) / 20_000, expected, atol=0.015)


def test_the_quantile_is_the_standard_library_s() -> None:
    q = np.linspace(-0.4777, 0.4777, 2001)
    expected = [NormalDist().inv_cdf(0.5 + value) for value in q.tolist()]
    np.testing.assert_allclose(initial.normal_quantile(q), expected, 1e-13, 1e-15)


INITIALIZERS = {
    "glorot_uniform": lambda: keras.initializers.GlorotUniform(),
    "he_normal": lambda: keras.initializers.HeNormal(),
    "variance_scaling": lambda: keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
    "truncated_normal": lambda: keras.initializers.TruncatedNormal(),
    "orthogonal": lambda: keras.initializers.Orthogonal(),
}


@pytest.mark.parametrize("make", INITIALIZERS.values(), ids=INITIALIZERS)
def test_an_initialiser_without_a_seed_follows_from_the_experiment_s(make: Callable[[], Any]) -> None:
    drawn = []
    for n in (3, 3, 4):
        seeds.reset(n)
        one, other = make(), make()
        assert not np.array_equal(numbers(one((7, 6))), numbers(other((7, 6))))
        assert np.array_equal(numbers(one((7, 6))), numbers(one((7, 6))))
        drawn.append(numbers(one((7, 6))))
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_glorot_and_he_have_their_bounds_and_variances() -> None:
    uniform = numbers(keras.initializers.GlorotUniform(seed=1)((60, 40)))
    assert 0.95 * math.sqrt(6 / 100) < np.abs(uniform).max() <= math.sqrt(6 / 100)
    normal = numbers(keras.initializers.HeNormal(seed=1)((200, 100)))
    assert abs(normal.std() / math.sqrt(2 / 200) - 1) < 0.02


@pytest.mark.parametrize("shape", [(8, 8), (9, 4), (4, 9), (3, 3, 2, 5), (1, 2, 12)])
def test_an_orthogonal_matrix_is_one(shape: tuple[int, ...]) -> None:
    matrix = numbers(keras.initializers.Orthogonal(gain=1.5, seed=6)(shape)).reshape(-1, shape[-1])
    matrix = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(matrix.T @ matrix, 1.5**2 * np.eye(matrix.shape[1]), atol=1e-5)


def test_orthogonal_refuses_a_vector_and_takes_a_generator() -> None:
    with pytest.raises(ValueError, match="two-dimensional"):
        keras.initializers.Orthogonal()((3,))
    drawn = keras.initializers.Orthogonal(seed=keras.random.SeedGenerator(1))((8, 8))
    np.testing.assert_allclose(numbers(drawn) @ numbers(drawn).T, np.eye(8), atol=1e-5)


def convolutional() -> keras.Model:
    image = layers.Input((8, 8, 1))
    x = layers.Dropout(0.3)(layers.BatchNormalization()(layers.Conv2D(4, 3)(image)))
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))


def recurrent() -> keras.Model:
    tokens = layers.Input((None,), dtype="int32")
    return keras.Model(tokens, layers.LSTM(5, recurrent_dropout=0.2)(layers.Embedding(11, 4)(tokens)))


@pytest.mark.parametrize("make", [convolutional, recurrent])
def test_a_model_follows_from_the_seed(make: Callable[[], keras.Model]) -> None:
    def built(n: int) -> list[np.ndarray]:
        seeds.reset(n)
        return [numbers(weight) for weight in make().weights]

    one, again, other = built(3), built(3), built(4)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    drawn = [k for k, weight in enumerate(one) if np.unique(weight).size > 2]
    assert len(drawn) >= 2
    assert not any(np.array_equal(one[k], other[k]) for k in drawn)


def to_itself(layer: Any) -> Callable[..., Any]:
    if isinstance(layer, layers.Attention):
        return lambda x, training: layer([x, x], training=training)
    return lambda x, training: layer(x, x, training=training)


NOISY: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "dropout": lambda: layers.Dropout(0.5),
    "gaussian_noise": lambda: layers.GaussianNoise(1.0),
    "gaussian_dropout": lambda: layers.GaussianDropout(0.5),
    "alpha_dropout": lambda: layers.AlphaDropout(0.5),
    "spatial_dropout": lambda: layers.SpatialDropout1D(0.5),
    "attention": lambda: to_itself(layers.Attention(dropout=0.5)),
    "multi_head_attention": lambda: to_itself(layers.MultiHeadAttention(2, 4, dropout=0.5)),
    "lstm": lambda: layers.LSTM(6, dropout=0.3, recurrent_dropout=0.3),
}


@pytest.mark.parametrize("make", NOISY.values(), ids=NOISY)
def test_a_noisy_layer_draws_anew_at_each_call_and_alike_after_a_reset(make: Callable[[], Callable[..., Any]]) -> None:
    x = ops.reshape(ops.arange(60, dtype="float32"), (4, 5, 3)) / 60

    def called(n: int, times: int) -> list[np.ndarray]:
        seeds.reset(n)
        layer = make()
        return [numbers(layer(x, training=True)) for _ in range(times)]

    one, again, other = called(3, 2), called(3, 2), called(4, 1)
    assert np.array_equal(one, again)
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one[0], other[0])


def test_a_compiled_layer_moves_its_state_as_an_eager_one_does() -> None:
    x, eager, layer = ops.ones((6, 5)), layers.Dropout(0.4, seed=9), layers.Dropout(0.4, seed=9)
    expected = [numbers(eager(x, training=True)) for _ in range(3)]
    assert not np.array_equal(expected[1], expected[2])
    state = layer.seed_generator.state
    if BACKEND == "jax":
        import jax

        run = jax.jit(lambda seeds, x: layer.stateless_call([], seeds, x, training=True))
        seeds = [state.value]
        for step in range(3):
            drawn, seeds = run(seeds, x)
            assert np.array_equal(numbers(drawn), expected[step])
        assert numbers(seeds[0]).tolist() == [9, 3]
        return
    for way, run in ways_to_run(lambda x: layer(x, training=True), x):
        state.assign([9, 0])  # some kinds of tracing draw
        for step in range(3):
            assert np.array_equal(numbers(run(x)), expected[step]), way
        assert numbers(state).tolist() == [9, 3], way


def test_two_dropouts_without_a_seed_differ() -> None:
    x = ops.ones((20, 20))
    one, other = (numbers(layers.Dropout(0.5)(x, training=True)) for _ in range(2))
    assert 100 < (one != other).sum() < 300


@pytest.mark.parametrize("make", NOISY.values(), ids=NOISY)
def test_symbolic_calls_know_the_shape_and_leave_the_streams_alone(make: Callable[[], Callable[..., Any]]) -> None:
    x, drawn = ops.ones((4, 5, 3)), []
    for symbolic_first in (True, False):
        seeds.reset(3)
        layer = make()
        if symbolic_first:
            assert layer(layers.Input((5, 3)), training=True).shape[0] is None
        drawn.append(numbers(layer(x, training=True)))
    assert np.array_equal(*drawn)


def test_unseeded_draws_are_a_stream_of_their_own() -> None:
    def drawn(n: int, layers_first: int) -> list[list[float]]:
        seeds.reset(n)
        for _ in range(layers_first):
            layers.Dropout(0.5)
        return [numbers(keras.random.uniform((5,))).tolist() for _ in range(3)]

    assert drawn(3, 0) == drawn(3, 4)
    assert drawn(3, 0) != drawn(4, 0)
    assert len({tuple(values) for values in drawn(3, 0)}) == 3
    keras.utils.clear_session()
    assert numbers(keras.random.uniform((5,))).tolist() not in drawn(3, 0)


def test_preprocessing_draws_with_it_too() -> None:
    images = ops.reshape(ops.arange(4 * 6 * 6 * 1, dtype="float32"), (4, 6, 6, 1))

    def augmented() -> np.ndarray:
        seeds.reset(3)
        return numbers(layers.RandomCrop(4, 4)(layers.RandomFlip()(images, training=True), training=True))

    assert np.array_equal(augmented(), augmented())


def wrapped() -> Any:
    return layers.RandomRotation(0.2, fill_mode="wrap")(np.ones((1, 8, 8, 3), "float32"), training=True)


def binomial() -> Any:
    return keras.random.binomial((1, 8), 9, 0.5, seed=keras.random.SeedGenerator(1))


@pytest.mark.parametrize("draw", [wrapped, binomial])
def test_what_is_not_the_same_everywhere_is_refused_in_a_seeded_experiment(draw: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError, match="not the same on every framework"):
        shape_of(draw)


@pytest.mark.parametrize("draw", [wrapped, binomial])
def test_what_is_not_the_same_everywhere_is_keras_own_in_one_without_a_seed(
    draw: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeds, "_streams", None)
    monkeypatch.setattr(experiment_seed, "origin", lambda: "drawn")
    assert shape_of(draw)[:2] == (1, 8)


def test_without_a_reset_the_streams_follow_from_the_seed_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds.reset(11)
    expected = [keras.initializers.GlorotUniform().seed for _ in range(3)]
    monkeypatch.setattr(seeds, "_streams", None)
    monkeypatch.setattr(experiment_seed, "current", lambda: 11)
    assert [keras.initializers.GlorotUniform().seed for _ in range(3)] == expected


@pytest.mark.parametrize("n", [-1, 2**64])
def test_reset_refuses_what_is_no_seed(n: int) -> None:
    with pytest.raises(ConfigurationError, match="from 0 to"):
        seeds.reset(n)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no stream of its own")
@pytest.mark.parametrize("seed", [0, 42, 2**63 - 1])
def test_the_frameworks_own_stream_which_tasks_may_draw_from_follows_the_seed(seed: int) -> None:
    framework = import_module(BACKEND)

    def drawn(n: int | None = None) -> list[float]:
        if n is not None:
            experiment_seed.set_seed(n)
        return numbers(framework.rand(5) if BACKEND == "torch" else framework.random.uniform((5,))).tolist()

    first = drawn(seed)
    assert drawn() != first
    assert drawn(seed) == first
    assert drawn(seed // 2 + 1) != first


def test_installing_twice_changes_nothing() -> None:
    before = vars(keras_backend.random).copy(), vars(seed_generator).copy()
    install()
    assert before == (vars(keras_backend.random), vars(seed_generator))


RANDOM = keras_backend.random


def state() -> list[Any]:
    """What Keras has in the places where something is replaced."""
    places = [keras_internals.inside(name) for name in INSIDE if keras_internals.exists(name)]
    return [*places, *vars(RANDOM).values(), *vars(seed_generator).values()]


def refused_as_it_is(message: str) -> None:
    before = state()
    with pytest.raises(BackendError, match=rf"Keras {keras.__version__}: .*{message}.* Install a Keras from"):
        install()
    after = state()
    assert len(after) == len(before)
    assert all(one is other for one, other in zip(after, before, strict=True))


@contextmanager
def another_keras(name: str) -> Iterator[tuple[pytest.MonkeyPatch, Any, str]]:
    """A Keras in which nothing is installed yet; what holds `name`, and the name it has there."""
    module, _, path = name.partition(":")
    owner, _, last = path.rpartition(".")
    with pytest.MonkeyPatch.context() as changed:
        changed.delattr(RANDOM, draws.MARK)
        yield changed, keras_internals.inside(f"{module}:{owner}" if owner else module), last


@pytest.mark.parametrize("name", INSIDE)
def test_a_keras_without_what_is_replaced_or_with_another_is_refused(name: str) -> None:
    with another_keras(name) as (changed, owner, last):
        changed.delattr(owner, last)
        refused_as_it_is(f"{last} missing")
    with another_keras(name) as (changed, owner, last):
        changed.setattr(owner, f"{last}_renamed", vars(owner)[last], raising=False)
        changed.delattr(owner, last)
        refused_as_it_is(f"{last} missing")
    with another_keras(name) as (changed, owner, last):
        changed.setattr(owner, last, lambda other, parameters: None)
        refused_as_it_is(rf"{last}\(other, parameters\)")
    with another_keras(name) as (changed, owner, last):
        changed.setattr(owner, last, None)
        refused_as_it_is(f"{last} no function")


@pytest.mark.parametrize("name", draws.CALLERS)
def test_a_keras_whose_callers_lack_the_draws_is_refused(name: str) -> None:
    with another_keras(name) as (changed, owner, last):
        changed.delattr(owner, last)
        refused_as_it_is("missing")


@pytest.mark.parametrize("name", draws.CALLERS[1:3])
def test_a_keras_whose_callers_draw_elsewhere_is_refused(name: str) -> None:
    with another_keras(name) as (changed, owner, last):
        elsewhere = types.ModuleType("elsewhere")
        vars(elsewhere).update(vars(RANDOM))
        changed.setattr(owner, last, elsewhere)
        refused_as_it_is("several random modules")


def test_the_seed_of_keras_decides_where_none_was_set_each_time_that_it_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drawn(n: int | None) -> list[Any]:
        if n is not None:
            keras.utils.set_random_seed(n)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])
        weights = [keras.ops.convert_to_numpy(each).tolist() for each in model.weights]
        return [weights, keras.ops.convert_to_numpy(keras.random.uniform((3,))).tolist(), experiment_seed.current()]

    experiment_seed.set_seed(3)
    chosen = drawn(7)
    experiment_seed.set_seed(3)
    assert drawn(8) == chosen
    monkeypatch.setattr(experiment_seed, "_current", None)
    monkeypatch.setattr(experiment_seed, "_origin", "drawn")
    monkeypatch.setattr(seeds, "_streams", None)
    first = drawn(7)
    following, other, again = drawn(None), drawn(8), drawn(7)
    assert again == first
    assert following[0] != first[0] != other[0] and following[2] == first[2] != other[2]
