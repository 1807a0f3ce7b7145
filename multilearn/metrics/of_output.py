"""A metric of one output of a model that has several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from multilearn.errors import ConfigurationError
from multilearn.events import Direction
from multilearn.outputs import SeveralOutputs
from multilearn.protocols import ArrayOps, Entry, Measured, Metric, Output, State, Tensor

__all__ = ["OfOutput"]


@dataclass(frozen=True)
class OfOutput:
    """`metric`, measured on the output called `output` alone: the key of a dict of outputs, or its layer's name.

    Its name is the two together, such as `"kind Accuracy"`. `Loss` of an output is its own loss, without its loss
    weight and without layer losses, averaged over what that divides by.
    Needs `SeveralOutputs`, which compiled models with several outputs hand over, or a task that returns them.

    >>> from multilearn.metrics import Loss
    >>> OfOutput("kind", Loss()).name
    'kind Loss'
    """

    output: str
    metric: Metric

    def __post_init__(self) -> None:
        if isinstance(self.metric, type) or not isinstance(self.metric, Metric):
            raise ConfigurationError(
                "OfOutput takes the name of an output and a metric.",
                received=f"OfOutput({self.output!r}, {self.metric!r})",
                remedy="Write for instance OfOutput('kind', Accuracy()).",
            )

    @property
    def name(self) -> str:
        return f"{self.output} {self.metric.name}"

    @property
    def unit(self) -> str:
        return self.metric.unit

    @property
    def numeric(self) -> bool:
        return self.metric.numeric

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
        return self.metric.measure(ops, output.parts[self.output])

    def merge(self, state: State | None, measured: Measured) -> State:
        return self.metric.merge(state, measured)

    def entry(self, state: State) -> Entry:
        return self.metric.entry(state)
