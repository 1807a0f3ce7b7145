"""Every variable has one key, whatever was built before; what is saved by key arrives bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from support.keyed_models import MODELS, OPTIMIZERS, perceptron, subclassed, tokens

from multilearn.errors import ConfigurationError, RecordMismatch
from multilearn.records.tensors import HostTensor
from multilearn.run.environment import Weights
from multilearn_keras.state.keys import flatten, nest, variables
from multilearn_keras.state.optimizer_keys import optimizer_variables
from multilearn_keras.state.transfer import assign, record_of, specification, to_device, to_host

SEED_TYPES = {"torch": "int32", "tensorflow": "int64", "jax": "uint32"}


def scramble(found: Mapping[str, keras.Variable], seed: int) -> None:
    """Random values of every variable, as far as its type goes."""
    random = np.random.default_rng(seed)
    for variable in found.values():
        variable.assign(random.integers(0, 100, tuple(variable.shape)).astype("int32"))


def assign_all(found: Mapping[str, keras.Variable], record: Mapping[str, Any]) -> None:
    tensors = flatten(record)
    assert list(tensors) == list(found)
    for key, variable in found.items():
        assign(variable, tensors[key])


def assert_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    one, other = flatten(one), flatten(other)
    assert list(one) == list(other)
    for key, tensor in one.items():
        assert (tensor.dtype, tensor.shape) == (other[key].dtype, other[key].shape), key
        assert tensor.array.tobytes() == other[key].array.tobytes(), key


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_every_variable_of_a_model_has_one_key_and_a_model_built_again_loads_its_record(
    make: Callable[[], Any],
) -> None:
    model = make()
    first, second = variables(model), variables(make())
    keyed = [id(variable) for variable in first.values()]
    assert len(keyed) == len(set(keyed))
    assert set(keyed) == {id(variable) for variable in [*model.variables, *model.metrics_variables]}
    scramble(first, 1)
    scramble(second, 2)
    record = record_of(first)
    assign_all(second, record)
    assert_same(record_of(second), record)
    specified, recorded = flatten(specification(first)), flatten(record)
    assert [(key, str(tensor)) for key, tensor in specified.items()] == [(k, str(t)) for k, t in recorded.items()]


def test_keys_are_positions_and_attributes() -> None:
    assert list(variables(perceptron())) == [
        "layers/dense.0/bias",
        "layers/dense.0/kernel",
        "layers/dropout.0/seed_generator",
        "layers/dense.1/bias",
        "layers/dense.1/kernel",
    ]
    assert list(variables(subclassed())) == [
        "blocks/dense.0/bias",
        "blocks/dense.0/kernel",
        "blocks/dropout.0/seed_generator",
        "blocks/dense.1/bias",
        "blocks/dense.1/kernel",
        "gate/bias",
        "gate/kernel",
        "heads/7/bias",
        "heads/7/kernel",
        "heads/a/bias",
        "heads/a/kernel",
        "heads/a%2Fb/bias",
        "heads/a%2Fb/kernel",
        "norms/layer_normalization.0/beta",
        "norms/layer_normalization.0/gamma",
        "norms/list.0/batch_normalization.0/beta",
        "norms/list.0/batch_normalization.0/gamma",
        "norms/list.0/batch_normalization.0/moving_mean",
        "norms/list.0/batch_normalization.0/moving_variance",
        "temperature",
        "seen/count",
        "seen/total",
    ]


def test_a_shared_layer_is_keyed_where_it_is_reached_first() -> None:
    class Tied(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = layers.Dense(3)
            self.again = [self.encoder]

    model = Tied()
    model.encoder.build((None, 2))
    assert list(variables(model)) == ["again/dense.0/bias", "again/dense.0/kernel"]


def test_training_adds_no_model_state_and_freezing_a_layer_changes_no_key() -> None:
    model = perceptron()
    before = list(variables(model))
    model.layers[0].trainable = False
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.zeros((2, 8), "float32"), np.zeros((2, 3), "float32"), verbose=0)
    assert list(variables(model)) == before


def test_what_the_task_itself_holds_is_keyed_under_task() -> None:
    class Weighing:
        def __init__(self, model: keras.Model) -> None:
            self.model = model
            self.calls = keras.Variable(0, dtype="int32", trainable=False)
            self._noise = {"left": keras.random.SeedGenerator(1), "right": [keras.random.SeedGenerator(2)]}
            self.probe = layers.Dense(2)
            self.probe.build((None, 3))
            self.metric = keras.metrics.Mean()
            self.rate = 0.5

    model = perceptron()
    found = variables(Weighing(model))
    assert list(found) == [
        *variables(model),
        "task/calls",
        "task/noise/left",
        "task/noise/right/seed_generator.0",
        "task/probe/bias",
        "task/probe/kernel",
        "task/metric/count",
        "task/metric/total",
    ]


def test_a_task_with_slots_is_looked_into() -> None:
    class Slotted:
        __slots__ = ("calls", "model")

    task = Slotted()
    task.model, task.calls = perceptron(), keras.Variable(0.0)
    assert list(variables(task))[-1] == "task/calls"


class Made(layers.Layer):
    """With what `hold` gives it."""

    def __init__(self, hold: Callable[[Any], object]) -> None:
        super().__init__()
        hold(self)


def hidden(layer: Any) -> None:
    variable = layer.add_weight(shape=(3,), name="lost")
    layer.get = lambda: variable


def differing_by_an_underscore(layer: Any) -> None:
    layer.scale, layer._scale = layer.add_weight(shape=()), layer.add_weight(shape=())


def read_alike(layer: Any) -> None:
    layer.heads = {1: layer.add_weight(shape=()), "1": layer.add_weight(shape=())}


@pytest.mark.parametrize(
    ("hold", "said"),
    [
        (hidden, r"lost \(3,\) of Made at 'layers/made.0'"),
        (differing_by_an_underscore, "'scale' twice in Made"),
        (read_alike, "'1' twice in"),
    ],
)
def test_a_variable_without_a_key_of_its_own_is_refused_by_name(hold: Callable[[Any], object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        variables(keras.Sequential([Made(hold)]))


def test_state_of_model_and_task_under_one_name_is_refused() -> None:
    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.task = layers.Dense(1)
            self.task.build((None, 1))

    class Task:
        def __init__(self) -> None:
            self.model, self.calls = Model(), keras.Variable(0.0)

    with pytest.raises(ConfigurationError, match="attribute `task`"):
        variables(Task())


@settings(max_examples=20)
@given(st.lists(st.text(max_size=3), unique=True, max_size=4))
def test_every_dict_key_makes_its_own_path(names: list[str]) -> None:
    class Task:
        def __init__(self) -> None:
            self.model = layers.Layer()
            self.held = {name: keras.Variable(0.0) for name in names}

    paths = [key.split("/") for key in variables(Task())]
    assert len({tuple(path) for path in paths}) == len(names)
    assert all(len(path) == 3 and path[2] for path in paths)


SEGMENT = st.text(st.sampled_from("ab.0"), min_size=1, max_size=3)
TREE = st.recursive(st.integers(), lambda tree: st.dictionaries(SEGMENT, tree, min_size=1, max_size=3), max_leaves=12)


@given(st.dictionaries(SEGMENT, TREE, max_size=3))
def test_nesting_undoes_flattening(tree: dict[str, Any]) -> None:
    assert nest(flatten(tree)) == tree


@pytest.mark.parametrize("flat", [{"a": 1, "a/b": 2}, {"a/b": 2, "a": 1}, {"a/b": 1, "a/b/c/d": 2}])
def test_a_key_that_begins_another_is_refused(flat: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="prefix of another"):
        nest(flat)


@pytest.mark.parametrize("name", ["a/b", 1])
def test_a_name_that_is_no_part_of_a_path_is_refused(name: object) -> None:
    with pytest.raises(RecordMismatch, match="without a slash"):
        flatten({name: 1})  # type: ignore[dict-item]


def built_for(optimizer: keras.optimizers.Optimizer) -> dict[str, keras.Variable]:
    """The variables by key of a model that the optimizer is built for."""
    model = tokens()
    optimizer.build(model.trainable_variables)
    return variables(model)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_variable_of_an_optimizer_is_keyed_and_arrives(make: Callable[[], keras.optimizers.Optimizer]) -> None:
    first, second = make(), make()
    found, fresh = optimizer_variables(first, built_for(first)), optimizer_variables(second, built_for(second))
    assert {id(v) for v in found.values()} >= {id(v) for v in first.variables}
    assert list(found) == list(fresh)
    scramble(found, 1)
    scramble(fresh, 2)
    record = record_of(found)
    assign_all(fresh, record)
    assert_same(record_of(fresh), record)
    assert int(second.iterations) == int(first.iterations)


def test_optimizer_keys_are_roles_and_variables() -> None:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(momentum=0.9))
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    optimizer.build(model.trainable_variables)
    found = optimizer_variables(optimizer, variables(model))
    assert list(found) == [
        "dynamic_scale",
        "inner/iterations",
        "inner/learning_rate",
        "inner/slots/momentums/layers/dense.0/kernel",
        "inner/slots/momentums/layers/dense.0/bias",
        "iterations",
        "learning_rate",
        "step_counter",
    ]
    assert found["inner/slots/momentums/layers/dense.0/kernel"] is optimizer.inner_optimizer.momentums[0]


def test_what_keras_leaves_out_of_an_optimizers_variables_is_keyed_too() -> None:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Nadam())
    found = optimizer_variables(optimizer, built_for(optimizer))
    assert found["inner/u_product"] is optimizer.inner_optimizer._u_product


def slots_of(optimizer: keras.optimizers.Optimizer) -> dict[str, tuple[int, ...]]:
    """The shapes, by role and variable, for a kernel (2, 3) and a bias (3,)."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    optimizer.build(model.trainable_variables)
    slots = flatten(specification(optimizer_variables(optimizer, variables(model)))["slots"])
    return {key.replace("layers/dense.0/", ""): leaf.shape for key, leaf in slots.items()}


def test_slots_have_their_own_shapes_and_those_that_a_variable_does_not_need_are_left_out() -> None:
    found = slots_of(keras.optimizers.Adafactor())
    assert {role: found[f"{role}/kernel"] for role in ("r", "c", "v")} == {"r": (2,), "c": (3,), "v": (2, 3)}
    assert set(slots_of(keras.optimizers.Muon())) == {"momentums/kernel", "momentums/bias", "adam_velocities/bias"}


def test_the_learning_rate_of_a_schedule_has_no_variable() -> None:
    scheduled, plain = OPTIMIZERS["adam, schedule"](), OPTIMIZERS["adam"]()
    of_scheduled = optimizer_variables(scheduled, built_for(scheduled))
    of_plain = optimizer_variables(plain, built_for(plain))
    assert set(of_plain) - set(of_scheduled) == {"learning_rate"}


def test_an_optimizer_of_another_model_is_refused() -> None:
    optimizer = keras.optimizers.Adam()
    built_for(optimizer)
    with pytest.raises(ConfigurationError, match="built for the variables of the model"):
        optimizer_variables(optimizer, variables(tokens()))


class Adding(keras.optimizers.SGD):
    """With what `hold` gives it when it is built."""

    def __init__(self, hold: Callable[[Any, Any], object]) -> None:
        super().__init__()
        self.hold = hold

    def build(self, variables: list[keras.Variable]) -> None:
        super().build(variables)
        self.hold(self, self.add_variable((2,), name="lost"))


@pytest.mark.parametrize(
    ("hold", "said"),
    [
        (lambda optimizer, lost: setattr(optimizer, "get", lambda: lost), r"lost \(2,\), which no attribute leads to"),
        (lambda optimizer, lost: setattr(optimizer, "history", [lost]), "1 slots in 'history' for 5 trainable"),
    ],
    ids=["out of reach", "too few slots"],
)
def test_a_variable_of_an_optimizer_without_a_key_is_refused(hold: Callable[[Any, Any], object], said: str) -> None:
    optimizer = Adding(hold)
    with pytest.raises(ConfigurationError, match=said):
        optimizer_variables(optimizer, built_for(optimizer))


AWKWARD = {
    "bfloat16": HostTensor("BF16", np.array([0x3F80, 0x8000, 0x7FC0, 0x7FA5, 0xFF80, 0x0001], "<u2")),
    "float16": HostTensor.of(np.array([0x3C00, 0x8000, 0x7E00, 0x7C00, 0x0001], "<u2").view("<f2")),
    "float32": HostTensor.of(np.array([0x80000000, 0x7FC00001, 0xFF800000, 0x00000001, 0x3DCCCCCD], "<u4").view("<f4")),
    "bool": HostTensor.of(np.array([[True], [False]])),
    "int8": HostTensor.of(np.array([-128, 127, 0], "int8")),
    "uint8": HostTensor.of(np.array([0, 255], "uint8")),
    "uint32": HostTensor.of(np.array([0, 2**32 - 1], "uint32")),
    "int32": HostTensor.of(np.array([-(2**31), 2**31 - 1])),
    "0-d": HostTensor.of(np.float32(-0.0)),
    "0-d bfloat16": HostTensor("BF16", np.array(0x7FA5, "<u2")),
    "empty": HostTensor.of(np.zeros((3, 0, 2), "float32")),
    "empty bfloat16": HostTensor("BF16", np.zeros((0,), "<u2")),
}
KERAS_TYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "BOOL": "bool", "I8": "int8", "U8": "uint8"}
KERAS_TYPES |= {"U32": "uint32", "I64": "int32"}


@pytest.mark.parametrize("tensor", AWKWARD.values(), ids=AWKWARD)
def test_every_type_arrives_bit_for_bit(tensor: HostTensor) -> None:
    variable = keras.Variable(initializer="zeros", shape=tensor.shape, dtype=KERAS_TYPES[tensor.dtype], trainable=False)
    assign(variable, tensor)
    assert to_host(variable) == tensor
    assert keras.backend.standardize_dtype(variable.dtype) == KERAS_TYPES[tensor.dtype]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_copy_does_not_follow_the_variable_nor_the_variable_the_copy(dtype: str) -> None:
    variable = keras.Variable(np.ones((2, 3), "float32"), dtype=dtype)
    one = to_host(variable)
    of_tensor = to_host(variable.value)
    assign(variable, HostTensor.of(np.zeros((2, 3), "float32")) if dtype == "float32" else zeros_like(one))
    assert (one.numpy() == 1).all() and (of_tensor.numpy() == 1).all()
    copy = HostTensor(one.dtype, one.array.copy())
    assign(variable, copy)
    copy.array[...] = 0
    assert to_host(variable) == one


def zeros_like(tensor: HostTensor) -> HostTensor:
    return HostTensor(tensor.dtype, np.zeros_like(tensor.array))


def test_counters_are_i64_and_seed_states_u32_on_every_framework() -> None:
    optimizer, seeds = keras.optimizers.Adam(), keras.random.SeedGenerator(3)
    assert keras.backend.standardize_dtype(seeds.state.dtype) == SEED_TYPES[keras.backend.backend()]
    assert to_host(optimizer.iterations) == HostTensor.of(np.array(0, "int64"))
    assert to_host(seeds.state) == HostTensor.of(np.array([3, 0], "uint32"))


def test_a_seed_state_keeps_all_its_32_bits() -> None:
    seeds = keras.random.SeedGenerator(0)
    state = HostTensor.of(np.array([0xFFFFFFFE, 0x80000000], "uint32"))
    assign(seeds.state, state)
    assert to_host(seeds.state) == state


@pytest.mark.parametrize(
    "tensor",
    [np.zeros((2,), "float64"), np.zeros((2,), "float16"), np.zeros((2,), "int64"), np.zeros((2, 1), "float32")],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_another_type_or_shape_is_refused_and_the_variable_untouched(tensor: np.ndarray[Any, Any]) -> None:
    variable = keras.Variable(np.ones((2,), "float32"))
    with pytest.raises(RecordMismatch, match=r"type and shape of the variable.* for F32 \(2,\)"):
        assign(variable, HostTensor.of(tensor))
    assert (to_host(variable).array == 1).all()


def test_values_kept_elsewhere_are_recorded_in_place_of_the_variables() -> None:
    seeds, weight = keras.random.SeedGenerator(1), keras.Variable(np.zeros((2,), "float32"))
    found = {"seeds": seeds.state, "layers/weight": weight}
    values = {
        "seeds": to_device(seeds.state, HostTensor.of(np.array([7, 8], "uint32"))),
        "layers/weight": keras.ops.convert_to_tensor(np.array([1.0, 2.0], "float32")),
    }
    record = record_of(found, values)
    assert record["seeds"] == HostTensor.of(np.array([7, 8], "uint32"))
    assert record["layers"]["weight"] == HostTensor.of(np.array([1.0, 2.0], "float32"))
    assert Weights.of(record_of(found, values)) != Weights.of(record_of(found))
    assign_all(found, record)
    assert Weights.of(record_of(found, values)) == Weights.of(record_of(found))


def test_the_digest_depends_on_values_keys_types_and_shapes_not_on_the_order() -> None:
    def of(**arrays: np.ndarray[Any, Any]) -> str | None:
        variables = {key: keras.Variable(array, trainable=False) for key, array in arrays.items()}
        return Weights.of(record_of(variables)).sha256

    zero, one = np.zeros((2, 3), "float32"), np.ones((2, 3), "float32")
    assert of(a=zero, b=one) == of(b=one, a=zero)
    variants = {of(a=one), of(b=zero), of(a=zero, b=zero)}
    variants |= {of(a=other) for other in (zero, zero.reshape(3, 2), zero.astype("int8"))}
    assert len(variants) == 6


def test_the_digest_is_the_one_computed_by_hand() -> None:
    weight = keras.Variable(np.array([1.5, -2.0], "float32"))
    digest = sha256(b"a/w F32 (2,)\n\x00\x00\xc0\x3f\x00\x00\x00\xc0").hexdigest()
    assert Weights.of(record_of({"a/w": weight})).sha256 == digest


def test_float64_that_a_framework_would_round_is_refused() -> None:
    variable = keras.Variable(np.zeros(2), dtype="float64")
    assign(variable, HostTensor.of(np.array([0.5, np.nan])))
    assert np.array_equal(to_host(variable).array, [0.5, np.nan], equal_nan=True)
    third = HostTensor.of(np.array([1 / 3, 1e300]))
    if keras.backend.standardize_dtype(variable.value.dtype) == "float64":
        assign(variable, third)
        assert to_host(variable) == third
    else:
        with pytest.raises(RecordMismatch, match="JAX_ENABLE_X64"):
            assign(variable, third)
