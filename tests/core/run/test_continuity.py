"""What a resumed run does otherwise than the one it continues is said: which items are skipped, or seen twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.events import Position
from multilearn.run.continuity import changes


def stopped(directory: Path, size: int, at: int) -> None:
    """A run over 24 items that stops when batch number `at` (from 0) is asked for, after as many batches."""
    interrupter = ml.Interrupter()
    loader = ml.DataLoader(toy.arrays(24), size, shuffle=True)
    watched = toy.Watched(loader, lambda epoch, number: number == at and toy.stop(interrupter, "enough"))
    toy.fit(toy.builder(directory, 2).with_interrupter(interrupter), watched)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (6, "2 batches are skipped, 12 items in place of 8, so that 4 items of epoch 1 are never trained on"),
        (3, "2 batches are skipped, 6 items in place of 8, so that 2 items of epoch 1 are trained on twice"),
        (4, None),
    ],
)
def test_another_batch_size_inside_an_epoch_is_said_in_items(
    now: int, told: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopped(tmp_path / "run", 4, 1)
    done, seen = [], toy.Watched(ml.DataLoader(toy.arrays(24), now, shuffle=True), lambda *batch: done.append(batch))
    toy.fit(toy.builder(tmp_path / "run", 2).checkpoint("latest"), seen)
    # the look at the first batch, and then those from number 2 on
    assert done[:2] == [(1, 0), (1, 2)]
    if told is None:
        assert "batches of" not in caplog.text
    else:
        expected = (
            f"The checkpoint 1.2 was made after 2 batches of 4 items, and a batch now has {now}: {told}. To avoid"
        )
        assert expected in caplog.text
        assert "use batches of 4, or resume from the end of an epoch: .checkpoint(number)" in caplog.text


def test_at_the_end_of_an_epoch_another_batch_size_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toy.fit(toy.builder(tmp_path / "run", 1))
    toy.fit(toy.builder(tmp_path / "run", 2).checkpoint(1), ml.DataLoader(toy.arrays(35), 5))
    assert "skipped" not in caplog.text


def test_what_a_file_says_of_another_optimizer_cannot_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(
        '{"optimizer": {"class": "Adam\\u001b[2J"}, "model": {"layers": {"a": "b"}}}'
    )
    now = {"optimizer": {"class": "SGD"}, "model": {"layers": {"a": "c"}}}
    optimizer, layer = changes(tmp_path, Position(1), record(), {}, now)
    assert "\x1b" not in optimizer and "[2J and is resumed with SGD" in optimizer
    assert layer.startswith("Layers are configured otherwise than before: a was b and is c.")


@pytest.mark.parametrize("mean", ["Tensor", "~[1 4]", "20 in ~[190 2470 19]", "None"])
def test_statistics_of_layers_are_not_among_what_is_configured(tmp_path: Path, mean: str) -> None:
    def described(mean: str, axis: int = -1) -> dict[str, Any]:
        return {"model": {"layers": {"scale": f"Normalization(axis=[{axis}], mean={mean}, variance={mean})"}}}

    (tmp_path / "experiment.json").write_text(json.dumps(described(mean)))
    assert not list(changes(tmp_path, Position(1), record(), {}, described("~[2 5]")))
    assert list(changes(tmp_path, Position(1), record(), {}, described("~[2 5]", axis=1)))


def record(**progress: Any) -> dict[str, Any]:
    return {"progress": {"batches": 5, **progress}}


def test_without_known_sizes_the_batches_are_said(tmp_path: Path) -> None:
    now, inside = {"batches": 7, "batch_size": None}, Position(2, 3)
    (text,) = changes(tmp_path, inside, record(), now, {})
    assert (
        text == "An epoch now has 7 batches, of which 3 are skipped, and had 5 when the checkpoint was made inside one."
    )
    (text,) = changes(tmp_path, inside, {**record(), "loader": {"state": "x"}}, now, {})
    assert "skipped" not in text
    assert not list(changes(tmp_path, inside, record(trained=True), now, {}))
    assert not list(changes(tmp_path, Position(2), record(), now, {}))


def test_other_class_weights_are_said(tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"class_weight": {"1": 2.0}}))

    def said(now: dict[str, Any]) -> list[str]:
        return list(changes(tmp_path, Position(1), record(), {}, now))

    assert said({"class_weight": {"1": 2.0}}) == []
    (sentence,) = said({})
    assert "with class_weight {'1': 2.0} and is resumed with None" in sentence
