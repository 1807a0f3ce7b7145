"""One framework, as an entry point names it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from multilearn.errors import BackendError, ConfigurationError
from multilearn.protocols.arrays import Device
from multilearn.protocols.engine import Engine, EngineOptions, EvalEngine, Example, Subject
from multilearn.protocols.world import ALONE, World

if TYPE_CHECKING:
    import numpy as np

    from multilearn.protocols.metric import Metric

__all__ = ["Asked", "Backend", "Parts", "Phase", "Traced"]


@dataclass(frozen=True)
class Asked:
    """What a model itself asks of a run: `metrics` to measure on both splits, to have its steps run `eagerly`.

    `notes`: sentences for the log, on what it asks for and does not get.
    """

    metrics: tuple[Metric, ...] = ()
    eagerly: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parts:
    """What a model is made of, for a look at what does not learn: variables by name, `trained` in the order of
    `Update.gradients`; `frozen`: those of layers that are not trained; `drawing`: layers that draw, such as `Dropout`.

    `penalty`: what regularizers make of the present weights, a part of the loss.
    """

    trained: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    drawing: tuple[str, ...] = ()
    penalty: float = 0.0


class Phase(StrEnum):
    """The parts of a step, in the order in which one follows from the other."""

    BATCH = "batch"
    WEIGHTS = "weights at start"
    FORWARD = "outputs"
    LOSS = "loss"
    BACKWARD = "gradients of outputs"
    GRADIENTS = "gradients"
    UPDATE = "update"
    EVALUATION = "outputs in evaluation"


@dataclass(frozen=True)
class Traced:
    """What was seen at one place: arrays on the host. `kind` is the class of the layer, or what else it is.

    A key that comes several times within a phase is of a layer that was called as often. `epsilon`: the distance from
    1 to the next number in the coarsest of the types that the arrays had on the device, 0 for whole numbers.
    """

    phase: Phase
    key: str
    kind: str
    arrays: tuple[np.ndarray[Any, Any], ...]
    epsilon: float = 0.0


class Backend(Protocol):
    """One framework: found through the entry-point group `multilearn.backends`.

    A backend extends this class. What is below `eval_engine` has a default, for a framework that knows nothing of it.
    """

    name: str
    one_device_a_process: bool = False
    """Whether several devices need a process each."""

    @property
    def world(self) -> World:
        """The processes that train together, which is this one alone unless a launcher says otherwise."""
        return ALONE

    def devices(self) -> Sequence[Device]: ...
    def seed(self, n: int) -> None:
        """Start every random stream of the framework from `n`."""
        ...

    def versions(self) -> Mapping[str, str]: ...
    def adopt(self, model: Any, optimizer: Any, lr: Any) -> Subject:
        """Understand what `build` was given, or refuse it with the remedy."""
        ...

    def engine(self, subject: Subject, examples: Sequence[Example], options: EngineOptions) -> Engine:
        """Build the model for batches like the first example; check that task, metrics and data fit."""
        ...

    def eval_engine(self, model: Any, examples: Sequence[Example], options: EngineOptions) -> EvalEngine:
        """The same for what is not trained: `model` is what `build` takes; there need be nothing to train in it.

        Without `eval_metrics` it is for predictions only: no loss is needed, and batches may have inputs alone.
        """
        ...

    def find_devices(self, names: Sequence[str]) -> Sequence[Device]:
        """The devices of these names, such as `"gpu:0"`; `["all"]` are all of the best kind. Raises
        `ConfigurationError` for a name that there is not, naming those that there are, and for more devices than it
        can train on: by default one."""
        devices = self.devices()
        wanted = [str(devices[0])] if list(names) == ["all"] else list(names)
        if len(wanted) > 1:
            raise ConfigurationError(
                f"On {self.name} a learner trains on one device.", received=f"{len(wanted)} devices", remedy="Give one."
            )
        found = [device for name in wanted for device in devices if name in (str(device), device.kind)][: len(wanted)]
        if len(found) < len(wanted):
            raise ConfigurationError(
                f"The device must be one that {self.name} sees here: {', '.join(map(str, devices))}.",
                received=repr(wanted[0]),
                remedy="Leave .devices(...) out for the first of them.",
            )
        return found

    def asked_by(self, model: Any) -> Asked:
        """What `model`, as `build` takes it, asks for: it may carry with it how it is to be trained.

        Raises `ConfigurationError` for what cannot be had.
        """
        return Asked()

    def adopt_metric(self, metric: Any) -> Metric:
        """The framework's metric, or the one that it knows by a name, as one of ours, or a refusal with the remedy."""
        adopted: Metric = metric
        return adopted

    def settle(self, deterministic: bool) -> None:
        """Have no factors rounded (TF32); on request, have the same computation give the same bits, also on a GPU.

        Raises `BackendError`, with nothing changed, where it cannot be had, or not any more.
        """
        if deterministic:
            raise BackendError(
                f"The backend {self.name} does not say how to make it deterministic.",
                received="set_seed(..., deterministic=True)",
                remedy="Leave deterministic out.",
            )

    def numerics(self) -> Mapping[str, str | bool | int]:
        """What the framework's settings do to roundings, for `experiment.json`: `tf32`, `onednn`, `deterministic`,
        numbers of threads by names that end so."""
        return {}

    def streams_kept(self, task: Any) -> AbstractContextManager[None]:
        """While it lasts, code of the user's may compute with the task's model: at its end the model's and the
        framework's random streams are as they were. By default there are none."""
        return nullcontext()

    @contextmanager
    def trial(self, subject: Subject, examples: Sequence[Example], options: EngineOptions) -> Iterator[Engine]:
        """An engine to try something out with. At the end it is released, and the model, the optimizer and the random
        streams are as they were; a model that was not built stays built, with the weights that it began with."""
        engine = self.engine(subject, examples, options)
        try:
            before = engine.record()
            try:
                yield engine
            finally:
                engine.restore(before)
        finally:
            engine.release()

    def parts(self, task: Any) -> Parts:
        """What the task's model, which is built, is made of."""
        return Parts()

    def walk(self, subject: Subject, example: Example, lr: float, devices: Sequence[str]) -> Iterable[Traced]:
        """Everything on the way of the example's batch, phase by phase: outputs in the order in which layers are done
        (what is inside a layer before the layer itself), gradients in the order of backpropagation, from the loss back.

        `lr` is the learning rate of the one update. The arrays are of types that numpy knows by itself.
        """
        raise BackendError(
            "diff-step needs a backend that can trace a step.",
            received=f"{self.name}, which has no method walk",
            remedy="Use torch, tensorflow or jax.",
        )
