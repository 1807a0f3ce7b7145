"""A metric of one output of a model that has several, or of one turn of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multilearn.errors import ConfigurationError
from multilearn.events import Direction
from multilearn.outputs import SeveralOutputs
from multilearn.protocols import ArrayOps, Entry, Measured, Metric, Output, State, Tensor, Update, UpdateMetric

__all__ = ["OfOutput", "OfUpdates"]


@dataclass(frozen=True)
class _Of:
    """A metric under a name of its own."""

    output: str
    metric: Any

    @property
    def name(self) -> str:
        return f"{self.output} {self.metric.name}"

    @property
    def unit(self) -> str:
        return str(self.metric.unit)

    @property
    def numeric(self) -> bool:
        return bool(self.metric.numeric)

    @property
    def better(self) -> Direction | None:
        return getattr(self.metric, "better", None)

    @property
    def costly(self) -> bool:
        return bool(getattr(self.metric, "costly", False))

    def caution(self, state: State) -> str | None:
        """What the metric itself says of a value that is not a number."""
        caution = getattr(self.metric, "caution", None)
        reason = None if caution is None else caution(state)
        return f"{self.output} {reason}" if reason else None

    def merge(self, state: State | None, measured: Measured) -> State:
        merged: State = self.metric.merge(state, measured)
        return merged

    def entry(self, state: State) -> Entry:
        entry: Entry = self.metric.entry(state)
        return entry


@dataclass(frozen=True)
class OfOutput(_Of):
    """`metric`, measured on the output called `output` alone: the key of a dict of outputs, or its layer's name; or
    on what the turn of this name returns.

    Its name is the two together, such as `"kind Accuracy"`. `Loss` of an output is its own loss, without its loss
    weight and without layer losses, averaged over what that divides by.
    Needs `SeveralOutputs`, which compiled models with several outputs hand over, or a task that returns them; or a task
    with turns. `OfOutput("critic", GradientNorm())` is that of the updates that the turn makes.

    >>> from multilearn.metrics import Loss
    >>> OfOutput("kind", Loss()).name
    'kind Loss'
    """

    def __new__(cls, output: str = "", metric: Any = None) -> Any:
        """Of a metric of updates another one, which is no metric of outputs."""
        if isinstance(metric, UpdateMetric) and not isinstance(metric, type):
            return OfUpdates(output, metric)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        if isinstance(self.metric, type) or not isinstance(self.metric, Metric):
            raise ConfigurationError(
                "OfOutput takes the name of an output and a metric.",
                received=f"OfOutput({self.output!r}, {self.metric!r})",
                remedy="Write for instance OfOutput('kind', Accuracy()).",
            )

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        if not isinstance(output, SeveralOutputs):
            raise ConfigurationError(
                f"The metric {self.name} needs a task that returns several outputs by name.",
                received=type(output).__name__,
                remedy=f"Register {self.metric.name} itself.",
            )
        if self.output not in output.parts:
            raise ConfigurationError(
                f"The metric {self.name} needs an output with a loss that is called {self.output!r}.",
                received=f"outputs {', '.join(map(repr, output.parts)) or 'without names or without losses'}",
                remedy="Name the layer, or return a dict of outputs.",
            )
        measured: Mapping[str, Tensor] = self.metric.measure(ops, output.parts[self.output])
        return measured


@dataclass(frozen=True)
class OfUpdates(_Of):
    """What `OfOutput` makes of a metric of updates: that of the updates of one turn."""

    def measure_update(self, ops: ArrayOps, update: Update) -> Mapping[str, Tensor]:
        if update.turn != self.output:
            raise ConfigurationError(
                f"The metric {self.name} needs a task with a turn called {self.output!r}.",
                received="a task that is trained as a whole" if update.turn is None else f"the turn {update.turn!r}",
                remedy=f"Register {self.metric.name} itself.",
            )
        measured: Mapping[str, Tensor] = self.metric.measure_update(ops, update)
        return measured
