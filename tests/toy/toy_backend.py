"""A backend as a third party would add one: softmax regression on numpy, trained by gradient descent with momentum."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multilearn.checkpoint import HostTensor, nbytes, require_match
from multilearn.errors import ConfigurationError, DataError, RecordError
from multilearn.metrics import NumpyOps
from multilearn.outputs import ClassificationOutput
from multilearn.protocols import (
    Backend,
    Batch,
    Engine,
    EngineOptions,
    EvalEngine,
    Example,
    HostOutput,
    LRScheduler,
    Record,
    StepOutput,
    Subject,
    Update,
)
from multilearn.schedulers import Constant

__all__ = [
    "STREAM",
    "Momentum",
    "SoftmaxModel",
    "SoftmaxRegression",
    "Stream",
    "ToyBackend",
    "ToyDevice",
    "ToyEngine",
    "ToyEvalEngine",
]

OPS = NumpyOps()


@dataclass
class Stream:
    """Random numbers, each draw a function of the seed and of how many there were before."""

    seed: int = 0
    drawn: int = 0

    def uniform(self, shape: tuple[int, ...]) -> np.ndarray:
        bits = np.random.Philox(key=np.array([self.seed, self.drawn], np.uint64))
        self.drawn += 1
        return np.random.Generator(bits).random(shape, np.float32)


STREAM = Stream()


class SoftmaxModel:
    """logits = x @ kernel + bias, for x of shape (batch, features)."""

    def __init__(self, features: int, classes: int) -> None:
        self.weights = {"kernel": STREAM.uniform((features, classes)) - 0.5, "bias": np.zeros(classes, np.float32)}
        self.busy = False

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x @ self.weights["kernel"] + self.weights["bias"]


@dataclass
class SoftmaxRegression:
    """The task: cross-entropy of (x, y) or (x, y, sample_weight), with dropout of the features while training."""

    model: SoftmaxModel
    dropout: float = 0.0

    def step(self, batch: Batch, training: bool) -> ClassificationOutput:
        return self.forward(batch, training)[0]

    def forward(self, batch: Batch, training: bool) -> tuple[ClassificationOutput, dict[str, np.ndarray]]:
        """The output, and the gradient of its loss."""
        x, y, weights = (*batch, None)[:3]
        if training and self.dropout:
            x = x * (STREAM.uniform(x.shape) >= self.dropout) / np.float32(1 - self.dropout)
        logits, each = self.model(x), np.ones(len(y), np.float32) if weights is None else weights
        scores, target, count = OPS.softmax(logits), OPS.one_hot(y, logits.shape[-1]), each.sum()
        loss = -(each * np.log((scores * target).sum(-1))).sum() / count
        slope = (scores - target) * each[:, None] / count
        output = ClassificationOutput(loss, count, logits, y, weights)
        return output, {"kernel": x.T @ slope, "bias": slope.sum(0)}


@dataclass(frozen=True)
class Momentum:
    """velocity = beta * velocity + gradient; weights -= rate * velocity."""

    beta: float = 0.9
    name: str = "momentum"

    def get_config(self) -> Mapping[str, Any]:
        return {"beta": self.beta}


@dataclass(frozen=True)
class ToyDevice:
    """The only one there is."""

    kind: str = "cpu"
    index: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}"


class ToyEngine(Engine):
    """See `Engine`: the model's own arrays are replaced by every update."""

    def __init__(self, subject: Subject, options: EngineOptions) -> None:
        self._task, self._optimizer, self._options = subject.task, subject.optimizer, options
        self._model = subject.task.model
        self._model.busy = True
        self._velocity = {name: np.zeros_like(array) for name, array in self._model.weights.items()}
        self._updates, self._open, self._weight = 0, self._zeros(), 0.0

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        output, gradient = self._task.forward(batch, training=True)
        if np.isfinite(output.loss) or not self._options.skip_non_finite:
            self._open = {name: total + gradient[name] * output.count for name, total in self._open.items()}
            self._weight += output.count
        measures = {metric.name: metric.measure(OPS, output) for metric in self._options.train_metrics}
        gradients = [total / np.float32(self._weight or 1.0) for total in self._open.values()]
        of_window = Update(gradients, list(self._model.weights.values()))
        measures |= {metric.name: metric.measure_update(OPS, of_window) for metric in self._options.update_metrics}
        if update:
            self.apply(lr)
        return StepOutput(measures)

    def eval_step(self, batch: Batch) -> StepOutput:
        output = self._task.step(batch, training=False)
        return StepOutput({metric.name: metric.measure(OPS, output) for metric in self._options.eval_metrics})

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        return [HostOutput(output.measures) for output in outputs]

    def record(self) -> Record:
        optimizer = {"velocity": _tensors(self._velocity), "updates": self._updates}
        return {"model": _tensors(self._model.weights), "optim": optimizer, "random": vars(STREAM).copy()}

    def restore(self, record: Record) -> None:
        mine = self.record()
        require_match(mine["model"], record["model"], "the model")
        require_match(mine["optim"], record["optim"], "the optimizer")
        numbers = [record["optim"]["updates"], record["random"].get("seed"), record["random"].get("drawn")]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise RecordError("The toy counts updates and draws.", received=str(numbers)[:100], remedy="Count.")
        self._model.weights = _arrays(record["model"])
        self._velocity, self._updates = _arrays(record["optim"]["velocity"]), record["optim"]["updates"]
        STREAM.seed, STREAM.drawn = record["random"]["seed"], record["random"]["drawn"]

    def nbytes(self) -> int:
        return nbytes(self.record())

    def finish(self) -> None:
        """No averages are kept."""

    def release(self) -> None:
        if not self._model.busy:
            raise RuntimeError("an engine is released once")
        self._model.busy = False

    def apply(self, lr: float) -> None:
        if not self._weight:
            return
        for name, total in self._open.items():
            gradient = total / np.float32(self._weight)
            self._velocity[name] = np.float32(self._optimizer.beta) * self._velocity[name] + gradient
            self._model.weights[name] = self._model.weights[name] - np.float32(lr) * self._velocity[name]
        self._updates, self._open, self._weight = self._updates + 1, self._zeros(), 0.0

    def _zeros(self) -> dict[str, np.ndarray]:
        return {name: np.zeros_like(array) for name, array in self._model.weights.items()}


class ToyEvalEngine(EvalEngine):
    """See `EvalEngine`: a checkpoint's arrays are in a model of its own."""

    def __init__(self, task: Any, options: EngineOptions) -> None:
        self._task, self._options = copy.deepcopy(task), options

    def eval_step(self, batch: Batch) -> StepOutput:
        output = self._task.step(batch, training=False)
        return StepOutput({metric.name: metric.measure(OPS, output) for metric in self._options.eval_metrics})

    def predict_step(self, batch: Batch) -> np.ndarray:
        return self._task.model(batch[0] if isinstance(batch, tuple) else batch)

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        return [HostOutput(output.measures) for output in outputs]

    def to_host(self, predicted: np.ndarray) -> np.ndarray:
        return predicted

    def record(self) -> Record:
        return _tensors(self._task.model.weights)

    def restore(self, model: Record) -> None:
        require_match(self.record(), model, "the model")
        self._task.model.weights = _arrays(model)

    def release(self) -> None:
        """Nothing was changed."""


class ToyBackend(Backend):
    """What the entry point names."""

    name = "toy"

    def devices(self) -> Sequence[ToyDevice]:
        return [ToyDevice()]

    def seed(self, n: int) -> None:
        STREAM.seed, STREAM.drawn = n, 0

    def versions(self) -> Mapping[str, str]:
        return {"numpy": np.__version__}

    def numerics(self) -> Mapping[str, str | bool | int]:
        return {"tf32": False, "onednn": False, "deterministic": True, "threads": 1}

    def adopt(self, model: Any, optimizer: Any, lr: Any) -> Subject:
        if not isinstance(model, SoftmaxRegression):
            raise ConfigurationError(
                "The toy backend trains a SoftmaxRegression.", received=repr(model), remedy="Give it one."
            )
        scheduler = lr if isinstance(lr, LRScheduler) else Constant(0.1 if lr is None else lr)
        optimizer = optimizer or Momentum()
        described = {"class": type(optimizer).__name__, **optimizer.get_config()}
        return Subject(model, optimizer, scheduler, {"task": type(model).__name__, "optimizer": described})

    def engine(self, subject: Subject, examples: Sequence[Example], options: EngineOptions) -> ToyEngine:
        classes = len(subject.task.model.weights["bias"])
        for example in examples:
            labels = (example.whole or example.batch)[1]
            if labels.min() < 0 or labels.max() >= classes:
                raise DataError(
                    f"Labels must be class ids from 0 to {classes - 1}.", received=f"{labels.max()}", remedy="Count."
                )
        return ToyEngine(subject, options)

    def eval_engine(self, model: Any, examples: Sequence[Example], options: EngineOptions) -> ToyEvalEngine:
        return ToyEvalEngine(model, options)


def _tensors(arrays: Mapping[str, np.ndarray]) -> Record:
    return {name: HostTensor.of(array.copy()) for name, array in arrays.items()}


def _arrays(tensors: Record) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in tensors.items()}
