"""What is trained, on which batches, and what turns its gradients into updates, at which rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from multilearn.protocols.arrays import Batch, Record, Tensor

if TYPE_CHECKING:
    from multilearn.protocols.world import Shard, World

__all__ = ["Fingerprinted", "LRScheduler", "Loader", "Optimizer", "Output", "ShardingLoader", "StatefulLoader", "Task"]


@runtime_checkable
class Optimizer(Protocol):
    """What turns gradients into updates; the core only names and describes it."""

    @property
    def name(self) -> str: ...
    def get_config(self) -> Mapping[str, Any]: ...


@runtime_checkable
class Task(Protocol):
    """What is trained: a model, and what one batch means to it.

    `step` is traced by the framework's compiler: pure in the batch, `training` and the framework's variables.
    What a task may have besides (`inputs`, `check`, `predict`) is said in `multilearn_keras.tasks`.
    """

    @property
    def model(self) -> Any: ...
    def step(self, batch: Batch, training: bool) -> Output: ...


@dataclass(frozen=True)
class Output:
    """The least that a step returns.

    `loss`: 0-d, what is minimised, a mean over `count`, layer losses included.
    `count`: what the loss divides by (items, unmasked tokens, or the sum of weights): an int, a float or a 0-d tensor.
    It weighs the batch in the epoch's mean and in gradient accumulation.
    `compared`: what the metrics that a model itself was compiled with are shown: `(targets, predictions, weights)` of
    the batch as they are. None for every other task.
    """

    loss: Tensor
    count: Any
    compared: tuple[Any, Any, Any] | None = field(default=None, kw_only=True)


@runtime_checkable
class LRScheduler(Protocol):
    """The learning rate of every optimizer update."""

    def learning_rate(self, update: int) -> float:
        """The rate of update number `update`, counted from 0 in optimizer updates (not batches, not epochs)."""
        ...

    def state(self) -> Record:
        """What `restore` needs to continue identically; empty for a pure function of the update."""
        ...

    def restore(self, state: Record) -> None:
        """Continue from what `state` returned."""
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
class ShardingLoader(Loader, Protocol):
    """A loader that can load one process's rows of a batch alone. Batches of others are cut after loading."""

    def shards(self, seed: int, epoch: int, start: int, world: World) -> Iterator[Shard]:
        """What a process of `world` has of the batches that `iterate` yields. Each has ceil(rows / size) of them, in
        order, and the last one the rest: see `rows_of`."""
        ...


@runtime_checkable
class Fingerprinted(Loader, Protocol):
    """A loader that says itself which data it has, for `experiment.json`. Others are known by their first batch."""

    def fingerprint(self) -> str:
        """The same text for the same data, such as a hash or a version; it must not load them again, nor draw."""
        ...


@runtime_checkable
class StatefulLoader(Loader, Protocol):
    """A loader whose place is not a function of seed, epoch and batch number alone, but can be saved."""

    def state(self, batch: int) -> Record:
        """The place from which batch number `batch` (from 0) of the epoch under way is the next: the batch after the
        last one that was taken."""
        ...

    def restore(self, state: Record) -> None:
        """Have the next `iterate` continue from what `state` returned."""
        ...
