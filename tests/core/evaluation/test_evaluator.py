"""A trained model on test data: values, files, refusals, predictions."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.toy_experiment import CLASSES, FEATURES, Recorded, arrays, builder, fit, task, weights
from toy_backend import STREAM, SoftmaxModel

import multilearn as ml
from multilearn.errors import CheckpointNotFound, ConfigurationError, DataError, RecordMismatch
from multilearn.events import Evaluating, Finished, Split, SplitEnded, Stepped

QUIET = ml.renderers.SilentRenderer()


def loader(items: int = 11) -> ml.DataLoader:
    """Batches of 4, 4 and 3."""
    return ml.DataLoader(arrays(items), 4)


def evaluator(directory: Path | str, **options: Any) -> ml.Evaluator:
    return ml.Evaluator(directory, [ml.metrics.Accuracy()], **{"renderer": QUIET, **options})


def by_hand(model: SoftmaxModel, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The mean cross-entropy and the share of right classes."""
    logits = model(x).astype(np.float64)
    scores = np.exp(logits - logits.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    return float(-np.log(scores[np.arange(len(y)), y]).mean()), float((logits.argmax(-1) == y).mean())


def files(directory: Path) -> dict[str, str]:
    return {path.relative_to(directory).as_posix(): path.read_text() for path in sorted(directory.rglob("*.log"))}


def test_the_values_are_those_over_all_items_and_the_loss_is_among_them(tmp_path: Path) -> None:
    ml.set_seed(1)
    trained = task()
    values = evaluator(tmp_path).evaluate(trained, loader())
    loss, accuracy = by_hand(trained.model, *arrays(11))
    assert values == {"Accuracy": pytest.approx(accuracy), "Loss": pytest.approx(loss, rel=1e-6)}


def test_batches_may_come_from_a_generator_and_nobody_knows_how_many(tmp_path: Path) -> None:
    ml.set_seed(1)
    x, y = arrays(11)
    trained, recorded = task(), Recorded()
    batches = ((x[start : start + 4], y[start : start + 4]) for start in (0, 4, 8))
    values = evaluator(tmp_path, metric_loggers=[recorded]).evaluate(trained, batches)
    assert values == evaluator(tmp_path).evaluate(trained, loader())
    assert next(event for event in recorded.events if isinstance(event, Evaluating)).batches is None
    stream = (x[start : start + 4] for start in (0, 4, 8))
    np.testing.assert_array_equal(np.concatenate(list(ml.predict(trained, stream))), trained.model(x))


def test_the_files_have_a_line_for_each_batch_and_the_exact_value_at_the_end(tmp_path: Path) -> None:
    ml.set_seed(1)
    trained = task()
    values = evaluator(tmp_path).evaluate(trained, loader(), "clean / rainy")
    found = files(tmp_path)
    assert list(found) == ["test/clean_%2F_rainy/Accuracy.log", "test/clean_%2F_rainy/Loss.log"]
    x, y = arrays(11)
    right = trained.model(x).argmax(-1) == y
    lines = found["test/clean_%2F_rainy/Accuracy.log"].splitlines()
    batches = [right[0:4], right[4:8], right[8:11]]
    assert [float(line.split(",")[0]) for line in lines[:-1]] == pytest.approx([batch.mean() for batch in batches])
    assert [line.split(",")[1] for line in lines[:-1]] == ["4", "4", "3"]
    assert lines[-1].endswith(",final")
    assert float(lines[-1].split(",")[0]) == values["Accuracy"]


def test_an_evaluation_of_the_same_name_replaces_the_files_of_the_earlier_one_and_no_others(tmp_path: Path) -> None:
    ml.set_seed(1)
    evaluator(tmp_path).evaluate(task(), loader(), "a")
    evaluator(tmp_path).evaluate(task(), loader(), "b")
    (tmp_path / "test/a/notes.txt").write_text("mine")
    before = files(tmp_path)
    ml.Evaluator(tmp_path, renderer=QUIET).evaluate(task(), loader(5), "a")
    after = files(tmp_path)
    assert after.keys() == before.keys() - {"test/a/Accuracy.log"}
    assert after["test/a/Loss.log"] != before["test/a/Loss.log"]
    assert after["test/b/Loss.log"] == before["test/b/Loss.log"]
    assert (tmp_path / "test/a/notes.txt").exists()


def test_an_evaluation_that_fails_leaves_the_earlier_one(tmp_path: Path) -> None:
    ml.set_seed(1)
    recorded = Recorded()
    described = evaluator(tmp_path, metric_loggers=[ml.loggers.FileMetricLogger(), recorded])
    described.evaluate(task(), loader())
    before = files(tmp_path)
    x, y = arrays(8)
    with pytest.raises(ValueError, match="matmul"):
        described.evaluate(task(), [(x, y), (x[:, :2], y)])
    assert files(tmp_path) == before
    assert not any(path.name.startswith(".") for path in (tmp_path / "test").iterdir())
    assert "matmul" in recorded.of(Finished)[-1].error
    assert recorded.closed == 2


def test_listeners_are_told_that_an_evaluation_goes_on(tmp_path: Path) -> None:
    ml.set_seed(1)
    recorded = Recorded()
    evaluator(tmp_path, metric_loggers=[recorded]).evaluate(task(), loader(), "a")
    begun, *steps, ended, finished = recorded.events
    assert (begun.directory, begun.name, begun.checkpoint, begun.batches) == (tmp_path, "a", None, 3)
    assert isinstance(begun, Evaluating)
    assert [(s.split, s.batch) for s in steps] == [(Split.TEST, 1), (Split.TEST, 2), (Split.TEST, 3)]
    assert all(isinstance(step, Stepped) for step in steps)
    assert isinstance(ended, SplitEnded)
    assert finished.error is None


def test_a_checkpoint_is_evaluated_and_the_model_keeps_its_own_weights(tmp_path: Path) -> None:
    trained = fit(builder(tmp_path, epochs=2))
    ml.set_seed(99)
    other = task()
    kernel = other.model.weights["kernel"].copy()
    at_random = evaluator(tmp_path).evaluate(other, loader())
    latest = evaluator(tmp_path).evaluate(other, loader(), checkpoint="latest")
    by_epoch = evaluator(tmp_path).evaluate(other, loader(), checkpoint=1)
    assert latest == evaluator(tmp_path).evaluate(trained._run.subject.task, loader())
    assert len({at_random["Loss"], latest["Loss"], by_epoch["Loss"]}) == 3
    best = min((1, 2), key=lambda epoch: trained.history["valid"]["Loss"][epoch - 1])
    assert evaluator(tmp_path).evaluate(other, loader(), checkpoint="best") == {1: by_epoch, 2: latest}[best]
    assert np.array_equal(other.model.weights["kernel"], kernel)


def test_evaluating_leaves_the_run_and_every_random_stream_as_they_were(tmp_path: Path) -> None:
    learner = fit(builder(tmp_path, epochs=2))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    streams = (vars(STREAM).copy(), random.getstate(), np.random.get_state()[1].tobytes(), weights(learner))
    evaluator(tmp_path).evaluate(learner._run.subject.task, loader(), checkpoint="latest")
    list(evaluator(tmp_path).predict(learner._run.subject.task, loader()))
    assert (vars(STREAM), random.getstate(), np.random.get_state()[1].tobytes(), weights(learner)) == streams
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_that_replaces_another_takes_its_evaluations_away(tmp_path: Path) -> None:
    fit(builder(tmp_path, epochs=1))
    evaluator(tmp_path).evaluate(task(), loader(), "a")
    fit(builder(tmp_path, epochs=1, overwrite=True))
    assert not (tmp_path / "test").exists()


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    ml.set_seed(1)
    run = tmp_path / "run"
    described = evaluator(run)
    x, y = arrays(8)
    with pytest.raises(DataError, match="at least one batch"):
        described.evaluate(task(), [])
    with pytest.raises(CheckpointNotFound, match="nothing was saved"):
        described.evaluate(task(), loader(), checkpoint="latest")
    with pytest.raises(CheckpointNotFound, match="where there are: none"):
        described.evaluate(task(), loader(), checkpoint=3)
    for checkpoint in (0, 1.5, "newest"):
        with pytest.raises(ValueError, match=r"checkpoint|Epochs"):
            described.evaluate(task(), loader(), checkpoint=checkpoint)  # type: ignore[arg-type]
    for name in ("", "  ", "x" * 201, 3):
        with pytest.raises(ConfigurationError, match="name of the evaluation"):
            described.evaluate(task(), loader(), name)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="test data must be a loader"):
        described.evaluate(task(), x)
    assert not run.exists()
    fit(builder(run, epochs=1))
    narrow = task()
    narrow.model = SoftmaxModel(FEATURES - 1, CLASSES)
    with pytest.raises(RecordMismatch):
        described.evaluate(narrow, [(x[:, 1:], y)], checkpoint="latest")
    assert not (run / "test").exists()


def test_an_evaluator_that_cannot_work_is_refused_when_it_is_made(tmp_path: Path) -> None:
    accuracy = ml.metrics.Accuracy()
    with pytest.raises(ConfigurationError, match="measured once"):
        ml.Evaluator(tmp_path, [accuracy, ml.metrics.Accuracy()])
    with pytest.raises(ConfigurationError, match=r"metrics=\[\.\.\.\]"):
        ml.Evaluator(tmp_path, accuracy)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="parentheses"):
        ml.Evaluator(tmp_path, [ml.metrics.Accuracy])  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="path"):
        ml.Evaluator("")
    with pytest.raises(ConfigurationError, match="renderer"):
        ml.Evaluator(tmp_path, renderer="plain")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="metric_logger"):
        ml.Evaluator(tmp_path, metric_logger=[])  # type: ignore[call-arg]


def test_an_evaluator_is_a_value(tmp_path: Path) -> None:
    one, other = ml.Evaluator("runs/a", [ml.metrics.Accuracy()]), ml.Evaluator(Path("runs/a"), (ml.metrics.Accuracy(),))
    assert one == other
    assert repr(one) == repr(other)


def test_placeholders_are_replaced(tmp_path: Path) -> None:
    ml.set_seed(5)
    evaluator(f"{tmp_path}/{{backend}}-{{seed}}").evaluate(task(), loader())
    assert (tmp_path / "toy-5/test/test/Loss.log").exists()


def test_the_screen_has_one_line_and_a_table_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ml.set_seed(1)
    stream = io.StringIO()
    shown = evaluator(tmp_path, renderer=ml.renderers.CliRenderer(stream), summary=True)
    values = shown.evaluate(task(), loader(), "clean")
    share = f"{100 * values['Accuracy']:.2f} %"  # type: ignore[operator]
    said, _, time_taken = stream.getvalue().rpartition("  ")
    assert said == f"test clean  Accuracy {share}  Loss {values['Loss']:.4f}"
    assert time_taken.endswith(" s\n") and float(time_taken[:-3]) >= 0
    assert capsys.readouterr().out.splitlines() == [
        f"evaluation clean, in {tmp_path}/test/clean",
        f"  Accuracy  {share}",
        f"  Loss      {values['Loss']:.4f}",
    ]


def test_on_a_terminal_the_line_is_drawn_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    ml.set_seed(1)
    stream = Terminal()
    evaluator(tmp_path, renderer=ml.renderers.CliRenderer(stream)).evaluate(task(), loader(), "clean")
    drawn = stream.getvalue().split("\r\x1b[K")
    assert drawn[1].startswith("test clean  1/3  Accuracy ")
    assert drawn[-1].startswith("test clean  Accuracy ")
    assert drawn[-1].endswith(" s\n")


def test_the_latest_evaluation_is_kept_in_memory(tmp_path: Path) -> None:
    ml.set_seed(1)
    memory = ml.loggers.MemoryMetricLogger()
    described = evaluator(tmp_path, metric_loggers=[memory])
    described.evaluate(task(), loader(), "a")
    values = described.evaluate(task(), loader(5), "b")
    assert memory.epochs[Split.TEST]["Loss"] == {1: values["Loss"]}
    assert len(memory.batches[Split.TEST]["Loss"][1]) == 2
    assert not (tmp_path / "test").exists()


def test_predictions_come_batch_by_batch_one_ahead(tmp_path: Path) -> None:
    ml.set_seed(1)
    trained = task()
    x, _ = arrays(11)
    asked: list[int] = []

    class Watching:
        def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
            for number, batch in enumerate(loader().iterate(seed, epoch, start)):
                asked.append(number)
                yield batch

    predictions = ml.predict(trained, Watching())
    asked.clear()
    first = next(predictions)
    assert asked == [0, 1]
    found = [first, *predictions]
    assert [len(each) for each in found] == [4, 4, 3]
    assert np.array_equal(np.concatenate(found), np.concatenate([trained.model(x[k : k + 4]) for k in (0, 4, 8)]))
    assert np.array_equal(np.concatenate(list(ml.predict(trained, [x, x[:1]])))[-1], trained.model(x[:1])[0])


def test_predictions_of_a_checkpoint(tmp_path: Path) -> None:
    learner = fit(builder(tmp_path, epochs=1))
    expected = np.concatenate(list(ml.predict(learner._run.subject.task, loader())))
    ml.set_seed(99)
    other = task()
    assert np.array_equal(np.concatenate(list(evaluator(tmp_path).predict(other, loader(), checkpoint=1))), expected)
    with pytest.raises(ConfigurationError, match="directory="):
        ml.predict(other, loader(), checkpoint="latest")
    with pytest.raises(CheckpointNotFound):
        ml.predict(other, loader(), checkpoint=7, directory=tmp_path)


def said(loader: Any, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    assert len(list(ml.predict(task(), loader)))
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


class Own:
    shuffle = True

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
        yield arrays(10)


def test_predicting_over_a_shuffled_loader_warns(caplog: pytest.LogCaptureFixture) -> None:
    for loader in (ml.DataLoader(arrays(10), 4, shuffle=True), Own()):
        (text,) = said(loader, caplog)
        assert "not one for each item in the order of the data, for it shuffles. Give predict a loader without" in text
    (text,) = said(ml.DataLoader(arrays(10), 4, drop_last=True), caplog)
    assert "it leaves out the last 2 items (drop_last)" in text
    for loader in (
        ml.DataLoader(arrays(10), 4),
        ml.DataLoader(arrays(10), 5, drop_last=True),
        [arrays(10)],
        lambda: iter([arrays(10)]),
    ):
        assert not said(loader, caplog)


def test_evaluating_over_one_does_not(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    evaluator = ml.Evaluator(tmp_path / "run", renderer=QUIET)
    assert np.isfinite(evaluator.evaluate(task(), ml.DataLoader(arrays(10), 4, shuffle=True))["Loss"])
    assert not caplog.records
