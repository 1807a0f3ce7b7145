"""One framework, as an entry point names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from multilearn.protocols.arrays import Device
from multilearn.protocols.engine import (
    Engine,
    EngineOptions,
    EvalEngine,
    Example,
    Subject,
)

if TYPE_CHECKING:
    from multilearn.protocols.metric import Metric

__all__ = [
    "AdoptsMetrics",
    "Asked",
    "Backend",
    "FindsDevices",
    "SettlesNumerics",
    "TellsNumerics",
    "UnderstandsCompiled",
]


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
