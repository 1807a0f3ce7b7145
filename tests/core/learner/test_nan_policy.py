"""`.nan_policy(...)`: what a training loss that is not finite does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import NonFiniteLoss
from multilearn.events import Finished, Split, SplitEnded, Stepped
from multilearn.learner.window import non_finite
from multilearn.protocols import HostOutput

Batches = list[tuple[np.ndarray, np.ndarray]]


def batches(bad: tuple[int, ...] = (), number: int = 4) -> Batches:
    """Batches of 8 items; those in `bad` (from 0) hold a NaN."""
    x, y = toy.arrays(8 * number)
    for each in bad:
        x[8 * each, 0] = float("nan")
    return [(x[8 * n : 8 * n + 8], y[8 * n : 8 * n + 8]) for n in range(number)]


def run(path: Path, policy: str, train: Batches, epochs: int = 1, **options: Any) -> tuple[ml.Learner, toy.Recorded]:
    """With a constant rate and no dropout: a batch that is left out is as if it had never been there."""
    recorded = toy.Recorded()
    builder = toy.builder(path, epochs).metric_loggers(ml.loggers.FileMetricLogger(), recorded)
    if policy:
        builder = builder.nan_policy(policy)  # type: ignore[arg-type]
    for name, value in options.items():
        builder = getattr(builder, name)(value)
    ml.set_seed(toy.SEED)
    learner = builder.build(toy.task(dropout=0.0), toy.Momentum(), 0.1)
    learner.fit(train, toy.valid_loader())
    return learner, recorded


@pytest.mark.parametrize("policy", ["", "stop"])
def test_by_default_the_run_ends_with_the_batch_the_epoch_and_the_rate(tmp_path: Path, policy: str) -> None:
    with pytest.raises(NonFiniteLoss, match=r"nan at batch 2 of epoch 1, learning rate 0\.1"):
        run(tmp_path / "run", policy, batches((1,)))
    assert toy.checkpoints(tmp_path / "run") == []
    (session,) = toy.experiment(tmp_path / "run")["sessions"]
    assert session["outcome"] == "failed" and "batch 2 of epoch 1" in session["error"]
    # the line of that batch is written, and the file closed
    assert (tmp_path / "run/train/epoch-1/Loss.log").read_text().splitlines()[1] == "NaN,8"


def test_a_skipped_batch_changes_no_weight_and_no_epoch_value_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learner, recorded = run(tmp_path / "run", "skip", batches((1,)), epochs=2)
    good = batches()
    expected, _ = run(tmp_path / "without", "stop", [good[0], good[2], good[3]], epochs=2)
    assert toy.weights(learner) == toy.weights(expected)
    assert learner.history == expected.history
    steps = [event for event in recorded.of(Stepped) if event.split is Split.TRAIN and event.epoch == 1]
    assert [math.isnan(step.readings["Loss"].value) for step in steps] == [False, True, False, False]
    assert steps[1].readings["Loss"].running == steps[0].readings["Loss"].running
    lines = (tmp_path / "run/train/epoch-1/Loss.log").read_text().splitlines()
    assert [line.startswith("NaN,") for line in lines] == [False, True, False, False, False]
    assert recorded.events[-1] == Finished(learner_position(learner), skipped=2)
    assert "The training loss is nan at batch 2 of epoch 1, learning rate 0.1: the batch is skipped." in caplog.messages


def learner_position(learner: ml.Learner) -> Any:
    return ml.checkpoint.CheckpointFolder(learner.directory / "checkpoint").positions()[-1]


def test_with_accumulation_a_skipped_batch_weighs_nothing(tmp_path: Path) -> None:
    learner, _ = run(tmp_path / "run", "skip", batches((1,)), grads_accumulation=2)
    good = batches()
    # the first window is its first batch alone, the second one both of its batches
    joint = tuple(np.concatenate(pair) for pair in zip(good[2], good[3], strict=True))
    expected, _ = run(tmp_path / "without", "stop", [good[0], joint])  # type: ignore[list-item]
    np.testing.assert_allclose(
        np.frombuffer(toy.weights(learner), np.float32), np.frombuffer(toy.weights(expected), np.float32), rtol=1e-5
    )


def test_the_number_of_skipped_batches_is_that_of_the_whole_run_and_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "run", "skip", batches((1,)), epochs=1)
    run(
        tmp_path / "run",
        "skip",
        batches((1, 2)),
        epochs=2,
        checkpoint="latest",
        renderer=ml.renderers.CliRenderer(),
    )
    assert "; 3 batches without a finite loss skipped\n" in capsys.readouterr().out


def test_the_summary_says_how_many_batches_were_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder = toy.builder(tmp_path / "run", 1).nan_policy("skip").summary()
    ml.set_seed(toy.SEED)
    builder.build(toy.task(), toy.Momentum(), 0.1).fit(batches((1,)), toy.valid_loader())
    assert "  skipped    1 batch whose loss was not finite\n" in capsys.readouterr().out


def test_a_log_does_not_fill_up_with_skipped_batches(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path / "run", "skip", batches((1, 2), number=4), epochs=20)
    said = [message for message in caplog.messages if message.startswith("The training loss is nan")]
    assert len(said) == 3
    assert said[-1].endswith("; further ones are only counted.")


def test_an_epoch_in_which_every_batch_is_skipped_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss, match="none in epoch 1: all of its batches were skipped"):
        run(tmp_path / "run", "skip", batches((0, 1, 2, 3)))


def test_a_run_with_skipped_batches_goes_on_exactly_from_inside_an_epoch(tmp_path: Path) -> None:
    run(tmp_path / "whole", "skip", batches((1, 3)), epochs=2)
    interrupter = ml.Interrupter()
    recorded = toy.Recorded(lambda event: isinstance(event, Stepped) and event.batch == 2 and interrupter.stop("x"))
    builder = toy.builder(tmp_path / "run", 2).nan_policy("skip").checkpoint_every(batches=1)
    ml.set_seed(toy.SEED)
    stopped = builder.metric_loggers(ml.loggers.FileMetricLogger(), recorded).with_interrupter(interrupter)
    stopped.build(toy.task(0.0), toy.Momentum(), 0.1).fit(batches((1, 3)), toy.valid_loader())
    run(tmp_path / "run", "skip", batches((1, 3)), epochs=2, checkpoint="latest")
    assert toy.metric_files(tmp_path / "run") == toy.metric_files(tmp_path / "whole")
    assert toy.checkpoint_files(tmp_path / "run") == toy.checkpoint_files(tmp_path / "whole")


def test_ignored_it_goes_into_the_weights_and_the_run_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    learner, recorded = run(tmp_path / "run", "ignore", batches((1,)))
    assert math.isnan(learner.history["train"]["Loss"][0])
    assert np.isnan(np.frombuffer(toy.weights(learner), np.float32)).any()
    assert recorded.of(SplitEnded)
    assert recorded.events[-1].skipped == 0
    assert "learning rate 0.1: training continues with it." in caplog.text


def test_of_several_losses_those_that_are_not_finite_are_named() -> None:
    def measured(value: float) -> dict[str, Any]:
        return {"loss": np.float32(value), "count": np.float32(2)}

    of_turns = {"loss": np.array([1.0, np.nan], "float32"), "count": np.array([2.0, 2.0], "float32")}
    host = HostOutput({"Loss": of_turns, "critic Loss": measured(1.0), "generator Loss": measured(np.nan)})
    assert non_finite(host) == ["Loss", "generator Loss"]
    assert non_finite(HostOutput({"Loss": measured(1.0)})) == []
