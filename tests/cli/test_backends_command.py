"""`multilearn backends`: what is known, installed and would be used."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

# The command line where no framework is to be found, so that none is imported to ask for its devices.
WITHOUT_FRAMEWORKS = """
import sys

class Hider:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"keras", "torch", "tensorflow", "jax"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hider())
from multilearn.cli import main
main()
"""


@pytest.fixture(scope="module")
def found(environment: Mapping[str, str]) -> dict[str, Any]:
    """All that it says with nothing chosen; asked once, for every installed framework is imported for it."""
    asked = [sys.executable, "-m", "multilearn", "backends", "--json"]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def named(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in found["backends"] if each["name"] == name)


def test_a_backend_comes_with_its_version_and_devices(found: dict[str, Any]) -> None:
    assert named(found, "alpha") == {
        "name": "alpha",
        "installed": True,
        "versions": {"toy-backends": "1.5"},
        "devices": ["cpu:0", "gpu:0"],
        "problem": None,
    }


def test_a_backend_that_fails_says_why_and_the_others_are_shown(found: dict[str, Any]) -> None:
    beta = named(found, "beta")
    assert (beta["installed"], beta["devices"]) == (True, None)
    assert beta["problem"] == "could not be asked: RuntimeError: beta has no driver"


@pytest.mark.parametrize("name", ["torch", "tensorflow", "jax"])
def test_our_own_backends_come_with_devices_or_with_what_installs_them(found: dict[str, Any], name: str) -> None:
    told = named(found, name)
    if told["installed"]:
        assert told["devices"] and all(":" in device for device in told["devices"])
        assert set(told["versions"]) == {name, "keras"}
    else:
        assert (told["versions"], told["devices"]) == ({}, None)
        assert told["problem"] == f"pip install 'multilearn-keras[{name}]'"


def test_the_variable_that_multilearn_sets_itself_is_not_given_as_the_reason(found: dict[str, Any]) -> None:
    assert found["reason"] == "the first installed of torch, tensorflow, jax"


def test_the_text_shows_a_choice_that_would_be_refused_with_the_remedy(
    environment: Mapping[str, str],
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FRAMEWORKS, "backends"],
        env={**environment, "MULTILEARN_BACKEND": "alpah"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[-2] == "would be used: alpah (the environment variable MULTILEARN_BACKEND)"
    assert lines[-1].startswith("which is refused: ") and "Did you mean 'alpha'?" in lines[-1]
    (alpha,) = [line for line in lines if line.startswith("alpha")]
    assert alpha.split(maxsplit=3) == ["alpha", "toy-backends", "1.5", "cpu:0, gpu:0"]
    assert lines[0].index("versions") == alpha.index("toy-backends")
