"""Validation after every few epochs, and after the last one: what is measured then, and what waits for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.commands.compare.comparison import compare_runs
from multilearn.early_stopping import NoImprovement
from multilearn.errors import ConfigurationError
from multilearn.events import EpochEnded, Finished, SplitEnded
from multilearn.renderers.run_state import RunState
from multilearn.run.on_disk import open_run


def validated(events: list[Any]) -> list[int]:
    return [event.epoch for event in events if isinstance(event, SplitEnded) and event.split == "valid"]


def fitted(directory: Path, every: int = 3, epochs: int = 7, again: bool = False) -> tuple[ml.Learner, list[Any]]:
    seen = toy.Recorded()
    logged = toy.builder(directory, epochs).metrics(ml.metrics.ConfusionMatrix()).validate_every(every)
    described = logged.metric_loggers(seen, ml.loggers.FileMetricLogger())
    return toy.fit(described.checkpoint("latest") if again else described), seen.events


def test_every_third_epoch_is_validated_and_the_last_with_the_values_that_it_has_otherwise(tmp_path: Path) -> None:
    every_epoch = toy.fit(toy.builder(tmp_path / "every", 7))
    learner, events = fitted(tmp_path / "third")
    assert validated(events) == [3, 6, 7]
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [*range(1, 8)]
    losses = learner.history["valid"]["Loss"]
    assert [epoch for epoch, loss in enumerate(losses, 1) if not math.isnan(loss)] == [3, 6, 7]
    assert [losses[epoch - 1] for epoch in (3, 6, 7)] == [every_epoch.history["valid"]["Loss"][at] for at in (2, 5, 6)]
    assert learner.history["train"]["Loss"] == every_epoch.history["train"]["Loss"]
    assert toy.weights(learner) == toy.weights(every_epoch)


def test_in_an_epoch_without_validation_the_history_ends_with_no_number(tmp_path: Path) -> None:
    seen: list[float] = []
    described = toy.builder(tmp_path / "run", 3).validate_every(2)
    toy.fit(described.on_epoch(lambda report: seen.append(report.history["valid"]["Loss"][-1])))
    assert list(map(math.isnan, seen)) == [True, False, False]


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_run_that_is_stopped_and_resumed_ends_as_if_it_had_not_been(epoch: int, tmp_path: Path) -> None:
    whole, _ = fitted(tmp_path / "whole")
    toy.stopped(toy.builder(tmp_path / "run", 7).metrics(ml.metrics.ConfusionMatrix()).validate_every(3), epoch, 1)
    learner, events = fitted(tmp_path / "run", again=True)
    assert validated(events) == [3, 6, 7]
    assert repr(learner.history) == repr(whole.history)
    assert toy.contents(tmp_path / "run") == toy.contents(tmp_path / "whole")


def test_more_epochs_than_first_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fitted(tmp_path / "run", epochs=4)
    caplog.clear()
    _, events = fitted(tmp_path / "run", epochs=7, again=True)
    assert validated(events) == [6, 7]
    # 4 was the last one then, and nothing is said to be missing
    assert sorted(open_run(tmp_path / "run").directory.epochs(ml.events.Split.VALID)) == [3, 4, 6, 7]
    assert "missing" not in caplog.text
    # what the last session was declared with does not change what the earlier ones have measured
    fitted(tmp_path / "run", every=1, epochs=8, again=True)
    assert sorted(open_run(tmp_path / "run").epochs) == [*range(1, 9)]
    assert validated(list(ml.follow(tmp_path / "run"))) == [3, 4, 6, 7, 8]


def test_a_validation_that_more_epochs_at_once_would_not_have_is_said_if_something_watches(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toy.fit(toy.builder(tmp_path / "run", 4).validate_every(3))
    for rule, said in ((NoImprovement(epochs=9), True), (None, False)):
        caplog.clear()
        described = toy.builder(tmp_path / "run", 5).validate_every(3).checkpoint(4)
        toy.fit(described if rule is None else described.early_stopping(rule))
        assert ("Epoch 4 was validated as the last one of the session before" in caplog.text) is said


def test_what_watches_the_validation_waits_for_validations(tmp_path: Path) -> None:
    # the loss of each epoch that is validated, the 2nd, 4th, 6th, ...: the best is that of epoch 4
    losses = [9.0, 5.0, 9.0, 4.0, 9.0, 6.0, 9.0, 7.0, 0.0, 0.0]
    plateau = ml.schedulers.ReduceOnPlateau(0.5, factor=0.5, patience=0)
    described = toy.builder(tmp_path / "run", 10).validate_every(2).early_stopping(NoImprovement(epochs=2))
    described = described.restore_best().metric_train_numeric(ml.metrics.LearningRate())
    ml.set_seed(toy.SEED)
    learner = described.build(toy.Told(toy.SoftmaxModel(toy.FEATURES, toy.CLASSES)), toy.Momentum(), plateau)
    learner.fit(toy.train_loader(), toy.ToldLosses(losses))
    assert learner.stopped_by == "no improvement of Loss (valid) in 2 epochs: the lowest was 4 in epoch 4"
    assert learner.restored == 4 and len(learner.history["train"]["Loss"]) == 8
    # lowered after epoch 6, which was validated and not better, and not after 5
    assert learner.history["train"]["LearningRate"] == (*[0.5] * 6, 0.25, 0.25)
    assert toy.checkpoints(tmp_path / "run") == ["4", "7", "8"]


def test_the_files_of_a_run_say_the_same(tmp_path: Path) -> None:
    for name in ("one", "other"):
        fitted(tmp_path / name)
    runs = [open_run(tmp_path / name) for name in ("one", "other")]
    assert sorted(runs[0].epochs) == [*range(1, 8)]
    assert {split for split, _ in runs[0].epochs[4]} == {"train"}
    comparison = compare_runs(runs, 1e-4)
    assert comparison.same and comparison.obstacles == ()
    followed = list(ml.follow(tmp_path / "one"))
    assert validated(followed) == [3, 6, 7] and isinstance(followed[-1], Finished)


def test_the_time_that_remains_counts_the_validations_that_are_left(tmp_path: Path) -> None:
    started = ml.events.Started(
        tmp_path, 5, ml.Position(0), {ml.events.Split.TRAIN: 10, ml.events.Split.VALID: 4}, {}, {}, validate_every=2
    )
    state = RunState(started, now=0.0)
    for batch in range(1, 6):
        state.take(ml.events.Stepped(ml.events.Split.TRAIN, 1, batch, batch, 0.1, {}), now=float(batch))
    # 5 batches of this epoch, four epochs of 10, and the validations of epochs 2, 4 and 5
    assert state.remaining == pytest.approx(5 + 40 + 3 * 4)


@pytest.mark.parametrize("every", [0, -1, 1.5, "2", True, None])
def test_a_number_of_epochs_is_whole(every: Any) -> None:
    with pytest.raises(ConfigurationError, match="validate_every must be a whole number"):
        ml.LearnerBuilder("runs/x").validate_every(every)


def test_without_data_to_validate_on_it_is_said_to_have_no_effect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ml.set_seed(toy.SEED)
    toy.build(toy.builder(tmp_path / "run", 1).validate_every(2)).fit(toy.train_loader())
    assert "validate_every(2) has no effect: there is no data to validate on." in caplog.text
