"""One model on one framework: its steps and its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from multilearn.protocols.arrays import Batch, Record
from multilearn.protocols.task import LRScheduler

if TYPE_CHECKING:
    import numpy as np

    from multilearn.protocols.metric import Metric, UpdateMetric

__all__ = ["Compiler", "Engine", "EngineOptions", "EvalEngine", "Example", "HostOutput", "StepOutput", "Subject"]


Compiler = Literal["inductor", "xla"]
"""torch's compiler, and that of TensorFlow and JAX."""


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What a step leaves on the device: for every metric by name, its measured tensors."""

    measures: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class HostOutput:
    """A `StepOutput` after its copy to the host. `others`: what other processes measured of their rows of the batch."""

    measures: Mapping[str, Mapping[str, np.ndarray[Any, Any]]]
    others: Sequence[Mapping[str, Mapping[str, np.ndarray[Any, Any]]]] = ()


class Engine(Protocol):
    """One model and its optimizer on one framework and its devices: one step at a time."""

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        """Forward and backward. `update`: apply the gradient at rate `lr`; else add it to the window that is open,
        which only an engine that was made to `accumulate` has."""
        ...

    def apply(self, lr: float) -> None:
        """Close the window that is open: apply the mean gradient of its items at rate `lr`."""
        ...

    def eval_step(self, batch: Batch) -> StepOutput:
        """Forward only: weights, optimizer and every random stream are left as found."""
        ...

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        """The only copy from the device to the host in the loop; it waits for the device."""
        ...

    def record(self) -> Record:
        """`{"model": ..., "optim": ..., "random": ...}`: real copies, made on the calling thread.

        `"engine"`, where there is any: how steps are run, plain data that `restore` is given again, so that the bits of
        a resumed run are the same.
        """
        ...

    def restore(self, record: Record) -> None:
        """Take over a record. Everything is checked before anything is touched: raises `RecordMismatch`."""
        ...

    def nbytes(self) -> int:
        """How many uncompressed bytes reading a record for this engine may take: `checkpoint.nbytes(self.record())`,
        without making the record if that is possible."""
        ...

    def verify(self) -> None:
        """Raise `ConfigurationError` for what code beside the steps has changed and steps cannot follow.

        Called after listeners, rules and loaders have had their turn. By default nothing is checked.
        """
        return

    def finish(self) -> None:
        """Training is over, and its last record made: averaged weights, where the optimizer keeps any, become the
        model's. No step follows."""
        ...

    def release(self) -> None:
        """Put the state back into the model object; called once, however `fit` ends."""
        ...


class EvalEngine(Protocol):
    """One model that is not being trained. The model object is left as it is."""

    def eval_step(self, batch: Batch) -> StepOutput:
        """As that of an `Engine`."""
        ...

    def predict_step(self, batch: Batch) -> Any:
        """What the model outputs for the inputs in `batch`, on the device: nested as the model nests it."""
        ...

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]: ...

    def to_host(self, predicted: Any) -> Any:
        """A copy of what `predict_step` returned, as numpy arrays; it waits for the device."""
        ...

    def record(self) -> Record:
        """The part `model` of a record."""
        ...

    def restore(self, model: Record) -> None:
        """Restore the part `model` of a record, checked before anything is touched: raises `RecordMismatch`."""
        ...

    def verify(self) -> None:
        """As that of an `Engine`."""
        return

    def release(self) -> None: ...


@dataclass(frozen=True)
class Subject:
    """What `build` was given, as the backend understands it. `description` is plain data for `experiment.json`."""

    task: Any
    optimizer: Any
    scheduler: LRScheduler
    description: Mapping[str, Any]


@dataclass(frozen=True)
class EngineOptions:
    """What an engine is made for. Metrics are measured inside the step; `accumulate` asks for gradient buffers.

    `update_metrics` are measured of the updates: of the gradient after each training batch, that of its window so far.

    `skip_non_finite`: a batch whose loss or gradients are not finite changes nothing but random streams, decided on the
    device; a window of nothing else makes no update. An optimizer that scales the loss judges gradients itself.
    `capture`: False runs the steps eagerly, as they are written, for debugging. `compile`: a compiler besides, where it
    is one of this framework; others ignore it. `passes`: whether captured graphs may be rearranged.
    `devices`: their names, or `"all"`; several share the rows of every batch. Without any it is the framework's first.
    `shared`: other engines train parts of the same models, in turn with this one: every step leaves what it did in the
    model objects and begins with what is there. For custom loops.
    """

    train_metrics: Sequence[Metric] = ()
    eval_metrics: Sequence[Metric] = ()
    accumulate: bool = False
    devices: tuple[str, ...] = ()
    skip_non_finite: bool = False
    capture: bool = True
    shared: bool = False
    compile: Compiler | None = None
    passes: bool = True
    update_metrics: Sequence[UpdateMetric] = ()


@dataclass(frozen=True)
class Example:
    """What an engine sees of a loader beforehand: its first batch, and all items as one where they are in memory.

    `data`: what its data are called in a refusal, as "validation data".
    """

    batch: Batch
    whole: Batch | None = None
    data: str = ""
