"""Runs of many kinds on the toy backend, whole and interrupted, and all that must be equal of the two."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from toy_backend import Momentum

import multilearn as ml
from multilearn import schedulers
from multilearn.checkpoint import DEFAULT, AnyOf, KeepBest, KeepEvery, KeepLast, MpkRecorder, SafetensorsRecorder
from multilearn.data import as_loader, closing_after
from multilearn.early_stopping import AllOf, FirstOf, NoImprovement, Threshold
from multilearn.errors import NonFiniteLoss
from multilearn.protocols import Entry
from multilearn.renderers.summary import summary
from multilearn.seeding.streams import GlobalStreams
from support import toy_experiment as toy


class Killed(Exception):
    """Ends a run without its doing anything about it, as far as its checkpoints are concerned."""


class Stateful:
    """Batches in an order and with noise of its own generator, which goes on from epoch to epoch."""

    def __init__(self, data: tuple[np.ndarray, np.ndarray], size: int) -> None:
        self._data, self._size = data, size
        self._drawing, self._order, self._number = np.random.default_rng(5), None, 0

    def __iter__(self) -> Iterator[Any]:
        x, y = self._data
        if self._order is None:
            self._order = self._drawing.permutation(len(y))
        while self._number * self._size < len(y):
            rows = self._order[self._number * self._size :][: self._size]
            self._number += 1
            yield (x[rows] + self._drawing.normal(size=x[rows].shape)).astype(np.float32), y[rows]
        self._order, self._number = None, 0

    def __len__(self) -> int:
        return -(-len(self._data[1]) // self._size)

    def state_dict(self) -> dict[str, Any]:
        return {"drawing": self._drawing.bit_generator.state, "order": self._order, "number": self._number}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._drawing.bit_generator.state = state["drawing"]
        self._order, self._number = state["order"], state["number"]


class Noisy:
    """A loader of one's own whose noise is drawn from the global streams, as each batch is made."""

    def __init__(self, data: tuple[np.ndarray, np.ndarray], size: int) -> None:
        self._batches = ml.DataLoader(data, size, shuffle=True)

    def __len__(self) -> int:
        return len(self._batches)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for x, y in self._batches.iterate(seed, epoch, start):
            yield (x + np.random.normal(size=x.shape) * random.random()).astype(np.float32), y


def generated(data: tuple[np.ndarray, np.ndarray], size: int) -> Callable[[], Iterator[Any]]:
    """A function that makes a generator, which shuffles by numpy's global stream: it cannot begin inside an epoch."""

    def batches() -> Iterator[Any]:
        x, y = data
        order = np.random.permutation(len(y))
        for first in range(0, len(y), size):
            yield x[order[first : first + size]], y[order[first : first + size]]

    return batches


class WithoutLength(Noisy):
    """The same, and how many batches there are is not known."""

    __len__ = None  # type: ignore[assignment]


def flipped(item: Any, rng: np.random.Generator) -> Any:
    x, y = item
    return (-x if rng.random() < 0.5 else x), y


LOADERS: dict[str, Callable[[Any, int], Any]] = {
    "arrays": lambda data, size: ml.DataLoader(data, size, shuffle=True),
    "drop_last": lambda data, size: ml.DataLoader(data, size, shuffle=True, drop_last=True),
    "transform": lambda data, size: ml.DataLoader(data, size, shuffle=True, transform=flipped),
    "threads": lambda data, size: ml.DataLoader(
        data, size, shuffle=True, transform=flipped, num_workers=2, workers="thread"
    ),
    "prefetch": lambda data, size: ml.DataLoader(data, size, shuffle=True, prefetch=3),
    "list": lambda data, size: [tuple(a[first : first + size] for a in data) for first in range(0, len(data[1]), size)],
    "stateful": Stateful,
    "noisy": Noisy,
    "epochs of three": lambda data, size: ml.DataLoader(data, size, shuffle=True, transform=flipped).epoch_of(3),
    "epochs of seven, noisy": lambda data, size: ml.epoch_of(Noisy(data, size), 7),
    "epochs of three, stateful": lambda data, size: ml.epoch_of(Stateful(data, size), 3),
    "epochs of three, without a length": lambda data, size: ml.epoch_of(WithoutLength(data, size), 3),
    "the first two": lambda data, size: ml.take(Noisy(data, size), 2),
    "generated": generated,
}

SCHEDULES: dict[str, Callable[[], Any]] = {
    "number": lambda: 0.3,
    "cosine": lambda: schedulers.Cosine(0.5),
    "cosine of 9": lambda: schedulers.Cosine(0.5, updates=9),
    "one cycle": lambda: schedulers.OneCycle(0.5),
    "plateau": lambda: schedulers.ReduceOnPlateau(0.5, factor=0.5, patience=0),
    "warm plateau": lambda: schedulers.Warmup(
        schedulers.ReduceOnPlateau(0.5, split="train", factor=0.5, patience=0, cooldown=1), updates=3
    ),
    "plateau times cosine": lambda: schedulers.Composed(
        schedulers.ReduceOnPlateau(1.0, metric="Accuracy", direction="highest", factor=0.5, patience=0),
        schedulers.Cosine(0.5),
    ),
    "sequence": lambda: schedulers.Sequential(
        (schedulers.Linear(0.1, 0.5), 2), (schedulers.Exponential(0.5, 0.9), 3), 0.05
    ),
    "own": lambda: Trusting(),
}

RULES: dict[str, Any] = {
    "none": None,
    "patience": NoImprovement(epochs=1),
    "threshold": Threshold("Accuracy", direction="highest", value=0.6),
    "first": FirstOf(
        NoImprovement(epochs=2, warmup=1), Threshold("Loss", split="train", direction="lowest", value=0.9)
    ),
    "all": AllOf(NoImprovement(epochs=1), Threshold("Accuracy", split="train", direction="highest", value=0.3)),
}

STRATEGIES: dict[str, Any] = {
    "default": DEFAULT,
    "last": KeepLast(1),
    "every second": KeepEvery(2),
    "best two": KeepBest(k=2),
    "several": AnyOf(KeepEvery(3), KeepBest("Accuracy", direction="highest"), KeepLast(1)),
}


class Trusting:
    """A schedule of one's own that remembers what it saw: faster with every epoch that was better than the first."""

    def __init__(self) -> None:
        self._rate = 0.2

    def learning_rate(self, update: int) -> float:
        return self._rate / (1 + update)

    def observe(self, epoch: int, history: Any) -> None:
        values = history.values("valid", "Loss") or history.values("train", "Loss")
        self._rate *= 1.5 if values[epoch] < values[min(values)] else 0.9

    def state(self) -> dict[str, Any]:
        return {"rate": self._rate}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._rate = float(state["rate"])


class Drawn:
    """A metric of one's own that draws, and whose state is made of whatever a state may be made of."""

    name, unit, numeric = "Drawn", "", True

    def measure(self, ops: Any, output: Any) -> Mapping[str, Any]:
        return {"count": ops.float32(output.count)}

    def merge(self, state: Any, measured: Any) -> Any:
        drawn, narrow = random.random() + float(np.random.random()), np.float32(measured["count"]) / np.float32(3)
        if state is None:
            return {"seen": (drawn,), "narrow": narrow, "parts": {"array": np.array([drawn, narrow])}}
        return {
            "seen": state["seen"] + (drawn,),
            "narrow": state["narrow"] + 0.1,
            "parts": {"array": state["parts"]["array"] * np.float32(0.5)},
        }

    def entry(self, state: Any) -> Entry:
        return Entry(float(sum(state["seen"]) * state["narrow"] + state["parts"]["array"].sum()))


@dataclass(frozen=True)
class Stop:
    """Where a session ends: asked to (`killed=False`) or not, as batch `number` (from 0) of an epoch is made."""

    split: str
    epoch: int
    number: int
    killed: bool = False
    moved: bool = False


def looking(stop: Stop | None, interrupter: ml.Interrupter, split: str) -> Callable[[int, int], None]:
    """What is to be called before each batch of this split is made."""

    def look(epoch: int, number: int) -> None:
        if stop is not None and (split, epoch, number) == (stop.split, stop.epoch, stop.number):
            if stop.killed:
                raise Killed
            interrupter.stop("enough")

    return look


@dataclass(frozen=True)
class Case:
    """One experiment."""

    items: int = 20
    size: int = 6
    epochs: int = 3
    loader: str = "arrays"
    valid: str | None = "arrays"
    accumulation: int = 1
    every: int | None = None
    schedule: str = "cosine"
    rule: str = "none"
    strategy: str = "default"
    restore_best: bool = False
    recorder: str = "gz"
    broken: tuple[int, ...] = ()
    drawing: bool = False
    stops: tuple[Stop, ...] = ()


RECORDERS = {"gz": None, "plain": MpkRecorder(), "safetensors": SafetensorsRecorder()}


def outcome(learner: ml.Learner, directory: Path) -> dict[str, Any]:
    """All that is the same of two equal runs, the files of their last epoch included."""
    infos = learner._settings.infos()
    text = summary(
        learner._store.history,
        infos,
        Path("run"),
        len(learner.history["train"]["Loss"]),
        learner.stopped_by,
        restored=learner.restored,
        texts=learner._store.texts,
    )
    records = {
        path.name: path.read_bytes()
        for path in sorted((directory / "checkpoint").glob("*-*"))
        if re.fullmatch(r"\w+-\d+\.\D.*", path.name)
    }
    return {
        "weights": toy.weights(learner),
        "history": repr(learner.history),
        "summary": text,
        "files": toy.metric_files(directory),
        "streams": GlobalStreams.now().record(),
        "records": records,
    }


def fitted(case: Case, directory: Path, stop: Stop | None = None, source: Path | None = None, *, again: bool) -> Any:
    """One session of it: a learner that was fitted, or None where it was killed."""
    interrupter = ml.Interrupter()
    x, y = toy.arrays(case.items)
    x = x.copy()
    x[[item % case.items for item in case.broken]] = np.nan
    train = LOADERS[case.loader]((x, y), case.size)
    valid = None if case.valid is None else LOADERS[case.valid](toy.arrays(13), 5)
    builder = (
        toy.builder(directory, case.epochs)
        .metrics(ml.metrics.AUROC(mode="multiclass"), ml.metrics.ConfusionMatrix())
        .metric_train_numeric(ml.metrics.LearningRate())
        .with_file_checkpointer(RECORDERS[case.recorder])
        .with_checkpointing_strategy(STRATEGIES[case.strategy])
        .grads_accumulation(case.accumulation)
        .nan_policy("skip")
        .with_interrupter(interrupter)
    )
    if case.drawing:
        builder = builder.metrics(Drawn())
    if case.every is not None:
        builder = builder.checkpoint_every(batches=case.every)
    if RULES[case.rule] is not None:
        builder = builder.early_stopping(RULES[case.rule])
    if case.restore_best:
        builder = builder.restore_best("Accuracy", "train", "highest")
    if again:
        builder = builder.checkpoint("latest", source)
    ml.set_seed(toy.SEED)
    learner = builder.build(toy.task(), Momentum(), SCHEDULES[case.schedule]())
    with suppress(Killed):
        return _fit(
            learner,
            asked(train, looking(stop, interrupter, "train")),
            asked(valid, looking(stop, interrupter, "valid")),
        )
    return None


def _fit(learner: ml.Learner, train: Any, valid: Any) -> Any:
    with suppress(NonFiniteLoss):
        learner.fit(train, valid)
    return learner


def interrupted(case: Case, directory: Path) -> tuple[Any, Path]:
    """All sessions of it, and the directory of the last."""
    source, current, again = None, directory / "0", False
    for number, stop in enumerate(case.stops, start=1):
        fitted(case, current, stop, source, again=again)
        source, again = None, True
        if stop.moved and current.exists():
            source, current = current, directory / str(number)
    return fitted(case, current, None, source, again=again), current


def asked(given: Any, look: Callable[[int, int], object]) -> Any:
    """`given` as the loader that `fit` makes of it, with `look` called before each batch is made; None stays None.

    Not the first time: that is the look at one batch before a run begins.
    """
    if given is None:
        return None
    loader = as_loader(given, "some")
    iterate, times = loader.iterate, count()

    def looked(seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        looking = next(times) > 0
        with closing_after(iterate(seed, epoch, start)) as batches:
            for number in count(start):
                if looking:
                    look(epoch, number)
                batch = next(batches, looked)
                if batch is looked:
                    return
                yield batch

    loader.iterate = looked
    return loader
