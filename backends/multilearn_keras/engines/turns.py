"""A task whose models are trained in turns: an engine for each turn, all of which train the same objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from multilearn.errors import ConfigurationError, RecordError, RecordMismatch
from multilearn.metrics import AnyMetric, Loss
from multilearn.protocols import (
    Batch,
    Engine,
    EngineOptions,
    Example,
    HostOutput,
    Record,
    StepOutput,
    Subject,
)
from multilearn.schedulers.turns import TurnRates
from multilearn_keras.engines.stepped import TurnSubject
from multilearn_keras.state.transfer import Assigning
from multilearn_keras.tasks.turns import Turn, turns_of

__all__ = ["TurnsEngine"]

Metrics = Sequence[Any]


@dataclass(frozen=True, slots=True)
class _Taken(StepOutput):
    """What the turns that were taken for a batch left on the device, in their order."""

    outputs: Sequence[tuple[str, StepOutput]]


class _OfTurn(Engine, Protocol):
    """The engine of one turn: as `KerasEngine` has these."""

    def record_of_training(self) -> Record: ...
    def checked(self, record: Record) -> Assigning: ...
    def take(self, record: Record, pairs: Assigning, derived: bool = False) -> bool: ...


class TurnsEngine(Engine):
    """On every batch each turn makes its updates, with what the one before has made of the models.

    The first of the engines evaluates, all turns at once.
    """

    def __init__(
        self,
        make: Callable[[Subject, Sequence[Example], EngineOptions], _OfTurn],
        subject: Subject,
        examples: Sequence[Example],
        options: EngineOptions,
    ) -> None:
        self._turns = turns_of(subject.task)
        _require_possible(self._turns, options)
        self._engines: dict[str, _OfTurn] = {}
        self._batches = 0
        try:
            for number, (name, optimizer) in enumerate(subject.optimizer.items()):
                own = TurnSubject(subject.task, optimizer, subject.scheduler, subject.description, name)
                of_turn = replace(
                    options,
                    shared=True,
                    train_metrics=_of(name, options.train_metrics),
                    update_metrics=_of(name, options.update_metrics),
                    eval_metrics=() if number else options.eval_metrics,
                )
                self._engines[name] = make(own, examples[:1] if number else examples, of_turn)
        except BaseException:
            self.release()
            raise
        self._first = next(iter(self._engines.values()))

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        rates = lr.by_turn if isinstance(lr, TurnRates) else dict.fromkeys(self._engines, lr)
        self._batches += 1
        outputs = []
        for name, engine in self._engines.items():
            turn = self._turns[name]
            if self._batches % turn.every == 0:
                outputs += [(name, engine.train_step(batch, rates[name], True)) for _ in range(turn.times)]
        return _Taken({}, outputs)

    def apply(self, lr: float) -> None:
        """There is never a window that is open."""

    def eval_step(self, batch: Batch) -> StepOutput:
        return self._first.eval_step(batch)

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        found: dict[str, list[StepOutput]] = {name: [] for name in self._engines}
        for output in outputs:
            for name, each in output.outputs if isinstance(output, _Taken) else [(self._first_name, output)]:
                found[name].append(each)
        fetched = {name: iter(self._engines[name].fetch(each)) for name, each in found.items() if each}
        return [
            _joined([next(fetched[name]) for name, _ in output.outputs])
            if isinstance(output, _Taken)
            else next(fetched[self._first_name])
            for output in outputs
        ]

    @property
    def _first_name(self) -> str:
        return next(iter(self._engines))

    def record(self) -> Record:
        own = {name: engine.record_of_training() for name, engine in self._engines.items()}
        record = self._first.record()
        decided = {name: each["engine"] for name, each in own.items() if "engine" in each}
        return {
            "model": record["model"],
            "optim": {name: each["optim"] for name, each in own.items()},
            "random": record["random"],
            "engine": {"batches": self._batches, "turns": decided},
        }

    def restore(self, record: Record) -> None:
        # weights that are restored at the end of a run come without: no step follows
        batches, decided = _of_engine(record["engine"]) if "engine" in record else (self._batches, {})
        optim = record["optim"]
        if not isinstance(optim, Mapping) or optim.keys() != self._engines.keys():
            saved = ", ".join(map(repr, optim)) if isinstance(optim, Mapping) else "nothing"
            raise RecordMismatch(
                "A resumed run keeps its turns: each optimizer has state of its own.",
                received=f"a record of {saved}, and the turns {', '.join(map(repr, self._engines))}",
                remedy="To train from its weights alone, call multilearn_keras.load_weights(model, directory) and "
                "begin a run in a new directory, without .checkpoint(...).",
            )
        records = {name: {**record, "optim": optim[name], "engine": decided.get(name)} for name in self._engines}
        checked = {name: engine.checked(records[name]) for name, engine in self._engines.items()}
        derived = False
        for name, engine in self._engines.items():
            derived = engine.take(records[name], checked[name], derived)
        self._batches = batches

    def nbytes(self) -> int:
        return sum(engine.nbytes() for engine in self._engines.values())

    def verify(self) -> None:
        for engine in self._engines.values():
            engine.verify()

    def finish(self) -> None:
        for engine in self._engines.values():
            engine.finish()

    def release(self) -> None:
        for engine in self._engines.values():
            engine.release()


def _of(name: str, metrics: Metrics) -> Metrics:
    """Those that are measured of one turn."""
    return [metric for metric in metrics if getattr(metric, "output", name) == name]


def _joined(hosts: Sequence[HostOutput]) -> HostOutput:
    """Parts of one batch: those of every turn, of each time it was taken, and of every process."""
    own, *others = [part for host in hosts for part in (host.measures, *host.others)]
    return HostOutput(own, others)


def _of_engine(decided: Any) -> tuple[int, Mapping[str, Any]]:
    """How many batches there were, and how the steps of each turn are run."""
    batches = decided.get("batches") if isinstance(decided, Mapping) else None
    if isinstance(batches, bool) or not isinstance(batches, int) or batches < 0:
        raise RecordError(
            "A record of a task with turns says how many batches it was trained on.",
            received=repr(batches)[:80],
            remedy="Resume from another checkpoint.",
        )
    turns = decided.get("turns")
    return batches, turns if isinstance(turns, Mapping) else {}


def _require_possible(turns: Mapping[str, Turn], options: EngineOptions) -> None:
    """Raise `ConfigurationError` for what cannot be measured or done in turns."""
    names = ", ".join(map(repr, turns))
    metrics: list[AnyMetric] = [*options.train_metrics, *options.eval_metrics, *options.update_metrics]
    for metric in metrics:
        of = getattr(metric, "output", None)
        if of is None and not isinstance(metric, Loss):
            raise ConfigurationError(
                "Of a task with turns a metric is measured on one of them.",
                received=metric.name,
                remedy=f'Write OfOutput("{next(iter(turns))}", {type(metric).__name__}(...)).',
            )
        if of is not None and of not in turns:
            raise ConfigurationError(
                f"OfOutput takes the name of a turn: {names}.", received=repr(of), remedy="Correct the name."
            )
    if options.accumulate:
        raise ConfigurationError(
            "Gradients are not accumulated in turns: each begins with what the one before has made of the models.",
            received=f".grads_accumulation(...) and the turns {names}",
            remedy="Leave it out and make the batches as large, on several devices if they do not fit on one.",
        )
