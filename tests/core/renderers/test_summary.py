from __future__ import annotations

from pathlib import Path

from multilearn.events import MetricInfo, Split
from multilearn.history import History
from multilearn.renderers.summary import summary

NAN = float("nan")


def history(**values: list[float]) -> History:
    made = History()
    for epoch in range(1, 1 + max(map(len, values.values()))):
        row = {name: column[epoch - 1] for name, column in values.items() if epoch <= len(column)}
        made = made.with_epoch(Split.TRAIN, epoch, row)
    return made


def test_first_lowest_highest_last_and_curve_of_each_split() -> None:
    made = history(Loss=[2.0, 0.5, 1.0], Accuracy=[0.25, 0.975, 0.5]).with_epoch(Split.VALID, 1, {"Loss": 3.0})
    infos = {Split.VALID: [MetricInfo("Loss")], Split.TRAIN: [MetricInfo("Loss"), MetricInfo("Accuracy", "share")]}
    assert summary(made, infos, directory=Path("runs/a"), epochs=3) == (
        "summary\n"
        "  directory  runs/a\n"
        "  epochs     3 done\n"
        "\n"
        "  train       first       lowest      highest     last\n"
        "  Loss       2.0000   0.5000 @ 2   2.0000 @ 1   1.0000  █▁▃\n"
        "  Accuracy  25.00 %  25.00 % @ 1  97.50 % @ 2  50.00 %  ▁█▃\n"
        "\n"
        "  valid   first      lowest     highest    last\n"
        "  Loss   3.0000  3.0000 @ 1  3.0000 @ 1  3.0000  ▄"
    )


def test_the_earliest_epoch_wins_ties_and_nan_never_wins() -> None:
    text = summary(
        history(Loss=[NAN, 1.0, 1.0, NAN]), {Split.TRAIN: [MetricInfo("Loss")]}, directory=Path("r"), epochs=4
    )
    assert text.splitlines()[-1].split() == ["Loss", "NaN", *["1.0000", "@", "2"] * 2, "NaN", "▄▄"]


def test_a_metric_that_was_only_ever_nan_is_shown() -> None:
    text = summary(history(Loss=[NAN]), {Split.TRAIN: [MetricInfo("Loss")]}, directory=Path("r"), epochs=1)
    assert text.splitlines()[-1].split() == ["Loss", "NaN", "NaN", "NaN", "NaN"]


def test_texts_without_a_value_are_left_out_and_metrics_without_an_epoch_shown_empty() -> None:
    infos = {Split.TRAIN: [MetricInfo("Words", numeric=False)], Split.VALID: [MetricInfo("Loss")]}
    text = summary(History(), infos, directory=Path("r"), epochs=0, reason="SIGINT")
    assert "Words" not in text and "train" not in text
    assert "0 done, stopped: SIGINT" in text
    assert text.splitlines()[-1].split() == ["Loss", "-", "-", "-", "-"]


def test_texts_have_their_last_value_and_a_matrix_is_a_table() -> None:
    infos = {Split.VALID: [MetricInfo("Cells", "matrix", False), MetricInfo("Words", "", False)]}
    texts = {Split.VALID: {"Cells": '{"classes": ["cat", "dog"], "counts": [[5, 1], [0, 4]]}', "Words": "two words"}}
    text = summary(History(), infos, directory=Path("r"), epochs=1, texts=texts)
    assert text.split("\n\n")[1:] == [
        "  valid  Cells, last epoch: a row for each target, a column for each prediction\n"
        "         cat  dog\n"
        "    cat    5    1\n"
        "    dog    0    4",
        "  valid  Words  two words",
    ]
