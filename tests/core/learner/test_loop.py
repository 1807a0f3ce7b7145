"""The loop against an engine that does what each batch says: who is asked what, when, and how often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy

from multilearn.checkpoint.checkpointer import SaveInterval
from multilearn.data import Batches
from multilearn.errors import NonFiniteLoss
from multilearn.events import START, EpochEnded, Position, Saved, Split, SplitEnded, Stepped
from multilearn.learner import loop as loop_module
from multilearn.learner import window as reporting
from multilearn.learner.interrupter import Interrupter
from multilearn.learner.listeners import Listeners
from multilearn.learner.loop import Loop
from multilearn.learner.window import Reporter
from multilearn.metrics import Loss
from multilearn.metrics.store import MetricStore
from multilearn.protocols import Engine, HostOutput, Record, StepOutput
from multilearn.renderers import SilentRenderer
from multilearn.run.training_state import Progress, TrainingPlan


class OnDevice:
    """A loss and its count that nobody may look at before they were fetched."""

    def __init__(self, loss: float, count: float) -> None:
        self.host = {"loss": np.float32(loss), "count": np.float32(count)}

    def __float__(self) -> float:
        raise AssertionError("the loop looked at a device value")

    __bool__ = __int__ = __float__


@dataclass
class ScriptedEngine(Engine):
    """A batch is `(loss, count)`: that is what comes out of it."""

    steps: list[tuple[float, bool]] = field(default_factory=list)
    fetched: list[int] = field(default_factory=list)
    evaluated: int = 0
    recorded: int = 0

    def train_step(self, batch: Any, lr: float, update: bool) -> StepOutput:
        self.steps.append((lr, update))
        return StepOutput({"Loss": {"both": OnDevice(*batch)}})

    def apply(self, lr: float) -> None:
        # the window is closed after its last step
        self.steps[-1] = lr, True

    def eval_step(self, batch: Any) -> StepOutput:
        self.evaluated += 1
        return StepOutput({"Loss": {"both": OnDevice(*batch)}})

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        self.fetched.append(len(outputs))
        return [HostOutput({"Loss": output.measures["Loss"]["both"].host}) for output in outputs]

    def record(self) -> Record:
        self.recorded += 1
        return {"model": {}, "optim": {}, "random": {}}

    def restore(self, record: Record) -> None: ...

    def release(self) -> None: ...

    @property
    def updates(self) -> list[bool]:
        return [update for _, update in self.steps]


class CountingScheduler:
    """The rate of update i is i + 0.5."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def learning_rate(self, update: int) -> float:
        self.asked.append(update)
        return update + 0.5

    def state(self) -> Record:
        return {}

    def restore(self, state: Record) -> None: ...


class Saves:
    """A checkpointer that takes a snapshot of every place it is told of."""

    resumable = False

    def __init__(self, every_epoch: bool = True) -> None:
        self.saved: list[str] = []
        self._every_epoch = every_epoch
        self._untold: list[Position] = []

    def after_epoch(self, epoch: int, history: Any, snapshot: Any, stopping: bool) -> bool:
        if not self._every_epoch and not stopping:
            return False
        return self.inside_epoch(Position(epoch), snapshot)

    def inside_epoch(self, position: Position, snapshot: Any) -> bool:
        snapshot()
        self.saved.append(str(position))
        self._untold.append(position)
        return True

    def durable(self) -> list[Position]:
        untold, self._untold = self._untold, []
        return untold

    def completed(self, history: Any) -> None: ...

    def close(self) -> None: ...


@dataclass
class Setting:
    """A loop and everything it talks to."""

    train: list[tuple[float, float]]
    valid: list[tuple[float, float]] = field(default_factory=list)
    epochs: int = 1
    accumulation: int = 1
    position: Position = START
    update: int = 0
    rule: Any = None
    seconds: float = 0.0
    every: SaveInterval | None = None
    policy: Any = "stop"
    then: Any = None
    events: list[Any] = field(default_factory=list)
    engine: ScriptedEngine = field(default_factory=ScriptedEngine)
    scheduler: CountingScheduler = field(default_factory=CountingScheduler)
    saves: Saves = field(default_factory=Saves)
    interrupter: Interrupter = field(default_factory=Interrupter)

    def loop(self) -> Loop:
        loaders = {Split.TRAIN: Batches(self.train)}
        if self.valid:
            loaders[Split.VALID] = Batches(self.valid)
        store = MetricStore({Split.TRAIN: [Loss()], Split.VALID: [Loss()]})
        listeners = Listeners((toy.Recorded(self._emit),), SilentRenderer())
        progress = Progress(self.position, self.update, seconds=None if self.rule is None else self.seconds)
        return Loop(
            engine=self.engine,
            scheduler=self.scheduler,
            loaders=loaders,
            reporter=Reporter(self.engine, store, listeners, self.policy, progress),
            checkpointer=self.saves,
            interrupter=self.interrupter,
            plan=TrainingPlan(0, self.accumulation, len(self.train), None),
            epochs=self.epochs,
            rule=self.rule,
            every=self.every,
            progress=progress,
        )

    def _emit(self, event: Any) -> None:
        self.events.append(event)
        if self.then is not None:
            self.then(event)

    def run(self) -> Loop:
        loop = self.loop()
        loop.run()
        return loop

    def of(self, kind: type, split: Split | None = None) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and (split is None or event.split is split)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The loop's clock: it stands still, or goes on by `tick` seconds whenever it is looked at."""
    state = SimpleNamespace(now=0.0, tick=0.0)

    def monotonic() -> float:
        state.now += state.tick
        return state.now

    for module in (loop_module, reporting):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=monotonic))
    return state


def losses(*values: float) -> list[tuple[float, float]]:
    return [(value, 1.0) for value in values]


@pytest.mark.parametrize(
    ("batches", "window", "expected"),
    [
        (3, 1, [True, True, True]),
        (6, 3, [False, False, True] * 2),
        (7, 3, [False, False, True, False, False, True, True]),
        (2, 5, [False, True]),
        (1, 4, [True]),
    ],
)
def test_there_is_one_update_for_each_window_and_one_for_what_is_left_of_an_epoch(
    batches: int, window: int, expected: list[bool]
) -> None:
    setting = Setting(losses(*range(batches)), epochs=2, accumulation=window)
    setting.run()
    assert setting.engine.updates == expected * 2


@pytest.mark.parametrize(("window", "updates"), [(1, 5), (2, 3), (5, 1), (9, 1)])
def test_the_scheduler_is_asked_once_per_update_counted_from_0(window: int, updates: int) -> None:
    setting = Setting(losses(*range(5)), losses(1), epochs=3, accumulation=window)
    loop = setting.run()
    assert setting.scheduler.asked == list(range(3 * updates))
    assert loop.progress.update == 3 * updates


def test_a_resumed_loop_goes_on_with_the_updates_where_they_were() -> None:
    setting = Setting(losses(*range(4)), epochs=2, position=Position(1, 3), update=3)
    loop = setting.loop()
    loop.reporter.store.begin(Split.TRAIN)  # what a restored store has done
    loop.run()
    assert setting.scheduler.asked == [3, 4, 5, 6, 7]
    assert [(e.epoch, e.batch) for e in setting.of(Stepped)] == [(1, 4), (2, 1), (2, 2), (2, 3), (2, 4)]


def test_batches_are_told_of_in_order_with_their_epoch_number_update_and_rate() -> None:
    setting = Setting(losses(10, 20, 30), losses(40, 50), epochs=2, accumulation=2)
    setting.run()
    told = [
        (e.split, e.epoch, e.batch, e.update, e.learning_rate, e.readings["Loss"].value) for e in setting.of(Stepped)
    ]
    assert told == [
        ("train", 1, 1, 0, 0.5, 10.0),
        ("train", 1, 2, 1, 0.5, 20.0),
        ("train", 1, 3, 1, 1.5, 30.0),
        ("valid", 1, 1, 2, None, 40.0),
        ("valid", 1, 2, 2, None, 50.0),
        ("train", 2, 1, 2, 2.5, 10.0),
        ("train", 2, 2, 3, 2.5, 20.0),
        ("train", 2, 3, 3, 3.5, 30.0),
        ("valid", 2, 1, 4, None, 40.0),
        ("valid", 2, 2, 4, None, 50.0),
    ]


def test_what_happens_is_told_in_the_order_in_which_it_happens() -> None:
    setting = Setting(losses(1, 2), losses(3), epochs=1)
    setting.run()
    kinds = [(type(event), getattr(event, "split", None)) for event in setting.events]
    assert kinds == [
        (Stepped, "train"),
        (Stepped, "train"),
        (SplitEnded, "train"),
        (Stepped, "valid"),
        (SplitEnded, "valid"),
        (EpochEnded, None),
        (Saved, None),
    ]


def test_fast_steps_are_fetched_256_at_a_time_and_what_is_left_at_the_end_of_the_split(clock: SimpleNamespace) -> None:
    setting = Setting(losses(*range(600)), losses(*range(300)))
    setting.run()
    assert setting.engine.fetched == [256, 256, 88, 256, 44]
    assert [event.batch for event in setting.of(Stepped, Split.TRAIN)] == list(range(1, 601))


@dataclass
class OnTheClock(ScriptedEngine):
    """Its steps take `seconds` on the thread that asks for them, and `waits` more each until they are fetched."""

    clock: SimpleNamespace = field(default_factory=SimpleNamespace)
    seconds: float = 0.0
    waits: float = 0.0

    def train_step(self, batch: Any, lr: float, update: bool) -> StepOutput:
        self.clock.now += self.seconds
        return super().train_step(batch, lr, update)

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        self.clock.now += self.waits * len(outputs)
        return super().fetch(outputs)


def test_a_window_is_closed_when_nothing_was_told_for_100_ms(clock: SimpleNamespace) -> None:
    setting = Setting(losses(*range(10)), engine=OnTheClock(clock=clock, seconds=0.03))
    setting.run()
    # after 120 ms the fourth step is the first that finds the window old enough
    assert setting.engine.fetched == [4, 4, 2]


def test_a_slow_step_is_told_before_the_next_one(clock: SimpleNamespace) -> None:
    engine = OnTheClock(clock=clock, seconds=0.5)
    steps_when_told: list[int] = []
    setting = Setting(losses(*range(6)), engine=engine, then=lambda event: steps_when_told.append(len(engine.steps)))
    setting.run()
    assert engine.fetched == [1] * 6
    assert steps_when_told[:6] == [1, 2, 3, 4, 5, 6]


def test_a_device_that_is_waited_for_has_always_a_step_to_work_on(clock: SimpleNamespace) -> None:
    engine = OnTheClock(clock=clock, seconds=0.04, waits=0.2)
    setting = Setting(losses(*range(10)), engine=engine)
    setting.run()
    # all of steps 1 to 3, when nothing is known yet; of 4 to 6, and of 6 to 9, all but the newest; what is left
    assert engine.fetched == [3, 2, 3, 2]
    assert [event.batch for event in setting.of(Stepped)] == list(range(1, 11))


def test_slow_steps_are_not_held_back(clock: SimpleNamespace) -> None:
    clock.tick = 5.0
    setting = Setting(losses(*range(6)))
    setting.run()
    assert max(setting.engine.fetched) <= 2


def test_the_epoch_value_is_the_mean_weighted_by_the_counts_and_not_that_of_the_batch_values() -> None:
    setting = Setting([(1.0, 8), (2.0, 8), (9.0, 1)], [(4.0, 0.5), (1.0, 1.5)])
    loop = setting.run()
    train, valid = setting.of(SplitEnded)
    assert train.readings["Loss"].value == pytest.approx((8 + 16 + 9) / 17, rel=1e-15)
    assert valid.readings["Loss"].value == pytest.approx((2 + 1.5) / 2, rel=1e-15)
    assert train.readings["Loss"].count == 17
    assert valid.readings["Loss"].count == 2
    assert loop.reporter.store.history.values(Split.TRAIN, "Loss") == {1: train.readings["Loss"].value}


def test_every_batch_says_the_exact_value_of_the_epoch_so_far() -> None:
    setting = Setting([(1.0, 3), (5.0, 1)], epochs=2)
    setting.run()
    assert [event.readings["Loss"].running for event in setting.of(Stepped)] == [1.0, 2.0, 1.0, 2.0]


def test_a_batch_in_which_nothing_counts_changes_no_mean() -> None:
    setting = Setting([(1.0, 2), (float("nan"), 0), (4.0, 1)])
    setting.run()
    assert setting.of(SplitEnded)[0].readings["Loss"].value == 2.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_batch_epoch_and_rate(bad: float, clock: Any) -> None:
    train = losses(1, 2, bad, 4)
    setting = Setting(train, losses(1), epochs=2)
    with pytest.raises(NonFiniteLoss, match=rf"{bad} at batch 3 of epoch 1, learning rate 2\.5"):
        setting.run()
    # the line of that batch is there; what came after it, in the same window, is not told
    assert [event.batch for event in setting.of(Stepped)] == [1, 2, 3]
    assert setting.saves.saved == []
    assert setting.engine.recorded == 0
    assert not setting.of(SplitEnded)


@pytest.mark.parametrize(
    ("window", "at", "position"),
    [(1, 2, "1.2"), (3, 1, "1.3"), (3, 2, "1.3"), (3, 3, "1.3"), (3, 4, "1.6"), (3, 7, "1")],
)
def test_a_stop_ends_the_batch_and_the_open_window(window: int, at: int, position: str) -> None:
    setting = Setting(losses(*range(8)), epochs=2, accumulation=window)

    class Stops(ScriptedEngine):
        def train_step(self, batch: Any, lr: float, update: bool) -> StepOutput:
            if len(self.steps) + 1 == at:
                setting.interrupter.stop("enough")
            return super().train_step(batch, lr, update)

    setting.engine = Stops()
    loop = setting.run()
    assert str(loop.progress.position) == position
    assert setting.saves.saved == [position]
    assert setting.engine.updates[-1]


def test_a_stop_while_the_end_of_an_epoch_is_being_saved_is_never_without_a_checkpoint() -> None:
    setting = Setting(losses(1, 2, 3), epochs=3)

    class SavesNothing(Saves):
        """The request comes when it has been decided that this epoch is not kept."""

        def after_epoch(self, epoch: int, history: Any, snapshot: Any, stopping: bool) -> bool:
            saved = super().after_epoch(epoch, history, snapshot, stopping)
            setting.interrupter.stop("enough")
            return saved

    setting.saves = SavesNothing(every_epoch=False)
    loop = setting.run()
    assert setting.saves.saved == [str(loop.progress.position)]


def test_a_stop_by_a_listener_at_the_end_of_an_epoch_saves_that_epoch() -> None:
    setting = Setting(losses(1, 2), epochs=5, saves=Saves(every_epoch=False))
    setting.then = lambda event: isinstance(event, EpochEnded) and setting.interrupter.stop("enough")
    loop = setting.run()
    assert loop.progress.position == Position(1)
    assert setting.saves.saved == ["1"]


def test_without_validation_no_batch_is_evaluated_and_no_epoch_value_told() -> None:
    setting = Setting(losses(1), epochs=2)
    setting.run()
    assert setting.engine.evaluated == 0
    assert {event.split for event in setting.of(SplitEnded)} == {"train"}
    assert [event.epoch for event in setting.of(EpochEnded)] == [1, 2]
