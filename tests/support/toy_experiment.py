"""A small experiment on the toy backend, with all that a resume has to bring back: dropout, momentum, a schedule."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from toy_backend import Momentum, SoftmaxModel, SoftmaxRegression

import multilearn as ml
from multilearn.checkpoint import CheckpointFolder
from multilearn.events import Event
from multilearn.outputs import ClassificationOutput

FEATURES, CLASSES = 4, 3
BATCHES, VALID_BATCHES = 5, 3
SEED = 7


def arrays(items: int) -> tuple[np.ndarray, np.ndarray]:
    """Features, (items, 4), and the class that a fixed rule gives them, (items,)."""
    x = np.random.default_rng(items).normal(size=(items, FEATURES)).astype(np.float32)
    return x, np.argmax(x[:, :CLASSES] - x[:, 1:], axis=1).astype(np.int32)


def train_loader() -> ml.DataLoader:
    """Five shuffled batches: four of 8 items, the last of 3."""
    return ml.DataLoader(arrays(35), 8, shuffle=True)


def valid_loader() -> ml.DataLoader:
    """Three batches: two of 6 items, the last of a single one."""
    return ml.DataLoader(arrays(13), 6)


def task(dropout: float = 0.25) -> SoftmaxRegression:
    return SoftmaxRegression(SoftmaxModel(FEATURES, CLASSES), dropout)


class Recorded:
    """A metric logger that keeps every event, and calls `then` with it."""

    def __init__(self, then: Callable[[Event], object] | None = None) -> None:
        self.events: list[Event] = []
        self.closed = 0
        self._then = then

    def log(self, event: Event) -> None:
        self.events.append(event)
        if self._then is not None:
            self._then(event)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed += 1

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Watched:
    """A loader that says which batch is asked for, by epoch (from 1) and number (from 0), before it hands it out."""

    def __init__(self, loader: ml.DataLoader, at: Callable[[int, int], object]) -> None:
        self._loader = loader
        self._at = at

    def __len__(self) -> int:
        return len(self._loader)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for number, batch in enumerate(self._loader.iterate(seed, epoch, start), start):
            self._at(epoch, number)
            yield batch


class Told(SoftmaxRegression):
    """A task whose validation loss is what its batch says: (x, y, loss)."""

    def step(self, batch: Any, training: bool) -> ClassificationOutput:
        return replace(super().step(batch[:2], training), loss=np.float32(batch[2]), count=1)


class ToldLosses:
    """A validation loader of one batch, whose loss in epoch n is the n-th of `losses`."""

    def __init__(self, losses: Sequence[float]) -> None:
        self._losses = losses

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        yield (*arrays(4), self._losses[epoch - 1])


def told(described: ml.LearnerBuilder, losses: Sequence[float], train: Any = None) -> ml.Learner:
    """A run whose validation losses are given."""
    ml.set_seed(SEED)
    learner = described.build(Told(SoftmaxModel(FEATURES, CLASSES)), Momentum(), 0.1)
    learner.fit(train_loader() if train is None else train, ToldLosses(losses))
    return learner


def stop(interrupter: ml.Interrupter, reason: str) -> None:
    """From another thread, and only back when it is done."""
    thread = threading.Thread(target=interrupter.stop, args=(reason,))
    thread.start()
    thread.join()


def failing(epoch: int, number: int, error: BaseException) -> Watched:
    """The training loader, which raises when this batch is asked for."""

    def fail(*at: int) -> None:
        if at == (epoch, number):
            raise error

    return Watched(train_loader(), fail)


def builder(directory: Path | str, epochs: int = 3, **options: Any) -> ml.LearnerBuilder:
    return (
        ml.LearnerBuilder(directory, **options)
        .metrics(ml.metrics.Loss(), ml.metrics.Accuracy())
        .with_file_checkpointer()
        .renderer(ml.renderers.SilentRenderer())
        .num_epochs(epochs)
    )


def build(described: ml.LearnerBuilder) -> ml.Learner:
    """The learner, as a script makes it: seed, model, build. The schedule spans four epochs whatever is trained."""
    ml.set_seed(SEED)
    return described.build(task(), Momentum(), ml.schedulers.Cosine(0.5, updates=4 * BATCHES))


def fit(described: ml.LearnerBuilder, train: Any = None, valid: Any = None) -> ml.Learner:
    learner = build(described)
    learner.fit(train_loader() if train is None else train, valid_loader() if valid is None else valid)
    return learner


def stopped(described: ml.LearnerBuilder, epoch: int, number: int, split: str = "train") -> ml.Learner:
    """A run that is stopped, as "enough", when this batch is asked for."""
    interrupter = ml.Interrupter()
    loaders = {"train": train_loader(), "valid": valid_loader()}
    loaders[split] = Watched(loaders[split], lambda *at: at == (epoch, number) and stop(interrupter, "enough"))
    return fit(described.with_interrupter(interrupter), **loaders)


def weights(learner: ml.Learner) -> bytes:
    """Of the model that was trained."""
    return b"".join(array.tobytes() for array in learner._run.subject.task.model.weights.values())


def metric_files(directory: Path) -> dict[str, bytes]:
    """Everything below train/ and valid/."""
    found = [path for split in ("train", "valid") for path in (directory / split).rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in sorted(found)}


def checkpoint_files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((directory / "checkpoint").glob("*.mpk.gz"))}


def contents(directory: Path) -> dict[str, bytes]:
    """All that must be equal where two runs are."""
    return {**metric_files(directory), **checkpoint_files(directory)}


def experiment(directory: Path) -> Any:
    return json.loads((directory / "experiment.json").read_text())


def checkpoints(directory: Path) -> list[str]:
    return [str(position) for position in CheckpointFolder(directory / "checkpoint").positions()]
