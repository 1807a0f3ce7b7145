"""A metric has two halves: what is measured on the device in every step, and what the host makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    from multilearn.protocols import ArrayOps, Tensor

__all__ = ["Entry", "HostMetric", "Measured", "Metric", "Moment", "State"]

Measured = Mapping[str, "np.ndarray[Any, Any]"]
"""What `measure` returned for one batch, copied to the host."""

State = Mapping[str, Any]
"""Plain numbers, numpy arrays, strings and lists: it goes into checkpoints."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A metric's value; `count` is what it is a mean over, None if it is not a mean of batch values."""

    value: float | str
    count: int | float | None = None


@runtime_checkable
class Metric(Protocol):
    """One number (or text) per batch and per epoch.

    `name` identifies it and becomes its file name, so it carries the parameters. `unit` is `"share"` for a fraction
    (0.975 in files and in Python, 97.5 % on a screen), else `""`. `numeric` is False where the values are text.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def numeric(self) -> bool: ...

    def measure(self, ops: ArrayOps, output: Any) -> Mapping[str, Tensor]:
        """The device half, traced into the step: sums and counts of one batch.

        Pure, written in `ops`; every leaf is 0-d or has the batch as its first axis.
        """
        ...

    def merge(self, state: State | None, measured: Measured) -> State:
        """The state after one more batch; `state` is None before the first. Neither argument is changed."""
        ...

    def entry(self, state: State) -> Entry:
        """The exact value over all batches merged into `state`."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """What the host knows of a step when it hands it to the device.

    `learning_rate` is None in validation; `seconds`: a monotonic clock, as the step began.
    """

    learning_rate: float | None
    seconds: float


@runtime_checkable
class HostMetric(Protocol):
    """A metric of the machine or of the loop: the host half of a `Metric`, fed with moments instead of tensors."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def numeric(self) -> bool: ...

    def observe(self, moment: Moment) -> Measured:
        """What is to be known of this step: called once per batch, on the training thread, so it must be quick."""
        ...

    def merge(self, state: State | None, measured: Measured) -> State:
        """The state after one more batch; `state` is None before the first. Neither argument is changed."""
        ...

    def entry(self, state: State) -> Entry:
        """The value over all batches merged into `state`."""
        ...
