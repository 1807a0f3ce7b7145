"""Two traces of a step side by side: what counts as a difference, what is said first, and what cannot be compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multilearn.commands.diff_step.report import as_json, as_text, sentences
from multilearn.commands.diff_step.steps import StepComparison, compare, diff_step
from multilearn.errors import ConfigurationError, DataError
from multilearn.protocols import Phase, Traced
from multilearn.run.trace import read, write

F32 = 2.0**-23


def seen(phase: Phase, key: str, *values: Any, epsilon: float = F32) -> Traced:
    return Traced(phase, key, "Dense", tuple(np.asarray(value) for value in values), epsilon)


def step(**changed: Any) -> list[Traced]:
    """A step of a model of two layers, each with a kernel, with other values where `changed` says so."""
    at = {
        "x": np.float32([1.0, 2.0]),
        "start": np.float32([0.5, -0.5]),
        "one": np.float32([4.0, 2.0]),
        "two": np.float32([8.0, 1.0]),
        "loss": np.float32(2.0),
        "back_two": np.float32([0.5, 0.25]),
        "back_one": np.float32([1.0, 0.5]),
        "gradient_two": np.float32([10.0, 1.0]),
        "gradient_one": np.float32([1e-9, 0.0]),
        "end_two": np.float32([0.25, -0.75]),
        "end_one": np.float32([0.4, -0.6]),
        "evaluated": np.float32([3.0, 1.0]),
    } | changed
    return [
        seen(Phase.BATCH, "array 0", at["x"]),
        seen(Phase.WEIGHTS, "one/kernel", at["start"]),
        seen(Phase.WEIGHTS, "two/kernel", at["start"]),
        seen(Phase.FORWARD, "one", at["one"]),
        seen(Phase.FORWARD, "two", at["two"]),
        seen(Phase.LOSS, "loss", at["loss"]),
        seen(Phase.BACKWARD, "two", at["back_two"]),
        seen(Phase.BACKWARD, "one", at["back_one"]),
        seen(Phase.GRADIENTS, "two/kernel", at["gradient_two"]),
        seen(Phase.GRADIENTS, "one/kernel", at["gradient_one"]),
        seen(Phase.UPDATE, "one/kernel", at["end_one"]),
        seen(Phase.UPDATE, "two/kernel", at["end_two"]),
        seen(Phase.EVALUATION, "one", at["evaluated"]),
    ]


def compared(tolerance: float = 1e-4, **changed: Any) -> StepComparison:
    return compare(("torch", "jax"), (step(), step(**changed)), tolerance)


def test_equal_steps_are_the_same() -> None:
    found = compared(tolerance=0.0)
    assert found.same
    assert as_text([found]).splitlines()[-1] == "same: every part of the step is within 0 of the largest value"


def test_an_output_is_compared_with_its_own_largest_value() -> None:
    (one, two) = compared(two=np.float32([8.0, 1.5])).part(Phase.FORWARD).differences
    assert (one.relative, one.within) == (0.0, True)
    assert (two.relative, two.within) == (0.5 / 8, False)


@pytest.mark.parametrize(("by", "within"), [(7e-4, True), (9e-4, False)])
def test_the_tolerance_is_relative(by: float, within: bool) -> None:
    assert compared(two=np.float32([8.0, 1.0 + by])).same is within


def test_a_gradient_of_nothing_but_rounding_counts_for_nothing() -> None:
    """That of a bias before a BatchNormalization: an adaptive optimizer makes whole steps of it."""
    found = compared(gradient_one=np.float32([-1e-9, 1e-9]), end_one=np.float32([0.6, -0.4]))
    assert found.same
    assert [each.key for each in found.part(Phase.UPDATE).differences] == ["two/kernel"]


def test_a_gradient_that_reaches_no_variable_counts_for_nothing() -> None:
    """As of a layer that distorts images: nothing before it is trained, and not every framework differentiates it."""
    found = compared(back_one=np.float32([0.0, 0.0]))
    assert found.same
    assert "differs, first at one (Dense): 1, which no variable feels" in as_text([found])


def test_an_update_is_judged_by_the_norm_of_the_change() -> None:
    found = compared(end_two=np.float32([0.25, -0.5])).part(Phase.UPDATE)
    # the changes are (-1/4, -1/4) and (-1/4, 0)
    assert found.largest == pytest.approx(0.25 / np.hypot(0.25, 0.25))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x": np.float32([1.0, 2.1])}, ["already the batch: array 0"]),
        ({"start": np.float32([0.5, -0.4])}, ["already the weights at start: one/kernel"]),
        (
            {"one": np.float32([4.1, 2.0]), "two": np.float32([8.1, 1.0]), "gradient_two": np.float32([11.0, 1.0])},
            [
                "the first layer whose output differs is one (Dense)",
                "the first variable whose gradient differs, from the loss back, is two/kernel",
            ],
        ),
        (
            {"two": np.float32([8.1, 1.0])},
            ["the first layer whose output differs is two (Dense); up to one (Dense) they agree"],
        ),
        (
            {"loss": np.float32(2.1)},
            ["the loss, though all outputs of layers agree: look at the loss of the task"],
        ),
        (
            {"back_one": np.float32([0.9, 0.5]), "gradient_one": np.float32([1.0, 0.0])},
            [
                "the gradient at the output of one (Dense), though all outputs agree: "
                "look at how two (Dense) passes it on",
                "the first variable whose gradient differs, from the loss back, is one/kernel",
            ],
        ),
        (
            {"end_two": np.float32([0.3, -0.75])},
            ["the update of two/kernel, though all gradients agree: look at the optimizer"],
        ),
        (
            {"evaluated": np.float32([3.1, 1.0])},
            ["in evaluation only, the output of one (Dense)"],
        ),
    ],
)
def test_what_differs_first_is_named(changed: dict[str, Any], said: list[str]) -> None:
    found = compared(**changed)
    assert not found.same
    assert list(sentences(found)) == said
    assert json.loads(as_json([found]))["comparisons"][0]["differs"] == said


@pytest.mark.parametrize(
    ("one", "other", "relative"),
    [
        (np.float32([np.nan, 1.0]), np.float32([np.nan, 1.0]), 0.0),
        (np.float32([np.nan, 1.0]), np.float32([np.nan, 2.0]), 0.5),
        (np.float32([np.nan, 1.0]), np.float32([0.0, 1.0]), np.inf),
        (np.float32([np.inf, 1.0]), np.float32([-np.inf, 1.0]), np.inf),
        (np.int32([1, 2]), np.int32([1, 2]), 0.0),
        (np.int32([1, 2]), np.int32([1, 3]), np.inf),
        (np.float32([1.0]), np.float32([[1.0]]), np.inf),
        (np.float32([]), np.float32([]), 0.0),
        (np.float32([0.0]), np.float32([-0.0]), 0.0),
    ],
)
def test_numbers_without_a_distance(one: Any, other: Any, relative: float) -> None:
    traces = ([seen(Phase.FORWARD, "one", one)], [seen(Phase.FORWARD, "one", other)])
    (found,) = compare(("torch", "jax"), traces, 1e-4).part(Phase.FORWARD).differences
    assert found.relative == relative


def test_the_tolerance_is_never_below_what_the_types_of_the_model_can_hold() -> None:
    traces = [seen(Phase.FORWARD, "one", np.float32([1.0]), epsilon=2.0**-7)]
    assert compare(("torch", "jax"), (traces, traces), 1e-4).tolerance == 8 * 2.0**-7


def test_a_variable_that_one_alone_has_is_a_difference() -> None:
    more = [*step(), seen(Phase.WEIGHTS, "three/kernel", np.float32([1.0]))]
    found = compare(("torch", "jax"), (step(), more), 1e-4)
    assert not found.same
    assert list(sentences(found)) == ["the variables, of which one of them alone has three/kernel (jax)"]


def test_calls_that_one_alone_makes_are_told_and_no_difference() -> None:
    more = [*step(), seen(Phase.FORWARD, "lstm/cell", np.float32([1.0]))]
    found = compare(("torch", "jax"), (step(), more), 1e-4)
    assert found.same
    assert "lstm/cell (jax)" in as_text([found])


def test_a_layer_that_is_called_twice_is_compared_call_by_call() -> None:
    traces = [
        [seen(Phase.FORWARD, "one", np.float32([1.0])), seen(Phase.FORWARD, "one", np.float32([by]))] for by in (2, 3)
    ]
    found = compare(("torch", "jax"), (traces[0], traces[1]), 1e-4)
    assert list(sentences(found)) == [
        "the first layer whose output differs is one (Dense, call 2); up to one (Dense) they agree"
    ]


def test_a_trace_is_read_as_it_was_written(tmp_path: Path) -> None:
    traces = [*step(), seen(Phase.FORWARD, "several", np.int32([[1, 2]]), np.float64(3.0), epsilon=0.0)]
    write(traces, tmp_path / "trace")
    for found, expected in zip(read(tmp_path / "trace"), traces, strict=True):
        assert (found.phase, found.key, found.kind, found.epsilon) == (
            expected.phase,
            expected.key,
            expected.kind,
            expected.epsilon,
        )
        for one, other in zip(found.arrays, expected.arrays, strict=True):
            assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@pytest.mark.parametrize("content", [b"", b"no trace", b"PK\x03\x04"])
def test_another_file_is_no_trace(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trace").write_bytes(content)
    with pytest.raises(DataError, match="no trace of a step"):
        read(tmp_path / "trace")


@pytest.mark.parametrize(
    ("backends", "rule"),
    [
        ([], "two different backends"),
        (["toy"], "two different backends"),
        (["toy", "toy"], "two different backends"),
        (["toy", "tourch"], "tourch"),
    ],
)
def test_one_backend_cannot_be_compared(tmp_path: Path, backends: list[str], rule: str) -> None:
    script = tmp_path / "script.py"
    script.write_text("")
    with pytest.raises(ConfigurationError, match=rule):
        diff_step(script, backends, [], 1e-4, None)


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MULTILEARN_")}
    return subprocess.run(
        [sys.executable, "-m", "multilearn", "diff-step", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_a_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = command("nowhere.py", "--backend", "torch,jax", cwd=tmp_path)
    assert ended.returncode == 2
    assert "nowhere.py" in ended.stderr
