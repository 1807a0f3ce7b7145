"""`.restore_best(...)`: `fit` returns the weights of the best epoch, however the run ended."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy
from support.earlier_records import HalfRecorder

import multilearn as ml
from multilearn.checkpoint import AnyOf, CheckpointFolder, KeepBest, KeepLast
from multilearn.errors import ConfigurationError
from multilearn.events import EpochEnded, Finished, Position

LOSSES = [0.5, 0.3, 0.4, 0.3, 0.6]
"""The best epoch is 2: the fourth is as good, and later."""


class Weights(toy.Recorded):
    """Keeps the weights as they are after each epoch."""

    def __init__(self, then: Any = None) -> None:
        super().__init__(then)
        self.after: dict[int, bytes] = {}
        self.learner: Any = None

    def log(self, event: Any) -> None:
        super().log(event)
        if isinstance(event, EpochEnded):
            self.after[event.epoch] = toy.weights(self.learner)


def run(described: ml.LearnerBuilder, losses: list[float], train: Any = None) -> tuple[ml.Learner, Weights]:
    """A run with these validation losses, and the weights after each of its epochs."""
    weights = Weights()
    ml.set_seed(toy.SEED)
    model = toy.SoftmaxModel(toy.FEATURES, toy.CLASSES)
    learner = described.metric_loggers(weights).build(toy.Told(model, 0.25), toy.Momentum(), 0.1)
    weights.learner = learner
    learner.fit(toy.train_loader() if train is None else train, toy.ToldLosses(losses))
    return learner, weights


def described(path: Path, epochs: int = 5, saved: bool = True) -> ml.LearnerBuilder:
    builder = ml.LearnerBuilder(path).renderer(ml.renderers.SilentRenderer()).num_epochs(epochs).restore_best()
    return builder.with_file_checkpointer() if saved else builder


@pytest.mark.parametrize("saved", [True, False])
def test_the_weights_of_the_best_epoch_are_returned(tmp_path: Path, saved: bool) -> None:
    learner, weights = run(described(tmp_path / "run", saved=saved), LOSSES)
    assert learner.restored == 2
    assert toy.weights(learner) == weights.after[2] != weights.after[5]
    assert weights.events[-1] == Finished(Position(5), restored=2)
    assert (tmp_path / "run/checkpoint").exists() is saved


@pytest.mark.parametrize("saved", [True, False])
def test_nothing_is_restored_where_the_last_epoch_is_the_best(tmp_path: Path, saved: bool) -> None:
    learner, weights = run(described(tmp_path / "run", 2, saved), LOSSES)
    assert learner.restored is None
    assert toy.weights(learner) == weights.after[2]


@pytest.mark.parametrize(("losses", "best"), [([math.nan, 0.5, math.nan], 2), ([math.inf, math.nan, 0.1], None)])
@pytest.mark.parametrize("saved", [True, False])
def test_a_value_that_is_no_number_is_never_the_best(
    tmp_path: Path, saved: bool, losses: list[float], best: int | None
) -> None:
    assert run(described(tmp_path / "run", 3, saved), losses)[0].restored == best


@pytest.mark.parametrize("saved", [True, False])
def test_where_no_epoch_has_a_value_the_last_weights_stay_and_that_is_said(
    tmp_path: Path, saved: bool, caplog: pytest.LogCaptureFixture
) -> None:
    learner, weights = run(described(tmp_path / "run", 2, saved), [math.nan, math.nan])
    assert learner.restored is None
    assert toy.weights(learner) == weights.after[2]
    assert "The last weights are kept: Loss of valid has no best epoch." in caplog.messages


def test_the_highest_of_a_metric_on_the_training_split_may_be_the_best(tmp_path: Path) -> None:
    builder = described(tmp_path / "run", 4).metric_train(ml.metrics.Accuracy())
    learner, weights = run(builder.restore_best("Accuracy", "train", "highest"), LOSSES)
    values = learner.history["train"]["Accuracy"]
    best = 1 + int(np.argmax(values))
    assert toy.weights(learner) == weights.after[best]


@pytest.mark.parametrize("saved", [True, False])
def test_a_run_stopped_inside_an_epoch_returns_the_best_one_and_goes_on_from_the_last_weights(
    tmp_path: Path, saved: bool
) -> None:
    interrupter = ml.Interrupter()
    train = toy.Watched(toy.train_loader(), lambda *at: at == (4, 2) and toy.stop(interrupter, "enough"))
    builder = described(tmp_path / "run", saved=saved)
    learner, weights = run(builder.with_interrupter(interrupter), LOSSES, train)
    assert (learner.stopped_by, learner.restored) == ("enough", 2)
    assert toy.weights(learner) == weights.after[2]
    if saved:
        rest, later = run(builder.checkpoint("latest"), LOSSES)
        whole, expected = run(described(tmp_path / "whole"), LOSSES)
        assert later.after[5] == expected.after[5]
        assert toy.weights(rest) == toy.weights(whole)
        assert toy.checkpoint_files(tmp_path / "run") == toy.checkpoint_files(tmp_path / "whole")


def test_a_run_stopped_by_a_rule_returns_the_best_epoch(tmp_path: Path) -> None:
    rule = ml.early_stopping.NoImprovement(epochs=2)
    learner, weights = run(described(tmp_path / "run").early_stopping(rule), LOSSES)
    assert learner.restored == 2
    assert sorted(weights.after) == [1, 2, 3, 4]
    assert toy.weights(learner) == weights.after[2]


def test_the_strategy_that_is_needed_is_added_and_no_second_one(tmp_path: Path) -> None:
    builder = described(tmp_path / "run").with_checkpointing_strategy(KeepLast(1))
    run(builder, LOSSES)
    assert toy.checkpoints(tmp_path / "run") == ["2", "5"]
    assert builder._settings.kept == AnyOf(KeepLast(1), KeepBest())
    own = AnyOf(KeepLast(1), KeepBest("Loss", "valid", "lowest", k=2))
    assert builder.with_checkpointing_strategy(own)._settings.kept == own


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("saved", [True, False])
def test_the_best_epoch_may_be_one_before_the_run_went_on(tmp_path: Path, moved: bool, saved: bool) -> None:
    _, first = run(described(tmp_path / "run", 3), LOSSES)
    path = tmp_path / "other" if moved else tmp_path / "run"
    source = tmp_path / "run" if moved else None
    learner, weights = run(described(path, 5, saved).checkpoint("latest", source), LOSSES)
    assert sorted(weights.after) == [4, 5]
    assert learner.restored == 2
    assert toy.weights(learner) == first.after[2]


def test_the_best_epoch_may_be_two_directories_back(tmp_path: Path) -> None:
    losses = [0.1, 0.5, 0.4, 0.3]
    _, first = run(described(tmp_path / "a", 2), losses)
    run(described(tmp_path / "b", 3).checkpoint("latest", tmp_path / "a"), losses)
    learner, _ = run(described(tmp_path / "b", 4).checkpoint("latest"), losses)
    assert learner.restored == 1
    assert toy.weights(learner) == first.after[1]


def test_a_finished_run_that_is_asked_for_again_returns_its_best_epoch(tmp_path: Path) -> None:
    _, first = run(described(tmp_path / "run"), LOSSES)
    learner, weights = run(described(tmp_path / "run").checkpoint("latest"), LOSSES)
    assert not weights.after
    assert toy.weights(learner) == first.after[2]


def test_where_the_best_epoch_was_not_kept_the_best_of_the_others_is_taken_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = ml.LearnerBuilder(tmp_path / "run").renderer(ml.renderers.SilentRenderer()).with_file_checkpointer()
    run(plain.with_checkpointing_strategy(KeepLast(1)).num_epochs(3), [0.1, 0.5, 0.3])
    learner, _ = run(described(tmp_path / "run", 5).checkpoint("latest"), [0.1, 0.5, 0.3, 0.2, 0.4])
    assert learner.restored == 4
    said = "The weights of epoch 4 are restored: the lowest valid Loss, 0.2; the weights of epoch 1 were not kept."
    assert said in caplog.messages


def test_a_record_of_another_run_that_was_in_the_directory_is_not_taken(tmp_path: Path) -> None:
    run(described(tmp_path / "a", 3), [0.1, 0.5, 0.4])
    run(described(tmp_path / "b", 4).checkpoint(3, tmp_path / "a"), [0.1, 0.5, 0.4, 0.3])
    again = ml.LearnerBuilder(tmp_path / "a", overwrite=True).renderer(ml.renderers.SilentRenderer())
    run(again.num_epochs(3).with_file_checkpointer(), [0.2, 0.5, 0.4])
    learner, weights = run(described(tmp_path / "b", 5).checkpoint("latest"), [0.1, 0.5, 0.4, 0.3, 0.2])
    assert learner.restored is None
    assert toy.weights(learner) == weights.after[5]


def test_a_damaged_record_of_the_best_epoch_does_not_fail_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(described(tmp_path / "run", 3), LOSSES)
    (tmp_path / "run/checkpoint/model-2.mpk.gz").write_bytes(b"no record")
    learner, _ = run(described(tmp_path / "run").checkpoint("latest"), LOSSES)
    assert learner.restored == 4
    assert any("Checkpoint 2" in message and "cannot be restored" in message for message in caplog.messages)


def test_the_last_record_on_disk_has_the_last_weights(tmp_path: Path) -> None:
    learner, weights = run(described(tmp_path / "run"), LOSSES)
    model = CheckpointFolder(tmp_path / "run/checkpoint").load(Position(5))["model"]
    stored = b"".join(model[name].numpy().tobytes() for name in learner._run.subject.task.model.weights)
    assert stored == weights.after[5]


def test_the_epoch_is_in_the_log_on_the_screen_in_the_summary_and_in_experiment_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(described(tmp_path / "run").renderer(ml.renderers.CliRenderer()).summary(), LOSSES)
    shown = capsys.readouterr().out
    assert "; the weights are those of epoch 2\n" in shown and "  weights    those of epoch 2\n" in shown
    assert toy.experiment(tmp_path / "run")["sessions"][-1]["restored"] == 2
    assert (
        "The weights of epoch 2 are restored: the lowest valid Loss, 0.3."
        in (tmp_path / "run/experiment.log").read_text()
    )


def test_without_data_for_its_split_it_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    learner = toy.build(described(tmp_path / "run"))
    with pytest.raises(ConfigurationError, match=r"restore_best watches Loss of valid.*no validation loader"):
        learner.fit(toy.train_loader())
    assert not (tmp_path / "run").exists()


def test_weights_that_were_stored_in_half_precision_are_said_to_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    half = HalfRecorder(ml.checkpoint.MpkGzRecorder())
    learner, weights = run(described(tmp_path / "run").with_file_checkpointer(half), LOSSES)
    assert learner.restored == 2
    restored, measured = (np.frombuffer(each, np.float32) for each in (toy.weights(learner), weights.after[2]))
    assert np.array_equal(restored, measured.astype(np.float16).astype(np.float32))
    assert "The weights of epoch 2 were stored in half precision: they are not quite those measured." in caplog.messages
