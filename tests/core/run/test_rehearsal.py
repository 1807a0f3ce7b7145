"""What is asked only after an epoch is tried before the first one: on copies, unseen, and of plain objects alone."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import ConfigurationError, DataError
from multilearn.events import Split
from multilearn.history import History
from multilearn.protocols import Entry
from multilearn.run.rehearsal import Rehearsal


class Own(ml.metrics.Loss):
    """A metric of a user's, by another name."""

    name = "Own"


class EntersNothing(Own):
    def entry(self, state: Any) -> Entry:
        return Entry(state["losses"], None)


class MergesOnce(Own):
    def merge(self, state: Any, measured: Any) -> Any:
        if state is not None:
            raise KeyError("second batch")
        return super().merge(state, measured)


class Stops:
    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        return f"epoch {epoch}: {history.values('valid', 'Los')[epoch]}"


class StopsWithTrue:
    def reason(self, history: History, epoch: int, elapsed: float) -> Any:
        return True


class Keeps:
    def keep(self, epochs: Any, history: History) -> frozenset[int]:
        return frozenset(epochs.missing)


class Observes:
    def learning_rate(self, update: int) -> float:
        return 0.1

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Any) -> None:
        pass

    def observe(self, epoch: int, history: History) -> None:
        raise ZeroDivisionError


Described = Callable[[ml.LearnerBuilder], ml.LearnerBuilder]

WRONG: dict[str, tuple[Described, type[Exception]]] = {
    "Stops.reason": (lambda b: b.early_stopping(Stops()), KeyError),
    "StopsWithTrue.reason": (lambda b: b.early_stopping(StopsWithTrue()), ConfigurationError),
    "FirstOf.reason": (
        lambda b: b.early_stopping(ml.early_stopping.FirstOf(ml.early_stopping.TimeLimit(hours=1), Stops())),
        KeyError,
    ),
    "Keeps.keep": (lambda b: b.with_checkpointing_strategy(Keeps()), AttributeError),
    "EntersNothing.entry": (lambda b: b.metric_valid(EntersNothing()), KeyError),
    "MergesOnce.entry": (lambda b: b.metric_valid(MergesOnce()), KeyError),
}


def learner(described: ml.LearnerBuilder, rate: Any = 0.1) -> ml.Learner:
    ml.set_seed(toy.SEED)
    return described.build(toy.task(), toy.Momentum(), rate)


def never(epoch: int, number: int) -> None:
    raise AssertionError("a second batch of the training was asked for")


def untrained(batch: int) -> toy.Watched:
    """The first batch is looked at; a second one is trained on."""
    return toy.Watched(toy.train_loader(), lambda epoch, number: number and never(epoch, number))


@pytest.mark.parametrize("what", WRONG)
def test_what_would_fail_after_an_epoch_fails_before_anything_is_written(tmp_path: Path, what: str) -> None:
    change, raised = WRONG[what]
    with pytest.raises(raised) as found:
        learner(change(toy.builder(tmp_path / "run"))).fit(untrained(1), toy.valid_loader())
    assert any(what in note and "before the training" in note for note in found.value.__notes__)
    assert not (tmp_path / "run").exists()


def test_so_does_a_schedule_that_observes(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        learner(toy.builder(tmp_path / "run"), Observes()).fit(untrained(1), toy.valid_loader())
    assert not (tmp_path / "run").exists()


@dataclass
class Remembers:
    """A rule that counts how often it was asked, draws, and prints."""

    asked: list[int] = field(default_factory=list)

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        self.asked.append(epoch)
        random.random()
        np.random.random()
        print("asked in epoch", epoch)
        return None


def test_the_trial_leaves_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = Remembers()
    random.seed(3)
    before = random.getstate(), np.random.get_state()[1].tolist()
    Rehearsal({Split.VALID: (ml.metrics.Loss(),)}, History(), 1, {Split.VALID}).rule(rule)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert rule.asked == [] and capsys.readouterr().out == ""
    learner(toy.builder(tmp_path / "run", 3).early_stopping(rule)).fit(toy.train_loader(), toy.valid_loader())
    # of three epochs the last one has nothing to stop any more
    assert rule.asked == [1, 2] and capsys.readouterr().out.count("asked in epoch") == 2


_STUDY: list[int] = []


def report(epoch: int) -> None:
    _STUDY.append(epoch)


class OfALibrary:
    """A rule that passes values on to what another library has made, as those that prune a study do."""

    def __init__(self) -> None:
        self.study, self.lock = _STUDY, threading.Lock()

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        self.study.append(epoch)
        return None


class OfTheModule:
    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        _STUDY.append(epoch)
        return None


class ByAFunction:
    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        report(epoch)
        return None


def local() -> Any:
    study = _STUDY

    class OfAFunction:
        def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
            study.append(epoch)
            return None

    return OfAFunction()


@pytest.mark.parametrize("make", [OfALibrary, OfTheModule, ByAFunction, local])
def test_what_may_pass_on_what_it_sees_is_not_tried(tmp_path: Path, make: Callable[[], Any]) -> None:
    _STUDY.clear()
    learner(toy.builder(tmp_path / "run", 2).early_stopping(make())).fit(toy.train_loader(), toy.valid_loader())
    assert _STUDY == [1]


def test_a_resumed_run_is_tried_with_the_epoch_that_is_next(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "run", 2))

    class Late(Stops):
        def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
            if epoch == 3:
                raise ValueError(f"{[*history.values('valid', 'Loss')]}")
            return None

    described = toy.builder(tmp_path / "run", 4).checkpoint("latest").early_stopping(Late())
    before = toy.contents(tmp_path / "run")
    with pytest.raises(ValueError, match=r"\[1, 2, 3\]"):
        learner(described).fit(toy.train_loader(), toy.valid_loader())
    assert toy.contents(tmp_path / "run") == before


def batches() -> Iterator[Any]:
    yield from toy.train_loader()


ONCE: dict[str, Callable[[], Any]] = {
    "a generator": batches,
    "map": lambda: map(tuple, toy.train_loader()),
    "zip": lambda: zip(*zip(*toy.train_loader(), strict=True), strict=True),
    "chain": lambda: itertools.chain(batches()),
    "an iterator": lambda: iter(list(toy.train_loader())),
}


@pytest.mark.parametrize("kind", ONCE)
@pytest.mark.parametrize("split", ["train", "valid"])
def test_what_has_batches_for_one_epoch_is_refused_for_more(tmp_path: Path, kind: str, split: str) -> None:
    data = {"train": toy.train_loader(), "valid": toy.valid_loader(), split: ONCE[kind]()}
    with pytest.raises(DataError, match="used up after one epoch"):
        learner(toy.builder(tmp_path / "run", 2)).fit(**data)
    assert not (tmp_path / "run").exists()
    data[split] = ONCE[kind]()
    learner(toy.builder(tmp_path / "run", 1)).fit(**data)


def test_a_function_that_makes_one_is_for_all_epochs(tmp_path: Path) -> None:
    trained = learner(toy.builder(tmp_path / "run", 2))
    trained.fit(batches, batches)
    assert len(trained.history["train"]["Loss"]) == 2
