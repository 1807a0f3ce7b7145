"""`.early_stopping(...)` in a run: where it stops, what is said of it, and how a run goes on after it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.early_stopping import AllOf, FirstOf, NoImprovement, Threshold, TimeLimit
from multilearn.errors import ConfigurationError
from multilearn.events import EpochEnded, Finished, Position, Started
from multilearn.learner import loop as loop_module
from multilearn.learner import rule_watch

LOSSES = [0.5, 0.3, 0.4, 0.35, 0.2, 0.1]
REASON = "no improvement of Loss (valid) in 2 epochs: the lowest was 0.3 in epoch 2"


def described(path: Path, epochs: int = 6) -> ml.LearnerBuilder:
    return toy.builder(path, epochs).early_stopping(NoImprovement(epochs=2))


def test_a_rule_ends_the_run_after_its_epoch_which_is_saved_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    builder = described(run).with_checkpointing_strategy(ml.checkpoint.KeepBest()).summary()
    learner = toy.told(builder.renderer(ml.renderers.CliRenderer()), LOSSES)
    assert learner.stopped_by == REASON
    assert len(learner.history["valid"]["Loss"]) == 4
    assert toy.checkpoints(run) == ["2", "4"]
    found = toy.experiment(run)["sessions"][-1]
    assert (found["outcome"], found["reason"], found["position"]) == ("stopped", REASON, "4")
    assert f"The run is stopped at 4 ({REASON})." in (run / "experiment.log").read_text()
    out = capsys.readouterr().out
    assert (
        f'stopped after epoch 4: {REASON}; .checkpoint("latest"), under another rule or none, resumes from here\n'
        in out
    )
    assert f"  epochs     4 done, stopped: {REASON}\n" in out


def test_a_run_that_was_stopped_by_the_same_rule_returns_at_once_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = toy.told(described(tmp_path / "run"), LOSSES)
    files = toy.metric_files(tmp_path / "run")
    recorded = toy.Recorded()
    learner = toy.told(described(tmp_path / "run").checkpoint("latest").metric_loggers(recorded), LOSSES)
    assert learner.stopped_by == first.stopped_by == REASON
    assert [type(event) for event in recorded.events] == [Started, Finished]
    assert toy.metric_files(tmp_path / "run") == files
    assert toy.weights(learner) == toy.weights(first)
    assert f"Nothing is trained: the rule of early stopping already applies, {REASON}." in caplog.messages


def test_with_another_rule_or_none_it_goes_on(tmp_path: Path) -> None:
    toy.told(described(tmp_path / "run"), LOSSES)
    builder = toy.builder(tmp_path / "run", 6).checkpoint("latest")
    learner = toy.told(builder.early_stopping(Threshold("Loss", value=0.25)), LOSSES)
    assert learner.stopped_by == "Loss (valid) reached 0.2 in epoch 5, the threshold is 0.25"
    assert toy.told(builder, LOSSES).stopped_by is None


def test_a_reason_in_the_last_epoch_stops_nothing(tmp_path: Path) -> None:
    learner = toy.told(described(tmp_path / "run", 4), LOSSES)
    assert learner.stopped_by is None
    assert toy.experiment(tmp_path / "run")["sessions"][-1]["outcome"] == "completed"


def test_a_rule_of_ones_own_is_asked_after_every_epoch_with_its_history(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    class Own:
        def reason(self, history: Any, epoch: int, elapsed: float) -> str | None:
            asked.append((epoch, len(history.values("valid", "Loss"))))
            return "enough" if epoch == 3 else None

    learner = toy.told(toy.builder(tmp_path / "run", 5).early_stopping(Own()), LOSSES)
    assert learner.stopped_by == "enough"
    assert asked == [(1, 1), (2, 2), (3, 3)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The loop's clock: it goes on when it is told to."""
    state = SimpleNamespace(now=500.0)
    for module in (loop_module, rule_watch):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: state.now))
    return state


def slow(clock: SimpleNamespace, loader: Any = None) -> toy.Watched:
    """A loader whose every batch takes 10 seconds."""

    def tick(epoch: int, number: int) -> None:
        clock.now += 10.0

    return toy.Watched(toy.train_loader() if loader is None else loader, tick)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_time_limit_ends_a_run_inside_an_epoch_where_it_is_saved(
    tmp_path: Path, clock: SimpleNamespace, accumulation: int
) -> None:
    builder = toy.builder(tmp_path / "run").early_stopping(TimeLimit(75)).grads_accumulation(accumulation)
    learner = toy.fit(builder, slow(clock))
    # 10 s each: 50 s for the first epoch, 80 s after the third batch of the next one, where a window of one ends
    place, seconds = {1: ("2.3", "80.0"), 2: ("2.4", "90.0")}[accumulation]
    assert toy.checkpoints(tmp_path / "run") == ["1", place]
    assert learner.stopped_by == f"the time limit of 75 s is over: the run took {seconds} s"
    again = toy.fit(builder.checkpoint("latest"), slow(clock))
    assert again.stopped_by == learner.stopped_by
    assert toy.checkpoints(tmp_path / "run") == ["1", place]


def test_a_time_limit_counts_all_sessions_of_a_run(tmp_path: Path, clock: SimpleNamespace) -> None:
    builder = toy.builder(tmp_path / "run").early_stopping(TimeLimit(minutes=2))
    toy.fit(builder.num_epochs(2), slow(clock))
    clock.now += 10_000
    learner = toy.fit(builder.checkpoint("latest"), slow(clock))
    assert learner.stopped_by == "the time limit of 120 s is over: the run took 120.0 s"
    assert toy.checkpoints(tmp_path / "run")[-1] == "3.2"


def test_a_time_limit_ends_a_validation(tmp_path: Path, clock: SimpleNamespace) -> None:
    builder = toy.builder(tmp_path / "run").early_stopping(FirstOf(NoImprovement(), TimeLimit(55)))
    learner = toy.fit(builder, slow(clock), slow(clock, toy.valid_loader()))
    assert learner.stopped_by == "the time limit of 55 s is over: the run took 60.0 s"
    assert toy.checkpoints(tmp_path / "run") == ["1.5"]


def test_a_time_limit_that_is_not_enough_waits_for_the_end_of_an_epoch(tmp_path: Path, clock: SimpleNamespace) -> None:
    rule = AllOf(TimeLimit(15), NoImprovement(epochs=1))
    ml.set_seed(toy.SEED)
    learner = toy.told(toy.builder(tmp_path / "run").early_stopping(rule), [0.1, 0.2, 0.3], slow(clock))
    assert toy.checkpoints(tmp_path / "run")[-1] == "2"
    assert learner.stopped_by is not None


def test_the_records_of_a_run_without_a_rule_say_nothing_of_the_time(tmp_path: Path, clock: SimpleNamespace) -> None:
    toy.fit(toy.builder(tmp_path / "a", 1), slow(clock))
    toy.fit(toy.builder(tmp_path / "b", 1))
    assert toy.checkpoint_files(tmp_path / "a") == toy.checkpoint_files(tmp_path / "b")


def test_what_a_rule_says_stops_no_other_learner_with_the_same_interrupter(tmp_path: Path) -> None:
    interrupter = ml.Interrupter()
    for name in ("a", "b"):
        recorded = toy.Recorded()
        builder = described(tmp_path / name).with_interrupter(interrupter).metric_loggers(recorded)
        assert toy.told(builder, LOSSES).stopped_by == REASON
        assert recorded.of(EpochEnded)[-1] == EpochEnded(4)
    assert interrupter.reason is None


def test_an_interrupter_that_was_told_stops_every_learner_that_listens_to_it(tmp_path: Path) -> None:
    interrupter = ml.Interrupter()
    interrupter.stop("the budget is spent")
    for name in ("a", "b"):
        recorded = toy.Recorded()
        builder = toy.builder(tmp_path / name).with_interrupter(interrupter).metric_loggers(recorded)
        assert toy.fit(builder).stopped_by == "the budget is spent"
        assert recorded.events[-1] == Finished(Position(0), "the budget is spent")


def test_without_data_for_its_split_a_rule_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    learner = toy.build(described(tmp_path / "run"))
    with pytest.raises(ConfigurationError, match=r"early_stopping watches Loss of valid.*no validation loader"):
        learner.fit(toy.train_loader())
    assert not (tmp_path / "run").exists()


def test_a_time_limit_counts_the_last_epoch_of_a_session_too(tmp_path: Path, clock: SimpleNamespace) -> None:
    builder = toy.builder(tmp_path / "run").early_stopping(TimeLimit(15))
    one = ml.DataLoader(toy.arrays(8), 8)
    toy.fit(builder.num_epochs(1), slow(clock, one))
    learner = toy.fit(builder.num_epochs(5).checkpoint("latest"), slow(clock, one))
    assert learner.stopped_by == "the time limit of 15 s is over: the run took 20.0 s"


@pytest.mark.parametrize("reason", [True, "", "  ", 3])
def test_a_reason_is_told_in_words(tmp_path: Path, reason: Any) -> None:
    class Own:
        def reason(self, history: Any, epoch: int, elapsed: float) -> Any:
            return reason

    with pytest.raises(ConfigurationError, match="must be a text"):
        ml.Interrupter().stop(reason)
    with pytest.raises(ConfigurationError, match="must be a text"):
        toy.told(toy.builder(tmp_path / "run", 5).early_stopping(Own()), LOSSES)
