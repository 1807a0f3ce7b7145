"""What needs several frameworks in one environment: which one a script gets, imports of the others, an example."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.environments import EXAMPLES
from support.processes import BACKENDS, environment


def test_the_example_begins_a_run_here_and_ends_it_there_as_if_it_had_stayed(tmp_path: Path) -> None:
    first, other = BACKENDS[0], BACKENDS[-1]
    options = ["--begin", first, "--resume-on", other, "--quick", "--directory", "moved"]
    command = [sys.executable, str(EXAMPLES / "resume_elsewhere.py"), *options]
    ended = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "same: 8 values within the tolerance" in ended.stdout and "Traceback" not in ended.stderr
    (session,) = json.loads((tmp_path / "moved" / "moved" / "experiment.json").read_text())["sessions"]
    assert (session["backend"], session["resumed_from"]["position"]) == (other, "1")


def test_describing_a_model_imports_no_other_framework(imported_to_describe: Mapping[str, str]) -> None:
    """As Keras' own serialization does."""
    assert imported_to_describe == dict.fromkeys(BACKENDS, "set()")


# What a script sees that forgot to import multilearn before keras: refused, unless it asks for nothing else.
LATE = """
import keras, multilearn as ml, os
try:
    ml.set_seed(1)
except ml.errors.BackendError as error:
    print(error)
del os.environ["MULTILEARN_BACKEND"]
ml.set_seed(1)
print(keras.backend.backend())
"""

NOTHING_SET = """
import multilearn as ml
import keras
from multilearn_keras import Classification
ml.set_seed(1)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
learner = ml.LearnerBuilder("{backend}").build(Classification(model), "sgd", 0.1)
print(learner.directory.name)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the scripts print, in a home whose Keras is configured for the last of the frameworks."""
    home = tmp_path_factory.mktemp("home")
    (home / "keras.json").write_text(json.dumps({"backend": BACKENDS[-1]}))

    def run(script: str, **variables: str) -> str:
        command = [sys.executable, "-c", script]
        surroundings = environment(KERAS_HOME=str(home), **variables)
        ended = subprocess.run(command, cwd=home, env=surroundings, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(run, LATE, MULTILEARN_BACKEND=BACKENDS[0])
        nothing_set = pool.submit(run, NOTHING_SET)
        return {"late": late.result(), "nothing set": nothing_set.result()}


def test_with_nothing_set_the_first_installed_is_used_whatever_keras_is_configured_for(said: dict[str, str]) -> None:
    assert said["nothing set"] == f"{BACKENDS[0]}\n"


def test_keras_loaded_first_on_another_is_refused_with_the_remedy_and_used_where_nothing_else_is_asked_for(
    said: dict[str, str],
) -> None:
    first, last = BACKENDS[0], BACKENDS[-1]
    refusal, used = said["late"].splitlines()
    assert f"Keras is already loaded on {last}" in refusal
    assert f"{first} by the environment variable MULTILEARN_BACKEND" in refusal
    assert f"Import multilearn before keras, or set KERAS_BACKEND={first} too." in refusal
    assert used == last
