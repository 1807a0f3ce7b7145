"""What is trained, what turns its gradients into updates, and at which rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from multilearn.protocols.arrays import Batch, Record, Tensor

__all__ = ["LRScheduler", "Optimizer", "Output", "Task"]


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
        """What `restore` needs to go on identically; empty for a pure function of the update."""
        ...

    def restore(self, state: Record) -> None:
        """Go on from what `state` returned."""
        ...
