"""Which framework a process trains on: each case in a process of its own, with tiny packages in place of frameworks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import toy_backend

from multilearn import backend
from multilearn.errors import BackendError

FRAMEWORKS = ("torch", "tensorflow", "jax")

# What counts of Keras here: it chooses its framework at import, by its variable.
KERAS = """
import os
from types import SimpleNamespace
_backend = os.environ.get("KERAS_BACKEND", "tensorflow")
config = SimpleNamespace(backend=lambda: _backend)
"""

# Forks a process for every case it is sent, so that only this one has to load numpy.
NURSERY = """
import importlib.metadata, json, logging, os, sys, traceback
import msgpack, numpy

class Hidden:
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def report():
    from multilearn import backend
    from multilearn.errors import BackendError
    choice = backend.choice()
    try:
        refusal, usable = None, backend.usable()
    except BackendError as error:
        refusal, usable = str(error), None
    loaded = sorted(set(sys.modules) & {"torch", "tensorflow", "jax", "keras", "multilearn_keras"})
    return [choice.name, choice.reason, usable, refusal, os.environ.get("KERAS_BACKEND"), loaded]

for line in sys.stdin:
    case = json.loads(line)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    try:
        os.environ.update(case["variables"])
        sys.path.insert(0, case["fakes"])
        sys.meta_path.insert(0, Hidden(case["hidden"]))
        exec(case["script"], {})
        answer = report()
    except BaseException:
        answer = traceback.format_exc()
    print(json.dumps(answer), flush=True)
    os._exit(0)
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process for each case")


class Said:
    """What a process said of its backend."""

    def __init__(self, answer: list[Any]) -> None:
        self.name, self.reason, self.usable, self.refusal, self.keras_backend, self.loaded = answer


Process = Callable[..., Said]


@pytest.fixture(scope="module")
def nursery(clean_environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        env=clean_environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        yield running
        assert running.stdin is not None
        running.stdin.close()


@pytest.fixture
def process(tmp_path: Path, nursery: subprocess.Popen[str]) -> Process:
    """Runs `script`, then reports, where only `installed` of Keras and the frameworks are installed."""

    def run(
        script: str = "import multilearn", installed: Sequence[str] = ("keras", *FRAMEWORKS), **variables: str
    ) -> Said:
        for name in installed:
            package = tmp_path / "fakes" / name
            package.mkdir(parents=True, exist_ok=True)
            (package / "__init__.py").write_text(KERAS if name == "keras" else "")
        hidden = sorted({"keras", *FRAMEWORKS} - set(installed))
        case = {"script": script, "fakes": str(tmp_path / "fakes"), "hidden": hidden, "variables": variables}
        assert nursery.stdin is not None and nursery.stdout is not None
        print(json.dumps(case), file=nursery.stdin, flush=True)
        answer = json.loads(nursery.stdout.readline())
        assert isinstance(answer, list), answer
        return Said(answer)

    return run


FIRST = "the first installed of torch, tensorflow, jax"
CHOICES: dict[str, tuple[dict[str, Any], str, str]] = {
    "the own variable": ({"MULTILEARN_BACKEND": "jax"}, "jax", "the environment variable MULTILEARN_BACKEND"),
    "two that agree": ({"MULTILEARN_BACKEND": "jax", "KERAS_BACKEND": "jax"}, "jax", "variable MULTILEARN_BACKEND"),
    "a loaded Keras": ({"script": "import keras; import multilearn"}, "tensorflow", "Keras was loaded on it"),
    "the variable of Keras": ({"KERAS_BACKEND": "tensorflow"}, "tensorflow", "the environment variable KERAS_BACKEND"),
    "the first of all": ({}, "torch", FIRST),
    "the first of two": ({"installed": ("keras", "tensorflow", "jax")}, "tensorflow", FIRST),
    "the only one": ({"installed": ("keras", "jax")}, "jax", FIRST),
    "empty variables": ({"MULTILEARN_BACKEND": " ", "KERAS_BACKEND": ""}, "torch", FIRST),
}


@pytest.mark.parametrize("case", CHOICES)
def test_what_is_chosen_and_why(process: Process, case: str) -> None:
    given, chosen, reason = CHOICES[case]
    said = process(**given)
    assert (said.name, said.usable, said.keras_backend) == (chosen, chosen, chosen)
    assert said.reason.endswith(reason)
    assert said.loaded == (["keras"] if "script" in given else [])


def test_what_keras_was_loaded_on_comes_before_its_variable(process: Process) -> None:
    # the variable was changed after Keras had read it
    said = process(
        "import os; import keras; os.environ['KERAS_BACKEND'] = 'torch'; import multilearn", KERAS_BACKEND="jax"
    )
    assert (said.name, said.reason) == ("jax", "Keras was loaded on it")


def test_keras_imported_afterwards_runs_on_what_was_chosen(process: Process) -> None:
    script = "import multilearn, keras; assert keras.config.backend() == 'jax', keras.config.backend()"
    assert process(script, MULTILEARN_BACKEND="jax").usable == "jax"


def test_what_was_announced_to_keras_is_not_taken_for_a_choice_of_the_users(process: Process) -> None:
    assert process("import multilearn").reason.startswith("the first installed")
    # nobody but us has told Keras anything, and it is not loaded yet: a late choice holds
    said = process("import multilearn, os; os.environ['MULTILEARN_BACKEND'] = 'jax'")
    assert (said.name, said.usable, said.keras_backend) == ("jax", "jax", "jax")
    said = process("import multilearn, os, keras; os.environ['MULTILEARN_BACKEND'] = 'jax'")
    assert "Keras is already loaded on torch" in said.refusal


def test_nothing_installed_is_refused_with_what_to_install(process: Process) -> None:
    for installed in [(), ("torch",), ("keras",)]:
        said = process(installed=installed)
        assert said.name is None
        assert "none is installed" in said.refusal
        assert "pip install 'multilearn-keras[torch]'" in said.refusal
        assert said.keras_backend is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [("pytorch", "torch"), ("Torch", "torch"), ("tensorflwo", "tensorflow"), ("JAX", "jax"), ("toi", "toy")],
)
def test_an_unknown_name_is_refused_with_the_nearest(process: Process, name: str, hint: str) -> None:
    said = process(MULTILEARN_BACKEND=name)
    assert f"Received: '{name}'. Did you mean '{hint}'?" in said.refusal
    assert "one of torch, tensorflow, jax, toy" in said.refusal
    assert "MULTILEARN_BACKEND" in said.refusal


def test_a_name_that_is_near_nothing_gets_no_hint(process: Process) -> None:
    for variable in ("MULTILEARN_BACKEND", "KERAS_BACKEND"):
        said = process(**{variable: "openvino"})
        assert "Received: 'openvino'." in said.refusal
        assert "Did you mean" not in said.refusal


def test_what_is_not_installed_is_refused_with_what_to_install_and_what_there_is(process: Process) -> None:
    said = process(installed=("keras", "jax"), MULTILEARN_BACKEND="tensorflow")
    assert "'tensorflow' needs tensorflow and keras" in said.refusal
    assert "tensorflow by the environment variable MULTILEARN_BACKEND" in said.refusal
    assert "pip install 'multilearn-keras[tensorflow]'" in said.refusal
    assert "MULTILEARN_BACKEND=jax" in said.refusal
    # Keras must be importable all the same, so that it is us who refuse
    assert said.keras_backend == "jax"


def test_a_framework_without_keras_is_not_installed(process: Process) -> None:
    said = process(installed=("torch",), MULTILEARN_BACKEND="torch")
    assert "'torch' needs torch and keras, and they are not both installed" in said.refusal


ONLY_A_FOLDER = """
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec

class OnlyAFolder:
    def find_spec(self, name, path=None, target=None):
        return PathFinder.find_spec(name, sys.path[:1]) if name == "torch" else None

sys.meta_path.insert(0, OnlyAFolder())
assert find_spec("torch") is not None
import multilearn
"""


def test_a_folder_that_has_the_name_of_a_framework_is_none(process: Process, tmp_path: Path) -> None:
    (tmp_path / "fakes" / "torch").mkdir(parents=True)
    assert process(ONLY_A_FOLDER, installed=("keras", "jax")).name == "jax"


def test_two_variables_that_contradict_each_other_are_refused(process: Process) -> None:
    said = process(MULTILEARN_BACKEND="jax", KERAS_BACKEND="torch")
    assert "MULTILEARN_BACKEND and KERAS_BACKEND must agree" in said.refusal
    assert "MULTILEARN_BACKEND=jax and KERAS_BACKEND=torch" in said.refusal
    assert "Unset KERAS_BACKEND, or set it to jax too" in said.refusal


def test_a_keras_that_was_loaded_on_another_is_refused_with_the_remedy(process: Process) -> None:
    said = process("import keras; import multilearn", MULTILEARN_BACKEND="torch")
    assert "Keras is already loaded on tensorflow" in said.refusal
    assert "torch by the environment variable MULTILEARN_BACKEND" in said.refusal
    assert "Import multilearn before keras, or set KERAS_BACKEND=torch too" in said.refusal


@pytest.mark.parametrize(
    "call",
    [
        "multilearn.set_seed(1)",
        "multilearn.LearnerBuilder('run').build(None)",
        "multilearn.backend.load()",
        "multilearn.backend.load('jax')",
    ],
)
def test_the_first_that_needs_a_framework_refuses(process: Process, call: str) -> None:
    script = f"""
import multilearn
from multilearn.errors import BackendError
try:
    {call}
except BackendError as error:
    assert "not both installed" in str(error), error
else:
    raise AssertionError("not refused")
"""
    process(script, installed=("keras", "torch"), MULTILEARN_BACKEND="jax")


@pytest.mark.parametrize("variable", ["MULTILEARN_BACKEND", "KERAS_BACKEND"])
@pytest.mark.parametrize("value", ["nonsense", "../torch", "torch tensorflow", "\N{SNOWMAN}"])
def test_importing_never_raises(process: Process, variable: str, value: str) -> None:
    for installed in [(), ("keras", *FRAMEWORKS)]:
        said = process(installed=installed, **{variable: value})
        assert said.refusal is not None
        assert said.loaded == []


def test_importing_never_raises_where_keras_is_broken(process: Process, tmp_path: Path) -> None:
    for broken in ["config = None", "class config: backend = None", "", "def __getattr__(name): raise AttributeError"]:
        script = f"import sys, types; k = types.ModuleType('keras'); exec({broken!r}, k.__dict__); "
        said = process(f"{script} sys.modules['keras'] = k; import multilearn")
        assert said.name == "torch"


def test_a_third_partys_backend_needs_no_keras_and_is_not_in_its_way(process: Process) -> None:
    said = process(installed=(), MULTILEARN_BACKEND="toy")
    assert (said.name, said.usable, said.keras_backend, said.loaded) == ("toy", "toy", None, [])
    said = process("import multilearn, keras", MULTILEARN_BACKEND="toy")
    assert (said.usable, said.keras_backend) == ("toy", "torch")


def test_the_toy_backend_is_loaded_once() -> None:
    loaded = backend.load()
    assert isinstance(loaded, toy_backend.ToyBackend)
    assert backend.load("toy") is loaded
    assert backend.chosen() == "toy"
    assert backend.known()[-1] == "toy"
    assert backend.installed("toy")


def test_a_refusal_can_be_caught_as_an_import_error_or_a_value_error() -> None:
    for kind in (ImportError, ValueError, BackendError):
        with pytest.raises(kind, match="'nonsense'"):
            backend.load("nonsense")
