"""What a training step assigns is trained, saved and resumed, wherever it is kept, or refused by name."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops
from support.by_hand import descended
from support.training import BACKEND, engine_of, learner, numbers

from multilearn.errors import ConfigurationError
from multilearn.protocols import Output
from multilearn_keras import Regression, load_weights
from multilearn_keras.state.keys import variables
from multilearn_keras.state.transfer import record_of

BATCHES, SIZE = 7, 4
X = numbers(BATCHES * SIZE, 4)


def counter() -> keras.Variable:
    return keras.Variable(0.0, trainable=False)


def model() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(4)])


class Counting:
    """The loss is scaled by how many training steps there were: `add` counts, `seen` says how many.

    Built from where the counter is kept: a function that is given the task.
    """

    def __init__(self, keep: Callable[[Any], tuple[Callable[[], None], Callable[[], Any]]]) -> None:
        self.model = model()
        self.functions = SimpleNamespace(both=keep(self))

    def step(self, batch: Any, training: bool) -> Output:
        add, seen = self.functions.both
        loss = ops.mean(ops.square(self.model(batch) - batch)) * (1.0 + 0.1 * seen())
        if training:
            add()
        return Output(loss, ops.shape(batch)[0])


@dataclass(frozen=True)
class Frozen:
    count: keras.Variable


class Slotted:
    __slots__ = ("_count",)

    def __init__(self, count: keras.Variable) -> None:
        self._count = count


def of_variable(found: keras.Variable) -> tuple[Callable[[], None], Callable[[], Any]]:
    return lambda: found.assign_add(1.0), lambda: found + 0.0


def of_metric(metric: keras.metrics.Metric) -> tuple[Callable[[], None], Callable[[], Any]]:
    return lambda: metric.update_state(1.0), lambda: metric.result() + 0.0


def of_attribute(task: Any) -> Any:
    task.count = counter()
    return of_variable(task.count)


PLACES: dict[str, Callable[[Any], Any]] = {
    "count": lambda count: count,
    "_self_count": lambda count: count,
    "namespace": lambda count: SimpleNamespace(inner=[SimpleNamespace(count=count)]),
    "dataclass": lambda count: {"frozen": Frozen(count)},
    "slots": Slotted,
    "deque": lambda count: deque([count], maxlen=1),
    "_layers": lambda count: [count],
}
METRICS: dict[str, Callable[[Any], Any]] = {
    "calls": lambda metric: metric,
    "metrics": lambda metric: {"calls": [keras.metrics.Mean(), metric]},
    "held": lambda metric: SimpleNamespace(calls=metric),
}


def of_all_places(task: Any) -> Any:
    """A counter in each of them; the loss sees their mean."""
    kept = []
    for places, make, of in ((PLACES, counter, of_variable), (METRICS, keras.metrics.Sum, of_metric)):
        for name, place in places.items():
            held = make()
            setattr(task, name, place(held))
            kept.append(of(held))
    return lambda: [add() for add, _ in kept], lambda: sum(seen() for _, seen in kept) / len(kept)


MODULE_LEVEL = {}


def of_a_global(task: Any) -> Any:
    return of_variable(MODULE_LEVEL.setdefault(("counter", id(task)), counter()))


def of_a_set(task: Any) -> Any:
    task.held = {keras.metrics.Sum()}
    return of_metric(next(iter(task.held)))


def of_a_closure(task: Any) -> Any:
    return of_variable(counter())


def of_a_global_seed(task: Any) -> Any:
    seed = MODULE_LEVEL.setdefault(("seed", id(task)), keras.random.SeedGenerator(1))
    return lambda: None, lambda: keras.random.uniform((), seed=seed)


REFUSED = (of_a_global, of_a_set, of_a_closure, of_a_global_seed)


def expected(epochs: int) -> float:
    """The mean loss of the last epoch, without updates: each step is scaled by one more."""
    batches = BATCHES * epochs
    scales = 1.0 + 0.1 * np.arange(batches - BATCHES, batches)
    kernel, bias = (ops.convert_to_numpy(each) for each in seeded(of_attribute).model.trainable_variables)
    losses = [np.mean((part @ kernel + bias - part) ** 2) for part in X.reshape(BATCHES, SIZE, 4)]
    return float(np.mean(scales * losses))


def seeded(keep: Callable[[Any], Any]) -> Counting:
    ml.set_seed(3)
    return Counting(keep)


def fitted(directory: Path, task: Any, epochs: int, rate: float = 0.0, **settings: Any) -> ml.Learner:
    made = learner(directory, task, "sgd", rate, num_epochs=epochs, with_file_checkpointer=(), **settings)
    made.fit(ml.DataLoader(X, SIZE, shuffle=False))
    return made


def bits(task: Any) -> list[tuple[str, bytes]]:
    return [(key, ops.convert_to_numpy(each).tobytes()) for key, each in variables(task).items()]


def test_what_a_step_counts_is_trained_saved_and_resumed(tmp_path: Path) -> None:
    whole = seeded(of_all_places)
    losses = fitted(tmp_path / "whole", whole, 2).history["train"]["Loss"]
    held = {key: float(ops.convert_to_numpy(each)) for key, each in variables(whole).items() if key.startswith("task/")}
    assert len(held) == len(PLACES) + len(METRICS) + 2
    assert {key for key, value in held.items() if value != 2 * BATCHES} == {
        "task/metrics/calls/mean.0/count",
        "task/metrics/calls/mean.0/total",
    }
    assert losses == pytest.approx([expected(1), expected(2)], rel=1e-5)
    fitted(tmp_path / "parts", seeded(of_all_places), 1)
    resumed = seeded(of_all_places)
    assert fitted(tmp_path / "parts", resumed, 2, checkpoint="latest").history["train"]["Loss"] == losses
    assert bits(resumed) == bits(whole)
    # the model alone needs nothing that the task holds
    predicted = ml.predict(whole.model, [X[:SIZE]], checkpoint="latest", directory=tmp_path / "parts")
    np.testing.assert_allclose(
        np.concatenate(list(predicted)), ops.convert_to_numpy(whole.model(X[:SIZE])), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("keep", REFUSED)
def test_what_no_record_can_hold_is_refused_by_name(tmp_path: Path, keep: Callable[[Any], Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"the variable '.*test_hidden_state\.py, line \d+") as error:
        fitted(tmp_path / "run", Counting(keep), 1)
    assert "self.counter" in str(error.value)
    assert not (tmp_path / "run" / "train").exists()
    with pytest.raises(ConfigurationError, match=r"the variable '"):
        engine_of(Counting(keep), "sgd", X[:SIZE], capture=False)


class Late(Counting):
    """Batches of another length have another branch, which assigns to `self.late`."""

    def step(self, batch: Any, training: bool) -> Output:
        if len(batch.shape) == 3:
            self.functions.late()
            batch = batch[0]
        return super().step(batch, training)


@pytest.mark.parametrize("capture", [True, False])
def test_what_is_assigned_only_in_another_branch_is_refused_there(capture: bool) -> None:
    task = Late(of_attribute)
    hidden = counter()
    task.functions.late = lambda: hidden.assign(hidden + 1.0)
    engine = engine_of(task, "sgd", X[:SIZE], capture=capture)
    engine.train_step(X[:SIZE], 0.1, True)
    with pytest.raises(ConfigurationError, match=r"the variable '"):
        engine.train_step(X[None, :SIZE], 0.1, True)


def of_the_framework() -> Any:
    """State that Keras knows nothing of: what adds to it, and whether it is as it was."""
    if BACKEND == "torch":
        import torch

        tensor = torch.zeros(3)
        return lambda: tensor[1:].add_(1.0), lambda: float(tensor.sum()) == 0
    import tensorflow as tf

    variable = tf.Variable(tf.zeros(3))
    return lambda: variable.assign_add(tf.ones(3)), lambda: True


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no arrays that can be written into")
def test_state_of_the_framework_is_refused_first_and_in_another_branch() -> None:
    add, _ = of_the_framework()
    name = {"torch": "a tensor", "tensorflow": "a tf.Variable"}[BACKEND]
    with pytest.raises(ConfigurationError, match=rf"{name} \([23],\) float32.*test_hidden_state\.py, line"):
        engine_of(Counting(lambda task: (add, lambda: 0.0)), "sgd", X[:SIZE])
    task = Late(of_attribute)
    task.functions.late = add
    engine = engine_of(task, "sgd", X[:SIZE])
    with pytest.raises(ConfigurationError, match=name):
        for _ in range(40):  # torch looks when it makes a graph
            engine.train_step(X[None, :SIZE], 0.0, True)


def test_a_second_optimizer_in_a_task_is_refused() -> None:
    second = keras.optimizers.SGD(0.1)
    other = keras.Variable(np.ones(3, "float32"))
    second.build([other])
    task = Counting(lambda task: (lambda: second.apply([ops.ones(3)], [other]), lambda: 0.0))
    with pytest.raises(ConfigurationError, match=r"its own optimizer has a turn of its own"):
        engine_of(task, "sgd", X[:SIZE])


class Centred(layers.Layer):
    """Takes off the mean of all that it was trained on, which a metric keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = keras.metrics.Mean(name="mean")

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            self.mean.update_state(inputs)
        return inputs - self.mean.result()


def centred() -> keras.Model:
    ml.set_seed(4)
    return keras.Sequential([keras.Input((4,)), Centred(), layers.Dense(2, activation="tanh"), layers.Dense(1)])


@pytest.mark.parametrize("compiled", [True, False])
def test_a_metric_in_a_layer_is_trained_with_and_is_resumed(tmp_path: Path, compiled: bool) -> None:
    y = X.sum(axis=1, keepdims=True)

    def trained(directory: str, **settings: Any) -> Any:
        ours: Any = centred()
        if compiled:
            ours.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
        made = learner(
            tmp_path / directory,
            ours if compiled else Regression(ours),
            None if compiled else keras.optimizers.SGD(0.1),
            num_epochs=2,
            with_file_checkpointer=(),
            **settings,
        )
        data = ml.DataLoader((X, y), SIZE, shuffle=False)
        made.fit(data, data)
        return ours

    def loss(weights: list[np.ndarray], batch: int, mean: float) -> float:
        items, (kernel, bias, last, last_bias) = slice(batch * SIZE, (batch + 1) * SIZE), weights
        said = np.tanh((X[items] - mean) @ kernel + bias) @ last + last_bias
        return float(np.mean((said - y[items]) ** 2))

    expected = [ops.convert_to_numpy(each) for each in centred().trainable_weights]
    # never reset: the mean of all batches so far, in both epochs, and of no validation
    means = np.cumsum(np.tile(X.reshape(BATCHES, -1).mean(axis=1), 2)) / np.arange(1, 2 * BATCHES + 1)
    for batch, mean in enumerate(means):
        expected = descended(
            lambda weights, batch=batch, mean=mean: loss(weights, batch % BATCHES, mean), expected, 0.1
        )
    whole = trained("whole")
    assert [key for key in variables(Regression(whole)) if "mean" in key] == [
        "layers/centred.0/mean/count",
        "layers/centred.0/mean/total",
    ]
    for mine, its in zip(whole.trainable_weights, expected, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(mine), its, rtol=1e-5, atol=1e-5)
    assert float(ops.convert_to_numpy(whole.layers[0].mean.count)) == 2 * len(X)
    resumed = trained("resumed", checkpoint=(1, tmp_path / "whole"))
    assert bits(Regression(resumed)) == bits(Regression(whole))


def test_a_record_without_metrics_still_loads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    y = X.sum(axis=1, keepdims=True)
    task = Regression(centred())
    task.model.layers[0].mean.update_state(X[:SIZE])
    engine = engine_of(task, "sgd", (X[:SIZE], y[:SIZE]))
    record = dict(engine.record())
    held = {key: each for key, each in variables(task).items() if "mean" not in key}
    record["model"] = record_of(held)
    engine.restore(record)
    assert "layers/centred.0/mean/count, layers/centred.0/mean/total" in caplog.text
    engine.release()
    assert float(ops.convert_to_numpy(task.model.layers[0].mean.count)) == SIZE


class Hidden(layers.Layer):
    """Layers under names that Keras or TensorFlow use themselves."""

    def __init__(self) -> None:
        super().__init__()
        self._self_dense = layers.Dense(3)
        self._layers = [layers.Dense(4), layers.Dropout(0.5)]

    def call(self, inputs: Any, training: bool = False) -> Any:
        dense, dropout = self._layers
        return dropout(dense(self._self_dense(inputs)), training=training)


def test_attributes_called_like_those_of_keras_and_tensorflow_are_trained(tmp_path: Path) -> None:
    ml.set_seed(1)
    made = keras.Sequential([keras.Input((4,)), Hidden(), layers.Dense(1)])
    assert [key for key in variables(Regression(made)) if "hidden" in key] == [
        "layers/hidden.0/layers/dense.0/bias",
        "layers/hidden.0/layers/dense.0/kernel",
        "layers/hidden.0/layers/dropout.0/seed_generator",
        "layers/hidden.0/self_dense/bias",
        "layers/hidden.0/self_dense/kernel",
    ]
    y = X.sum(axis=1, keepdims=True)
    run = learner(tmp_path / "run", Regression(made), "sgd", 0.1, with_file_checkpointer=())
    run.fit(ml.DataLoader((X, y), SIZE))
    fresh = keras.Sequential([keras.Input((4,)), Hidden(), layers.Dense(1)])
    load_weights(fresh, tmp_path / "run")
    for one, other in zip(made.weights, fresh.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


class Rebinding(Counting):
    """`bind` binds something to an attribute in each training step; the loss is scaled by what it returns."""

    def __init__(self, bind: Callable[[Any, Any], Any], **held: Any) -> None:
        super().__init__(lambda task: (lambda: None, lambda: 0.0))
        self.held = SimpleNamespace(**held)
        self.bind = {"each step": bind}

    def step(self, batch: Any, training: bool) -> Output:
        output = super().step(batch, training)
        scale = self.bind["each step"](self.held, output.loss) if training else 1.0
        return Output(output.loss * scale, output.count)


def average(held: Any, loss: Any) -> Any:
    held.ema = loss if held.ema is None else 0.9 * held.ema + 0.1 * loss
    return 1.0 + held.ema


def added(held: Any, loss: Any) -> Any:
    held.v = held.v + 1.0
    return 1.0


def counted(held: Any, loss: Any) -> Any:
    held.parts["n"][0] = held.parts["n"][0] + 1
    return 1.0


def remembered(held: Any, loss: Any) -> Any:
    before = held.states[0] if held.states else 0.0 * loss
    held.states = (loss, loss)
    return 1.0 + before


REBOUND = (
    (average, {"ema": None}, r"\.ema"),
    (average, {"ema": 0.0}, r"\.ema"),
    (added, {"v": ops.zeros(3)}, r"\.v"),
    (counted, {"parts": {"n": [ops.zeros((), "int32")]}}, r"\.parts\['n'\]\[0\]"),
    (remembered, {"states": ()}, r"\.states"),
)


@pytest.mark.parametrize(("bind", "held", "name"), REBOUND)
def test_a_tensor_that_a_step_rebinds_and_reads_is_refused_by_name(
    tmp_path: Path, bind: Any, held: dict[str, Any], name: str
) -> None:
    task = Rebinding(bind, **held)
    with pytest.raises(ConfigurationError, match=rf"SimpleNamespace{name}.*") as error:
        fitted(tmp_path / "run", task, 1)
    assert "keras.Variable" in str(error.value)
    assert not (tmp_path / "run" / "train").exists()
    key = next(iter(held))
    assert getattr(task.held, key) is held[key]


class Stateful(layers.Layer):
    """Adds to a tensor in an attribute, and keeps its last output, which nothing reads."""

    def __init__(self, adds: bool) -> None:
        super().__init__()
        self.adds, self.total, self.last, self.calls = adds, ops.zeros(()), None, 0

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training and self.adds:
            self.total = self.total + ops.mean(inputs)
        self.calls += 1
        self.last = inputs * 2.0
        return inputs + self.total


def stateful(adds: bool) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), Stateful(adds), layers.Dense(1)])


def test_a_layer_that_rebinds_its_state_is_refused_and_one_that_keeps_its_output_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    y = X.sum(axis=1, keepdims=True)
    with pytest.raises(ConfigurationError, match=r"Stateful\.total after"):
        engine_of(Regression(stateful(True)), "sgd", (X[:SIZE], y[:SIZE]))
    engine = engine_of(Regression(stateful(False)), "sgd", (X[:SIZE], y[:SIZE]))
    for _ in range(8):
        engine.train_step((X[:SIZE], y[:SIZE]), 0.1, True)
    assert [record.message.count("Stateful.calls") for record in caplog.records] == [1]


@pytest.mark.skipif(BACKEND != "torch", reason="modules of torch are of torch alone")
@pytest.mark.parametrize("buffer", [True, False])
def test_a_module_of_torch_that_rebinds_a_buffer_or_an_attribute_is_refused(buffer: bool) -> None:
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 1)
            if buffer:
                self.register_buffer("n", torch.zeros(()))
            else:
                self.n = torch.zeros(())

        def forward(self, x: Any) -> Any:
            if self.training:
                self.n = self.n + 1
            return self.linear(x) * self.n

    made = keras.Sequential([keras.Input((4,)), layers.TorchModuleWrapper(Module(), output_shape=(None, 1))])
    with pytest.raises(ConfigurationError, match=r"Module\.n after"):
        engine_of(Regression(made), "sgd", (X[:SIZE], X[:SIZE, :1]))
