"""A few batches, again and again, until the model knows them by heart; or what it is that does not learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from multilearn.arguments import number, whole
from multilearn.data import items_in
from multilearn.foreign_words import refusing
from multilearn.printable import plural, printable
from multilearn.protocols import Batch, EngineOptions, HostOutput
from multilearn.schedulers.schedule import private_copy, spanned
from multilearn.trials.data_findings import arrays_in, constant_losses
from multilearn.trials.diagnosis import Verdict, diagnosed
from multilearn.trials.facts import Facts, PartNorms, Right
from multilearn.trials.trial import LOSS, Trial, loss_of, tried

if TYPE_CHECKING:
    from multilearn.plots.figure import Figure

__all__ = ["OverfitReport", "overfit"]

_PARTS, _RIGHT = PartNorms(), Right()
_WORDS = {
    Verdict.FITS: "The model learns",
    Verdict.FALLS: "The model is still learning",
    Verdict.STUCK: "The model does not learn",
    Verdict.DIVERGES: "The training diverges",
    Verdict.NOT_FINITE: "The training is not finite",
}


@dataclass(frozen=True)
class OverfitReport:
    """How a model was trained on a few batches: `print(report)` says it. `findings`: sentences on what does not learn,
    or what keeps the loss above zero. `evaluated`: the loss afterwards, without dropout."""

    verdict: Verdict
    findings: tuple[str, ...]
    losses: tuple[float, ...] = field(repr=False)
    evaluated: float
    items: int | None
    batches: int

    @property
    def fits(self) -> bool:
        """Whether the model has learnt the batches."""
        return self.verdict is Verdict.FITS

    def plot(self) -> Figure:
        """The loss by update."""
        from multilearn.plots.chart import Chart, Line
        from multilearn.plots.curves import spans_decades
        from multilearn.plots.figure import Figure

        line = Line("loss", list(map(float, range(1, len(self.losses) + 1))), self.losses)
        chart = Chart("Loss", [line], log=spans_decades([line]), description=str(self), x_name="update")
        return Figure((chart,))

    def _repr_html_(self) -> str:
        from multilearn.plots.markup import Markup, element

        return str(element("pre", str(self))) + Markup(self.plot().as_svg())

    def __str__(self) -> str:
        of = plural(self.batches, "batch", "es") + ("" if self.items is None else f" of {plural(self.items, 'item')}")
        ends = f"from {self.losses[0]:.4g} to {self.losses[-1]:.4g} in {plural(len(self.losses), 'update')}"
        head = f"{_WORDS[self.verdict]}: on {of} the loss goes {ends} (in evaluation {self.evaluated:.4g})."
        return "\n".join([head, *(f"- {printable(each)}" for each in self.findings)])


@refusing
def overfit(
    model: Any,
    optimizer: Any,
    train: Any,
    *,
    lr: Any = None,
    batches: int = 1,
    updates: int = 500,
    share: float = 0.01,
) -> OverfitReport:
    """Train on the first few batches until the model knows them by heart, and say which part does not learn if it does
    not: a model, a loss and data that fit together bring the loss of a few items to zero.

    `model`, `optimizer` and `lr` are what `build` takes, `train` is what `fit` takes. Of it the first `batches` of the
    first epoch are trained on in turn, at most `updates` times. They are learnt when the loss, without the penalty of
    regularizers, is below `share` of what it was or of what the best constant answer has, in training or in evaluation;
    or when every item is classified right. Dropout and whatever else a training has is on.

    Nothing is written, and nothing remains, as of `find_learning_rate`: weights, optimizer, random streams and data are
    afterwards as before.

    Raises `ConfigurationError` or `DataError` for what does not fit, as `build` and `fit` do.
    """
    count = whole("batches", batches, 1)
    most = whole("updates", updates, 1)
    number("share", share, lambda n: 0 < n < 1, "a number between 0 and 1", "The default is 0.01.")
    measured = (LOSS, _RIGHT)
    options = EngineOptions(train_metrics=(LOSS,), eval_metrics=measured, update_metrics=(_PARTS,))
    with tried(model, optimizer, lr, train, options) as trial:
        facts = _trained(trial, trial.first(count), most, share)
    verdict, findings = diagnosed(facts)
    items = [items_in(batch) for batch in facts.batches]
    total = None if None in items else sum(filter(None, items))
    return OverfitReport(verdict, tuple(findings), facts.losses, facts.evaluated, total, len(facts.batches))


def _trained(trial: Trial, batches: Sequence[Batch], updates: int, share: float) -> Facts:
    engine, task = trial.engine, trial.subject.task
    schedule = spanned(private_copy(trial.subject.scheduler), 1, updates, 1)
    before, penalty = engine.record()["model"], trial.backend.parts(task).penalty
    constants = constant_losses(arrays_in(batches, 1))
    losses: list[float] = []
    gradients: list[tuple[float, ...]] = []
    goal = 0.0
    for update in range(updates):
        if trial.interrupter.reason is not None:
            break
        host = trial.fetched(engine.train_step(batches[update % len(batches)], schedule.learning_rate(update), True))
        losses.append(loss_of(host))
        sums = host.measures[_PARTS.name]
        gradients.append(tuple(float(sums[str(at)]) for at in range(len(sums))))
        if not update and losses[0] > 0:
            goal = share * max(losses[0] - penalty, *constants, 0.0)
        if not math.isfinite(losses[-1]):
            break
        if update and (update + 1) % len(batches) == 0:
            added = trial.backend.parts(task).penalty if penalty else 0.0
            if goal and sum(losses[-len(batches) :]) / len(batches) - added <= goal:
                break
    hosts = engine.fetch([engine.eval_step(batch) for batch in batches])
    return Facts(
        losses=tuple(losses),
        gradients=tuple(gradients),
        parts=trial.backend.parts(task),
        batches=batches,
        evaluated=sum(map(loss_of, hosts)) / len(hosts),
        right=_right(hosts),
        moved=_differ(before, engine.record()["model"]),
        rate=float(schedule.learning_rate(0)),
        goal=goal,
    )


def _right(hosts: Sequence[HostOutput]) -> float:
    state = None
    for host in hosts:
        for part in (host.measures, *host.others):
            state = _RIGHT.merge(state, part[_RIGHT.name])
    return 0.0 if state is None else float(_RIGHT.entry(state).value)


def _differ(one: Any, other: Any) -> bool:
    """Whether two records of one model differ."""
    if isinstance(one, dict):
        return any(_differ(one[name], other[name]) for name in one)
    return not np.array_equal(one.array, other.array)
