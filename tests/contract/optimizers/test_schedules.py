"""Our schedules against those of torch, and Keras' own as the learner asks them."""

from __future__ import annotations

import copy
import math
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.optimizers import schedules as theirs
from support.resumed_runs import asked
from support.toy_experiment import Recorded
from support.training import learner, numbers

from multilearn import DataLoader, Interrupter
from multilearn.errors import ConfigurationError
from multilearn.events import Split, Stepped
from multilearn.history import History
from multilearn.schedulers import (
    Composed,
    Cosine,
    Exponential,
    Linear,
    OneCycle,
    Piecewise,
    Polynomial,
    ReduceOnPlateau,
    Sequential,
    Step,
    Warmup,
)
from multilearn_keras import KerasSchedule, Regression

UPDATES = 23


def ours(schedule: Any, updates: int = UPDATES) -> list[float]:
    return [schedule.learning_rate(update) for update in range(updates)]


def chained(lrs: Any, parts: list[Any], milestones: list[int], optimizer: Any) -> Any:
    return lrs.SequentialLR(optimizer, [part(optimizer) for part in parts], milestones)


TORCH = {
    "cosine": (Cosine(0.1, 22, 0.01), lambda lrs, o: lrs.CosineAnnealingLR(o, 22, 0.01)),
    "restarts": (
        Cosine(0.1, minimum=0.01, period=3, multiplier=2),
        lambda lrs, o: lrs.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    ),
    "equal restarts": (Cosine(0.1, period=4), lambda lrs, o: lrs.CosineAnnealingWarmRestarts(o, 4)),
    "exponential": (Exponential(0.1, 0.8), lambda lrs, o: lrs.ExponentialLR(o, 0.8)),
    "step": (Step(0.1, 4, 0.5), lambda lrs, o: lrs.StepLR(o, 4, 0.5)),
    "piecewise": (Piecewise((0.1, 0.01, 0.001), (5, 9)), lambda lrs, o: lrs.MultiStepLR(o, [5, 9], 0.1)),
    "polynomial": (Polynomial(0.1, power=1.7, updates=11), lambda lrs, o: lrs.PolynomialLR(o, 11, 1.7)),
    "linear": (Linear(0.02, 0.1, updates=7), lambda lrs, o: lrs.LinearLR(o, 0.2, 1.0, 7)),
    "one cycle": (OneCycle(0.1, UPDATES), lambda lrs, o: lrs.OneCycleLR(o, 0.1, UPDATES)),
    "one cycle, linear": (
        OneCycle(0.1, UPDATES, 0.42, 7, 13, "linear"),
        lambda lrs, o: lrs.OneCycleLR(
            o, 0.1, UPDATES, pct_start=0.42, div_factor=7, final_div_factor=13, anneal_strategy="linear"
        ),
    ),
    "one cycle, three phases": (
        OneCycle(0.1, UPDATES, three_phases=True),
        lambda lrs, o: lrs.OneCycleLR(o, 0.1, UPDATES, three_phase=True),
    ),
    "sequence": (
        Sequential((0.01, 4), (Exponential(0.1, 0.5), 6), (Cosine(0.1, 22), None)),
        lambda lrs, o: chained(
            lrs,
            [
                lambda o: lrs.ConstantLR(o, 0.1, 100),
                lambda o: lrs.ExponentialLR(o, 0.5),
                lambda o: lrs.CosineAnnealingLR(o, 22),
            ],
            [4, 10],
            o,
        ),
    ),
}


def of_torch(make: Any, values: list[float] | None = None) -> list[float]:
    """The rates of a torch schedule, one per step, where the last step has taken a value if there are any."""
    torch = pytest.importorskip("torch", reason="torch is the reference")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule, found = make(torch.optim.lr_scheduler, optimizer), []
    for step in range(UPDATES if values is None else len(values)):
        if values is None:
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if step < UPDATES - 1:
                schedule.step()
        else:
            schedule.step(values[step])
            found.append(optimizer.param_groups[0]["lr"])
    return found


on_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="torch's own schedules are the reference")


@on_torch
@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("name", TORCH)
def test_schedules_have_the_rates_of_torch(name: str) -> None:
    schedule, make = TORCH[name]
    assert ours(schedule) == pytest.approx(of_torch(make), rel=1e-9, abs=1e-15)


@on_torch
@pytest.mark.parametrize("patience", [0, 2])
@pytest.mark.parametrize("cooldown", [0, 3])
@pytest.mark.parametrize(("mode", "direction"), [("min", "lowest"), ("max", "highest")])
def test_a_plateau_has_the_rates_of_torch(patience: int, cooldown: int, mode: str, direction: Any) -> None:
    values = [*np.round(np.random.default_rng(patience).normal(size=40), 1).tolist(), math.nan, math.inf, 0.0, 0.0]
    schedule = ReduceOnPlateau(
        0.1, direction=direction, factor=0.7, patience=patience, min_delta=0.1, cooldown=cooldown, minimum=0.001
    )
    history, found = History(), []
    for epoch, value in enumerate(values, start=1):
        history = history.with_epoch(Split.VALID, epoch, {"Loss": value})
        schedule.observe(epoch, history)
        found.append(schedule.learning_rate(0))
    expected = of_torch(
        lambda lrs, o: lrs.ReduceLROnPlateau(
            o, mode, 0.7, patience, 0.1, threshold_mode="abs", cooldown=cooldown, min_lr=0.001, eps=0
        ),
        values,
    )
    assert found == pytest.approx(expected, rel=1e-12)
    assert len(set(found)) > 2


@pytest.mark.parametrize(("patience", "cooldown"), [(0, 0), (1, 1), (2, 2), (3, 4)])
def test_a_plateau_with_one_less_of_patience_and_cooldown_has_the_rates_of_keras(patience: int, cooldown: int) -> None:
    callback = keras.callbacks.ReduceLROnPlateau("val_loss", 0.5, patience, mode="min", cooldown=cooldown, min_lr=0.01)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    callback.set_model(model)
    callback.on_train_begin()
    schedule = ReduceOnPlateau(
        1.0, factor=0.5, patience=max(patience - 1, 0), min_delta=1e-4, cooldown=max(cooldown - 1, 0), minimum=0.01
    )
    values = (3 / np.arange(1, 31) + np.random.default_rng(patience).normal(scale=0.3, size=30)).tolist()
    history, found, expected = History(), [], []
    for epoch, value in enumerate(values, start=1):
        history = history.with_epoch(Split.VALID, epoch, {"Loss": value})
        schedule.observe(epoch, history)
        found.append(schedule.learning_rate(0))
        callback.on_epoch_end(epoch - 1, {"val_loss": value})
        expected.append(float(ops.convert_to_numpy(model.optimizer.learning_rate)))
    assert found == pytest.approx(expected, rel=1e-6)
    assert len(set(found)) > 2


def test_a_schedule_of_keras_has_the_rates_that_it_has_when_it_is_called() -> None:
    schedule = theirs.InverseTimeDecay(0.1, 3, 0.5)
    called = [float(ops.convert_to_numpy(schedule(ops.convert_to_tensor(update)))) for update in (0, 1, 70, 5)]
    asked = KerasSchedule(schedule)
    assert [asked.learning_rate(update) for update in (0, 1, 70, 5)] == pytest.approx(called, rel=3e-7)


class Counted(theirs.LearningRateSchedule):
    """Counts how often Python runs it."""

    calls = 0

    def __call__(self, step: Any) -> Any:
        self.calls += 1
        return 0.5 / (1 + ops.cast(step, "float32"))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch runs it at every update")
def test_a_schedule_of_keras_is_traced_and_not_run_at_every_update() -> None:
    schedule = Counted()
    asked = KerasSchedule(schedule)
    assert [asked.learning_rate(update) for update in range(200)] == pytest.approx([0.5 / n for n in range(1, 201)])
    assert schedule.calls < 10


class Branching(theirs.LearningRateSchedule):
    """One that cannot be traced: it looks at its step; and it has no configuration to show."""

    def __call__(self, step: Any) -> float:
        return 0.1 if int(step) < 3 else 0.01


def test_a_schedule_of_keras_that_cannot_be_traced_is_called() -> None:
    schedule = KerasSchedule(Branching())
    assert [schedule.learning_rate(update) for update in (0, 2, 3, 100)] == [0.1, 0.1, 0.01, 0.01]
    assert repr(schedule) == "KerasSchedule(Branching())"


def test_schedules_of_keras_are_parts_of_others() -> None:
    inner = KerasSchedule(theirs.PiecewiseConstantDecay([1], [0.5, 0.25]))
    schedule = Sequential((Composed(inner, 0.5), 3), Warmup(inner, 2))
    assert ours(schedule, 9) == [0.25, 0.25, 0.125, 0.0, 0.25, 0.5, 0.5, 0.25, 0.25]
    assert copy.deepcopy(schedule) == schedule
    assert inner == KerasSchedule(theirs.PiecewiseConstantDecay([1], [0.5, 0.25]))
    assert inner != KerasSchedule(theirs.PiecewiseConstantDecay([2], [0.5, 0.25]))


def test_what_is_no_schedule_of_keras_is_refused_and_one_that_is_not_wrapped_told_how() -> None:
    with pytest.raises(ConfigurationError, match="LearningRateSchedule"):
        KerasSchedule(0.1)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"multilearn_keras\.KerasSchedule"):
        Warmup(theirs.ExponentialDecay(0.1, 7, 0.5), 3)


def test_a_schedule_that_is_resumed_inside_an_epoch_gives_the_rates_of_the_whole_run(tmp_path: Any) -> None:
    x, y = numbers(20, 4), numbers(20, 1, seed=1)

    def rates(name: str, stop: tuple[int, int] | None = None) -> list[float | None]:
        interrupter = Interrupter()

        schedule = Composed(
            Warmup(Cosine(1.0, updates=18), 2),
            KerasSchedule(theirs.ExponentialDecay(0.1, 7, 0.5)),
            ReduceOnPlateau(1.0, factor=0.5, patience=0, min_delta=1000.0),
        )
        seen = Recorded()
        task = Regression(keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
        settings = {"num_epochs": 4, "checkpoint": "latest", "with_interrupter": interrupter}
        settings |= {"with_file_checkpointer": (), "metric_loggers": seen}
        train = asked(DataLoader((x, y), 4), lambda *place: place == stop and interrupter.stop("enough"))
        learner(tmp_path / name, task, "sgd", schedule, **settings).fit(train, DataLoader((x, y), 20))
        return [event.learning_rate for event in seen.of(Stepped) if event.split is Split.TRAIN]

    whole = rates("whole")
    cosine = [update / 2 if update < 2 else (1 + math.cos(math.pi * (update - 2) / 18)) / 2 for update in range(20)]
    plateau = [0.5 ** max(update // 5 - 1, 0) for update in range(20)]
    expected = [c * 0.1 * 0.5 ** (update / 7) * p for update, (c, p) in enumerate(zip(cosine, plateau, strict=True))]
    assert whole == pytest.approx(expected, rel=1e-6)
    assert [*rates("parts", stop=(3, 2)), *rates("parts")] == whole
