"""A builder as data: there and back, and what is refused."""

from __future__ import annotations

import io
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import toy_experiment as toy

import multilearn as ml
from multilearn import checkpoint as ck
from multilearn import early_stopping as es
from multilearn import metrics
from multilearn.errors import ConfigurationError
from multilearn.loggers import FileMetricLogger, TensorBoardLogger

finite = st.floats(0.001, 1e6, allow_nan=False)
counts = st.integers(1, 9)
splits = st.sampled_from(["train", "valid"])
directions = st.sampled_from(["lowest", "highest"])
names = st.sampled_from(["Loss", "Accuracy", "ünï code", 'quo"te\n'])

METRICS = [
    metrics.Loss(),
    metrics.Accuracy(),
    metrics.TopKAccuracy(3),
    metrics.Precision.binary(threshold=0.25),
    metrics.Recall.multiclass(average="weighted"),
    metrics.FBetaScore.multilabel(beta=2.0),
]

leaf_strategies = st.one_of(
    st.builds(ck.KeepLast, counts),
    st.builds(ck.KeepEvery, counts),
    st.builds(ck.KeepBest, names, split=splits, direction=directions, k=counts),
)
strategies = st.recursive(leaf_strategies, lambda of: st.lists(of, min_size=1, max_size=3).map(lambda s: ck.AnyOf(*s)))
leaf_rules = st.one_of(
    st.builds(es.NoImprovement, names, splits, directions, counts, finite, st.integers(0, 5)),
    st.builds(es.Threshold, names, splits, directions, finite),
    st.builds(es.TimeLimit, minutes=finite),
)
rules = st.recursive(
    leaf_rules,
    lambda of: st.tuples(st.sampled_from([es.FirstOf, es.AllOf]), st.lists(of, min_size=1, max_size=3)).map(
        lambda pair: pair[0](*pair[1])
    ),
)


@st.composite
def builders(draw: st.DrawFn) -> ml.LearnerBuilder:
    builder = ml.LearnerBuilder(draw(st.sampled_from(["runs/a", "runs/{backend}-{seed}", "ö/ä"])), draw(st.booleans()))
    for metric in draw(st.lists(st.sampled_from(METRICS), unique_by=lambda metric: metric.name)):
        methods = [builder.metrics, builder.metric_train, builder.metric_valid_numeric]
        builder = draw(st.sampled_from(methods))(metric)
    optional = [
        lambda b: b.num_epochs(draw(counts)),
        lambda b: b.grads_accumulation(draw(counts)),
        lambda b: b.validate_every(draw(counts)),
        lambda b: b.with_file_checkpointer(draw(st.sampled_from([None, ck.MpkRecorder(), ck.MpkGzRecorder(4)]))),
        lambda b: b.with_checkpointing_strategy(draw(strategies)),
        lambda b: b.early_stopping(draw(rules)),
        lambda b: b.restore_best(draw(names), draw(splits), draw(directions)),
        lambda b: b.checkpoint_every(batches=draw(counts)),
        lambda b: b.checkpoint_every(minutes=draw(finite)),
        lambda b: b.checkpoint(
            draw(st.sampled_from([3, "latest", "best", "3.120"])), draw(st.sampled_from([None, "x"]))
        ),
        lambda b: b.nan_policy(draw(st.sampled_from(["stop", "skip", "ignore"]))),
        lambda b: b.engine(passes=draw(st.booleans())),
        lambda b: b.engine(compile=draw(st.sampled_from(["inductor", "xla", None]))),
        lambda b: b.engine(capture=draw(st.booleans())),
        lambda b: b.devices(["cpu"]),
        lambda b: b.metric_loggers(),
        lambda b: b.with_application_logger(None),
        lambda b: b.summary(),
    ]
    for option in optional:
        if draw(st.booleans()):
            builder = option(builder)
    return builder


@given(builders())
def test_a_builder_comes_back_equal_from_its_toml(
    tmp_path_factory: pytest.TempPathFactory, builder: ml.LearnerBuilder
) -> None:
    path = tmp_path_factory.getbasetemp() / "builder.toml"
    path.write_text(builder.to_toml(), encoding="utf-8")
    assert ml.LearnerBuilder.from_toml(path) == builder


def read(tmp_path: Path, text: str) -> ml.LearnerBuilder:
    path = tmp_path / "builder.toml"
    path.write_text(text, encoding="utf-8")
    return ml.LearnerBuilder.from_toml(path)


def test_only_the_directory_must_be_said_and_the_rest_has_the_defaults_of_the_builder(tmp_path: Path) -> None:
    assert read(tmp_path, 'directory = "runs/a"') == ml.LearnerBuilder("runs/a")


def test_the_name_of_a_type_stands_for_its_defaults_and_a_metric_is_on_both_splits(tmp_path: Path) -> None:
    text = 'directory = "a"\nmetrics = ["Accuracy"]\nfile_checkpointer = "MpkGzRecorder"'
    described = ml.LearnerBuilder("a").metrics(metrics.Accuracy()).with_file_checkpointer()
    assert read(tmp_path, text) == described


def test_the_name_of_a_type_stands_for_its_defaults_also_among_several(tmp_path: Path) -> None:
    rules = read(tmp_path, 'directory = "a"\nearly_stopping = {type = "FirstOf", rules = ["NoImprovement"]}')
    assert rules == ml.LearnerBuilder("a").early_stopping(es.FirstOf(es.NoImprovement()))
    kept = read(tmp_path, 'directory = "a"\ncheckpointing_strategy = {type = "AnyOf", strategies = ["KeepBest"]}')
    assert kept == ml.LearnerBuilder("a").with_checkpointing_strategy(ck.AnyOf(ck.KeepBest()))
    with pytest.raises(ConfigurationError, match="Did you mean 'NoImprovement'"):
        read(tmp_path, 'directory = "a"\nearly_stopping = {type = "AllOf", rules = ["NoImprovment"]}')


@pytest.mark.parametrize(
    ("text", "received", "remedy"),
    [
        ('num_epoch = 3\ndirectory = "a"', "'num_epoch'", "Did you mean 'num_epochs'?"),
        ('directory = "a"\n[engine]\ncaptur = true', "'captur'", "Did you mean 'capture'?"),
        ('directory = "a"\nmetrics = ["Acuracy"]', "'Acuracy'", "Did you mean 'Accuracy'?"),
        ('directory = "a"\nmetrics = [{type = "Precision", mod = "binary"}]', "'mod'", "Did you mean 'mode'?"),
        ('directory = "a"\nmetrics = [{type = "Loss", splits = ["vaild"]}]', "'vaild'", "Did you mean 'valid'?"),
        ('directory = "a"\n[early_stopping]\ntype = "NoImprovment"', "'NoImprovment'", "Did you mean 'NoImprovement'?"),
        ('directory = "a"\n[checkpoint]\nwich = "latest"', "'wich'", "Did you mean 'which'?"),
        ('directory = "a"\n[restore_best]\nmetrik = "Loss"', "'metrik'", "Did you mean 'metric'?"),
        (
            'directory = "a"\n[checkpointing_strategy]\ntype = "AnyOf"\nstrategies = [{type = "KepLast"}]',
            "'KepLast'",
            "Did you mean 'KeepLast'?",
        ),
        ("num_epochs = 3", "none", 'Write directory = "runs/a".'),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(
    tmp_path: Path, text: str, received: str, remedy: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert f"Received: {received}." in str(caught.value)
    assert str(caught.value).endswith(remedy)


@pytest.mark.parametrize(
    "text",
    [
        "num_epochs = '3'",
        "num_epochs = 0",
        "summary = 1",
        "overwrite = 'yes'",
        "nan_policy = 'skp'",
        "devices = 'cpu'",
        "restore_best = true",
        "metrics = 'Loss'",
        "metrics = ['Loss', 'Loss']",
        "metrics = [{type = 'Loss', plotted = 'no'}]",
        "metrics = [{type = 'Loss', splits = []}]",
        "metrics = [{splits = ['train']}]",
        "metrics = [3]",
        "metric_loggers = 'FileMetricLogger'",
        "metric_loggers = ['MemoryMetricLogger']",
        "metric_loggers = [{type = 'TensorBoardLogger', every = 0}]",
        "metric_loggers = ['FileMetricLogger', 'FileMetricLogger']",
        "checkpoint = {directory = 'b'}",
        "checkpoint = {which = 1.5}",
        "checkpoint = {which = 'latest', directory = 3}",
        "checkpoint_every = {batches = 3, minutes = 1}",
        "file_checkpointer = {type = 'MpkGzRecorder', precision = 'haf'}",
        "early_stopping = {type = 'NoImprovement', epochs = 0}",
        "checkpointing_strategy = {type = 'AnyOf'}",
        "checkpointing_strategy = {type = 'AnyOf', strategies = 3}",
    ],
)
def test_values_that_do_not_fit_are_refused_by_what_they_are_for(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="Received: "):
        read(tmp_path, f'directory = "a"\n{text}')


def test_loggers_are_data_there_and_back(tmp_path: Path) -> None:
    text = 'directory = "a"\nmetric_loggers = ["FileMetricLogger", {type = "TensorBoardLogger", every = 10}]'
    described = read(tmp_path, text)
    expected = ml.LearnerBuilder("a").metric_loggers(FileMetricLogger(), TensorBoardLogger(10))
    assert described == expected
    assert read(tmp_path, described.to_toml()) == described
    run = toy.builder(tmp_path / "run").metric_loggers(
        FileMetricLogger(), TensorBoardLogger(10, str(tmp_path / "events"))
    )
    toy.fit(run)
    again = ml.LearnerBuilder.from_experiment(tmp_path / "run")
    assert again._settings.loggers == run._settings.loggers


def test_a_logger_of_the_users_makes_all_of_them_no_data() -> None:
    described = ml.LearnerBuilder("a").metric_loggers(FileMetricLogger(), toy.Recorded())
    with pytest.raises(ConfigurationError, match=r"metric_loggers\(FileMetricLogger, Recorded\)"):
        described.to_toml()


def test_an_unknown_logger_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"metric_loggers\[0\].*Did you mean 'TensorBoardLogger'"):
        read(tmp_path, 'directory = "a"\nmetric_loggers = ["TensorboardLogger"]')


def test_a_file_that_is_missing_or_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        ml.LearnerBuilder.from_toml(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigurationError, match=r"builder\.toml"):
        read(tmp_path, "directory = [")


@dataclass(frozen=True)
class Mine(metrics.Loss):
    """A metric of one's own."""

    name: ClassVar[str] = "Mine"


class Quiet(ml.renderers.SilentRenderer):
    """A renderer of one's own."""


@pytest.mark.parametrize(
    ("written", "renderer"),
    [
        ('"SilentRenderer"', ml.renderers.SilentRenderer()),
        ('"NotebookRenderer"', ml.renderers.NotebookRenderer()),
        ('"ScreenRenderer"', ml.renderers.ScreenRenderer()),
        ('{type = "ScreenRenderer", persistent = true}', ml.renderers.ScreenRenderer(persistent=True)),
        ('{type = "CliRenderer", live = false}', ml.renderers.CliRenderer(live=False)),
    ],
)
def test_renderers_are_data_there_and_back(tmp_path: Path, written: str, renderer: ml.renderers.Renderer) -> None:
    described = read(tmp_path, f'directory = "a"\nrenderer = {written}')
    assert described == ml.LearnerBuilder("a").renderer(renderer)
    assert read(tmp_path, described.to_toml()) == described


def test_a_renderer_with_a_stream_of_its_own_is_no_data() -> None:
    with pytest.raises(ConfigurationError, match=r"renderer\(CliRenderer\)"):
        ml.LearnerBuilder("a").renderer(ml.renderers.CliRenderer(io.StringIO())).to_toml()


def test_what_is_not_data_is_refused_by_to_toml_and_named() -> None:
    described = ml.LearnerBuilder("a").metrics(Mine()).renderer(Quiet())
    with pytest.raises(ConfigurationError, match=r"metric_train\(Mine\(\)\).*renderer\(Quiet\)"):
        described.to_toml()


def test_the_builder_of_a_run_comes_back_from_its_experiment_json(tmp_path: Path) -> None:
    described = (
        ml.LearnerBuilder(tmp_path / "run")
        .metrics(metrics.Loss())
        .num_epochs(2)
        .with_file_checkpointer(ck.MpkRecorder())
        .with_checkpointing_strategy(ck.AnyOf(ck.KeepLast(1), ck.KeepBest()))
        .early_stopping(es.FirstOf(es.NoImprovement(epochs=5), es.TimeLimit(hours=1)))
    )
    toy.build(described).fit(toy.train_loader(), toy.valid_loader())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ml.LearnerBuilder.from_experiment(tmp_path / "run") == described
    table = toy.experiment(tmp_path / "run")["builder"]
    assert table == tomllib.loads(described.to_toml())


def test_a_builder_that_comes_back_may_run_elsewhere(tmp_path: Path) -> None:
    described = ml.LearnerBuilder(tmp_path / "run").metrics(metrics.Loss())
    toy.build(described).fit(toy.train_loader(), toy.valid_loader())
    (tmp_path / "builder.toml").write_text(described.to_toml())
    elsewhere = ml.LearnerBuilder(tmp_path / "other").metrics(metrics.Loss())
    assert ml.LearnerBuilder.from_toml(tmp_path / "builder.toml", tmp_path / "other") == elsewhere
    assert ml.LearnerBuilder.from_experiment(tmp_path / "run", tmp_path / "other") == elsewhere


def test_what_was_not_data_is_missing_from_experiment_json_and_a_warning_says_so(tmp_path: Path) -> None:
    described = ml.LearnerBuilder(tmp_path / "run").metrics(metrics.Loss())
    silent = described.metric_valid(Mine()).renderer(Quiet())
    toy.build(silent).fit(toy.train_loader(), toy.valid_loader())
    with pytest.warns(UserWarning, match=r"metric_valid\(Mine\(\)\), \.renderer\(Quiet\)"):
        assert ml.LearnerBuilder.from_experiment(tmp_path / "run") == described


def test_a_directory_without_a_run_has_no_builder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Give the directory of a run"):
        ml.LearnerBuilder.from_experiment(tmp_path)


def test_the_precision_of_records_in_files_of_version_0_1_is_no_longer_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    text = ml.LearnerBuilder("a").with_file_checkpointer().to_toml()
    path.write_text(text.replace('type = "MpkGzRecorder"', 'type = "MpkGzRecorder"\nprecision = "full"'))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ml.LearnerBuilder.from_toml(path).to_toml() == text
    path.write_text(path.read_text().replace('"full"', '"half"'))
    with pytest.warns(UserWarning, match=r"run\.toml: precision\. Records are full") as warned:
        assert ml.LearnerBuilder.from_toml(path).to_toml() == text
    assert warned[0].filename == __file__
