"""Who takes part, on each framework."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.training.setup import Setup
from benchmarks.training.turns import Peer
from benchmarks.training.workloads import Work

__all__ = ["LEARNER", "LOOP", "peers_of"]

LEARNER, LOOP = "learner", "loop"
"""Who is compared, and whose losses the others must have."""

Fit = Callable[[Peer], None]


@dataclass(frozen=True)
class Entry:
    """`brief`: takes part with a few steps, for it is so much slower than the others."""

    name: str
    make: Callable[[Setup], Fit]
    only: Callable[[Work], bool] = lambda work: True
    brief: bool = False

    def peer(self, setup: Setup) -> Peer:
        setup = setup.brief() if self.brief else setup
        return Peer(self.name, setup.work, self.make(setup))


def peers_of(framework: str, setup: Setup) -> list[Peer]:
    """Those that take part in this work, ready to fit."""
    entries = {"torch": on_torch, "tensorflow": on_tensorflow, "jax": on_jax}[framework]()
    return [entry.peer(setup) for entry in entries if entry.only(setup.work)]


def with_keras(eager_models: tuple[str, ...], brief: bool) -> Iterator[Entry]:
    from benchmarks.training.keras_fit import keras_fit
    from benchmarks.training.learner import learner

    def slow(work: Work) -> bool:
        return work.model in eager_models and one_size(work)

    yield Entry(LEARNER, learner)
    yield Entry("capture=False", lambda setup: learner(setup, "eager", capture=False), slow, brief)
    yield Entry("keras fit", keras_fit)


def one_size(work: Work) -> bool:
    """What is ours besides the defaults is looked at once for each model."""
    return work.batch == 64 and not work.long


def on_torch() -> Iterator[Entry]:
    from benchmarks.training.torch_loop import torch_loop
    from benchmarks.training.workloads import MODELS

    def convolutional(work: Work) -> bool:
        return work.model in ("cnn", "resnet")

    yield from with_keras(tuple(MODELS), brief=False)
    yield Entry(LOOP, torch_loop)
    yield Entry("loop channels-last", lambda setup: torch_loop(setup, channels_last=True), convolutional)
    yield Entry("loop fused", lambda setup: torch_loop(setup, fused=True), lambda work: not convolutional(work))
    yield Entry(
        "loop fused channels-last", lambda setup: torch_loop(setup, fused=True, channels_last=True), convolutional
    )
    if importlib.util.find_spec("lightning") is not None:
        yield Entry("lightning", lightning)


def lightning(setup: Setup) -> Fit:
    from benchmarks.training.lightning_fit import lightning_fit

    return lightning_fit(setup)


def on_tensorflow() -> Iterator[Entry]:
    from benchmarks.training.learner import learner
    from benchmarks.training.tensorflow_loop import tensorflow_loop

    yield from with_keras(("mlp", "cnn"), brief=True)
    yield Entry("compile=xla", lambda setup: learner(setup, "xla", compile="xla"), one_size)
    yield Entry(LOOP, tensorflow_loop)


def on_jax() -> Iterator[Entry]:
    from benchmarks.training.jax_loop import jax_loop

    yield from with_keras(("mlp", "cnn"), brief=True)
    yield Entry(LOOP, jax_loop)
