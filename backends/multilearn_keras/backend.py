"""The three backends on Keras, as the entry points name them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from multilearn.errors import BackendError, ConfigurationError
from multilearn.launch.environments import ONE_PROCESS_A_DEVICE
from multilearn.metrics import Loss, OfOutput
from multilearn.protocols import (
    Asked,
    Backend,
    Engine,
    EngineOptions,
    EvalEngine,
    Example,
    LRScheduler,
    Parts,
    Subject,
    Traced,
    World,
)
from multilearn_keras.determinism import numerics, settle
from multilearn_keras.devices import KerasDevice, available, listed
from multilearn_keras.engines.evaluation import ModelAlone
from multilearn_keras.engines.stepped import is_built
from multilearn_keras.engines.turns import TurnsEngine
from multilearn_keras.metrics.compiled import CompiledMetric, metric_by_name
from multilearn_keras.metrics.keras_metric import KerasMetric
from multilearn_keras.optimizers.adopt import adopt_optimizer, adopt_schedule, require_trainable
from multilearn_keras.optimizers.copied import copied
from multilearn_keras.parts import parts_of
from multilearn_keras.random import seeds
from multilearn_keras.random.origin import drawn_too_early
from multilearn_keras.random.seeds import restore_streams, seed_native, streams
from multilearn_keras.state.keys import variables
from multilearn_keras.state.transfer import is_seed_state
from multilearn_keras.tasks import CompiledModel
from multilearn_keras.tasks.compiled import asked_by
from multilearn_keras.tasks.description import description_of
from multilearn_keras.tasks.overridden import refuse_overridden
from multilearn_keras.tasks.supervised import raw_for_probabilities
from multilearn_keras.tasks.turns import TrainedInTurn, adopt_optimizers, adopt_schedules, refuse_turns, turns_of
from multilearn_keras.world import current, join

__all__ = ["KerasBackend", "jax", "tensorflow", "torch"]

_ENGINES = {"torch": "Torch", "tensorflow": "TensorFlow", "jax": "Jax"}


class KerasBackend(Backend):
    """Keras 3 on one of its frameworks."""

    def __init__(self, name: str) -> None:
        if keras.backend.backend() != name:
            raise BackendError(
                f"Keras runs on {keras.backend.backend()} in this process, and one process has one framework.",
                received=name,
                remedy=f"Import multilearn before keras, or set KERAS_BACKEND={name} too.",
            )
        self.name = name
        self.one_device_a_process = name in ONE_PROCESS_A_DEVICE
        join()

    @property
    def world(self) -> World:
        return current()

    def devices(self) -> Sequence[KerasDevice]:
        return available()

    def seed(self, n: int) -> None:
        seeds.reset(n)
        seed_native(n)

    def settle(self, deterministic: bool) -> None:
        settle(deterministic)

    def versions(self) -> Mapping[str, str]:
        return {
            **{package: version(package) for package in ("keras", "numpy")},
            self.name: str(importlib.import_module(self.name).__version__),
        }

    def numerics(self) -> Mapping[str, str | bool | int]:
        return numerics()

    def adopt(self, model: Any, optimizer: Any, lr: Any) -> Subject:
        task = _task(model)
        turns = turns_of(task)
        adopted: Any
        scheduler: LRScheduler
        if turns:
            adopted = adopt_optimizers(optimizer, turns)
            scheduler = adopt_schedules(lr, adopted)
        else:
            adopted = adopt_optimizer(optimizer, task.model)
            scheduler = adopt_schedule(lr, adopted)
        for trained in [TrainedInTurn(name, turn) for name, turn in turns.items()] or [task.model]:
            if isinstance(trained, (keras.layers.Layer, TrainedInTurn)) and is_built(trained):
                require_trainable(trained)
        return Subject(task, adopted, scheduler, description_of(task, adopted, turns))

    def find_devices(self, names: Sequence[str]) -> Sequence[KerasDevice]:
        return listed(names)

    def adopt_metric(self, metric: Any) -> KerasMetric | CompiledMetric:
        return metric_by_name(metric) if isinstance(metric, str) else KerasMetric(metric)

    def asked_by(self, model: Any) -> Asked:
        asked, turns = asked_by(model), turns_of(model)
        trained = model if isinstance(model, keras.Model) else getattr(model, "model", None)
        of_turns = tuple(OfOutput(name, Loss()) for name in turns)
        notes = (*asked.notes, *drawn_too_early(trained), *raw_for_probabilities(model))
        return replace(asked, metrics=of_turns or asked.metrics, notes=notes)

    def engine(self, subject: Subject, examples: Sequence[Example], options: EngineOptions) -> Engine:
        make = self._class("Engine")
        if turns_of(subject.task):
            return TurnsEngine(make, subject, examples, options)
        return cast("Engine", make(subject, examples, options))

    def eval_engine(self, model: Any, examples: Sequence[Example], options: EngineOptions) -> EvalEngine:
        alone = isinstance(model, keras.Model) and not options.eval_metrics
        if alone:
            refuse_overridden(model, predicting=True)
        task = ModelAlone(model) if alone else _task(model)
        return cast("EvalEngine", self._class("EvalEngine")(task, examples, options))

    @contextmanager
    def streams_kept(self, task: Any) -> Iterator[None]:
        seeds_of_layers = [variable for variable in variables(task).values() if is_seed_state(variable)]
        native, values = streams(), [np.array(ops.convert_to_numpy(variable)) for variable in seeds_of_layers]
        try:
            yield
        finally:
            restore_streams(native)
            for variable, value in zip(seeds_of_layers, values, strict=True):
                variable.assign(value)

    @contextmanager
    def trial(self, subject: Subject, examples: Sequence[Example], options: EngineOptions) -> Iterator[Engine]:
        task = subject.task
        refuse_turns(task, "A trial, as of find_learning_rate and overfit,")
        with seeds.streams_put_back():
            shared = {id(each): each for each in (task, task.model, *task.model.variables)}
            own = replace(subject, optimizer=copied(subject.optimizer, shared))
            engine = self.engine(own, examples, options)
            held = variables(task).values()
            before = [np.array(ops.convert_to_numpy(variable)) for variable in held]
            try:
                yield engine
            finally:
                # before the release, and without reading it: on JAX a step that was interrupted may have left nothing
                for variable, value in zip(held, before, strict=True):
                    variable._direct_assign(ops.convert_to_tensor(value, dtype=variable.dtype))
                engine.release()

    def parts(self, task: Any) -> Parts:
        return parts_of(task)

    def walk(self, subject: Subject, example: Example, lr: float, devices: Sequence[str]) -> Iterable[Traced]:
        refuse_turns(subject.task, "diff-step")
        engine = self._class("Engine")(subject, [example], EngineOptions(devices=tuple(devices), capture=False))
        return cast("Iterable[Traced]", engine.walk(example.batch, lr))

    def _class(self, kind: str) -> Any:
        # imported here and not above: each module imports its own framework
        module = importlib.import_module(f"multilearn_keras.engines.{self.name}.engine")
        return getattr(module, f"{_ENGINES[self.name]}{kind}")


def torch() -> KerasBackend:
    """Keras on PyTorch."""
    return KerasBackend("torch")


def tensorflow() -> KerasBackend:
    """Keras on TensorFlow."""
    return KerasBackend("tensorflow")


def jax() -> KerasBackend:
    """Keras on JAX."""
    return KerasBackend("jax")


def _task(model: Any) -> Any:
    if not isinstance(model, keras.Model):
        if hasattr(model, "model") and (callable(getattr(model, "step", None)) or turns_of(model)):
            refuse_overridden(model.model)
            return model
        raise ConfigurationError(
            "The model must be given as a task, or as a compiled Keras model.",
            received=type(model).__name__,
            remedy="Write for instance Classification(model), from multilearn_keras.",
        )
    return CompiledModel(model)
