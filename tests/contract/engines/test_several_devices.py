"""Several devices train as one does: the curve, what is evaluated and predicted, and a run that moves between them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import pytest
from support.environments import with_support
from support.training import BACKEND, learner

from multilearn.launch.environments import environments
from multilearn_keras import Regression

CLOSE = 1e-5  # relative; losses of 200 updates stay within 2e-6


@pytest.fixture(scope="module")
def found() -> Mapping[str, Any]:
    if BACKEND != "jax":
        pytest.skip("every device has a process: see test_ranks")
    (made,) = environments("jax", 4)
    chosen = {name: made[name] for name in ("MULTILEARN_BACKEND", "JAX_NUM_CPU_DEVICES", "NPROC")}
    command = [sys.executable, "-m", "support.several_devices"]
    ended = subprocess.run(command, env=with_support(**chosen), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


CASES = [
    *(("perceptron", what) for what in ("batches", "norms", "valid", "predicted", "evaluated")),
    *(("masked", what) for what in ("batches", "norms")),
]


@pytest.mark.parametrize(("name", "what"), CASES)
def test_several_devices_give_what_one_gives(found: Mapping[str, Any], name: str, what: str) -> None:
    one, several = (of_size[what] for of_size in found[name].values())
    assert one and several == pytest.approx(one, rel=CLOSE, abs=CLOSE)


def test_a_run_is_resumed_on_another_number_of_devices(found: Mapping[str, Any]) -> None:
    second = {size: of_size["batches"][3:] for size, of_size in found["perceptron"].items()}
    resumed = {size: of_size["batches"] for size, of_size in found["resumed"].items()}
    assert resumed["3"] == second["3"]
    assert resumed["1"] == pytest.approx(second["1"], rel=CLOSE)


def test_the_model_is_on_one_device_afterwards(found: Mapping[str, Any]) -> None:
    assert found["perceptron"]["3"]["on"] == [1]


def test_the_devices_are_recorded(found: Mapping[str, Any]) -> None:
    (session,) = found["experiment"]
    assert (session["device"], session["devices"]) == ("cpu:0", ["cpu:0", "cpu:1", "cpu:2"])


@pytest.mark.skipif(BACKEND != "jax", reason="see test_ranks")
def test_the_devices_of_two_processes_give_what_one_gives(found: Mapping[str, Any], tmp_path: Path) -> None:
    from support.ranks import of_processes

    one, several = found["perceptron"]["1"], of_processes(tmp_path, "one")
    for what in ("batches", "valid", "predicted", "evaluated"):
        assert several[what] == pytest.approx(one[what], rel=CLOSE, abs=CLOSE)


@pytest.mark.parametrize(
    ("devices", "launched", "rule"),
    [
        (["cpu:0", "cpu"], "", "Each device is named once"),
        (["cpu:0", "tpu:99"], "", "The device must be one that"),
        (["cpu:99"], "", "The device must be one that"),
        (["cpu:0"], "2", "must ask for the same number of devices. Received: 2 and 1"),
        ("all", "two", "MULTILEARN_DEVICES must be a whole number of at least 1. Received: 'two'"),
        ("all", "0", "MULTILEARN_DEVICES must be a whole number of at least 1. Received: '0'"),
    ],
)
def test_devices_that_cannot_be_had_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: Any, launched: str, rule: str
) -> None:
    monkeypatch.setenv("MULTILEARN_DEVICES", launched)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ml.errors.ConfigurationError, match=rule):
        learner(tmp_path / "run", Regression(model), "sgd", devices=(devices,))
    assert not (tmp_path / "run").exists()
