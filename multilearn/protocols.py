"""The seams: what the core asks of a framework, of a task and of its data. Each lists what its caller calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    from multilearn.metrics.metric import Metric
    from multilearn.outputs import Output

__all__ = [
    "AdoptsMetrics",
    "ArrayOps",
    "Asked",
    "Backend",
    "Batch",
    "Compiler",
    "Device",
    "Engine",
    "EngineOptions",
    "EvalEngine",
    "Example",
    "FindsDevices",
    "Fingerprinted",
    "HostOutput",
    "LRScheduler",
    "Loader",
    "Optimizer",
    "Record",
    "SettlesNumerics",
    "StatefulLoader",
    "StepOutput",
    "Subject",
    "Task",
    "TellsNumerics",
    "Tensor",
    "UnderstandsCompiled",
    "Verifying",
    "Weighed",
]

Compiler = Literal["inductor", "xla"]
"""torch's compiler, and that of TensorFlow and JAX."""

Batch = Any
"""What a loader yields and a task takes: opaque to the core. Keras' convention: `(x, y)` or `(x, y, sample_weight)`.

Arrays of numbers, or of text (of type object, with `str` or `bytes`), which an engine refuses that does not take it.
"""

Record = dict[str, Any]
"""Nested maps whose leaves are `HostTensor`, numbers, strings, bytes, None or lists of these."""


class Tensor(Protocol):
    """A framework's own array, on whatever device."""

    @property
    def shape(self) -> Any: ...
    @property
    def dtype(self) -> Any: ...


@runtime_checkable
class Device(Protocol):
    """Where tensors live: `kind` is `"cpu"`, `"gpu"` or `"tpu"`; written `"gpu:0"`."""

    @property
    def kind(self) -> str: ...
    @property
    def index(self) -> int: ...
    def __str__(self) -> str: ...


@runtime_checkable
class Optimizer(Protocol):
    """What turns gradients into updates; the core only names and describes it."""

    @property
    def name(self) -> str: ...
    def get_config(self) -> Mapping[str, Any]: ...


@runtime_checkable
class LRScheduler(Protocol):
    """The learning rate of every optimizer update."""

    def learning_rate(self, update: int) -> float:
        """The rate of update number `update`, counted from 0 in optimizer updates (not batches, not epochs)."""
        ...

    def state(self) -> Record:
        """What `restore` needs to go on identically; empty for a pure function of the update."""
        ...

    def restore(self, state: Record) -> None:
        """Go on from what `state` returned."""
        ...


@runtime_checkable
class Task(Protocol):
    """What is trained: a model, and what one batch means to it.

    `step` is traced by the framework's compiler: pure in the batch, `training` and the framework's variables.
    What a task may have besides (`inputs`, `check`, `predict`) is said in `multilearn_keras.tasks`.
    """

    @property
    def model(self) -> Any: ...
    def step(self, batch: Batch, training: bool) -> Output: ...


class ArrayOps(Protocol):
    """The array functions metrics are written in. Result types are fixed on every framework:
    counts and ids are int32, everything else float32, comparisons bool. No operators and no methods on tensors."""

    def int32(self, x: Any) -> Tensor: ...
    def float32(self, x: Any) -> Tensor: ...
    def sum(self, x: Any, axis: int | None = None) -> Tensor:
        """int32 for bool and integers, float32 for floats."""
        ...

    def size(self, x: Any) -> Tensor:
        """How many elements, int32, 0-d, also where the batch size is unknown to the tracer."""
        ...

    def argmax(self, x: Any, axis: int = -1) -> Tensor: ...
    def top_k(self, x: Any, k: int) -> Tensor:
        """Ids of the k largest along the last axis, (..., k), the lower id first on ties."""
        ...

    def one_hot(self, ids: Any, classes: int) -> Tensor: ...
    def tally(self, ids: Any, classes: int) -> Tensor:
        """How often each of the ids 0 to classes - 1 occurs, (classes,), int32; any other id is not counted."""
        ...

    def take(self, x: Any, index: int) -> Tensor:
        """The entry with this index along the last axis: (..., n) to (...)."""
        ...

    def equal(self, a: Any, b: Any) -> Tensor: ...
    def greater(self, a: Any, b: Any) -> Tensor: ...
    def both(self, a: Any, b: Any) -> Tensor:
        """Logical and."""
        ...

    def either(self, a: Any, b: Any) -> Tensor:
        """Logical or."""
        ...

    def invert(self, a: Any) -> Tensor:
        """Logical not."""
        ...

    def where(self, condition: Any, a: Any, b: Any) -> Tensor: ...
    def add(self, a: Any, b: Any) -> Tensor: ...
    def subtract(self, a: Any, b: Any) -> Tensor: ...
    def multiply(self, a: Any, b: Any) -> Tensor: ...
    def divide(self, a: Any, b: Any) -> Tensor: ...
    def absolute(self, x: Any) -> Tensor: ...
    def exp(self, x: Any) -> Tensor: ...
    def log(self, x: Any) -> Tensor: ...
    def softmax(self, x: Any) -> Tensor:
        """Over the last axis."""
        ...

    def log_softmax(self, x: Any) -> Tensor:
        """The logarithm of `softmax`, exact also where that is 0."""
        ...

    def sigmoid(self, x: Any) -> Tensor: ...
    def expand_dims(self, x: Any, axis: int) -> Tensor: ...
    def reshape(self, x: Any, shape: tuple[int, ...]) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What a step leaves on the device: for every metric by name, its measured tensors."""

    measures: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class HostOutput:
    """A `StepOutput` after its copy to the host."""

    measures: Mapping[str, Mapping[str, np.ndarray[Any, Any]]]


class Engine(Protocol):
    """One model and its optimizer on one framework and its devices: one step at a time."""

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        """Forward, backward, accumulate; apply the accumulated mean gradient at rate `lr` when `update`."""
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
        a run that goes on are the same.
        """
        ...

    def restore(self, record: Record) -> None:
        """Take over a record. Everything is checked before anything is touched: raises `RecordMismatch`."""
        ...

    def finish(self) -> None:
        """Training is over, and its last record made: averaged weights, where the optimizer keeps any, become the
        model's. No step follows."""
        ...

    def release(self) -> None:
        """Put the state back into the model object; called once, however `fit` ends."""
        ...


@runtime_checkable
class Weighed(Protocol):
    """An engine that knows how large its records are without making one."""

    def nbytes(self) -> int:
        """How many uncompressed bytes reading a record for this engine may take: see `checkpoint.nbytes`."""
        ...


@runtime_checkable
class Verifying(Protocol):
    """An engine that notices what code beside the steps has changed and steps cannot follow."""

    def verify(self) -> None:
        """Raise `ConfigurationError` for it. Called after listeners, rules and loaders have had their turn."""
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
        """Go on with the part `model` of a record, checked before anything is touched: raises `RecordMismatch`."""
        ...

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

    `skip_non_finite`: a batch whose loss or gradients are not finite changes nothing but random streams, decided on the
    device; a window of nothing else makes no update. An optimizer that scales the loss judges gradients itself.
    `capture`: False runs the steps eagerly, as they are written, for debugging. `compile`: a compiler besides, where it
    is one of this framework; others leave it aside. `passes`: whether captured graphs may be rearranged.
    `shared`: other engines train parts of the same models, in turn with this one: every step leaves what it did in the
    model objects and begins with what is there. For loops of one's own.
    """

    train_metrics: Sequence[Metric] = ()
    eval_metrics: Sequence[Metric] = ()
    accumulate: bool = False
    device: str | None = None
    skip_non_finite: bool = False
    capture: bool = True
    shared: bool = False
    compile: Compiler | None = None
    passes: bool = True


@dataclass(frozen=True)
class Example:
    """What an engine sees of a loader beforehand: its first batch, and all items as one where they are in memory."""

    batch: Batch
    whole: Batch | None = None


class Backend(Protocol):
    """One framework: found through the entry-point group `multilearn.backends`."""

    @property
    def name(self) -> str: ...
    def devices(self) -> Sequence[Device]: ...
    def seed(self, n: int) -> None:
        """Start every random stream of the framework anew."""
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


@runtime_checkable
class TellsNumerics(Protocol):
    """A backend that knows what its framework's settings do to roundings."""

    def numerics(self) -> Mapping[str, str | bool | int]:
        """For `experiment.json`: `tf32`, `onednn`, `deterministic`, numbers of threads by names that end so."""
        ...


@runtime_checkable
class FindsDevices(Protocol):
    """A backend that knows a device by several names, and which there are, before there is anything to train."""

    def find_device(self, name: str) -> Device:
        """The device called `name`, such as `"cuda"`. Raises `ConfigurationError`, naming those that there are."""
        ...


@runtime_checkable
class SettlesNumerics(Protocol):
    """A backend that can have its framework compute as a seeded experiment needs it."""

    def settle(self, deterministic: bool) -> None:
        """Have no factors rounded (TF32); on request, have the same computation give the same bits, also on a GPU.

        Raises `BackendError`, with nothing changed, where it is too late for it.
        """
        ...


@runtime_checkable
class AdoptsMetrics(Protocol):
    """A backend whose framework has metrics of its own."""

    def adopt_metric(self, metric: Any) -> Metric:
        """The framework's metric, or the one that it knows by a name, as one of ours, or a refusal with the remedy."""
        ...


@dataclass(frozen=True)
class Asked:
    """What a model itself asks of a run: `metrics` to measure on both splits, to have its steps run `eagerly`.

    `notes`: sentences for the log, on what it asks for and does not get.
    """

    metrics: tuple[Metric, ...] = ()
    eagerly: bool = False
    notes: tuple[str, ...] = ()


@runtime_checkable
class UnderstandsCompiled(Protocol):
    """A backend whose models may carry with them how they are to be trained."""

    def asked_by(self, model: Any) -> Asked:
        """What `model`, as `build` takes it, asks for. Raises `ConfigurationError` for what cannot be had."""
        ...


@runtime_checkable
class Loader(Protocol):
    """Batches in an order that is a function of the seed and the epoch. `len()` is optional."""

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` (counted from 1) from batch number `start` (counted from 0) on.

        Each is copied when it is yielded: the loader may use its memory again.
        """
        ...


@runtime_checkable
class Fingerprinted(Loader, Protocol):
    """A loader that says itself which data it has, for `experiment.json`. Others are known by their first batch."""

    def fingerprint(self) -> str:
        """The same text for the same data, such as a hash or a version; it must not load them anew, nor draw."""
        ...


@runtime_checkable
class StatefulLoader(Loader, Protocol):
    """A loader whose place is not a function of seed, epoch and batch number alone, but can be saved."""

    def state(self, batch: int) -> Record:
        """The place from which batch number `batch` (from 0) of the epoch under way is the next; asked only for
        the batch after the last one that was taken, or the one before it: the loop looks one batch ahead."""
        ...

    def restore(self, state: Record) -> None:
        """Have the next `iterate` go on from what `state` returned."""
        ...
