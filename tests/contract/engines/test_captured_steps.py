"""The captured steps of torch: the same numbers as eager ones, and eager where a graph would not be right."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops, optimizers
from support.keyed_models import MODELS
from support.training import BACKEND, engine_of, ids, numbers, twins

from multilearn.metrics import Accuracy, Loss
from multilearn_keras import Classification

if BACKEND != "torch":
    pytest.skip(f"{BACKEND} traces steps itself: see test_traces.py", allow_module_level=True)

from multilearn_keras import torch_tracing as tracing
from multilearn_keras.engines.torch.capture import captured as capturing
from multilearn_keras.engines.torch.capture.program import Program

UPDATES = 12


@pytest.fixture(autouse=True)
def captured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs from the first batch on."""
    monkeypatch.setattr(capturing, "MIN_SEEN", 0)
    monkeypatch.setattr(capturing, "MIN_SHARE", 1 << 30)


def ways(engine: Any) -> list[str]:
    """How the engine runs its training steps."""
    return [way for way, _ in engine.record()["engine"]["training"].values()]


def picture() -> keras.Model:
    """Convolutions with biases, pools and normalisation, whose copies of the layout are dropped."""
    return keras.Sequential(
        [
            keras.Input((12, 12, 2)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.SeparableConv2D(6, 3, padding="same"),
            layers.Activation("silu"),
            layers.Conv2DTranspose(3, 2, strides=2),
            layers.AveragePooling2D(2),
            layers.SpatialDropout2D(0.2),
            layers.Flatten(),
            layers.Dense(3, kernel_regularizer="l2"),
        ]
    )


def masked() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(7, 4, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3)),
            layers.Dense(3),
        ]
    )


def half() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, "tanh", dtype="mixed_float16"), layers.Dense(3)])


def frozen() -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5), layers.BatchNormalization(), layers.Dense(3)])
    model.layers[0].trainable = model.layers[1].trainable = False
    return model


ARCHITECTURES = {
    **{name: MODELS[name] for name in ("perceptron", "convolutions", "nested", "built_late", "recurrent")},
    **{name: MODELS[name] for name in ("bidirectional", "attention", "tokens")},
    **{make.__name__: make for make in (picture, masked, half, frozen)},
}


def batches(model: keras.Model, n: int, size: int = 6) -> list[Any]:
    shape = model.input_shape[1:]
    whole = "int" in str(model.inputs[0].dtype)
    made = [ids(7, size, *shape, seed=k) if whole else numbers(size, *shape, seed=k) for k in range(n)]
    outputs = model.output_shape
    return [(x, ids(outputs[-1], size, *outputs[1:-1], seed=100 + k)) for k, x in enumerate(made)]


def measured(engine: Any, data: list[Any]) -> np.ndarray[Any, Any]:
    """The losses of updates whose rate changes, with the same draws each time."""
    ml.set_seed(3)
    outputs = [engine.train_step(batch, 1e-3 * (1 + at % 4), True) for at, batch in enumerate(data)]
    return np.array([float(host.measures["Loss"]["loss"]) for host in engine.fetch(outputs)])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_captured_training_is_eager_training(name: str) -> None:
    one, other = twins(ARCHITECTURES[name])
    data = batches(one, UPDATES)
    metrics = (Loss(), Accuracy())
    eager = engine_of(Classification(one), optimizers.SGD(momentum=0.9), data[0], metrics=metrics, capture=False)
    captured = engine_of(Classification(other), optimizers.SGD(momentum=0.9), data[0], metrics=metrics)
    np.testing.assert_allclose(measured(captured, data), measured(eager, data), rtol=2e-5)
    for mine, its in zip(other.variables, one.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), its.numpy(), rtol=1e-4, atol=2e-6, err_msg=mine.path)
    assert set(ways(captured)) <= {"graph", "rearranged"}
    before = [engine.fetch([engine.eval_step(batch) for batch in data[:5]]) for engine in (eager, captured)]
    for mine, its in zip(*before, strict=True):
        assert mine.measures["Accuracy"]["correct"] == its.measures["Accuracy"]["correct"]
        np.testing.assert_allclose(mine.measures["Loss"]["loss"], its.measures["Loss"]["loss"], rtol=2e-5)


@pytest.mark.parametrize("name", ["perceptron", "picture", "attention", "masked"])
def test_without_passes_all_bits_are_those_of_eager_training(name: str) -> None:
    one, other = twins(ARCHITECTURES[name])
    data = batches(one, 12)
    eager = engine_of(Classification(one), optimizers.RMSprop(), data[0], capture=False)
    captured = engine_of(Classification(other), optimizers.RMSprop(), data[0], passes=False)
    np.testing.assert_array_equal(measured(captured, data), measured(eager, data))
    for mine, its in zip(other.variables, one.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), its.numpy(), err_msg=mine.path)
    assert ways(captured) == ["graph"]


def test_layouts_are_changed_where_there_are_convolutions() -> None:
    (model, _) = twins(MODELS["convolutions"])
    data = batches(model, 4)
    engine = engine_of(Classification(model), optimizers.Adam(), data[0])
    measured(engine, data)
    assert ways(engine) == ["rearranged"]


FUSED: dict[str, Callable[[], optimizers.Optimizer]] = {
    "adam": optimizers.Adam,
    "adam, amsgrad and epsilon": lambda: optimizers.Adam(amsgrad=True, epsilon=1e-3),
    "adam, clipped": lambda: optimizers.Adam(global_clipnorm=0.05),
    "adam, clipped each": lambda: optimizers.Adam(clipnorm=0.02),
    "adam, average": lambda: optimizers.Adam(use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
    "adamw": lambda: optimizers.AdamW(weight_decay=0.1),
    "sgd": lambda: optimizers.SGD(weight_decay=0.01),
    "sgd, momentum": lambda: optimizers.SGD(momentum=0.9),
    "sgd, nesterov": lambda: optimizers.SGD(momentum=0.9, nesterov=True),
}


def constrained() -> keras.Model:
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(16, "tanh", kernel_constraint=keras.constraints.MaxNorm(0.7)), layers.Dense(3)]
    )


@pytest.mark.parametrize("name", FUSED)
def test_updates_by_torchs_kernels_are_those_of_keras(name: str) -> None:
    one, other = twins(constrained)
    data = batches(one, 30, size=16)
    eager = engine_of(Classification(one), FUSED[name](), data[0], capture=False)
    fused = engine_of(Classification(other), FUSED[name](), data[0])
    np.testing.assert_allclose(measured(fused, data), measured(eager, data), rtol=5e-6)
    assert fused.record()["engine"]["fused"]
    for mine, its in zip(other.variables, one.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), its.numpy(), atol=2e-6, rtol=2e-5)


class Asking(Classification):
    """Does with the batch what `doing` says, and counts its steps on the device and in Python."""

    def __init__(self, model: keras.Model, doing: Callable[[Any, Any], Any]) -> None:
        super().__init__(model)
        self.doing = doing
        self.calls = 0
        self.seen = keras.Variable(0, dtype="int32", trainable=False)

    def step(self, batch: Any, training: bool) -> Any:
        self.calls += 1
        if training:
            self.seen.assign_add(1)
        x, y = batch
        return super().step((self.doing(x, self.seen), y), training)


ASKING: dict[str, Callable[[Any, Any], Any]] = {
    "a branch": lambda x, seen: x * 2 if ops.sum(x) > 0 else x - 1,
    "a condition": lambda x, seen: ops.cond(ops.sum(x) > 0, lambda: x * 2, lambda: x - 1),
    "a number": lambda x, seen: x * float(ops.sum(x)),
    "numpy": lambda x, seen: x * float(ops.convert_to_numpy(ops.sum(x))),
    "a counter": lambda x, seen: x * int(seen),
    "a counter compared": lambda x, seen: x * 2 if seen > 3 else x,
    "a shape": lambda x, seen: x * len(x[x[:, 0] > 0]),
}


@pytest.mark.parametrize("name", ASKING)
def test_a_step_that_asks_for_a_value_is_eager_and_right(name: str, caplog: pytest.LogCaptureFixture) -> None:
    one, other = twins(MODELS["perceptron"])
    data = [*batches(one, 8), *batches(one, 2, size=3)]
    eager = engine_of(Asking(one, ASKING[name]), optimizers.Adam(), data[0], capture=False)
    task = Asking(other, ASKING[name])
    engine = engine_of(task, optimizers.Adam(), data[0])
    with caplog.at_level(logging.WARNING, "multilearn"):
        np.testing.assert_allclose(measured(engine, data), measured(eager, data), rtol=2e-6)
    assert "runs eagerly, because it cannot be captured as a graph" in caplog.text
    assert caplog.text.count("cannot be captured as a graph") == 1
    assert ways(engine) == ["eager", "counted"]
    assert int(task.seen.numpy()) == len(data)


def test_what_a_step_counts_is_counted_once_though_steps_are_tried_both_ways() -> None:
    (model, _) = twins(MODELS["perceptron"])
    task = Asking(model, lambda x, seen: x * ops.cast(seen, "float32"))
    data = batches(model, 9)
    engine = engine_of(task, optimizers.Adam(), data[0])
    measured(engine, data)
    assert int(task.seen.numpy()) == 9
    # the probes of the engine, one trace, and three batches both ways
    assert task.calls < len(data)
    assert ways(engine) == ["graph"]


def test_a_step_of_too_many_operations_is_eager_and_one_of_fewer_is_a_graph(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "LARGEST", 600)

    def looped(x: Any, seen: Any) -> Any:
        for _ in range(30 * len(x)):
            x = x * 1.01
        return x

    one, other = twins(MODELS["perceptron"])
    data = [*batches(one, 5, size=8), *batches(one, 5, size=2)]
    eager = engine_of(Asking(one, looped), optimizers.Adam(), data[0], capture=False)
    engine = engine_of(Asking(other, looped), optimizers.Adam(), data[0])
    with caplog.at_level(logging.WARNING, "multilearn"):
        np.testing.assert_allclose(measured(engine, data), measured(eager, data), rtol=2e-6)
    assert "more than 600 operations" in caplog.text
    assert ways(engine) == ["eager", "graph"]


def test_images_that_are_transformed_are_one_graph_however_many_there_are() -> None:
    import torch

    def operations(layer: Any, items: int) -> int:
        images = torch.rand(items, 6, 6, 2)
        return len(tracing.trace(lambda found: [layer(found[0], training=True)], [images]).module.graph.nodes)

    for layer in (layers.RandomRotation(0.1), layers.RandomPerspective()):
        assert operations(layer, 3) == operations(layer, 9) < 500


def test_a_step_that_draws_from_numpy_is_not_taken_for_a_graph(caplog: pytest.LogCaptureFixture) -> None:
    (model, _) = twins(MODELS["perceptron"])
    data = batches(model, 4)
    engine = engine_of(Asking(model, lambda x, seen: x * np.random.rand()), optimizers.Adam(), data[0])
    with caplog.at_level(logging.WARNING, "multilearn"):
        measured(engine, data)
    assert "to eager: " in caplog.text
    assert ways(engine) == ["eager"]


def test_a_step_that_writes_into_its_batch_leaves_the_data_alone() -> None:
    def doing(x: Any, seen: Any) -> Any:
        x += 1.0
        return x

    (model, _) = twins(MODELS["perceptron"])
    data = batches(model, 8)
    kept = [x.copy() for x, _ in data]
    engine = engine_of(Asking(model, doing), optimizers.Adam(), data[0])
    measured(engine, data)
    for (x, _), before in zip(data, kept, strict=True):
        np.testing.assert_array_equal(x, before)
    assert ways(engine) == ["graph"]


class Echo(Classification):
    """Its output has the batch itself, which a metric keeps until it is fetched."""

    def step(self, batch: Any, training: bool) -> Any:
        self.given = batch[0]
        return super().step(batch, training)


def test_what_is_measured_stays_though_the_batch_is_written_to_afterwards() -> None:
    class Inputs:
        name, unit, numeric = "Inputs", "", True

        def measure(self, ops: Any, output: Any) -> dict[str, Any]:
            return {"x": task.given}

    (model, _) = twins(MODELS["perceptron"])
    data = batches(model, 6)
    task = Echo(model)
    engine = engine_of(task, optimizers.Adam(), data[0], metrics=(Loss(), Inputs()))
    x, y = data[0][0].copy(), data[0][1]
    outputs = []
    for batch, _ in data:
        # a loader that uses its memory again
        x[...] = batch
        outputs.append(engine.train_step((x, y), 1e-3, True))
    for (batch, _), host in zip(data, engine.fetch(outputs), strict=True):
        np.testing.assert_array_equal(host.measures["Inputs"]["x"], batch)


def test_more_kinds_of_batches_than_graphs_are_eager_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "GRAPHS", 2)
    one, other = twins(MODELS["perceptron"])
    data = [batches(one, 1, size=size)[0] for _ in range(5) for size in (3, 4, 5, 6)]
    eager = engine_of(Classification(one), optimizers.Adam(), data[0], capture=False)
    engine = engine_of(Classification(other), optimizers.Adam(), data[0])
    np.testing.assert_allclose(measured(engine, data), measured(eager, data), rtol=2e-6)
    assert ways(engine) == ["graph", "graph", "eager", "eager"]


def test_a_ragged_batch_is_eager_until_it_came_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (model, _) = twins(MODELS["perceptron"])
    usual, ragged = batches(model, 1, size=6)[0], batches(model, 1, size=2)[0]
    engine = engine_of(Classification(model), optimizers.SGD(), usual)
    epoch = [usual] * 19 + [ragged]
    for _ in range(capturing.SEEN_IF_RARE):
        measured(engine, epoch)
    assert ways(engine) == ["graph", "counted"]
    measured(engine, epoch)
    assert ways(engine) == ["graph", "graph"]


def test_what_was_decided_goes_on_in_another_engine() -> None:
    one, other = twins(picture)
    data = batches(one, 10)
    whole = engine_of(Classification(one), optimizers.Adam(), data[0])
    expected = measured(whole, data)
    first = engine_of(Classification(other), optimizers.Adam(), data[0])
    found = measured(first, data[:4])
    record = first.record()
    (again, _) = twins(picture, seed=2)
    second = engine_of(Classification(again), optimizers.Adam(), data[0])
    second.restore(record)
    np.testing.assert_array_equal([*found, *measured(second, data[4:])], expected)
    assert second.record()["engine"] == whole.record()["engine"]


def test_what_was_decided_counts_and_keeps_its_order_whatever_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "GRAPHS", 1)
    one, other = twins(MODELS["perceptron"])
    large, small, new = (batches(one, 1, size=size)[0] for size in (6, 3, 4))
    first = engine_of(Classification(one), optimizers.SGD(), large)
    measured(first, [large, small])
    second = engine_of(Classification(other), optimizers.SGD(), large)
    second.restore(first.record())
    measured(second, [small, new])
    assert list(second.record()["engine"]["training"].values()) == [["graph", 1], ["eager", 2], ["eager", 1]]


def test_a_graph_that_is_slower_is_not_run_and_the_record_does_not_know_of_clocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capturing, "SLOWER", 0)
    model, _ = twins(MODELS["perceptron"])
    data = batches(model, capturing.TRIED + 2)
    engine = engine_of(Classification(model), optimizers.SGD(), data[0])
    measured(engine, data[:-1])
    with monkeypatch.context() as patched:
        patched.setattr(Program, "__call__", not_called)
        measured(engine, data[-1:])
    assert engine.record()["engine"]["training"].popitem()[1] == ["graph", len(data)]


def not_called(*arguments: Any) -> None:
    raise AssertionError("a graph was run")


def test_layers_that_are_frozen_between_two_fits_are_frozen_in_the_second() -> None:
    (model, _) = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(5), layers.Dense(3)]))
    data = batches(model, 8)
    measured(engine_of(Classification(model), optimizers.Adam(), data[0]), data)
    model.layers[0].trainable = False
    kernel, free = model.layers[0].kernel.numpy(), model.layers[1].kernel.numpy()
    measured(engine_of(Classification(model), optimizers.Adam(), data[0]), data)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel)
    assert np.abs(model.layers[1].kernel.numpy() - free).max() > 0
    model.layers[0].trainable = True
    measured(engine_of(Classification(model), optimizers.Adam(), data[0]), data)
    assert np.abs(model.layers[0].kernel.numpy() - kernel).max() > 0


def test_functions_and_modules_of_torchs_own_are_captured_and_right() -> None:
    import torch

    class Doubled(torch.autograd.Function):
        """Its gradient is not that of what it computes."""

        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            context.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            (x,) = context.saved_tensors
            return gradient * x.abs()

    class Apply(layers.Layer):
        def call(self, x: Any) -> Any:
            return Doubled.apply(x)

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    def make() -> keras.Model:
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.25))
        x = keras.Input((4,))
        wrapped = layers.TorchModuleWrapper(module, output_shape=(None, 6))
        return keras.Model(x, layers.Dense(3)(Apply()(wrapped(x))))

    found = []
    for capture in (False, True):
        (model, _) = twins(make)
        module = model.layers[1].module
        data = batches(model, 12)
        engine = engine_of(Classification(model), optimizers.SGD(0.01), data[0], capture=capture)
        torch.manual_seed(5)
        values = measured(engine, data)
        found.append((values, module[1].running_mean.numpy(), int(module[1].num_batches_tracked)))
    (eager, mean, count), (captured, its_mean, its_count) = found
    np.testing.assert_allclose(captured, eager, rtol=2e-6)
    np.testing.assert_allclose(its_mean, mean, rtol=1e-5)
    assert its_count == count
    assert ways(engine) == ["graph"]
