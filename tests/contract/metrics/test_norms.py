"""Norms of gradients and weights: those of numpy, whatever is done to the gradient on its way to the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.training import BACKEND, Batches, engine_of, ids, learner, numbers, refused

from multilearn.errors import DataError
from multilearn.loggers import FileMetricLogger, MemoryMetricLogger
from multilearn.metrics import Entry, GradientNorm, WeightNorm
from multilearn.protocols import Metric
from multilearn_keras import Classification

NORMS = (GradientNorm(), WeightNorm())
RATE = 0.5
X, Y = numbers(22, 4), ids(3, 22)
WEIGHTS = np.random.default_rng(4).uniform(0.2, 3.0, 22).astype("float32")
# ragged: each counts for its items
BATCHES = [(X[at], Y[at], WEIGHTS[at]) for at in (slice(8), slice(8, 11), slice(11, 19), slice(19, 22))]


def linear(**options: Any) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, **options)])


class OnNumpy:
    """Softmax regression by gradient descent, with the sums of a window."""

    def __init__(self, model: keras.Model, clip: float = np.inf) -> None:
        self.weights = [keras.ops.convert_to_numpy(each).astype(np.float64) for each in model.trainable_variables]
        self.clip = clip

    def gradient(self, batches: Sequence[Any]) -> list[np.ndarray]:
        """The mean over all items of the window, of losses that are weighted."""
        x, y, weights = (np.concatenate(each) for each in zip(*batches, strict=True))
        logits = x @ self.weights[0] + self.weights[1]
        likely = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        of_logits = (likely - np.eye(3)[y]) * weights[:, None] / len(x)
        return [x.T @ of_logits, of_logits.sum(0)]

    def norms(self, batches: Sequence[Any], window: int = 1) -> list[list[float]]:
        """(gradient, weights) after each batch; an update closes each window, and the last one."""
        found = []
        for at in range(len(batches)):
            first = at - at % window
            gradient = self.gradient(batches[first : at + 1])
            norm = float(np.sqrt(sum((each**2).sum() for each in gradient)))
            found.append([norm, float(np.sqrt(sum((each**2).sum() for each in self.weights)))])
            if at + 1 == first + window or at + 1 == len(batches):
                factor = RATE * min(1.0, self.clip / norm)
                self.weights = [old - factor * each for old, each in zip(self.weights, gradient, strict=True)]
        return found


def measured(engine: Any, batches: Sequence[Any], window: int = 1) -> list[list[float]]:
    outputs = []
    for at, batch in enumerate(batches, start=1):
        outputs.append(engine.train_step(batch, RATE, at % window == 0))
    return [
        [metric.entry(metric.merge(None, host.measures[metric.name])).value for metric in NORMS]
        for host in engine.fetch(outputs)
    ]


OPTIMIZERS: dict[str, tuple[Callable[[], optimizers.Optimizer], float]] = {
    "plain": (lambda: optimizers.SGD(RATE), np.inf),
    "clipped": (lambda: optimizers.SGD(RATE, global_clipnorm=0.01), 0.01),
    "scaled": (lambda: optimizers.SGD(RATE, loss_scale_factor=1024.0), np.inf),
    "scaled dynamically": (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(RATE)), np.inf),
}


@pytest.mark.parametrize(
    ("name", "window", "options"),
    [
        ("plain", 1, {}),
        # JAX compiles every operation by itself then
        *([] if BACKEND == "jax" else [("plain", 1, {"capture": False})]),
        ("clipped", 1, {}),
        ("scaled dynamically", 1, {"skip_non_finite": True}),
        ("plain", 2, {"skip_non_finite": True}),
        ("scaled", 3, {}),
    ],
)
def test_norms_are_those_of_numpy(name: str, window: int, options: dict[str, Any]) -> None:
    make, clip = OPTIMIZERS[name]
    model = linear()
    expected = OnNumpy(model, clip)
    # enough batches that torch's step is captured
    batches = BATCHES * 3
    engine = engine_of(
        Classification(model), make(), batches[0], accumulate=window > 1, update_metrics=NORMS, **options
    )
    np.testing.assert_allclose(measured(engine, batches, window), expected.norms(batches, window), rtol=2e-6)
    engine.release()
    np.testing.assert_allclose(model.get_weights()[0], expected.weights[0], rtol=2e-5, atol=1e-6)


def test_what_is_frozen_is_in_neither_norm() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, "tanh"), layers.Dense(3)])
    model.layers[0].trainable = False
    hidden = [(np.tanh(x @ model.get_weights()[0]), y, w) for x, y, w in BATCHES]
    expected = OnNumpy(model).norms(hidden)
    engine = engine_of(Classification(model), "sgd", BATCHES[0], update_metrics=NORMS)
    np.testing.assert_allclose(measured(engine, BATCHES), expected, rtol=2e-6)


def test_in_half_precision_they_are_close_to_those_of_numpy() -> None:
    model = linear(dtype="mixed_float16")
    expected = OnNumpy(model).norms(BATCHES)
    engine = engine_of(Classification(model), optimizers.SGD(RATE), BATCHES[0], update_metrics=NORMS)
    np.testing.assert_allclose(measured(engine, BATCHES), expected, rtol=5e-3)


@pytest.mark.parametrize("window", [1, 2])
def test_a_gradient_that_is_not_finite_is_seen_and_not_applied(window: int) -> None:
    bad = [(x * np.float32("inf"), y, w) for x, y, w in BATCHES[:window]]
    engine = engine_of(
        Classification(linear()), "sgd", BATCHES[0], accumulate=window > 1, skip_non_finite=True, update_metrics=NORMS
    )
    found = measured(engine, [*bad, *BATCHES], window)
    assert not np.isfinite([gradient for gradient, _ in found[:window]]).any()
    assert np.isfinite(found[window:]).all() and np.isfinite([weight for _, weight in found]).all()
    assert found[0][1] == found[window][1]


def test_large_tensors_are_summed_as_precisely_as_small_ones() -> None:
    model = keras.Sequential([keras.Input((2000,)), layers.Dense(1000)])
    batch = (numbers(2, 2000), ids(3, 2))
    engine = engine_of(Classification(model), "sgd", batch, update_metrics=NORMS)
    kernel = keras.ops.convert_to_numpy(model.layers[0].kernel).astype(np.float64)
    ((gradient, weights),) = measured(engine, [batch])
    assert weights == pytest.approx(float(np.sqrt((kernel**2).sum())), rel=1e-6)
    logits = batch[0] @ kernel
    of_logits = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True) - np.eye(1000)[batch[1]]) / 2
    expected = ((batch[0].T @ of_logits) ** 2).sum() + (of_logits.sum(0) ** 2).sum()
    assert gradient == pytest.approx(float(np.sqrt(expected)), rel=2e-6)


class LargestStep:
    """A metric of updates as a user writes one: the largest element of any gradient."""

    name, unit, numeric = "LargestStep", "", True

    def measure_update(self, ops: Any, update: Any) -> Any:
        return {str(at): ops.absolute(gradient) for at, gradient in enumerate(update.gradients)}

    def merge(self, state: Any, measured: Any) -> Any:
        largest = max(float(np.max(each)) for each in measured.values())
        return {"largest": max(largest, state["largest"] if state else 0.0)}

    def entry(self, state: Any) -> Entry:
        return Entry(state["largest"])


def run(directory: Path, window: int, *loggers: Any) -> ml.LearnerBuilder:
    builder = ml.LearnerBuilder(directory).renderer(ml.renderers.SilentRenderer()).metrics(*NORMS, LargestStep())
    builder = builder.num_epochs(2).grads_accumulation(window).with_file_checkpointer()
    return builder.metric_loggers(FileMetricLogger(), *loggers)


class Stopping(Batches):
    """Asks for the end of the run with the third batch of the second epoch."""

    def __init__(self, interrupter: ml.Interrupter, *batches: Any) -> None:
        super().__init__(*batches)
        self._interrupter = interrupter

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
        for number, batch in enumerate(super().iterate(seed, epoch, start), start=1):
            if (epoch, number) == (2, 3):
                self._interrupter.stop("enough")
            yield batch


@pytest.mark.parametrize("window", [1, 3])
def test_an_epoch_has_the_mean_over_its_updates_also_resumed_inside_it(tmp_path: Path, window: int) -> None:
    data = [*BATCHES, BATCHES[0]]
    ml.set_seed(3)
    model, memory = linear(), MemoryMetricLogger()
    reference = OnNumpy(model)
    task = Classification(model)
    made = run(tmp_path / "whole", window, memory).build(task, optimizers.SGD(), RATE)
    made.fit(Batches(*data), Batches(*data))
    for epoch in (0, 1):
        expected = reference.norms(data, window)
        np.testing.assert_allclose(memory.batches["train"]["GradientNorm"][epoch + 1], [g for g, _ in expected], 5e-6)
        updates = [expected[at] for at in range(len(data)) if (at + 1) % window == 0 or at + 1 == len(data)]
        found = {name: values[epoch] for name, values in made.history["train"].items()}
        assert found["GradientNorm"] == pytest.approx(np.mean([gradient for gradient, _ in updates]), rel=5e-6)
        assert found["WeightNorm"] == pytest.approx(updates[-1][1], rel=5e-6)
    assert set(made.history["valid"]) == {"Loss"}
    ml.set_seed(3)
    interrupter, cut = ml.Interrupter(), run(tmp_path / "cut", window)
    stopped = cut.with_interrupter(interrupter).build(Classification(linear()), optimizers.SGD(), RATE)
    stopped.fit(Stopping(interrupter, *data), Batches(*data))
    assert stopped.stopped_by == "enough"
    resumed = cut.checkpoint("2.3").build(Classification(linear()), optimizers.SGD(), RATE)
    resumed.fit(Batches(*data), Batches(*data))
    assert resumed.history == made.history


class Faulty(LargestStep):
    def measure_update(self, ops: Any, update: Any) -> Any:
        return {"sum": ops.cumsum(update.gradients[0])}


def test_one_that_cannot_measure_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with refused(tmp_path / "run", DataError, r"Metrics of updates must fit the model. Received: .*cumsum"):
        learner(tmp_path / "run", Classification(linear()), "sgd", 0.1, metrics=Faulty()).fit(BATCHES)


def test_a_metric_of_updates_is_no_metric_of_outputs() -> None:
    assert not any(isinstance(metric, Metric) for metric in (*NORMS, LargestStep()))
