"""Engines made directly, twins of a model with equal weights, and what a run of batches leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest

from multilearn import backend
from multilearn.data import mapped
from multilearn.metrics import Accuracy, Loss
from multilearn.protocols import Engine, EngineOptions, Example, HostOutput
from multilearn_keras.state.keys import variables
from support.programs import compiled, shape_of

BACKEND = backend.chosen()
Batch = Any


def twins(make: Callable[[], keras.Model], seed: int = 1) -> tuple[keras.Model, keras.Model]:
    """Two models with the same weights and the same random streams."""
    ml.set_seed(seed)
    one = make()
    ml.set_seed(seed)
    return one, make()


def engine_of(
    model: Any,
    optimizer: Any,
    example: Batch,
    *,
    whole: Batch | None = None,
    accumulate: bool = False,
    metrics: Sequence[Any] = (Loss(),),
    **options: Any,
) -> Engine:
    """An engine as `fit` makes it, with the same metrics on both splits."""
    keras_backend = backend.load()
    subject = keras_backend.adopt(model, optimizer, None)
    examples = (Example(example, whole), Example(example))
    return keras_backend.engine(subject, examples, EngineOptions(metrics, metrics, accumulate, **options))


def train(engine: Engine, batches: Sequence[Batch], lr: float, n: int = 1) -> list[tuple[float, float]]:
    """Train on the batches, with an update after every n-th and after the last; the (loss, count) of each."""
    outputs = [
        engine.train_step(batch, lr, (k + 1) % n == 0 or k + 1 == len(batches)) for k, batch in enumerate(batches)
    ]
    return losses(engine, outputs)


class Batches:
    """A loader of a user's own with the same batches in each epoch."""

    def __init__(self, *batches: Batch) -> None:
        self._batches = batches

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter(self._batches[start:])


def trained(
    task: Any, optimizer: Any, batches: Sequence[Batch], lr: float, n: int = 1, **options: Any
) -> list[tuple[float, float]]:
    """The same by an engine of its own, after which the model holds what was trained."""
    engine = engine_of(task, optimizer, batches[0], **options)
    found = train(engine, batches, lr, n)
    engine.release()
    return found


def evaluate(engine: Engine, batches: Sequence[Batch]) -> list[tuple[float, float]]:
    """The (loss, count) of each batch."""
    return losses(engine, [engine.eval_step(batch) for batch in batches])


def seen(task: Any, batch: Batch, *fields: str) -> dict[str, np.ndarray]:
    """Loss, count and other fields of a task's output, the first two the same in training as in evaluation.

    Without an engine: compiling is what takes time, and engines are compared with single steps elsewhere.
    """
    inputs = mapped(keras.ops.convert_to_tensor, task.inputs(batch))
    task.check(batch, (None, *shape_of(lambda: task.model(inputs))[1:]))

    @compiled
    def steps(tensors: Any) -> list[dict[str, Any]]:
        """In evaluation and in training."""
        named = ((False, ("loss", "count", *fields)), (True, ("loss", "count")))
        outputs = [(task.step(tensors, training), names) for training, names in named]
        return [{name: getattr(output, name) for name in names} for output, names in outputs]

    evaluated, trained = (
        {name: keras.ops.convert_to_numpy(value) for name, value in found.items()}
        for found in steps(mapped(keras.ops.convert_to_tensor, batch))
    )
    for field, value in trained.items():
        np.testing.assert_allclose(evaluated[field], value, rtol=1e-6)
    return evaluated


def entries(metrics: Sequence[Any], hosts: Sequence[HostOutput]) -> dict[str, Any]:
    """What each metric says of batches that were measured, by its name."""
    found = {}
    for metric in metrics:
        state = None
        for host in hosts:
            state = metric.merge(state, host.measures[metric.name])
        found[metric.name] = metric.entry(state)
    return found


def losses(engine: Engine, outputs: Sequence[Any]) -> list[tuple[float, float]]:
    measured = [host.measures["Loss"] for host in engine.fetch(outputs)]
    return [(float(m["loss"]), float(m["count"])) for m in measured]


def learner(directory: Any, model: Any, optimizer: Any, lr: Any = None, **settings: Any) -> ml.Learner:
    """A quiet learner with Loss, and Accuracy if asked for."""
    builder = ml.LearnerBuilder(directory).renderer(ml.renderers.SilentRenderer()).metrics(Loss())
    if settings.pop("accuracy", False):
        builder = builder.metrics(Accuracy())
    for name, value in settings.items():
        builder = getattr(builder, name)(*(value if isinstance(value, tuple) else (value,)))
    return builder.build(model, optimizer, lr)


@contextmanager
def refused(directory: Path, error: type[Exception], said: str) -> Iterator[None]:
    """What happens in here must fail so, and before a run has written anything."""
    with pytest.raises(error, match=said):
        yield
    assert not directory.exists()


def state(model: keras.Model) -> dict[str, np.ndarray]:
    """Copies of all that a model holds, seed states included, by key."""
    return {key: np.array(keras.ops.convert_to_numpy(v.value)) for key, v in variables(model).items()}


def assert_close(one: keras.Model, other: keras.Model, tolerance: float) -> None:
    """All weights of the two within the tolerance, absolute and relative."""
    first, second = state(one), state(other)
    assert list(first) == list(second)
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], rtol=tolerance, atol=tolerance, err_msg=key)


def assert_equal(one: keras.Model, other: keras.Model) -> None:
    """Bit for bit."""
    first, second = state(one), state(other)
    assert list(first) == list(second)
    for key, value in first.items():
        assert value.tobytes() == second[key].tobytes(), key


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of each item, in float64."""
    logits = logits.astype("float64")
    return np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, y[..., None], -1)[..., 0]


def chunks(data: Any, size: int) -> list[Any]:
    """The arrays of a tuple, or of dicts in it, cut into batches."""
    items = len(keras.tree.flatten(data)[0])
    edges = [*range(0, items, size), items]
    return [
        keras.tree.map_structure(lambda array, first=first, last=last: array[first:last], data)
        for first, last in pairwise(edges)
    ]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def ids(classes: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Class ids, int32."""
    return np.random.default_rng(seed).integers(0, classes, shape).astype("int32")
