"""The confusion matrix: numbers, one line of JSON, and a table for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix
from support import toy_experiment as toy
from support.metric_epochs import OPS, classified, measured, over, pieces, through_a_record

import multilearn as ml
from multilearn.errors import ConfigurationError
from multilearn.loggers import read_metric_file
from multilearn.metrics import ConfusionMatrix
from multilearn.metrics.confusion_matrix import parsed
from multilearn.renderers.summary import matrix as drawn


@pytest.mark.filterwarnings("ignore:A single label:UserWarning")
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from([1, 2, 5, 32, 33, 40]), st.sets(st.integers(1, 30))
)
@settings(max_examples=30)
def test_it_is_that_of_scikit_learn_however_split(seed: int, items: int, classes: int, cuts: set[int]) -> None:
    draw = np.random.default_rng(seed)
    logits, targets = draw.normal(size=(items, classes)), draw.integers(0, classes, items)
    metric, whole, state = ConfusionMatrix(), classified(logits, targets), None
    for output in pieces(whole, cuts):
        state = metric.merge(state, measured(metric, output))
    assert state is not None
    expected = confusion_matrix(targets, logits.argmax(1), labels=range(classes))
    assert metric.matrix(state).tolist() == metric.matrix(str(metric.entry(state).value)).tolist() == expected.tolist()
    assert metric.matrix(state).dtype == np.int64


def test_the_value_is_one_line_of_json_with_the_names_that_were_given() -> None:
    output = classified([[1, 0], [0, 1], [1, 0]], [0, 0, 1])
    assert over(ConfusionMatrix(), [output]).value == '{"counts": [[1, 1], [1, 0]]}'
    named = over(ConfusionMatrix(["cat", "wild; dog"]), [output]).value
    assert named == '{"classes": ["cat", "wild; dog"], "counts": [[1, 1], [1, 0]]}'
    matrix, names = parsed(str(named))
    assert (matrix.tolist(), names) == ([[1, 1], [1, 0]], ("cat", "wild; dog"))


def test_nothing_counted_is_a_matrix_of_zeros() -> None:
    assert over(ConfusionMatrix(), [classified([[1, 0]], [0], [0])]).value == '{"counts": [[0, 0], [0, 0]]}'
    of_many = over(ConfusionMatrix(), [classified(np.zeros((1, 40)), [0], [0])]).value
    assert of_many == '{"classes": 40, "cells": []}'
    assert ConfusionMatrix.matrix(of_many).shape == (40, 40)


@pytest.mark.parametrize("classes", [3, 40])
def test_targets_that_are_no_class_fall_out(classes: int) -> None:
    logits = np.zeros((4, classes))
    text = over(ConfusionMatrix(), [classified(logits, [-100, -1, classes, 1])]).value
    assert ConfusionMatrix.matrix(str(text)).sum() == ConfusionMatrix.matrix(str(text))[1, 0] == 1


def test_of_many_classes_the_value_has_the_cells_that_are_not_zero_and_the_table_the_worst() -> None:
    targets, found = [3, 7, 7, 39, 39, 3, 39], [5, 7, 7, 0, 0, 5, 0]
    whole = classified(np.eye(40)[found], targets)
    text = str(over(ConfusionMatrix(), pieces(whole, {1, 3})).value)
    assert text == '{"classes": 40, "cells": [[3, 5, 2], [7, 7, 2], [39, 0, 3]]}'
    assert drawn(text) == [
        "40 classes, 7 items, 5 taken for another class, most often:",
        "  39 for 0: 3",
        "  3 for 5: 2",
    ]
    assert through_a_record(ConfusionMatrix(), pieces(whole, {1, 3}), 2).value == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.5",
        "[]",
        "5 1; 0",
        "3 classes; 4>5",
        '{"counts": [[1, 2]]}',
        '{"counts": [["a", "b"], ["c", "d"]]}',
        '{"classes": ["a"], "counts": [[1, 2], [3, 4]]}',
        '{"classes": 40, "cells": [[3, 50, 1]]}',
        '{"classes": 40, "cells": "x"}',
        '{"classes": 999999999999, "cells": []}',
    ],
)
def test_a_text_that_is_no_matrix_is_refused_and_shown_as_it_is(text: str) -> None:
    with pytest.raises(ConfigurationError, match="The value of a ConfusionMatrix is JSON"):
        ConfusionMatrix.matrix(text)
    assert drawn(text) == [text[:37] + "..." if len(text) > 40 else text]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("5 1; 0 4", [[5, 1], [0, 4]]),
        ("cat: 5 1; dog: 0 4", [[5, 1], [0, 4]]),
        ("3 classes; 0>2 7; 1>1 2", [[0, 0, 7], [0, 2, 0], [0, 0, 0]]),
    ],
)
def test_a_matrix_as_version_0_1_logged_it_is_read(text: str, counts: list[list[int]]) -> None:
    assert ConfusionMatrix.matrix(text).tolist() == counts


@pytest.mark.parametrize("classes", ["abc", 0, 2.5, True, [], ["a", "a"], ["a", ""], [1, 2]])
def test_classes_that_cannot_be_are_refused(classes: Any) -> None:
    with pytest.raises(ConfigurationError, match="classes of ConfusionMatrix"):
        ConfusionMatrix(classes)


@pytest.mark.parametrize("classes", [2, ["a", "b", "c", "d"]])
def test_another_number_of_classes_than_the_task_has_is_refused(classes: Any) -> None:
    with pytest.raises(ConfigurationError, match="Received: 3 classes"):
        ConfusionMatrix(classes).measure(OPS, classified([[1, 2, 3]], [0]))


def test_many_names_make_a_short_name() -> None:
    assert ConfusionMatrix(["cat", "dog"]).name == "ConfusionMatrix(cat, dog)"
    assert ConfusionMatrix([f"class number {k}" for k in range(30)]).name == (
        "ConfusionMatrix(class number 0 to class number 29, 30 classes)"
    )


def test_a_run_logs_it_as_text_and_shows_it_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metric = ConfusionMatrix(["red", "green", "blue"])
    described = toy.builder(tmp_path / "run", epochs=2).metric_train(metric).metric_valid(metric).summary()
    toy.fit(described)
    for split, items, batches in (("train", 35, 5), ("valid", 13, 3)):
        file = read_metric_file(tmp_path / "run" / split / "epoch-2" / "ConfusionMatrix(red,_green,_blue).log")
        final = ConfusionMatrix.matrix(str(file.final))
        assert (final.sum(), len(file.values)) == (items, batches)
        assert sum(ConfusionMatrix.matrix(str(text)) for text in file.values).tolist() == final.tolist()
    shown = capsys.readouterr().out
    assert "         red  green  blue\n" in shown
    # a finished run that is looked at again shows the same
    toy.fit(described.checkpoint("latest"))
    assert capsys.readouterr().out == shown
    with pytest.raises(ml.errors.ConfigurationError, match="text"):
        toy.builder(tmp_path / "other").metric_valid_numeric(metric)
