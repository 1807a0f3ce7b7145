"""`.checkpoint_every(...)`: a run is saved inside its epochs, and goes on from there exactly."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.checkpoint import KeepBest, KeepLast
from multilearn.checkpoint.checkpointer import FileCheckpointer
from multilearn.errors import NonFiniteLoss
from multilearn.events import Position, Saved
from multilearn.learner import loop as loop_module


class Killed(Exception):
    """Ends a run without its doing anything about it, as far as its checkpoints are concerned."""


def saved(described: ml.LearnerBuilder, train: Any = None, valid: Any = None) -> list[str]:
    """The checkpoints that a run makes, in order."""
    recorded = toy.Recorded()
    toy.fit(described.metric_loggers(recorded), train, valid)
    return [str(event.position) for event in recorded.of(Saved)]


@pytest.mark.parametrize(
    ("batches", "accumulation", "expected"),
    [
        (2, 1, ["1.2", "1.4", "1", "2.2", "2.4", "2"]),
        (1, 1, ["1.1", "1.2", "1.3", "1.4", "1", "2.1", "2.2", "2.3", "2.4", "2"]),
        (3, 1, ["1.3", "1", "2.3", "2"]),
        # a place inside an accumulation window waits for its end
        (1, 2, ["1.2", "1.4", "1", "2.2", "2.4", "2"]),
        (3, 2, ["1.4", "1", "2.4", "2"]),
        # the end of the epoch is the strategy's
        (5, 1, ["1", "2"]),
        (4, 3, ["1", "2"]),
        (9, 1, ["1", "2"]),
    ],
)
def test_a_checkpoint_is_made_after_every_so_many_batches_of_an_epoch(
    tmp_path: Path, batches: int, accumulation: int, expected: list[str]
) -> None:
    described = toy.builder(tmp_path / "run", 2).grads_accumulation(accumulation)
    assert saved(described.checkpoint_every(batches=batches)) == expected
    assert toy.checkpoints(tmp_path / "run") == ["1", "2"]


def test_the_last_one_is_kept(tmp_path: Path) -> None:
    found = []
    described = toy.builder(tmp_path / "run", 2).checkpoint_every(batches=1)

    def look(epoch: int, number: int) -> None:
        found.append(toy.checkpoints(tmp_path / "run"))

    toy.fit(described, toy.Watched(toy.train_loader(), look))
    assert all(len([name for name in names if "." in name]) <= 1 for names in found)
    with pytest.raises(Killed):
        toy.fit(described.num_epochs(4).checkpoint("latest"), toy.failing(3, 4, Killed()))
    assert toy.checkpoints(tmp_path / "run") == ["1", "2", "3.4"]
    assert sorted(path.name for path in (tmp_path / "run/checkpoint").glob("*-3*")) == [
        "model-3.4.mpk.gz",
        "optim-3.4.mpk.gz",
        "scheduler-3.4.mpk.gz",
    ]


def test_the_lines_of_the_metric_files_are_on_disk_before_the_checkpoint_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths, save = {}, FileCheckpointer.inside_epoch

    def look(saves: FileCheckpointer, position: Position, snapshot: Any) -> bool:
        path = tmp_path / f"run/train/epoch-{position.epoch}/Loss.log"
        lengths[str(position)] = len(path.read_bytes().splitlines())
        return save(saves, position, snapshot)

    monkeypatch.setattr(FileCheckpointer, "inside_epoch", look)
    toy.fit(toy.builder(tmp_path / "run", 1).checkpoint_every(batches=2))
    assert lengths == {"1.2": 2, "1.4": 4}


def test_a_checkpoint_is_told_of_only_when_it_is_on_disk(tmp_path: Path) -> None:
    found = {}

    def look(event: Any) -> None:
        if isinstance(event, Saved):
            found[str(event.position)] = str(event.position) in toy.checkpoints(tmp_path / "run")

    toy.fit(toy.builder(tmp_path / "run", 2).metric_loggers(toy.Recorded(look)))
    assert found == {"1": True, "2": True}


def test_it_stays_where_the_strategy_does_not_keep_its_epoch_until_a_later_one_is_complete(tmp_path: Path) -> None:
    described = toy.builder(tmp_path / "run").checkpoint_every(batches=2).with_checkpointing_strategy(KeepBest())
    losses = [0.1, 0.2, 0.3, 0.05]
    with pytest.raises(Killed):
        toy.told(described, losses, toy.failing(3, 1, Killed()))
    assert toy.checkpoints(tmp_path / "run") == ["1", "2.4"]
    # the run goes on from there, and not from the best
    learner = toy.told(described.checkpoint("latest"), losses)
    assert toy.checkpoints(tmp_path / "run") == ["1", "3.4"]
    assert len(learner.history["train"]["Loss"]) == 3
    toy.told(described.num_epochs(4).checkpoint("latest"), losses)
    assert toy.checkpoints(tmp_path / "run") == ["4"]


def test_nothing_is_saved_of_a_batch_whose_loss_is_not_finite(tmp_path: Path) -> None:
    x, y = toy.arrays(35)
    x[16:24] = float("nan")
    with pytest.raises(NonFiniteLoss, match="batch 3 of epoch 1"):
        toy.fit(toy.builder(tmp_path / "run").checkpoint_every(batches=1), ml.DataLoader((x, y), 8))
    assert toy.checkpoints(tmp_path / "run") == ["1.2"]


def test_minutes_are_counted_from_the_last_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(loop_module, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def tick(epoch: int, number: int) -> None:
        clock.now += 20.0

    described = toy.builder(tmp_path / "run", 2).checkpoint_every(minutes=1)
    # 20 s go by before each batch: 60 s are over after three; a save at the end of an epoch restarts the count
    assert saved(described, toy.Watched(toy.train_loader(), tick)) == ["1.3", "1", "2.3", "2"]


def test_a_stop_where_a_checkpoint_is_due_makes_one_and_not_two(tmp_path: Path) -> None:
    recorded = toy.Recorded()
    toy.stopped(toy.builder(tmp_path / "run").checkpoint_every(batches=2).metric_loggers(recorded), 1, 1)
    assert [str(event.position) for event in recorded.of(Saved)] == ["1.2"]


def test_an_interval_that_no_epoch_reaches_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toy.fit(toy.builder(tmp_path / "run", 1).checkpoint_every(batches=5))
    said = "Nothing is saved inside an epoch: it has 5 batches, and checkpoint_every asks for 5."
    assert said in caplog.messages


def test_an_interval_that_no_accumulation_window_ends_after_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    described = toy.builder(tmp_path / "run", 1).grads_accumulation(6)
    assert saved(described.checkpoint_every(batches=2)) == ["1"]
    said = "Nothing is saved inside an epoch: its 5 batches are one update, and checkpoint_every asks for 2."
    assert said in caplog.messages


def test_with_a_strategy_that_keeps_every_epoch_none_is_left_at_the_end(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "run").checkpoint_every(batches=1).with_checkpointing_strategy(KeepLast(1)))
    assert toy.checkpoints(tmp_path / "run") == ["3"]
