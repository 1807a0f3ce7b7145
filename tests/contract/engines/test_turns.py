"""Several losses with their own optimizers, which take turns on every batch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import optimizers
from support.games import Gan, Numbers, Tug, of_turns, points
from support.training import numbers

from multilearn.checkpoint import CheckpointFolder
from multilearn.errors import ConfigurationError
from multilearn.events import Position
from multilearn.metrics import Accuracy, GradientNorm, Loss, OfOutput
from multilearn.renderers import SilentRenderer

ITEMS, SIZE = 20, 4
BATCHES = ITEMS // SIZE


def builder(directory: Path, epochs: int = 2) -> ml.LearnerBuilder:
    return ml.LearnerBuilder(directory).renderer(SilentRenderer()).num_epochs(epochs)


def sgd() -> dict[str, Any]:
    return {"a": optimizers.SGD(), "b": optimizers.SGD()}


def test_each_turn_begins_with_what_the_one_before_made_as_often_as_it_says(tmp_path: Path) -> None:
    rates, x = {"a": 0.05, "b": 0.01}, numbers(ITEMS, 1)
    task = Tug(a={"times": 2}, b={"every": 3})
    learner = builder(tmp_path).build(task, sgd(), rates)
    model = learner.fit(ml.DataLoader(x, batch_size=SIZE), ml.DataLoader(x, batch_size=SIZE))
    hand, done, valid = Numbers(rates), 0, []
    for epoch in range(2):
        losses: dict[str, list[float]] = {"a": [], "b": []}
        for first in range(0, ITEMS, SIZE):
            batch, done = x[first : first + SIZE], done + 1
            losses["a"] += [hand.take("a", batch) for _ in range(2)]
            losses["b"] += [hand.take("b", batch) for _ in range(done % 3 == 0)]
        means = {turn: float(np.mean(each)) for turn, each in losses.items()}
        found = {turn: of_turn[epoch] for turn, of_turn in of_turns(learner.history, "a", "b").items()}
        assert found == pytest.approx(means, rel=1e-5)
        # batches that a turn was not taken for do not count
        assert learner.history["train"]["Loss"][epoch] == pytest.approx(sum(means.values()), rel=1e-5)
        valid.append(hand.loss("a", x) + hand.loss("b", x))
    assert list(learner.history["valid"]["Loss"]) == pytest.approx(valid, rel=1e-5)
    assert model is task.model
    ends = [float(each.get_weights()[0].item()) for each in (model, task.other)]
    assert ends == pytest.approx([hand.a, hand.b], rel=1e-5)


class Stopping:
    """Batches on the way of which a run is stopped, in its second epoch."""

    def __init__(self, batches: ml.DataLoader) -> None:
        self.batches, self.interrupter = batches, ml.Interrupter()

    def __len__(self) -> int:
        return len(self.batches)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for number, batch in enumerate(self.batches.iterate(seed, epoch, start), start + 1):
            if (epoch, number) == (2, 3):
                self.interrupter.stop("enough")
            yield batch


def game(directory: Path, stopped: bool = False) -> ml.Learner:
    """A GAN whose generator is trained on every second batch, with falling rates and everything that is random."""
    ml.set_seed(3)
    task = Gan(times=2, every=2)
    run = builder(directory, epochs=3).with_file_checkpointer().checkpoint("latest")
    run = run.metrics(OfOutput("critic", GradientNorm()))
    batches = Stopping(ml.DataLoader(points(ITEMS), batch_size=SIZE, shuffle=True))
    if stopped:
        run = run.with_interrupter(batches.interrupter)
    optimizer = {turn: optimizers.Adam(beta_1=0.5) for turn in task.turns}
    learner = run.build(task, optimizer, {"critic": ml.schedulers.Cosine(1e-2), "generator": 5e-3})
    learner.fit(batches)
    return learner


def test_a_game_that_is_stopped_inside_an_epoch_is_the_whole_one_bit_for_bit(tmp_path: Path) -> None:
    whole = game(tmp_path / "whole")
    game(tmp_path / "parts", stopped=True)
    assert max(CheckpointFolder(tmp_path / "parts" / "checkpoint").positions()) == Position(2, 3)
    parts = game(tmp_path / "parts")
    folders = [CheckpointFolder(learner.directory / "checkpoint") for learner in (whole, parts)]
    records = [folder.load(Position(3)) for folder in folders]
    for part in ("model", "optim"):
        assert records[0][part] == records[1][part]
    assert dict(whole.history["train"]) == dict(parts.history["train"])
    assert {"Loss", "critic Loss", "generator Loss", "critic GradientNorm"} == set(whole.history["train"])


@pytest.mark.parametrize(
    ("optimizer", "lr", "received"),
    [
        (optimizers.SGD(), None, "one SGD for the turns 'a', 'b'"),
        ({"a": "sgd"}, None, "'b' missing"),
        ({"a": "sgd", "b": "sgd", "c": "sgd"}, None, "'c' unknown"),
        (dict.fromkeys("ab", optimizers.SGD()), None, "one SGD for 'a' and 'b'"),
        ("sgd", {"A": 0.1}, "'A' unknown"),
    ],
)
def test_optimizers_and_rates_are_given_by_turn(tmp_path: Path, optimizer: Any, lr: Any, received: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"Received: {received}")):
        builder(tmp_path).build(Tug(), optimizer, lr)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Accuracy(), r'Write OfOutput\("a", Accuracy\(...\)\)'),
        (GradientNorm(), r'Write OfOutput\("a", GradientNorm\(...\)\)'),
        (OfOutput("c", Loss()), "the name of a turn: 'a', 'b'. Received: 'c'"),
    ],
)
def test_a_metric_is_that_of_one_turn(tmp_path: Path, metric: Any, message: str) -> None:
    learner = builder(tmp_path / "run").metrics(metric).build(Tug(), "sgd", 0.01)
    with pytest.raises(ConfigurationError, match=message):
        learner.fit([numbers(4, 1)])
    assert not (tmp_path / "run").exists()


def test_the_weights_of_the_best_epoch_are_restored_and_evaluated(tmp_path: Path) -> None:
    class Counting(Tug):
        def __init__(self) -> None:
            super().__init__()
            self.calls = keras.Variable(0.0, trainable=False)

        def down(self, x: Any, training: bool) -> Any:
            if training:
                self.calls.assign(self.calls + 1.0)
            return super().down(x, training)

    x, task = numbers(ITEMS, 1), Counting()
    saved = builder(tmp_path).with_file_checkpointer().restore_best("a Loss", "train", "highest")
    learner = saved.build(task, sgd(), {"a": 0.05, "b": 0.01})
    learner.fit(ml.DataLoader(x, batch_size=SIZE))
    losses = of_turns(learner.history, "a")["a"]
    assert learner.restored == 1 + losses.index(max(losses)) == 1
    assert float(task.calls) == BATCHES
    (a,), (b,) = task.model.get_weights(), task.other.get_weights()
    hand = Numbers({})
    hand.a, hand.b = a.item(), b.item()
    expected = {"a Loss": hand.loss("a", x), "b Loss": hand.loss("b", x)}
    evaluator = ml.Evaluator(tmp_path, renderer=SilentRenderer())
    for checkpoint in (None, 1):
        found = dict(evaluator.evaluate(task, [x], checkpoint=checkpoint))
        assert found.pop("Loss") == pytest.approx(sum(expected.values()), rel=1e-5)
        assert found == pytest.approx(expected, rel=1e-5)
