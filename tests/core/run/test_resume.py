"""Going on from a checkpoint: k + rest equals the whole run bit for bit, and what is given up is said aloud."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy
from toy_backend import Momentum, SoftmaxModel, SoftmaxRegression

import multilearn as ml
from multilearn.checkpoint import CheckpointFolder, KeepEvery, KeepLast
from multilearn.errors import CheckpointNotFound, ConfigurationError, DirectoryError, RecordError, RecordMismatch
from multilearn.events import START, EpochEnded, Finished, Position, Started, Stepped
from multilearn.seeding import seed
from multilearn.seeding.streams import GlobalStreams

ALL = KeepLast(100)


def whole(directory: Path, epochs: int = 4, accumulation: int = 1) -> ml.Learner:
    return toy.fit(toy.builder(directory, epochs).grads_accumulation(accumulation).with_checkpointing_strategy(ALL))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Makes copies of a run of four epochs whose checkpoints are all there."""
    run = tmp_path_factory.mktemp("finished") / "run"
    whole(run)
    return lambda to: Path(shutil.copytree(run, to))


def stopped(directory: Path, *at: Any) -> ml.Learner:
    return toy.stopped(toy.builder(directory, 4).with_checkpointing_strategy(ALL), *at)


def resumed(directory: Path, which: int | str = "latest", source: Path | None = None, epochs: int = 4) -> Any:
    described = toy.builder(directory, epochs).with_checkpointing_strategy(ALL).checkpoint(which, source)
    return toy.fit(described)


@pytest.mark.parametrize("first", [1, 2, 3])
def test_k_epochs_and_the_rest_equal_the_whole_run_bit_for_bit(tmp_path: Path, finished: Any, first: int) -> None:
    expected = toy.contents(finished(tmp_path / "whole"))
    run = tmp_path / "run"
    whole(run, epochs=first)
    files = {path: path.stat().st_mtime_ns for path in run.rglob("*.log") if "epoch" in path.parent.name}
    learner = resumed(run)
    assert toy.contents(run) == expected
    # what was finished was not even touched
    assert files and {path: path.stat().st_mtime_ns for path in files} == files
    assert all(len(values) == 4 for values in learner.history["train"].values())
    assert [session["resumed_from"] for session in toy.experiment(run)["sessions"]] == [
        None,
        {"directory": str(run), "position": str(first)},
    ]


@pytest.mark.parametrize("which", [2, "2", "latest"])
def test_a_run_goes_on_in_another_directory_and_the_first_is_left_as_it_is(
    tmp_path: Path, finished: Any, which: int | str
) -> None:
    expected = toy.contents(finished(tmp_path / "whole"))
    first, second = tmp_path / "first", tmp_path / "second"
    whole(first, epochs=2)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.rglob("*") if path.is_file()}
    resumed(second, which, first)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.rglob("*") if path.is_file()} == before
    assert toy.metric_files(second) == {
        name: text for name, text in expected.items() if name.startswith(("train", "valid"))
    }
    assert toy.checkpoint_files(second) == {
        name: data for name, data in expected.items() if name.endswith(("-3.mpk.gz", "-4.mpk.gz"))
    }
    (session,) = toy.experiment(second)["sessions"]
    assert session["resumed_from"] == {"directory": str(first), "position": "2"}
    prints = [toy.experiment(run)["weights_sha256"] for run in (first, second)]
    assert prints[0] == prints[1]


@pytest.mark.parametrize("which", [1, 2, 3])
def test_what_came_after_is_cleared_at_the_start_and_named(
    tmp_path: Path, finished: Any, which: int, caplog: pytest.LogCaptureFixture
) -> None:
    run = finished(tmp_path / "run")
    seen = []

    def look(event: Any) -> None:
        if isinstance(event, Started):
            folder = CheckpointFolder(run / "checkpoint")
            seen.append(
                ({p.epoch for p in folder.positions()}, set(toy.metric_files(run)), set(toy.checkpoint_files(run)))
            )

    kept = {name for name in toy.metric_files(run) if int(name.split("epoch-")[1][0]) <= which}
    files = set(toy.checkpoint_files(run))
    described = toy.builder(run, 4).with_checkpointing_strategy(ALL).checkpoint(which)
    toy.fit(described.metric_loggers(ml.loggers.FileMetricLogger(), toy.Recorded(look)))
    # the manifest forgets them at once, the disk when something newer is durable
    assert seen == [(set(range(1, which + 1)), kept, files)]
    later = range(which + 1, 5)
    given_up = ", ".join([f"checkpoint {epoch}" for epoch in later] + [f"epoch {epoch}" for epoch in later])
    assert f"What came after {which} is given up: {given_up}." in caplog.text
    assert toy.contents(run) == toy.contents(finished(tmp_path / "whole"))


@pytest.mark.parametrize("trained", [False, True], ids=["nothing", "a run without checkpoints"])
def test_latest_where_nothing_was_saved_starts_at_the_beginning_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trained: bool
) -> None:
    run = tmp_path / "run"
    if trained:
        toy.fit(ml.LearnerBuilder(run).metrics(ml.metrics.Loss()).num_epochs(3))
    learner = resumed(run, epochs=2)
    assert "Nothing was saved" in caplog.text and "starting at epoch 1" in caplog.text
    assert len(learner.history["train"]["Loss"]) == 2
    whole(tmp_path / "whole", 2)
    assert toy.contents(run) == toy.contents(tmp_path / "whole")


def test_another_directory_that_holds_no_run_is_refused_before_the_own_one_is_replaced(
    tmp_path: Path, finished: Any
) -> None:
    run = finished(tmp_path / "run")
    before = toy.contents(run)
    described = toy.builder(run, 4, overwrite=True).checkpoint("latest", tmp_path / "mistyped")
    with pytest.raises(CheckpointNotFound, match=r"Received: .*mistyped, which holds none"):
        toy.fit(described)
    assert toy.contents(run) == before


@pytest.mark.parametrize("which", [7, "2.3", "5"])
def test_a_missing_checkpoint_lists_those_that_exist(tmp_path: Path, finished: Any, which: int | str) -> None:
    run = finished(tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with pytest.raises(CheckpointNotFound, match=rf"'{which}'.*: 1, 2, 3, 4\."):
        resumed(run, which, epochs=9)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_missing_checkpoint_of_an_empty_directory_says_that_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound, match=r"where there are: none.*latest"):
        resumed(tmp_path / "run", 1)
    with pytest.raises(CheckpointNotFound, match="none"):
        resumed(tmp_path / "run", "best")
    assert list(tmp_path.iterdir()) == []


def test_best_is_the_epoch_with_the_lowest_validation_loss_that_is_still_there(tmp_path: Path) -> None:
    run = tmp_path / "run"
    x, y = toy.arrays(13)

    class BestInTwo:
        def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
            yield x, y if epoch == 2 else (y + 1) % toy.CLASSES

    toy.fit(toy.builder(run, 4), valid=BestInTwo())
    assert toy.checkpoints(run) == ["2", "3", "4"]
    recorded = toy.Recorded()
    toy.fit(toy.builder(run, 4).checkpoint("best").metric_loggers(recorded))
    assert recorded.of(Started)[0].position == Position(2)


def test_best_without_validation_lists_what_exists(tmp_path: Path) -> None:
    run = tmp_path / "run"
    toy.build(toy.builder(run, 2)).fit(toy.train_loader())
    with pytest.raises(CheckpointNotFound, match=r"'best'.*: 1, 2"):
        resumed(run, "best")


def test_a_finished_run_returns_its_model_at_once(tmp_path: Path, finished: Any) -> None:
    run = finished(tmp_path / "run")
    before = toy.contents(run)
    recorded = toy.Recorded()
    described = toy.builder(run, 4).checkpoint("latest").metric_loggers(recorded, ml.loggers.FileMetricLogger())
    learner = toy.fit(described)
    assert [type(event) for event in recorded.events] == [Started, Finished]
    assert toy.contents(run) == before
    assert learner.stopped_by is None
    assert len(learner.history["valid"]["Loss"]) == 4
    assert toy.weights(learner) == toy.weights(whole(tmp_path / "again"))


@pytest.mark.parametrize(
    ("at", "epochs", "said"),
    [
        (None, 3, r"num_epochs\(3\) and the checkpoint 4.*Ask for 4 or more"),
        ((3, 1), 2, r"num_epochs\(2\) and the checkpoint 3\.2.*Ask for 3 or more"),
    ],
    ids=["finished", "inside an epoch"],
)
def test_fewer_epochs_than_are_done_are_refused(tmp_path: Path, at: Any, epochs: int, said: str) -> None:
    run = tmp_path / "run"
    whole(run) if at is None else stopped(run, *at)
    before = toy.contents(run)
    with pytest.raises(ConfigurationError, match=said):
        resumed(run, epochs=epochs)
    assert toy.contents(run) == before
    assert len(toy.experiment(run)["sessions"]) == 1


def test_without_a_checkpointer_checkpoints_are_only_read_and_that_is_said(
    tmp_path: Path, finished: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = finished(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (run / "checkpoint").iterdir()}
    described = ml.LearnerBuilder(run).metrics(ml.metrics.Loss(), ml.metrics.Accuracy()).num_epochs(4)
    learner = toy.fit(described.renderer(ml.renderers.SilentRenderer()).checkpoint(2))
    assert {path.name: path.read_bytes() for path in (run / "checkpoint").iterdir()} == before
    assert toy.weights(learner) == toy.weights(whole(tmp_path / "whole"))
    assert toy.metric_files(run) == toy.metric_files(tmp_path / "whole")
    assert "Without a checkpointer these checkpoints stay as they are: 3, 4." in caplog.text


def test_the_same_directory_named_as_another_run_is_gone_on_from_in_place(tmp_path: Path) -> None:
    run = tmp_path / "run"
    whole(run, 2)
    described = toy.builder(tmp_path / "elsewhere/../run", 4, overwrite=True).with_checkpointing_strategy(ALL)
    (tmp_path / "elsewhere").mkdir()
    toy.fit(described.checkpoint("latest", run))
    whole(tmp_path / "whole")
    assert toy.contents(run) == toy.contents(tmp_path / "whole")
    assert len(toy.experiment(run)["sessions"]) == 2


def test_another_directory_that_holds_a_run_is_not_gone_over(tmp_path: Path, finished: Any) -> None:
    source, run = finished(tmp_path / "source"), finished(tmp_path / "run")
    with pytest.raises(DirectoryError, match="which holds one that was completed at 4"):
        resumed(run, 2, source)


def test_another_directory_that_holds_a_run_is_replaced_if_it_may_be(tmp_path: Path, finished: Any) -> None:
    source, run = finished(tmp_path / "source"), finished(tmp_path / "run")
    described = toy.builder(run, 3, overwrite=True).with_checkpointing_strategy(ALL).checkpoint(2, source)
    toy.fit(described)
    assert toy.checkpoints(run) == ["3"]
    early = {name: text for name, text in toy.metric_files(source).items() if "epoch-4" not in name}
    assert toy.metric_files(run) == early
    assert len(toy.experiment(run)["sessions"]) == 1


POINTS = [("train", epoch, number) for epoch in (1, 3) for number in (1, 3, 4)]
POINTS += [("valid", epoch, number) for epoch in (2, 4) for number in (0, 2)]


@pytest.mark.parametrize("point", POINTS)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path: Path, finished: Any, point: Any) -> None:
    run = tmp_path / "run"
    split, epoch, number = point
    learner = stopped(run, epoch, number, split)
    done = min(number + 1, toy.BATCHES) if split == "train" else toy.BATCHES
    assert learner.stopped_by == "enough"
    assert toy.checkpoints(run)[-1] == f"{epoch}.{done}"
    assert toy.experiment(run)["sessions"][0]["position"] == f"{epoch}.{done}"
    lines = (run / f"train/epoch-{epoch}/Loss.log").read_text().splitlines()
    assert len([line for line in lines if not line.endswith("final")]) == done
    resumed(run)
    assert toy.contents(run) == toy.contents(finished(tmp_path / "whole"))
    assert toy.checkpoints(run) == ["1", "2", "3", "4"]


def test_a_run_goes_on_from_a_named_place_inside_an_epoch_of_another_directory(tmp_path: Path, finished: Any) -> None:
    stopped(tmp_path / "first", 3, 1)
    recorded = toy.Recorded()
    described = toy.builder(tmp_path / "run", 4).with_checkpointing_strategy(ALL).checkpoint("3.2", tmp_path / "first")
    toy.fit(described.metric_loggers(ml.loggers.FileMetricLogger(), recorded))
    assert (recorded.of(Stepped)[0].epoch, recorded.of(Stepped)[0].batch) == (3, 3)
    assert toy.metric_files(tmp_path / "run") == toy.metric_files(finished(tmp_path / "whole"))
    assert toy.checkpoints(tmp_path / "run") == ["3", "4"]


def test_an_interrupted_epoch_is_trained_anew_from_the_epoch_before_if_that_is_asked_for(
    tmp_path: Path, finished: Any
) -> None:
    run = tmp_path / "run"
    stopped(run, 3, 2)
    resumed(run, 2)
    assert toy.contents(run) == toy.contents(finished(tmp_path / "whole"))


def test_a_stop_at_the_end_of_an_epoch_saves_it_whatever_the_strategy_says(tmp_path: Path) -> None:
    interrupter = ml.Interrupter()
    stops = toy.Recorded(lambda event: event == EpochEnded(4) and toy.stop(interrupter, "enough"))
    described = toy.builder(tmp_path / "run", 5).with_checkpointing_strategy(KeepEvery(3))
    toy.fit(described.with_interrupter(interrupter).metric_loggers(stops))
    assert toy.checkpoints(tmp_path / "run") == ["3", "4"]
    # no later epoch is saved, so that the end of the run lets it go
    toy.fit(described.checkpoint("latest"))
    assert toy.checkpoints(tmp_path / "run") == ["3"]


def test_a_damaged_newest_checkpoint_is_skipped_and_said_so(
    tmp_path: Path, finished: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = finished(tmp_path / "run")
    data = bytearray((run / "checkpoint/optim-4.mpk.gz").read_bytes())
    data[len(data) // 2] ^= 1
    (run / "checkpoint/optim-4.mpk.gz").write_bytes(data)
    (run / "checkpoint/model-3.mpk.gz").write_bytes((run / "checkpoint/model-3.mpk.gz").read_bytes()[:-5])
    resumed(run)
    said = caplog.text
    assert "checkpoint 4 is skipped: optim-4.mpk.gz was changed" in said
    assert "checkpoint 3 is skipped: model-3.mpk.gz has" in said
    assert "Resumed from checkpoint 2" in said
    assert toy.contents(run) == toy.contents(finished(tmp_path / "whole"))


def test_a_damaged_checkpoint_that_is_asked_for_by_name_is_refused(tmp_path: Path, finished: Any) -> None:
    run = finished(tmp_path / "run")
    (run / "checkpoint/scheduler-2.mpk.gz").unlink()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with pytest.raises(RecordError, match=r"scheduler-2\.mpk\.gz is missing"):
        resumed(run, 2)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_record_of_another_model_is_refused_with_all_that_differs_and_nothing_changes(
    tmp_path: Path, finished: Any
) -> None:
    run = finished(tmp_path / "run")
    ml.set_seed(1)
    task = SoftmaxRegression(SoftmaxModel(toy.FEATURES, 5))
    before = {name: array.copy() for name, array in task.model.weights.items()}
    learner = toy.builder(run, 4).checkpoint("latest").build(task, Momentum(), 0.1)
    streams = GlobalStreams.now().record()
    with pytest.raises(
        RecordMismatch, match=r"(?s)2 differences.*kernel: expected F32 \(4, 5\), received F32 \(4, 3\).*bias"
    ):
        learner.fit(toy.train_loader())
    assert all(np.array_equal(array, before[name]) for name, array in task.model.weights.items())
    assert not task.model.busy
    assert GlobalStreams.now().record() == streams and learner.history == {}
    assert len(toy.experiment(run)["sessions"]) == 1


def test_the_run_goes_on_with_its_own_seed_and_says_so(
    tmp_path: Path, finished: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    whole(run, 2)
    ml.set_seed(99)
    described = toy.builder(run, 4).with_checkpointing_strategy(ALL).checkpoint("latest")
    learner = described.build(toy.task(), Momentum(), ml.schedulers.Cosine(0.5, updates=4 * toy.BATCHES))
    learner.fit(toy.train_loader(), toy.valid_loader())
    assert "keeps the seed that it was started with, 7; 99 is ignored" in caplog.text
    assert toy.contents(run) == toy.contents(finished(tmp_path / "whole"))


def test_the_log_does_not_say_that_the_runs_own_seed_came_from_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    whole(run, 1)
    monkeypatch.setenv("MULTILEARN_SEED", "99")
    toy.fit(toy.builder(run, 2).checkpoint("latest"))
    begun, gone_on = [line for line in (run / "experiment.log").read_text().splitlines() if "Training on" in line]
    assert "seed 7 (set_seed)" in begun and "seed 7 (the run's own)" in gone_on


def test_a_drawn_seed_is_not_held_against_that_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    whole(run, 1)
    monkeypatch.setattr(seed, "_current", None)  # as in a process in which nobody has set one
    toy.builder(run, 2).checkpoint("latest").build(toy.task(), Momentum(), 0.1).fit(toy.train_loader())
    assert "Resumed from checkpoint 1" in caplog.text and "own seed" not in caplog.text


def test_another_accumulation_is_said_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = tmp_path / "run"
    whole(run, 1, accumulation=2)
    toy.fit(toy.builder(run, 2).grads_accumulation(4).checkpoint("latest"))
    assert "An update now takes 4 batches, and took 2 before." in caplog.text


def test_where_no_checkpoint_is_intact_it_says_that_and_not_that_nothing_was_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    whole(run, 1)
    (run / "checkpoint/model-1.mpk.gz").write_bytes(b"")
    toy.fit(toy.builder(run, 1).checkpoint("latest"))
    assert f"No checkpoint is intact in {run}: starting at epoch 1." in caplog.text
    assert "Nothing was saved" not in caplog.text
    assert "What came after the start is given up: checkpoint 1, epoch 1." in caplog.text


def test_what_is_given_up_is_named_in_its_order_also_beyond_nine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    whole(run, 11)
    toy.fit(toy.builder(run, 9).with_checkpointing_strategy(ALL).checkpoint(8))
    given_up = "checkpoint 9, checkpoint 10, checkpoint 11, epoch 9, epoch 10, epoch 11"
    assert f"What came after 8 is given up: {given_up}." in caplog.text


def test_another_horizon_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = tmp_path / "run"
    for epochs in (2, 3):
        ml.set_seed(toy.SEED)
        described = toy.builder(run, epochs).checkpoint("latest")
        described.build(toy.task(), Momentum(), ml.schedulers.Cosine(0.5)).fit(toy.train_loader())
    assert "now spans 15 updates, and spanned 10 before" in caplog.text


def test_a_seed_that_was_drawn_is_resumed_as_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(described: ml.LearnerBuilder) -> dict[str, bytes]:
        monkeypatch.setattr(seed, "_current", None)  # as in a process in which nobody has set one
        learner = described.build(toy.task(), Momentum(), ml.schedulers.Cosine(0.5, updates=10))
        learner.fit(toy.train_loader())
        return toy.contents(learner.directory)

    described = toy.builder(tmp_path / "whole", 2).with_checkpointing_strategy(ALL)
    straight = trained(described)
    assert toy.experiment(tmp_path / "whole")["seed"] == seed.current()
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    assert trained(toy.builder(tmp_path / "run", 2).with_checkpointing_strategy(ALL).checkpoint(1)) == straight


def test_a_loader_that_stops_before_anything_was_trained_leaves_a_run_that_starts_at_the_beginning(
    tmp_path: Path, finished: Any
) -> None:
    run = tmp_path / "run"
    interrupter = ml.Interrupter()
    interrupter.stop("before it began")
    recorded = toy.Recorded()
    described = toy.builder(run, 4).with_interrupter(interrupter).metric_loggers(recorded)
    toy.fit(described)
    assert recorded.events[-1] == Finished(START, "before it began")
    resumed(run)
    assert toy.contents(run) == toy.contents(finished(tmp_path / "whole"))


def test_the_best_of_a_checkpoint_without_its_schedule_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    whole(run, 1)
    manifest = run / "checkpoint/manifest.json"
    content = json.loads(manifest.read_text())
    del content["checkpoints"][0]["files"]["scheduler-1.mpk.gz"]
    manifest.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"three parts.*without scheduler"):
        resumed(run, "best")
