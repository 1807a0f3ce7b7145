"""timeline.jsonl of a run on 35 items in batches of 8 (the last of 3), validated on 13 in batches of 6."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.events import Position, Split
from multilearn.loggers.timeline import cut_timeline, read_timeline
from multilearn.storage.layout import RunDirectory


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "timeline.jsonl").read_text().splitlines()]


def without_times(path: Path) -> list[dict[str, Any]]:
    return [{key: line[key] for key in line if key not in ("at", "seconds")} for line in lines(path)]


def split(epoch: int, name: str, update: int, rate: float | None, **facts: int) -> dict[str, Any]:
    batches, items = (5, 35) if name == "train" else (3, 13)
    usual = {"batches": batches, "measured": batches, "items": items}
    return {"event": "split", "epoch": epoch, "split": name, "update": update, "learning_rate": rate, **usual, **facts}


def constant(path: Path, epochs: int) -> ml.LearnerBuilder:
    return toy.builder(path, epochs).metric_loggers()


def fit(described: ml.LearnerBuilder, train: Any = None) -> None:
    ml.set_seed(toy.SEED)
    learner = described.build(toy.task(), toy.Momentum(), 0.1)
    learner.fit(toy.train_loader() if train is None else train, toy.valid_loader())


def test_each_split_each_checkpoint_and_the_end_have_a_line(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    fit(constant(tmp_path, 2))
    found = [line for line in without_times(tmp_path) if line["event"] != "saved"]
    assert found == [
        split(1, "train", 5, 0.1),
        split(1, "valid", 5, None),
        split(2, "train", 10, 0.1),
        split(2, "valid", 10, None),
        {"event": "finished", "position": "2", "reason": None, "error": None},
    ]
    assert [line["position"] for line in lines(tmp_path) if line["event"] == "saved"] == ["1", "2"]
    times = [datetime.fromisoformat(line["at"]) for line in lines(tmp_path)]
    assert before <= times[0] and times == sorted(times) and times[-1] <= datetime.now(UTC)


def test_the_time_of_a_split_is_that_of_its_batches(tmp_path: Path) -> None:
    def slow(epoch: int, number: int) -> None:
        time.sleep(0.05 if epoch == 1 else 0.0)

    began = time.monotonic()
    fit(constant(tmp_path, 2), toy.Watched(toy.train_loader(), slow))
    whole = time.monotonic() - began
    train = [line["seconds"] for line in lines(tmp_path) if line["event"] == "split" and line["split"] == "train"]
    assert 0.25 <= train[0] < whole
    assert 0 <= train[1] < 0.2
    assert sum(train) <= lines(tmp_path)[-1]["seconds"] <= whole


def test_a_resumed_run_goes_on_in_its_timeline_and_says_how_much_of_the_epoch_it_measured(tmp_path: Path) -> None:
    interrupter = ml.Interrupter()
    stopping = toy.Watched(toy.train_loader(), lambda *at: at == (2, 2) and toy.stop(interrupter, "enough"))
    fit(constant(tmp_path, 2).with_interrupter(interrupter), stopping)
    assert without_times(tmp_path)[-1] == {"event": "finished", "position": "2.3", "reason": "enough", "error": None}
    before = lines(tmp_path)
    fit(constant(tmp_path, 2).checkpoint("latest"))
    assert lines(tmp_path)[: len(before)] == before
    added = without_times(tmp_path)[len(before) :]
    assert added[0] == split(2, "train", 10, 0.1, measured=2, items=11)  # of 8 + 8 + 8 + 8 + 3
    assert added[1] == split(2, "valid", 10, None)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in its directory", "in another"])
def test_going_back_leaves_out_what_came_after(tmp_path: Path, elsewhere: bool) -> None:
    fit(constant(tmp_path / "run", 3).with_checkpointing_strategy(ml.checkpoint.KeepLast(9)))
    target = tmp_path / "copy" if elsewhere else tmp_path / "run"
    kept = [line for line in lines(tmp_path / "run") if line.get("epoch") == 1 or line.get("position") == "1"]
    fit(constant(target, 1).checkpoint(1, tmp_path / "run") if elsewhere else constant(target, 1).checkpoint(1))
    assert lines(target)[: len(kept)] == kept
    assert {line["event"] for line in lines(target)[len(kept) :]} == {"finished"}


def test_a_run_that_is_overwritten_begins_a_timeline(tmp_path: Path) -> None:
    fit(constant(tmp_path, 2))
    fit(toy.builder(tmp_path, 1, overwrite=True).metric_loggers())
    assert [line["epoch"] for line in lines(tmp_path) if line["event"] == "split"] == [1, 1]


def test_what_is_no_line_is_ignored_and_cut(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert list(read_timeline(run)) == []
    good = '{"event": "split", "epoch": 1, "split": "train"}\n'
    run.timeline.write_text(f'{good}[1]\n{{"event": "saved"}}\nnot json\n{good}{{"event": "saved", "position": "1')
    assert [line["split"] for line in read_timeline(run)] == [Split.TRAIN, Split.TRAIN]
    cut_timeline(run, Position(1))
    assert run.timeline.read_text() == good * 2
