"""The array functions of metrics are those of numpy, in value and in type, also where the batch size is not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.training import BACKEND

from multilearn.metrics import NumpyOps
from multilearn_keras import KerasOps

OURS, REFERENCE = KerasOps(), NumpyOps()

FLOATS = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
WHOLE = np.random.default_rng(1).integers(-3, 4, (5, 4)).astype("int32")
TRUTHS = WHOLE > 0
TIES = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [-1, 2, 2, -1], [3, 2, 1, 0], [0, 1, 2, 3]], "float32")
SPECIAL = np.array([[0, -0.0, np.inf, 1e30], [-np.inf, 1, 2, 3], [1e-30, 88, -88, 0], [0] * 4, [1] * 4], "float32")
SMALL = np.arange(200, 220, dtype="uint8").reshape(5, 4)
ALIKE = {"floats": FLOATS, "whole": WHOLE, "truths": TRUTHS, "ties": TIES, "special": SPECIAL, "small": SMALL}

Function = Callable[..., Any]
OF_ONE: dict[str, Function] = {
    "int32": lambda ops, x: ops.int32(x),
    "float32": lambda ops, x: ops.float32(x),
    "sum": lambda ops, x: ops.sum(x),
    "sum over items": lambda ops, x: ops.sum(x, axis=0),
    "sum over the last axis": lambda ops, x: ops.sum(x, axis=-1),
    "size": lambda ops, x: ops.size(x),
    "argmax": lambda ops, x: ops.argmax(x),
    "argmax over items": lambda ops, x: ops.argmax(x, axis=0),
    "top_k": lambda ops, x: ops.top_k(x, 3),
    "expand_dims": lambda ops, x: ops.expand_dims(x, -1),
    "reshape": lambda ops, x: ops.reshape(x, (-1,)),
    "softmax": lambda ops, x: ops.softmax(x),
    "log_softmax": lambda ops, x: ops.log_softmax(x),
    "sigmoid": lambda ops, x: ops.sigmoid(x),
    "exp": lambda ops, x: ops.exp(x),
    "log": lambda ops, x: ops.log(x),
    "absolute": lambda ops, x: ops.absolute(x),
    "one_hot": lambda ops, x: ops.one_hot(x, 3),
    "tally": lambda ops, x: ops.tally(x, 3),
    "take": lambda ops, x: ops.take(x, 1),
}
OF_TWO: dict[str, Function] = {
    name: lambda ops, x, y, name=name: getattr(ops, name)(x, y)
    for name in ("equal", "greater", "add", "subtract", "multiply", "divide")
} | {"where": lambda ops, x, y: ops.where(ops.greater(x, y), x, y)}
OF_TRUTHS: dict[str, Function] = {
    "both": lambda ops, x, y: ops.both(x, y),
    "either": lambda ops, x, y: ops.either(x, y),
    "invert": lambda ops, x, y: ops.invert(x),
}
# what numpy refuses as well, or means something else by
UNDEFINED = {
    *((name, kind) for name in ("one_hot", "tally") for kind in ("floats", "ties", "special", "truths")),
    ("top_k", "truths"),
    ("int32", "special"),
    ("softmax", "special"),
}


def traced(function: Function) -> Function:
    """As the engine runs it: compiled, and with an unknown batch size where the framework has one."""
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def compiled(*arrays: Any) -> Any:
            specs = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in arrays]
            return tf.function(function, input_signature=specs, autograph=False)(*arrays)

        return compiled
    return function


def check(functions: Mapping[str, Function], *arrays: np.ndarray) -> None:
    """Ours on the framework's tensors, traced together as in a step, against numpy: shapes, types and values."""
    tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
    results = traced(lambda *x: {name: function(OURS, *x) for name, function in functions.items()})(*tensors)
    for name, function in functions.items():
        with np.errstate(all="ignore"):
            expected = np.asarray(function(REFERENCE, *arrays))
        found, kind = keras.ops.convert_to_numpy(results[name]), keras.backend.standardize_dtype(results[name].dtype)
        assert (kind, found.shape) == (str(expected.dtype), expected.shape), name
        assert str(expected.dtype) in ("int32", "float32", "bool", str(arrays[0].dtype)), name
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6, err_msg=name)


def chosen(*names: str) -> dict[str, Function]:
    return {name: OF_ONE[name] for name in names}


@pytest.mark.parametrize("kind", ALIKE)
def test_functions_of_one_array(kind: str) -> None:
    check({name: each for name, each in OF_ONE.items() if (name, kind) not in UNDEFINED}, ALIKE[kind])


@pytest.mark.parametrize("kind", ["floats", "whole", "ties", "special"])
def test_functions_of_two_arrays(kind: str) -> None:
    check(OF_TWO, ALIKE[kind], np.ascontiguousarray(ALIKE[kind][::-1]))


def test_functions_of_a_whole_number_and_a_float() -> None:
    names = ("equal", "greater", "add", "multiply", "divide")
    check({name: OF_TWO[name] for name in names}, WHOLE, FLOATS)


def test_functions_of_truth_values() -> None:
    check(OF_TRUTHS, TRUTHS, TIES > 0)


def test_one_item_and_one_class() -> None:
    functions = chosen("sum", "size", "argmax over items", "reshape", "softmax")
    functions["top_k"] = lambda ops, x: ops.top_k(x, 1)
    check(functions, FLOATS[:1])
    check(functions, FLOATS[:, :1])


def test_no_items_at_all() -> None:
    check(chosen("sum", "size", "float32", "softmax", "one_hot", "argmax", "tally", "take"), WHOLE[:0])


def test_a_sum_of_small_integers_does_not_run_over() -> None:
    for kind in ("uint8", "int8"):
        check(chosen("sum"), np.full((500, 2), 100, kind))


def test_counts_stay_exact_where_floats_would_not() -> None:
    check(chosen("sum"), np.array([2**24, 1, 1, 1], "int32"))
    check(chosen("tally"), np.ones((2**24 + 3, 1), "int32"))


def test_a_tally_of_many_tokens_over_many_classes_is_that_of_numpy() -> None:
    tokens = np.random.default_rng(2).integers(-2, 50_003, (8, 4096)).astype("int32")
    check({"tally": lambda ops, x: ops.tally(x, 50_000)}, tokens)


SIX = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=6, max_size=6)


@given(rows=st.lists(SIX, min_size=4, max_size=4))
@settings(max_examples=20)
def test_ties_go_to_the_lower_id(rows: list[list[float]]) -> None:
    x = np.array(rows, "float32")
    for k in (1, 3, 6):
        expected = [sorted(range(6), key=lambda i, row=row: (-row[i], i))[:k] for row in rows]
        found = keras.ops.convert_to_numpy(OURS.top_k(keras.ops.convert_to_tensor(x), k))
        assert found.tolist() == expected
    found = keras.ops.convert_to_numpy(OURS.argmax(keras.ops.convert_to_tensor(x)))
    assert found.tolist() == [row.index(max(row)) for row in rows]


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_zeros_of_both_signs_are_equal_and_what_is_not_a_number_has_one_place(kind: str) -> None:
    nan = float("nan")
    rows = np.array([[-0.0, 0, 0], [-1, -0.0, 0], [nan, 1, 2], [0, nan, 5], [3, 1, nan], [nan, nan, nan]], kind)
    check(chosen("argmax", "top_k"), rows)


def test_results_keep_their_type_in_half_precision_and_in_large_integers() -> None:
    half = keras.ops.cast(keras.ops.convert_to_tensor(FLOATS), "bfloat16")
    for name in ("sum", "softmax", "sigmoid", "exp", "absolute", "float32"):
        assert keras.backend.standardize_dtype(OF_ONE[name](OURS, half).dtype) == "float32", name
    large = keras.ops.convert_to_tensor(WHOLE.astype("int64"))
    for name in ("sum", "absolute", "argmax", "int32", "size"):
        assert keras.backend.standardize_dtype(OF_ONE[name](OURS, large).dtype) == "int32", name
