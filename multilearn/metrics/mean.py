"""Means over an epoch: of the loss, and of a number that the output of a task carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from multilearn.errors import ConfigurationError
from multilearn.metrics.names import named
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["Loss", "Mean", "weighed", "weighted_mean"]


@dataclass(frozen=True)
class Mean:
    """The mean of `output.<field>`, a 0-d number of each batch, weighted as the loss is: by `output.count`.

    value = sum(field_b * count_b) / sum(count_b) over the batches b; NaN when nothing was counted. For a task of one's
    own whose output carries more than a loss, such as the two losses of an autoencoder.
    Raises `ConfigurationError` where the output has no such field, or it is not 0-d.

    >>> Mean("reconstruction").name
    'Mean(reconstruction)'
    """

    field: str

    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.field, str) or not self.field.isidentifier():
            raise ConfigurationError(
                "Mean takes the name of a field of the task's output.",
                received=repr(self.field),
                remedy='Write for instance Mean("reconstruction").',
            )

    @property
    def name(self) -> str:
        return named("Mean", self.field)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        value: Any = getattr(output, self.field, None)
        if not _is_number(value):
            fields = ", ".join(name for name in vars(output) if _is_number(getattr(output, name))) or "none"
            shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
            raise ConfigurationError(
                f"The metric {self.name} needs an output with a 0-d number called {self.field!r}.",
                received=f"{type(output).__name__}, where that is {type(value).__name__}{shape}",
                remedy=f"It has these: {fields}. Add others to a dataclass of your own that extends Output.",
            )
        return {"value": ops.float32(value), "count": ops.float32(output.count)}

    def merge(self, state: State | None, measured: Measured) -> State:
        return weighed(state, measured["value"], measured["count"])

    def entry(self, state: State) -> Entry:
        return weighted_mean(state)


def weighed(state: State | None, value: Any, count: Any) -> State:
    """The sum over all batches of value * count, and of the count, as Python's floats."""
    count = float(count)
    # a batch in which nothing is counted says nothing, whatever its 0/0 came out as
    total = float(value) * count if count else 0.0
    if state is None:
        return {"total": total, "count": count}
    return {"total": state["total"] + total, "count": state["count"] + count}


def weighted_mean(state: State) -> Entry:
    """total / count; NaN where nothing counts."""
    count = state["count"]
    value = state["total"] / count if count else float("nan")
    return Entry(value, int(count) if float(count).is_integer() else count)


def _is_number(value: Any) -> bool:
    if isinstance(value, (int, float)):
        return not isinstance(value, bool)
    return hasattr(value, "shape") and len(value.shape) == 0


@dataclass(frozen=True)
class Loss:
    """The loss, layer losses included, averaged over what it divides by: items, unmasked tokens, or weights.

    value = sum(loss_b * count_b) / sum(count_b) over the batches b; NaN when nothing was counted.
    """

    name: ClassVar[str] = "Loss"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        return {"loss": ops.float32(output.loss), "count": ops.float32(output.count)}

    def merge(self, state: State | None, measured: Measured) -> State:
        return weighed(state, measured["loss"], measured["count"])

    def entry(self, state: State) -> Entry:
        return weighted_mean(state)
