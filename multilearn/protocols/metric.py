"""A metric has two halves: what is measured on the device in every step, and what the host makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from multilearn.errors import ConfigurationError
from multilearn.plain import as_number, is_number

if TYPE_CHECKING:
    from multilearn.protocols.arrays import ArrayOps, Tensor

__all__ = [
    "UNAVAILABLE",
    "AnyMetric",
    "Entry",
    "HostMetric",
    "Measured",
    "Metric",
    "Moment",
    "State",
    "Update",
    "UpdateMetric",
    "entry_of",
    "merge_of",
    "of_device",
    "of_updates",
]

Measured = Mapping[str, Any]
"""What `measure` returned for one batch, copied to the host as numpy arrays; or what an observer saw, as it likes."""

State = Mapping[str, Any]
"""Numbers (Python's or numpy's), numpy arrays, strings, None, lists, tuples and dicts of these with strings as keys: it
goes into checkpoints, and comes out of them as it was. Numbers and arrays of a framework come out as numpy's."""


UNAVAILABLE = "unavailable"
"""The value of a numeric metric if there is nothing that could be measured."""


@dataclass(frozen=True, slots=True, init=False)
class Entry:
    """A metric's value; `count` is what it is a mean over, None if it is not a mean of batch values.

    Both may be numbers of numpy's or of a framework: listeners and the history have them as Python's.
    """

    value: float | str
    count: int | float | None = None

    def __init__(self, value: float | str, count: float | None = None) -> None:
        # four of each metric in every batch: the slots themselves take half the time of `object.__setattr__`
        _set_value(self, value)
        _set_count(self, count)


_set_value, _set_count = (vars(Entry)[name].__set__ for name in Entry.__slots__)


@runtime_checkable
class Metric(Protocol):
    """One number (or text) per batch and per epoch.

    `name` identifies it and becomes its file name, so it carries the parameters. `unit` is `"share"` for a fraction
    (0.975 in files and in Python, 97.5 % on a screen), else what is written behind a number, such as `"GiB"`, or `""`.
    `numeric` is False where the values are text. One that has `better = "lowest"` or `"highest"` says which of its
    values is the best: what shows runs marks it.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def numeric(self) -> bool: ...

    def measure(self, ops: ArrayOps, output: Any) -> Mapping[str, Tensor]:
        """The device half, traced into the step: sums and counts of one batch.

        Pure, written in `ops`; every leaf is 0-d, has the batch as its first axis, or a fixed shape. A number is taken
        as a 0-d tensor.
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
    """What the host knows of a batch once its values have arrived.

    `learning_rate`: None in validation; `seconds`: how long the batch took, loading included (values arrive many
    batches at a time: it is an equal share of the time since those before them); `clock`: monotonic, in seconds;
    `items`: the length of the batch, with the rows of other processes, None if no array in it has one.
    """

    learning_rate: float | None
    seconds: float
    clock: float
    items: int | None = None


@runtime_checkable
class HostMetric(Protocol):
    """A metric of the machine or of the loop: it is called at moments, and never sees a tensor.

    `name`, `unit` and `numeric` as in a `Metric`. Where there is nothing to be measured its values are `UNAVAILABLE`.
    One that two equal runs do not agree about has `repeatable = False`: `multilearn compare` leaves it out.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def numeric(self) -> bool: ...

    def observer(self) -> Callable[[Moment], Measured]:
        """Made once for each split of a run, as it begins; called once per batch on the training thread, so it must
        be quick. What it remembers is not saved."""
        ...

    def merge(self, state: State | None, measured: Measured) -> State:
        """The state after one more batch; `state` is None before the first. Neither argument is changed."""
        ...

    def entry(self, state: State) -> Entry:
        """The value over all batches merged into `state`."""
        ...


@dataclass(frozen=True, slots=True)
class Update:
    """An update that the optimizer is about to make.

    `gradients`: for each trainable variable, of the loss as the task has it, the mean over the batches of the window,
    before clipping and weight decay; `weights`: the variables before the update, in the same order. `turn`: the one
    that makes it, of a task with turns.
    """

    gradients: Sequence[Tensor]
    weights: Sequence[Tensor]
    turn: str | None = None


@runtime_checkable
class UpdateMetric(Protocol):
    """A metric of the optimizer's updates, and so of training alone. `name`, `unit` and `numeric` as in a `Metric`.

    With gradient accumulation each batch has a value too: that of the update that would be made after it. An epoch is
    made of those after which an update was made.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def numeric(self) -> bool: ...

    def measure_update(self, ops: ArrayOps, update: Update) -> Mapping[str, Tensor]:
        """The device half, traced into the step. Pure, written in `ops`; every leaf is 0-d or has a fixed shape."""
        ...

    def merge(self, state: State | None, measured: Measured) -> State:
        """The state after one more update; `state` is None before the first. Neither argument is changed."""
        ...

    def entry(self, state: State) -> Entry:
        """The value over all updates merged into `state`."""
        ...


AnyMetric = Metric | HostMetric | UpdateMetric
"""What can be registered on a split."""


def entry_of(metric: AnyMetric, state: State) -> Entry:
    """The entry of a metric, in Python's own numbers. Raises `ConfigurationError`, naming it, for one that has none."""
    entry = metric.entry(state)
    try:
        value, count = entry.value, entry.count
    except AttributeError:
        rule, received = "its method entry must return an Entry", _typed(entry)
        raise _refused(metric, rule, received, "Return multilearn.metrics.Entry(value, count).") from None
    if type(value) is float and (count is None or type(count) is int):
        return entry
    if count is not None and not is_number(count := as_number(count)):
        raise _no_number(metric, "what a metric is a mean over must be a number", count)
    if isinstance(value, str):
        return Entry(value, count)
    if not is_number(number := as_number(value)):
        raise _no_number(metric, "the value of a metric must be a number or a text", value)
    return Entry(float(number), count)


def merge_of(metric: AnyMetric, state: State | None, measured: Measured) -> State:
    """The state of a metric after one more batch. Raises `ConfigurationError`, naming it, if its `merge` has none."""
    merged: State | None = metric.merge(state, measured)
    if merged is None:
        remedy = "Return a new dict from it: {key: value + (state[key] if state else 0) for key, value in ...}."
        raise _refused(metric, "its method merge must return the state after one more batch", "None", remedy)
    return merged


def _no_number(metric: AnyMetric, rule: str, received: object) -> ConfigurationError:
    return _refused(metric, rule, _typed(received), "Return Entry(float(value)) from its method entry.")


def _typed(received: object) -> str:
    shape = getattr(received, "shape", None)
    return type(received).__name__ + ("" if shape is None else f" of shape {tuple(shape)}")


def _refused(metric: AnyMetric, rule: str, received: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"The metric {metric.name}: {rule}.", received=received, remedy=remedy)


def of_device(metrics: Iterable[AnyMetric]) -> tuple[Metric, ...]:
    """Those that are measured of what a step outputs."""
    return tuple(metric for metric in metrics if not isinstance(metric, (HostMetric, UpdateMetric)))


def of_updates(metrics: Iterable[AnyMetric]) -> tuple[UpdateMetric, ...]:
    """Those that are measured of the optimizer's updates."""
    return tuple(metric for metric in metrics if isinstance(metric, UpdateMetric))
