"""The builder: a value that every method copies, and refusals before anything is written."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy
from toy_backend import Momentum, ToyDevice

import multilearn as ml
from multilearn.checkpoint import AnyOf, KeepBest, KeepLast, MpkGzRecorder
from multilearn.early_stopping import FirstOf, NoImprovement
from multilearn.errors import BackendError, ConfigurationError, DirectoryError, MultilearnError
from multilearn.loggers import FileMetricLogger, MemoryMetricLogger
from multilearn.metrics import Accuracy, Entry, Loss
from multilearn.renderers import SilentRenderer

Builder = ml.LearnerBuilder


@dataclasses.dataclass(frozen=True)
class Text:
    """A metric whose values are text."""

    name: str = "Text"
    unit: str = ""
    numeric: bool = False

    def measure(self, ops: Any, output: Any) -> Mapping[str, Any]:
        return {}

    def merge(self, state: Any, measured: Any) -> Any:
        return {}

    def entry(self, state: Any) -> Entry:
        return Entry("text")


METHODS: dict[str, Callable[[Builder], Builder]] = {
    "metric_train": lambda b: b.metric_train(Loss()),
    "metric_valid": lambda b: b.metric_valid(Loss()),
    "metric_train_numeric": lambda b: b.metric_train_numeric(Loss()),
    "metric_valid_numeric": lambda b: b.metric_valid_numeric(Loss()),
    "metrics": lambda b: b.metrics(Loss(), Accuracy()),
    "metric_loggers": lambda b: b.metric_loggers(MemoryMetricLogger()),
    "num_epochs": lambda b: b.num_epochs(3),
    "grads_accumulation": lambda b: b.grads_accumulation(3),
    "validate_every": lambda b: b.validate_every(3),
    "with_file_checkpointer": lambda b: b.with_file_checkpointer(),
    "with_checkpointing_strategy": lambda b: b.with_checkpointing_strategy(KeepLast(3)),
    "checkpoint": lambda b: b.checkpoint("latest"),
    "devices": lambda b: b.devices(["cpu:0"]),
    "renderer": lambda b: b.renderer(SilentRenderer()),
    "with_application_logger": lambda b: b.with_application_logger(None),
    "with_interrupter": lambda b: b.with_interrupter(ml.Interrupter()),
    "restore_best": lambda b: b.restore_best(),
    "checkpoint_every": lambda b: b.checkpoint_every(batches=10),
    "early_stopping": lambda b: b.early_stopping(NoImprovement()),
    "nan_policy": lambda b: b.nan_policy("skip"),
    "engine": lambda b: b.engine(capture=False),
    "summary": lambda b: b.summary(),
    "on_epoch": lambda b: b.on_epoch(lambda report: None),
}


def test_every_method_that_describes_is_tried_here() -> None:
    public = {name for name in dir(Builder) if not name.startswith("_")}
    assert public - {"build", "from_experiment", "from_toml", "to_toml"} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_returns_a_new_builder_and_leaves_the_old_one(name: str) -> None:
    old, twin = Builder("runs/a"), Builder("runs/a")
    new = METHODS[name](old)
    assert isinstance(new, Builder)
    assert new is not old
    assert old == twin
    assert new != old


def test_a_builder_is_frozen() -> None:
    builder = Builder("runs/a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        builder._settings = None  # type: ignore[misc,assignment]


def test_a_half_built_one_can_be_shared(tmp_path: Path) -> None:
    half = toy.builder(tmp_path / "{seed}", epochs=1)
    lengths = []
    for seed, epochs in ((1, 1), (2, 2)):
        ml.set_seed(seed)
        learner = half.num_epochs(epochs).build(toy.task())
        learner.fit(toy.train_loader())
        lengths.append(len(learner.history["train"]["Loss"]))
    assert lengths == [1, 2]


def test_one_builder_does_not_tie_its_learners_together(tmp_path: Path) -> None:
    described = toy.builder(tmp_path / "run", 1, overwrite=True)
    first, second = toy.fit(described), toy.fit(described)
    assert first.history == second.history


REFUSED: dict[str, tuple[Callable[[Builder], Any], str]] = {
    "no epochs": (lambda b: b.num_epochs(0), r"num_epochs must be .* at least 1\. Received: 0\. .*leave it out"),
    "no accumulation": (
        lambda b: b.grads_accumulation(0),
        r"grads_accumulation must be .* at least 1\. Received: 0\. To update on every batch, leave it out",
    ),
    "a metric twice": (lambda b: b.metric_train(Loss()).metric_train(Loss()), "Loss twice on train"),
    "a metric twice, plotted": (
        lambda b: b.metric_valid(Loss()).metric_valid_numeric(Loss()),
        "Loss twice on valid",
    ),
    "a metric twice, at once": (lambda b: b.metrics(Loss(), Loss()), "Loss twice on train"),
    "a text metric, plotted": (
        lambda b: b.metric_train_numeric(Text()),
        r"Only a numeric metric.*Received: Text, whose values are text\. Register it with \.metric_train\(",
    ),
    "a text metric, plotted in validation": (lambda b: b.metric_valid_numeric(Text()), r"\.metric_valid\("),
    "a metric without a name": (lambda b: b.metric_train(Text(name=" ")), "name of the metric must be a text"),
    "a metric's class": (lambda b: b.metric_train(Loss), "with parentheses"),
    "no metric": (lambda b: b.metrics("Loss"), "must have name, unit, numeric, measure, merge and entry"),
    "no logger": (lambda b: b.metric_loggers("file"), "metric logger must have"),
    "a logger's class": (lambda b: b.metric_loggers(MemoryMetricLogger), "with parentheses"),
    "no renderer": (lambda b: b.renderer(None), "renderer must have"),
    "no recorder": (lambda b: b.with_file_checkpointer("mpk"), "recorder must have"),
    "a recorder's class": (lambda b: b.with_file_checkpointer(MpkGzRecorder), "with parentheses"),
    "no strategy": (lambda b: b.with_checkpointing_strategy(2), "checkpointing strategy must have"),
    "no interrupter": (lambda b: b.with_interrupter("SIGINT"), "interrupter"),
    "the best of nothing": (lambda b: b.restore_best(""), "watched by its name"),
    "the best of no split": (lambda b: b.restore_best("Loss", "validation"), "Received: 'validation'"),
    "the best in no direction": (lambda b: b.restore_best(direction="min"), "Received: 'min'"),
    "no interval": (lambda b: b.checkpoint_every(), "checkpoint_every takes .*Received: neither"),
    "two intervals": (lambda b: b.checkpoint_every(batches=5, minutes=1), "Received: both"),
    "every batch at once": (lambda b: b.checkpoint_every(batches=0), "Received: 0"),
    "no minutes": (lambda b: b.checkpoint_every(minutes=0), "Received: 0"),
    "endless minutes": (lambda b: b.checkpoint_every(minutes=float("inf")), "Received: inf"),
    "minutes that are no number": (lambda b: b.checkpoint_every(minutes=float("nan")), "Received: nan"),
    "no rule": (lambda b: b.early_stopping(5), "stopping rule must have the method reason"),
    "a rule's class": (lambda b: b.early_stopping(NoImprovement), "with parentheses"),
    "an unknown NaN policy": (
        lambda b: b.nan_policy("raise"),
        'one of "stop", "skip" and "ignore". Received: \'raise\'',
    ),
    "capture as a number": (lambda b: b.engine(capture=1), "capture is True or False"),
    "passes as text": (lambda b: b.engine(passes="no"), "passes is True or False"),
    "an unknown compiler": (lambda b: b.engine(compile="indutcor"), "Received: 'indutcor'"),
    "a compiler of eager steps": (lambda b: b.engine(capture=False, compile="xla"), "What is compiled is the captured"),
    "no device": (lambda b: b.devices([]), "trains on at least one device"),
    "None in place of devices": (lambda b: b.devices(None), "trains on at least one device"),
    "a number of devices": (lambda b: b.devices(2), "Devices are given by name. Received: 2"),
    "a checkpoint as a float": (
        lambda b: b.checkpoint(3.12),
        r"by an epoch \(int\) or by text.*Received: 3\.12\. Write it in quotes: '3\.12'",
    ),
    "checkpoint 0": (lambda b: b.checkpoint(0), "Epochs are counted from 1"),
    "checkpoint '0.3'": (lambda b: b.checkpoint("0.3"), "Epochs are counted from 1"),
    "a negative checkpoint": (lambda b: b.checkpoint(-1), "named by an epoch"),
    "checkpoint None": (lambda b: b.checkpoint(None), "named by an epoch"),
    "an unknown word": (lambda b: b.checkpoint("newest"), r"'latest', 'best'.*Received: 'newest'"),
    "a path as a checkpoint": (lambda b: b.checkpoint("../3"), r"Received: '\.\./3'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_at_the_call(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(ConfigurationError, match=message):
        call(Builder("runs/a"))


@pytest.mark.parametrize("directory", ["", None, 3, Path])
def test_a_run_needs_a_directory(directory: Any) -> None:
    with pytest.raises(ConfigurationError, match="path of its directory"):
        Builder(directory)


def test_a_refusal_is_the_builtin_error_a_caller_would_catch() -> None:
    with pytest.raises(ValueError, match="num_epochs"):
        Builder("runs/a").num_epochs(0)


def test_the_same_metric_on_both_splits_and_variants_with_other_names_are_welcome() -> None:
    builder = Builder("runs/a").metric_train(Text("a")).metric_valid(Text("a")).metric_train(Text("b"))
    assert len(builder._settings.metrics) == 3


def test_a_text_metric_among_metrics_is_logged_and_not_plotted() -> None:
    registered = Builder("runs/a").metrics(Text(), Loss())._settings.metrics
    assert [(each.metric.name, str(each.split), each.plotted) for each in registered] == [
        ("Text", "train", False),
        ("Text", "valid", False),
        ("Loss", "train", True),
        ("Loss", "valid", True),
    ]


@pytest.mark.parametrize("devices", [["cpu:0"], "cpu:0", ToyDevice(), [ToyDevice()], ("cpu:0",)])
def test_one_device_may_be_given_in_any_way(devices: Any) -> None:
    assert Builder("runs/a").devices(devices)._settings.devices == ("cpu:0",)


@pytest.mark.parametrize(
    ("devices", "rule"),
    [(["cpu:0", "cpu:1"], "On toy a learner trains on one device"), (["gpu:0"], "that toy sees here: cpu:0")],
)
def test_devices_that_the_backend_does_not_have_are_refused(tmp_path: Path, devices: Any, rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        toy.build(toy.builder(tmp_path / "run").devices(devices))


def test_devices_that_the_command_line_asks_for_are_not_of_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULTILEARN_DEVICES", "1")
    toy.fit(toy.builder(tmp_path / "run"))
    experiment = toy.experiment(tmp_path / "run")
    assert "devices" not in experiment["builder"]
    assert experiment["sessions"][0]["devices"] == ["cpu:0"]


def test_all_devices_are_those_of_the_backend(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "run").devices("all"))
    experiment = toy.experiment(tmp_path / "run")
    assert experiment["builder"]["devices"] == ["all"]
    assert experiment["sessions"][0]["devices"] == ["cpu:0"]


def test_build_and_refusals_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    learner = toy.build(toy.builder(tmp_path / "deep/runs/{backend}").summary())
    assert learner.directory == tmp_path / "deep/runs/toy"
    for model in (None, "model", toy.task().model):
        with pytest.raises(ConfigurationError):
            toy.builder("run").build(model)
    with pytest.raises(ConfigurationError, match="learning rate"):
        toy.builder("run").build(toy.task(), Momentum(), -0.1)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_backend_is_refused_by_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTILEARN_BACKEND", "toi")
    with pytest.raises(BackendError, match="Did you mean 'toy'"):
        toy.builder(tmp_path / "run").build(toy.task())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["in the way", "in the way/run", "in the way/deep/run"])
def test_a_file_in_the_way_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in the way").write_text("mine")
    with pytest.raises(DirectoryError, match=r"must be a directory.*in the way, which is a file"):
        toy.build(toy.builder(tmp_path / name, overwrite=True))
    assert (tmp_path / "in the way").read_text() == "mine"


def let_in(path: Path) -> None:
    """Let everybody look into what pytest made for us alone."""
    for folder in (path, *path.parents[:3]):
        if folder.stat().st_uid == os.getuid():
            folder.chmod(0o755)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Somebody to whom permissions apply."""
    if os.name != "posix":
        pytest.skip("permissions of POSIX")
    if os.getuid():
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.parametrize("name", ["", "run", "deep/run"])
def test_a_directory_that_cannot_be_written_to_is_refused_by_build(
    tmp_path: Path, request: pytest.FixtureRequest, name: str
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    let_in(tmp_path)
    request.getfixturevalue("unprivileged")
    with pytest.raises(DirectoryError, match=r"must be writable.*locked is not"):
        toy.build(toy.builder(locked / name))


def test_a_directory_below_one_that_cannot_be_looked_into_is_refused_by_build(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    let_in(tmp_path)
    request.getfixturevalue("unprivileged")
    with pytest.raises(DirectoryError, match=r"must be writable.*closed is not"):
        toy.build(toy.builder(closed / "deep" / "run"))


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a file system on which nobody can write")
def test_a_directory_that_cannot_be_made_is_refused_by_fit() -> None:
    with pytest.raises(DirectoryError, match="must be writable"):
        toy.fit(toy.builder("/proc/runs/a"))


def existing(directory: Path, how: str) -> None:
    """A run in `directory` that ended in some way."""
    if how == "completed":
        toy.fit(toy.builder(directory, 2))
    elif how == "stopped":
        toy.stopped(toy.builder(directory, 2), 1, 2)
    elif how == "failed":
        with pytest.raises(OSError, match="went away"):
            toy.fit(toy.builder(directory, 2), toy.failing(1, 2, OSError("the data went away")))
    elif how == "killed":
        toy.fit(toy.builder(directory, 2))
        text = (directory / "experiment.json").read_text()
        for value in ('"completed"', '"2"'):
            text = text.replace(value, "null")
        (directory / "experiment.json").write_text(text)
    elif how == "unknown":
        toy.fit(toy.builder(directory, 2))
        (directory / "experiment.json").unlink()
    elif how == "unreadable":
        directory.mkdir()
        (directory / "experiment.json").write_text("{")


ENDINGS = {
    "completed": r"was completed at 2",
    "stopped": r"was stopped at 1\.3 \(enough\)",
    "failed": r"failed at 1\.2 \(OSError: the data went away\)",
    "killed": r"is still running or was killed",
    "unknown": r"left no record of how it ended",
    "unreadable": r"left no record of how it ended",
}


@pytest.mark.parametrize("how", ENDINGS)
def test_a_directory_with_a_run_in_it_is_refused_with_how_that_ended_and_the_remedies(tmp_path: Path, how: str) -> None:
    run = tmp_path / "run"
    existing(run, how)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(DirectoryError) as caught:
        toy.build(toy.builder(run))
    assert caught.match(ENDINGS[how])
    assert caught.match(r'\.checkpoint\("latest"\).*overwrite=True.*another directory')
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    # the remedies work
    toy.fit(toy.builder(run, 2).checkpoint("latest"))
    toy.fit(toy.builder(run, 2, overwrite=True))


def test_a_run_that_appears_between_build_and_fit_is_refused_by_fit(tmp_path: Path) -> None:
    learner = toy.build(toy.builder(tmp_path / "run"))
    toy.fit(toy.builder(tmp_path / "run"))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(DirectoryError, match="holds one that was completed"):
        learner.fit(toy.train_loader())
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("content", ["nothing", "notes"])
def test_a_directory_without_a_run_in_it_may_be_used(tmp_path: Path, content: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    if content == "notes":
        (run / "notes.txt").write_text("mine")
        (run / "train").mkdir()
    toy.fit(toy.builder(run, 1))
    assert toy.checkpoints(run) == ["1"]


def test_a_lock_that_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").write_text("")
    toy.fit(toy.builder(run, 1))
    assert not (run / ".lock").exists()


def test_every_refusal_of_this_library_is_one_of_its_errors() -> None:
    assert issubclass(BackendError, (ConfigurationError, ImportError))
    assert issubclass(DirectoryError, ConfigurationError)
    assert issubclass(ConfigurationError, MultilearnError)


CONTRADICTIONS: dict[str, tuple[Callable[[Builder], Builder], str]] = {
    "a strategy and nothing saved": (
        lambda b: b.with_checkpointing_strategy(KeepLast(3)),
        r"needs a checkpointer\. Received: KeepLast\(n=3\).*Add \.with_file_checkpointer\(\)",
    ),
    "the best by a metric that is only measured in training": (
        lambda b: (
            b.metric_train(Accuracy())
            .with_file_checkpointer()
            .with_checkpointing_strategy(AnyOf(KeepLast(1), KeepBest("Accuracy", direction="highest")))
        ),
        r"Received: 'Accuracy' on valid, where there are: Loss\. Register it with \.metric_valid_numeric",
    ),
    "an interval and nothing saved": (
        lambda b: b.checkpoint_every(batches=100),
        r"checkpoint_every needs a checkpointer\. Received: SaveInterval\(batches=100, .*Add \.with_file_checkpointer",
    ),
    "the best of what is not measured": (
        lambda b: b.restore_best("Accuracy", direction="highest"),
        r"restore_best watches .*'Accuracy' on valid, where there are: Loss\. Register it with \.metric_valid_numeric",
    ),
    "the best of what is only measured in validation": (
        lambda b: b.metric_valid(Accuracy()).restore_best("Accuracy", "train", "highest"),
        "'Accuracy' on train",
    ),
    "the best of a test": (lambda b: b.restore_best("Loss", "test"), "restore_best watches the training or the"),
    "a rule about what is not measured": (
        lambda b: b.early_stopping(FirstOf(NoImprovement(), NoImprovement("Acuracy", direction="highest"))),
        "early_stopping watches .*'Acuracy' on valid",
    ),
    "a rule about a text": (
        lambda b: b.metric_valid(Text()).early_stopping(NoImprovement("Text")),
        "'Text' on valid",
    ),
    "the best by a text": (
        lambda b: b.metric_valid(Text()).with_file_checkpointer().with_checkpointing_strategy(KeepBest("Text")),
        "'Text' on valid",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions_are_refused_by_build_with_nothing_on_disk(tmp_path: Path, case: str) -> None:
    described, message = CONTRADICTIONS[case]
    with pytest.raises(ConfigurationError, match=message):
        toy.build(described(Builder(tmp_path / "run")))
    assert list(tmp_path.iterdir()) == []


def test_the_best_by_a_registered_metric_or_by_the_loss_is_welcome(tmp_path: Path) -> None:
    strategy = AnyOf(KeepBest(split="train"), KeepBest("Accuracy", direction="highest"))
    described = Builder(tmp_path / "run").metric_valid(Accuracy()).with_file_checkpointer()
    toy.build(described.with_checkpointing_strategy(strategy))


def test_a_name_too_long_for_a_file_is_refused(tmp_path: Path) -> None:
    class Long(ml.metrics.Loss):
        name = "ä" * 60

    with pytest.raises(ConfigurationError, match="of at most 200 bytes"):
        toy.builder(tmp_path / "run").metric_train(Long())


def test_a_logger_is_told_once(tmp_path: Path) -> None:
    memory = MemoryMetricLogger()
    with pytest.raises(ConfigurationError, match=r"given once.*MemoryMetricLogger twice"):
        toy.builder(tmp_path).metric_loggers(memory, FileMetricLogger(), memory)
    with pytest.raises(ConfigurationError, match=r"given once.*FileMetricLogger twice"):
        toy.builder(tmp_path).metric_loggers(FileMetricLogger(), memory, FileMetricLogger())
    toy.builder(tmp_path).metric_loggers(MemoryMetricLogger(), MemoryMetricLogger(), FileMetricLogger())
