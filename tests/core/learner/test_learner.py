"""A whole run on the toy backend: what `fit` returns, what it leaves on disk, and what the run says of itself."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy
from toy_backend import Momentum, SoftmaxModel

import multilearn as ml
from multilearn.errors import ConfigurationError, DataError, DirectoryError
from multilearn.events import START, EpochEnded, Finished, Position, Started, Stepped
from multilearn.loggers import read_metric_file


def log(directory: Path) -> str:
    return (directory / "experiment.log").read_text()


def everything(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def test_fit_returns_the_model_that_was_trained(tmp_path: Path) -> None:
    ml.set_seed(1)
    task = toy.task()
    before = task.model.weights["kernel"].copy()
    learner = toy.builder(tmp_path / "run").build(task, Momentum(), 0.1)
    model = learner.fit(toy.train_loader())
    assert model is task.model
    assert isinstance(model, SoftmaxModel)
    assert not np.array_equal(model.weights["kernel"], before)
    assert not model.busy


def test_training_without_accumulation_is_gradient_descent_with_momentum(tmp_path: Path) -> None:
    ml.set_seed(3)
    task = toy.task(dropout=0.0)
    kernel, bias = task.model.weights["kernel"].astype(float), task.model.weights["bias"].astype(float)
    toy.builder(tmp_path / "run", epochs=2).build(task, Momentum(0.5), ml.schedulers.Linear(0.4)).fit(
        toy.train_loader()
    )
    x, y = toy.arrays(35)
    velocity: Any = [0.0, 0.0]
    for update in range(10):
        epoch, number = divmod(update, 5)
        bits = np.random.Philox(key=np.array([3, epoch + 1], np.uint64)).random_raw(35)
        order = sorted(range(35), key=lambda item, bits=bits: (bits[item], item))[8 * number : 8 * number + 8]
        scores = np.exp(x[order] @ kernel + bias)
        scores /= scores.sum(1, keepdims=True)
        scores[np.arange(len(order)), y[order]] -= 1
        gradient = [x[order].T @ scores / len(order), scores.mean(0)]
        velocity = [0.5 * old + new for old, new in zip(velocity, gradient, strict=True)]
        rate = 0.4 * (1 - update / 10)
        kernel, bias = kernel - rate * velocity[0], bias - rate * velocity[1]
    np.testing.assert_allclose(task.model.weights["kernel"], kernel, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(task.model.weights["bias"], bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("window", [2, 4])
def test_an_accumulated_window_updates_like_its_joint_batch_also_the_last_one(tmp_path: Path, window: int) -> None:
    data = ml.DataLoader(toy.arrays(35), 4), ml.DataLoader(toy.arrays(35), 4 * window)
    trained = []
    for number, (loader, n) in enumerate(zip(data, (window, 1), strict=True)):
        ml.set_seed(1)
        described = toy.builder(tmp_path / str(number)).grads_accumulation(n)
        trained.append(described.build(toy.task(dropout=0.0), Momentum(0.0), ml.schedulers.Cosine(0.3)).fit(loader))
    for name, array in trained[0].weights.items():
        np.testing.assert_allclose(array, trained[1].weights[name], rtol=1e-6, atol=1e-6)


def test_a_second_fit_is_refused_with_the_remedy(tmp_path: Path) -> None:
    learner = toy.fit(toy.builder(tmp_path / "run", epochs=1))
    with pytest.raises(ConfigurationError, match=r'fitted once.*checkpoint\("latest"\)'):
        learner.fit(toy.train_loader())


def test_the_history_holds_every_epoch_of_both_splits_and_cannot_be_changed(tmp_path: Path) -> None:
    learner = toy.fit(toy.builder(tmp_path / "run"))
    assert {split: set(metrics) for split, metrics in learner.history.items()} == {
        "train": {"Loss", "Accuracy"},
        "valid": {"Loss", "Accuracy"},
    }
    for split, metrics in learner.history.items():
        for name, values in metrics.items():
            finals = [read_metric_file(tmp_path / f"run/{split}/epoch-{epoch}/{name}.log").final for epoch in (1, 2, 3)]
            assert list(values) == finals
    with pytest.raises(TypeError):
        learner.history["train"] = {}  # type: ignore[index]
    with pytest.raises(TypeError):
        learner.history["train"]["Loss"] = ()  # type: ignore[index]
    with pytest.raises(AttributeError):
        learner.history = {}  # type: ignore[misc,assignment]
    with pytest.raises(AttributeError):
        learner.stopped_by = "me"  # type: ignore[misc]
    assert learner.stopped_by is None


def test_a_metric_of_one_split_is_in_the_history_of_that_split_only(tmp_path: Path) -> None:
    described = ml.LearnerBuilder(tmp_path / "run").metric_valid(ml.metrics.Accuracy())
    learner = toy.fit(described.renderer(ml.renderers.SilentRenderer()))
    # the loss is always measured, shown and logged
    assert {split: set(metrics) for split, metrics in learner.history.items()} == {
        "train": {"Loss"},
        "valid": {"Loss", "Accuracy"},
    }
    names = {"valid/epoch-1/Accuracy.log", "valid/epoch-1/Loss.log", "train/epoch-1/Loss.log"}
    assert set(toy.metric_files(tmp_path / "run")) == names


def test_the_directory_has_the_documented_layout_and_nothing_else(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "run"))
    logs = {
        f"{split}/epoch-{n}/{m}.log" for split in ("train", "valid") for n in (1, 2, 3) for m in ("Loss", "Accuracy")
    }
    kept = toy.checkpoints(tmp_path / "run")
    files = {f"checkpoint/{part}-{n}.mpk.gz" for part in ("model", "optim", "scheduler") for n in kept}
    assert everything(tmp_path / "run") == logs | files | {
        "checkpoint/history.log",
        "checkpoint/manifest.json",
        "experiment.json",
        "experiment.log",
        "timeline.jsonl",
    }
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "checkpoint",
        "experiment.json",
        "experiment.log",
        "timeline.jsonl",
        "train",
        "valid",
    }


def test_without_a_checkpointer_and_application_log_there_are_no_such_files(tmp_path: Path) -> None:
    described = (
        ml.LearnerBuilder(tmp_path / "run").renderer(ml.renderers.SilentRenderer()).with_application_logger(None)
    )
    toy.fit(described)
    losses = {f"{split}/epoch-1/Loss.log" for split in ("train", "valid")}
    assert everything(tmp_path / "run") == {"experiment.json", "timeline.jsonl", *losses}


def test_a_metric_file_has_a_line_per_batch_whose_weighted_mean_is_the_final_one(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "run"))
    sizes = {"train": [8, 8, 8, 8, 3], "valid": [6, 6, 1]}
    for name, content in toy.metric_files(tmp_path / "run").items():
        lines = content.decode().splitlines()
        counts = sizes[name.partition("/")[0]]
        assert len(lines) == len(counts) + 1
        pairs = [line.split(",") for line in lines]
        assert [int(count) for _, count in pairs[:-1]] == counts
        assert pairs[-1][1] == "final"
        values = [float(value) for value, _ in pairs]
        assert all(re.fullmatch(r"\d+(\.\d+)?(e-\d+)?", value) for value, _ in pairs)
        mean = sum(v * n for v, n in zip(values[:-1], counts, strict=True)) / sum(counts)
        assert values[-1] == pytest.approx(mean, rel=1e-6)


def test_sample_weights_are_what_the_loss_is_a_mean_over(tmp_path: Path) -> None:
    x, y = toy.arrays(12)
    weights = np.linspace(0, 2, 12, dtype=np.float32)
    toy.fit(toy.builder(tmp_path / "run", epochs=1), ml.DataLoader((x, y, weights), 6))
    loss = read_metric_file(tmp_path / "run/train/epoch-1/Loss.log")
    np.testing.assert_allclose(loss.counts, [weights[:6].sum(), weights[6:].sum()], rtol=1e-6)
    accuracy = read_metric_file(tmp_path / "run/train/epoch-1/Accuracy.log")
    assert accuracy.counts == (5, 6)  # the first item weighs nothing


def test_experiment_json_says_what_was_declared(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "run").grads_accumulation(2))
    said = toy.experiment(tmp_path / "run")
    assert said["version"] == 1
    assert said["seed"] == toy.SEED
    assert said["optimizer"] == {"class": "Momentum", "beta": 0.9}
    assert said["scheduler"]["updates"] == 20
    assert said["builder"]["num_epochs"] == 3
    assert said["builder"]["grads_accumulation"] == 2
    assert said["metrics"][0] == {
        "name": "Loss",
        "unit": "",
        "numeric": True,
        "plotted": True,
        "better": "lowest",
        "repeatable": True,
        "splits": ["train", "valid"],
    }
    (session,) = said["sessions"]
    assert session["backend"] == "toy"
    assert session["device"] == "cpu:0"
    assert session["versions"] == {
        "python": platform.python_version(),
        "multilearn": metadata.version("multilearn-keras"),
        "numpy": np.__version__,
    }
    assert (session["outcome"], session["position"], session["reason"], session["error"]) == (
        "completed",
        "3",
        None,
        None,
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", session["started"])
    assert session["started"] <= session["ended"]


def test_equal_initial_weights_have_equal_fingerprints_and_others_another(tmp_path: Path) -> None:
    prints = []
    for number, seed in enumerate([5, 5, 6]):
        ml.set_seed(seed)
        toy.builder(tmp_path / str(number), epochs=1).build(toy.task()).fit(toy.train_loader())
        prints.append(toy.experiment(tmp_path / str(number))["weights_sha256"])
    assert re.fullmatch("[0-9a-f]{64}", prints[0])
    assert prints[0] == prints[1] != prints[2]


def test_the_log_tells_of_the_run_and_not_of_its_batches(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "run"))
    lines = log(tmp_path / "run").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ multilearn\S* ", line) for line in lines)
    said = [line.split(" ", 3)[3] for line in lines]
    assert "seed 7" in said[0] and "toy" in said[0]
    assert [line for line in said if line.endswith("done.")] == [f"Epoch {n} is done." for n in (1, 2, 3)]
    assert "completed" in said[-1]
    assert len(lines) < 16


def test_the_log_has_the_values_of_every_epoch(tmp_path: Path) -> None:
    learner = toy.fit(toy.builder(tmp_path / "run").metric_valid(ml.metrics.ConfusionMatrix(classes=3)))
    said = [line.split(" ", 3)[3] for line in log(tmp_path / "run").splitlines()]
    train, valid = learner.history["train"], learner.history["valid"]
    for at in range(3):
        assert f"Epoch {at + 1}, train: Loss {train['Loss'][at]:.6g}, Accuracy {train['Accuracy'][at]:.6g}." in said
        (line,) = [each for each in said if each.startswith(f"Epoch {at + 1}, valid: Loss {valid['Loss'][at]:.6g}, ")]
        assert "ConfusionMatrix" in line


def test_a_failure_is_in_the_log_with_its_traceback_and_in_experiment_json(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the data went away"):
        toy.fit(toy.builder(tmp_path / "run"), toy.failing(2, 3, OSError("the data went away")))
    (session,) = toy.experiment(tmp_path / "run")["sessions"]
    assert session["outcome"] == "failed"
    assert session["error"] == "OSError: the data went away"
    assert session["ended"] is not None
    text = log(tmp_path / "run")
    assert "Traceback (most recent call last)" in text
    assert "OSError: the data went away" in text


def test_a_run_that_was_stopped_says_why_and_where(tmp_path: Path) -> None:
    recorded = toy.Recorded()
    learner = toy.stopped(toy.builder(tmp_path / "run").metric_loggers(recorded), 2, 2)
    assert learner.stopped_by == "enough"
    assert recorded.events[-1] == Finished(Position(2, 3), "enough")
    (session,) = toy.experiment(tmp_path / "run")["sessions"]
    assert (session["outcome"], session["reason"], session["position"]) == ("stopped", "enough", "2.3")
    assert "enough" in log(tmp_path / "run")


def test_only_the_first_reason_to_stop_counts() -> None:
    interrupter = ml.Interrupter()
    interrupter.stop("first")
    interrupter.stop("second")
    assert interrupter.reason == "first"


def test_no_training_data_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    x, y = toy.arrays(3)
    for number, loader in enumerate([[], ml.DataLoader((x, y), 4, drop_last=True), ml.DataLoader((x[:0], y[:0]), 4)]):
        learner = toy.build(toy.builder(tmp_path / str(number)))
        with pytest.raises(DataError, match="at least one batch"):
            learner.fit(loader, toy.valid_loader())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", ["training", "validation"])
@pytest.mark.parametrize("data", [toy.arrays(3), {"x": toy.arrays(3)[0]}, toy.arrays(3)[0], "abc", 7, dict])
def test_what_is_no_loader_is_refused_with_the_remedy(tmp_path: Path, data: Any, split: str) -> None:
    learner = toy.build(toy.builder(tmp_path / "run"))
    with pytest.raises(DataError, match=rf"The {split} data must be a loader.*Received: \w+.*DataLoader\(\(x, y\)"):
        learner.fit(*((data,) if split == "training" else (toy.train_loader(), data)))
    with pytest.raises(DataError, match="training data must be a loader"):
        learner.fit(None)
    assert list(tmp_path.iterdir()) == []


def test_labels_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    x, y = toy.arrays(35)
    y = y.copy()
    y[-1] = toy.CLASSES  # in the last batch of the validation data
    with pytest.raises(DataError, match="Labels"):
        toy.fit(toy.builder(tmp_path / "run"), valid=ml.DataLoader((x, y), 8))
    assert list(tmp_path.iterdir()) == []


def test_validation_leaves_the_trained_weights_as_they_would_be_without_it(tmp_path: Path) -> None:
    alone = toy.build(toy.builder(tmp_path / "a"))
    alone.fit(toy.train_loader())
    validated = toy.fit(toy.builder(tmp_path / "b"))
    assert toy.weights(alone) == toy.weights(validated)
    train = [name for name in toy.metric_files(tmp_path / "b") if name.startswith("train")]
    assert toy.metric_files(tmp_path / "a") == {name: toy.metric_files(tmp_path / "b")[name] for name in train}


@pytest.mark.parametrize("valid", [[], ml.DataLoader((np.zeros((0, 4), np.float32), np.zeros(0, np.int32)), 4)])
def test_an_empty_validation_loader_is_warned_about(
    tmp_path: Path, valid: Any, caplog: pytest.LogCaptureFixture
) -> None:
    learner = toy.build(toy.builder(tmp_path / "run"))
    learner.fit(toy.train_loader(), valid)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 1 and "validation loader has no batch" in warned[0]
    assert set(learner.history) == {"train"}
    assert not (tmp_path / "run/valid").exists()
    assert "WARNING multilearn The validation loader has no batch" in log(tmp_path / "run")


def test_a_missing_validation_loader_is_not_worth_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toy.build(toy.builder(tmp_path / "run")).fit(toy.train_loader())
    assert [record for record in caplog.records if record.levelname != "INFO"] == []
    # nothing to be best by: the last two
    assert toy.checkpoints(tmp_path / "run") == ["2", "3"]


def test_the_loss_of_the_best_epoch_keeps_its_checkpoint(tmp_path: Path) -> None:
    x, y = toy.arrays(13)

    class Worse:
        """Validation whose labels are right in the second epoch only."""

        def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
            yield x, y if epoch == 2 else (y + 1) % toy.CLASSES

    learner = toy.fit(toy.builder(tmp_path / "run", epochs=5), valid=Worse())
    losses = learner.history["valid"]["Loss"]
    assert min(losses) == losses[1]
    assert toy.checkpoints(tmp_path / "run") == ["2", "4", "5"]


def test_all_listeners_see_every_event_the_first_one_first(tmp_path: Path) -> None:
    recorded, again = toy.Recorded(), toy.Recorded()
    toy.fit(toy.builder(tmp_path / "run", epochs=2).metric_loggers(recorded, again))
    assert recorded.events == again.events
    assert recorded.closed == again.closed == 1
    (started,) = recorded.of(Started)
    assert recorded.events[0] is started
    assert (started.directory, started.epochs, started.position) == (tmp_path / "run", 2, START)
    assert started.batches == {"train": toy.BATCHES, "valid": toy.VALID_BATCHES}
    assert recorded.events[-1] == Finished(Position(2))
    assert len(recorded.of(Stepped)) == 2 * (toy.BATCHES + toy.VALID_BATCHES)
    # loggers of one's own replace the default one
    assert toy.metric_files(tmp_path / "run") == {}


def test_the_renderer_hosts_the_run(tmp_path: Path) -> None:
    class Host(ml.renderers.SilentRenderer):
        said: list[str] = []  # noqa: RUF012

        def host(self, fit: Any) -> Any:
            self.said.append("before")
            result = fit()
            self.said.append("after")
            return result

        def render(self, event: Any) -> None:
            if isinstance(event, EpochEnded):
                self.said.append(f"epoch {event.epoch}")

        def close(self) -> None:
            self.said.append("closed")

    toy.fit(toy.builder(tmp_path / "run", epochs=2).renderer(Host()))
    assert Host.said == ["before", "epoch 1", "epoch 2", "closed", "after"]


def test_the_summary_is_printed_at_the_end_if_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.fit(toy.builder(tmp_path / "quiet", epochs=2))
    assert capsys.readouterr().out == ""
    toy.fit(toy.builder(tmp_path / "run", epochs=2).summary())
    said = capsys.readouterr().out
    assert str(tmp_path / "run") in said
    assert re.search(r"train .*first.*\n.*Loss .*\n.*Accuracy .*%", said)


def test_a_second_learner_cannot_write_into_the_directory_of_a_live_one(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def intrude(*batch: int) -> None:
        # `fit` looks at one batch before; then at the first of the run, when nothing is trained yet, and at a later one
        asked.append(batch)
        if len(asked) in (2, 8):
            with pytest.raises(DirectoryError, match="one writer at a time"):
                toy.fit(toy.builder(tmp_path / "run", overwrite=len(asked) == 8))

    toy.fit(toy.builder(tmp_path / "run"), toy.Watched(toy.train_loader(), intrude))
    assert (asked[1], asked[7]) == ((1, 0), (2, 1))
    assert len(toy.experiment(tmp_path / "run")["sessions"]) == 1
    assert not (tmp_path / "run/.lock").exists()


def test_overwrite_removes_the_files_of_the_old_run_and_no_others(tmp_path: Path) -> None:
    run = tmp_path / "run"
    toy.fit(toy.builder(run, epochs=3))
    mine = [
        "notes.txt",
        "train/plot.png",
        "train/epoch-2/plot.png",
        "checkpoint/copy.of.model",
        "train/epoch-x/Loss.log",
    ]
    for name in mine:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    toy.fit(toy.builder(run, epochs=1, overwrite=True))
    fresh = tmp_path / "fresh"
    toy.fit(toy.builder(fresh, epochs=1))
    assert everything(run) == everything(fresh) | set(mine)
    assert toy.checkpoint_files(run) == toy.checkpoint_files(fresh)
    assert {(run / name).read_text() for name in mine} == {"mine"}
    assert len(toy.experiment(run)["sessions"]) == 1


def test_an_installer_of_ones_own_gets_the_path_of_the_log(tmp_path: Path) -> None:
    from contextlib import contextmanager

    said: list[Any] = []

    @contextmanager
    def install(path: Path) -> Any:
        said.append(path)
        yield
        said.append("left")

    toy.fit(toy.builder(tmp_path / "run", epochs=1).with_application_logger(install))
    assert said == [tmp_path / "run/experiment.log", "left"]
    assert not (tmp_path / "run/experiment.log").exists()


def test_a_summary_needs_no_standard_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)  # as in a process without a console
    assert toy.fit(ml.LearnerBuilder(tmp_path / "run").metrics(ml.metrics.Loss()).summary()).history["train"]["Loss"]


def test_a_loader_that_has_nothing_left_in_a_later_epoch_is_an_error_and_no_epoch(tmp_path: Path) -> None:
    class Once:
        def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
            return toy.train_loader().iterate(seed, epoch, start) if epoch == 1 else iter(())

    with pytest.raises(DataError, match=r"at least one batch in every epoch\. Received: none in epoch 2"):
        toy.fit(toy.builder(tmp_path / "run"), Once())
    assert toy.checkpoints(tmp_path / "run") == ["1"]


def test_a_model_that_was_trained_before_is_said_to_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not one whose weights were put back, nor where a checkpoint is resumed."""

    def said(name: str, task: Any, resumed: str | None = None) -> bool:
        caplog.clear()
        described = toy.builder(tmp_path / name, 2 if resumed else 1)
        described = described.checkpoint("latest", tmp_path / resumed) if resumed else described
        ml.set_seed(toy.SEED)
        described.build(task, toy.Momentum(), 0.1).fit(toy.train_loader())
        return any("was trained before, in " in record.getMessage() for record in caplog.records)

    task = toy.task()
    begun = {name: value.copy() for name, value in task.model.weights.items()}
    assert [said("a", task), said("b", task), said("c", task, "b")] == [False, True, False]
    for name, value in begun.items():
        task.model.weights[name][...] = value
    again = toy.task()
    assert [said("d", again)] == [False]
    assert said("e", again)
