"""The model object while `fit` runs: it holds what was trained so far, and what is assigned to it is trained on."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops, optimizers
from support.training import assert_close, assert_equal, engine_of, learner, numbers, train, twins

import multilearn as ml
from multilearn import events
from multilearn.errors import ConfigurationError
from multilearn.protocols import Output
from multilearn_keras import Regression

X = numbers(32, 4)
Y = X.sum(axis=1, keepdims=True)
DATA = ml.DataLoader((X, Y), 8)


class When:
    """A renderer that does something at every event of a kind."""

    def __init__(self, do: Callable[[Any], Any], kind: type = events.EpochEnded) -> None:
        self._do, self._kind = do, kind

    def host(self, fit: Callable[[], Any]) -> Any:
        return fit()

    def render(self, event: Any) -> None:
        if isinstance(event, self._kind):
            self._do(event)

    def close(self) -> None:
        """Nothing is open."""


def normed() -> keras.Model:
    # a bias before the normalization has a gradient of nothing but roundings, of which Adam makes whole steps
    first = layers.Dense(3, use_bias=False)
    return keras.Sequential([keras.Input((4,)), first, layers.BatchNormalization(momentum=0.5), layers.Dense(1)])


def squared_error(model: keras.Model) -> float:
    return float(np.mean((ops.convert_to_numpy(model(X, training=False)) - Y) ** 2))


def test_what_listeners_see_is_what_was_trained_so_far(tmp_path: Path) -> None:
    model, twin = twins(normed)
    adam, path = optimizers.Adam(), tmp_path / "saved.weights.h5"
    errors, counts, weights, biases = [], [], [], []

    def look(event: Any) -> None:
        if isinstance(event, events.SplitEnded) and event.split == "train":
            weights.append(model.get_weights())
        elif isinstance(event, events.EpochEnded):
            errors.append(squared_error(model))
            counts.append(int(adam.iterations))
            model.save_weights(path)

    class Rule:
        def reason(self, history: Any, epoch: int, elapsed: float) -> None:
            biases.append(model.get_weights()[1])

    fitted = learner(
        tmp_path / "run",
        Regression(model),
        adam,
        0.05,
        renderer=When(look, object),
        num_epochs=3,
        early_stopping=Rule(),
    )
    fitted.fit(DATA, DATA)
    np.testing.assert_allclose(errors, fitted.history["valid"]["Loss"], rtol=1e-5)
    assert counts == [4, 8, 12]
    for seen, final in zip(weights[-1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(seen, final)
    assert len({bias.tobytes() for bias in biases}) == 2, "the rule is not asked after the last epoch"
    twin.load_weights(path)
    assert_equal(twin, model)
    assert {type(v) for v in model.variables} == {type(v) for v in normed().variables}


def meddled(model: keras.Model, optimizer: Any) -> None:
    """Halve the weights, forget the statistics, begin counting updates again, without momentum."""
    model.set_weights([0.5 * weight for weight in model.get_weights()])
    model.layers[1].moving_mean.assign(np.ones(3))
    optimizer.iterations.assign(1)
    for slot in optimizer._momentums:
        slot.assign(np.zeros(slot.shape))


def test_what_is_assigned_at_the_end_of_an_epoch_is_trained_on_as_by_keras(tmp_path: Path) -> None:
    model, twin = twins(normed)
    adam, its = optimizers.Adam(0.05), optimizers.Adam(0.05)
    learner(tmp_path / "run", Regression(model), adam, renderer=When(lambda _: meddled(model, adam)), num_epochs=3).fit(
        DATA
    )
    twin.compile(its, "mse")
    meddling = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: meddled(twin, its))
    twin.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=[meddling])
    assert_close(model, twin, 1e-5)


def test_a_loader_of_ones_own_sees_every_step_and_may_change_the_model(tmp_path: Path) -> None:
    model, twin = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
    seen: list[bytes] = []

    def mined() -> Iterator[Any]:
        for start in range(0, 32, 8):
            seen.append(model.get_weights()[0].tobytes())
            if start == 16:
                model.layers[0].bias.assign([0.5])
            yield X[start : start + 8], Y[start : start + 8]

    learner(tmp_path / "run", Regression(model), "sgd", 0.05).fit(mined)
    # the first batch was looked at before the run
    assert len(set(seen)) == 4
    # by hand, in float64
    kernel, bias = (weight.astype("float64") for weight in twin.get_weights())
    for start in range(0, 32, 8):
        if start == 16:
            bias[:] = 0.5
        x, off = X[start : start + 8], X[start : start + 8] @ kernel + bias - Y[start : start + 8]
        kernel, bias = kernel - 0.05 * 2 * x.T @ off / 8, bias - 0.05 * 2 * off.mean(axis=0)
    np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.get_weights()[1], bias, rtol=1e-4, atol=1e-5)


class Mining(keras.utils.PyDataset):
    """Asks the model in other threads than the one that trains."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(workers=2, max_queue_size=4)
        self._model = model
        self.seen: list[float] = []

    def __len__(self) -> int:
        return 32

    def __getitem__(self, number: int) -> Any:
        self.seen.append(float(np.abs(self._model.get_weights()[0]).sum()))
        return X[:8], Y[:8]


def test_threads_that_make_batches_see_weights_that_were_trained(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    mining = Mining(model)
    learner(tmp_path / "run", Regression(model), "sgd", 0.05, num_epochs=2).fit(mining)
    assert len(mining.seen) >= 64
    assert np.isfinite(mining.seen).all()
    assert len(set(mining.seen)) > 1


@dataclasses.dataclass(frozen=True)
class Shown(Output):
    beta: Any


class Annealed:
    """The weight of a part of the loss is a variable of the task's own."""

    def __init__(self) -> None:
        self.model, self.beta = keras.Sequential([keras.Input((4,)), layers.Dense(1)]), keras.Variable(0.0)
        self.beta.trainable = False

    def inputs(self, batch: Any) -> Any:
        return batch[0]

    def step(self, batch: Any, training: bool) -> Shown:
        loss = ops.mean((self.model(batch[0], training=training) - batch[1]) ** 2)
        beta = ops.convert_to_tensor(self.beta)
        return Shown(loss + 0 * beta, ops.shape(batch[0])[0], beta)


def test_a_variable_of_the_task_is_annealed_and_a_copy_of_the_task_is_its_own(tmp_path: Path) -> None:
    task, copies = Annealed(), []

    def anneal(event: Any) -> None:
        copies.append(copy.deepcopy(task))
        task.beta.assign(event.epoch)
        copies[-1].beta.assign(-1.0)

    fitted = learner(
        tmp_path / "run", task, "sgd", 0.01, renderer=When(anneal), num_epochs=3, metric_train=ml.metrics.Mean("beta")
    )
    fitted.fit(DATA)
    assert fitted.history["train"]["Mean(beta)"] == (0.0, 1.0, 2.0)
    assert float(task.beta) == 3.0
    assert [float(each.beta) for each in copies] == [-1.0] * 3


def test_using_the_model_in_a_listener_changes_nothing(tmp_path: Path) -> None:
    model, twin = twins(normed)
    quiet = ml.renderers.SilentRenderer()

    def use(event: Any) -> None:
        ml.Evaluator(tmp_path, renderer=quiet, metric_loggers=[]).evaluate(Regression(model), DATA)
        list(ml.predict(model, DATA))
        model.predict(X, verbose=0)
        if event.epoch == 1:
            # a learner for the same model, which leaves its weights as they are
            model.layers[1].trainable = False
            learner(tmp_path / "inner", Regression(model), "sgd", 0.0).fit(DATA)
            model.layers[1].trainable = True

    for each, renderer in ((model, When(use)), (twin, quiet)):
        learner(tmp_path / f"run-{each is twin}", Regression(each), "adam", 0.05, renderer=renderer, num_epochs=2).fit(
            DATA
        )
    assert_equal(model, twin)


def test_what_steps_cannot_follow_is_refused() -> None:
    model = keras.Sequential(
        [keras.Input((4,)), layers.Normalization(), layers.Dense(2), layers.Dropout(0.5), layers.Dense(1)]
    )
    sgd = optimizers.SGD(momentum=0.9)
    engine = engine_of(Regression(model), sgd, (X[:8], Y[:8]))
    train(engine, [(X[:8], Y[:8])], 0.01)
    engine.verify()
    _, dense, dropout, _ = model.layers
    for owner, name, value, said in (
        (dense, "trainable", False, "trainable of layers/dense.0"),
        (dense.bias, "trainable", False, "trainable of layers/dense.0/bias"),
        (dropout, "rate", 0.1, "rate of layers/dropout.0, changed from 0.5 to 0.1"),
        (dense, "activation", keras.activations.relu, "activation of layers/dense.0, changed from linear to relu"),
        (sgd, "momentum", 0.5, "momentum of the optimizer, changed from 0.9 to 0.5"),
        (sgd, "_learning_rate", optimizers.schedules.CosineDecay(0.1, 9), "learning_rate of the optimizer"),
        (model, "stop_training", True, "stop_training of the model"),
    ):
        before = getattr(owner, name, False)
        setattr(owner, name, value)
        with pytest.raises(ConfigurationError, match=said):
            engine.verify()
        setattr(owner, name, before)
        engine.verify()
    with pytest.raises(ConfigurationError, match="scheduler sets the learning rate"):
        sgd.learning_rate = 0.5
    statistics = model.layers[0].get_weights()
    model.layers[0].set_weights([2 * each for each in statistics])
    with pytest.raises(ConfigurationError, match="variance of layers"):
        engine.verify()
    model.layers[0].set_weights(statistics)
    engine.verify()
    model.layers[0].adapt(X)
    with pytest.raises(ConfigurationError, match=r"mean of layers/normalization\.0"):
        engine.verify()
    engine.restore(engine.record())
    engine.verify()
    model.compile("adam", "mse")
    with pytest.raises(ConfigurationError, match="optimizer of the model"):
        engine.verify()
    engine.release()
    sgd.learning_rate = 0.5
    assert float(sgd.learning_rate) == 0.5


@pytest.mark.parametrize("capture", [True, False])
def test_a_change_that_eager_steps_follow_is_refused_only_of_others(tmp_path: Path, capture: bool) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Rescaling(0.5), layers.Dense(1)])

    def rescaled(event: Any) -> None:
        model.layers[0].scale = 2.0

    builder = ml.LearnerBuilder(tmp_path / "run").renderer(When(rescaled)).num_epochs(2).engine(capture=capture)
    fitted = builder.build(Regression(model), "sgd", 0.01)
    if capture:
        with pytest.raises(ConfigurationError, match=r"scale of layers/rescaling.0.*capture=False"):
            fitted.fit(DATA)
    else:
        fitted.fit(DATA)


class Scaled(layers.Layer):
    """Reads numbers, an array and containers that no constructor knows, and keeps others."""

    power = 1

    def __init__(self) -> None:
        super().__init__()
        self.rate, self.array, self.table, self.rows = 1.0, np.ones(4, "float32"), {"a": 1}, [[1.0]]
        self.shown, self.calls, self.cache, self.mode = 1.0, 0, None, True

    def call(self, x: Any, training: bool = False) -> Any:
        # none of these may look as if someone else had changed it
        self.calls, self.cache, self.mode = self.calls + 1, self.cache or ops.shape(x), training
        return x * (self.rate * self.table["a"] * self.rows[0][0]) ** self.power * ops.convert_to_tensor(self.array)


class Weighted:
    """A task whose loss has a factor of its own, and one in a helper."""

    def __init__(self) -> None:
        self.model = keras.Sequential([keras.Input((4,)), Scaled(), layers.Dense(1)])
        self.beta, self.epoch, self.helper = 1.0, 0, SimpleNamespace(factor=2)

    def step(self, batch: Any, training: bool) -> Output:
        error = ops.mean((self.model(batch[0], training=training) - batch[1]) ** 2)
        return Output(self.beta * self.helper.factor * error, ops.shape(batch[0])[0])


def test_what_steps_read_of_own_objects_is_refused_if_it_changes_and_nothing_else_is() -> None:
    task = Weighted()
    engine = engine_of(task, "sgd", (X[:8], Y[:8]))
    train(engine, [(X[:8], Y[:8])] * 2, 0.01)
    engine.eval_step((X[:8], Y[:8]))
    layer = task.model.layers[0]
    layer.shown, task.epoch, layer.array = 5.0, 3, np.ones(4, "float32")
    engine.verify()
    for store, name, value, said in (
        (vars(task), "beta", 0.5, "beta of Weighted, changed from 1.0 to 0.5"),
        (vars(task), "model", keras.Sequential([layers.Dense(1)]), "model of the task"),
        (vars(task.helper), "factor", 3, "helper of Weighted"),
        (vars(layer), "rate", 2.0, "rate of Scaled, changed from 1.0 to 2.0"),
        (vars(layer), "power", 2, "power of Scaled, changed from 1 to 2"),
        (layer.array, 1, 2.0, "array of Scaled"),
        (layer.table, "a", 2, "table of Scaled"),
        (layer.rows[0], 0, 2.0, "rows of Scaled"),
    ):
        before = store.get(name, getattr(layer, str(name), None)) if isinstance(store, dict) else store[name]
        store[name] = value
        with pytest.raises(ConfigurationError, match=said):
            engine.verify()
        store[name] = before
        engine.verify()


def test_the_loss_of_a_task_is_not_changed_while_it_is_trained() -> None:
    task = Regression(keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
    engine = engine_of(task, "sgd", (X[:8], Y[:8]))
    task.loss = keras.losses.MeanAbsoluteError()
    with pytest.raises(ConfigurationError, match="loss of the task, changed from MeanSquaredError"):
        engine.verify()
