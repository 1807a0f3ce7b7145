"""What a terminal or a pipe has no characters for, and names of files that are not UTF-8, end no command."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NAME = os.fsdecode(b"run-\xff")
Command = Callable[..., subprocess.CompletedProcess[str]]
ENVIRONMENTS = {
    "ascii pipe": {"PYTHONIOENCODING": "ascii"},
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.fixture
def runs(write_run: Callable[..., Path], session: Callable[..., dict[str, object]]) -> tuple[str, str]:
    files = {"train/1/Loss": ["0.5,8", "0.5,final"], "valid/1/Loss": ["0.5,8", "0.5,final"]}
    moved = {"resumed_from": {"directory": NAME, "position": "1"}, "error": "Größe \u2581"}
    write_run(NAME, files, sessions=[session("torch", device="Gerät \u2581")])
    write_run("zwölf", files, backend="jax", sessions=[session("jax", **moved)])
    return NAME, "zwölf"


@pytest.mark.parametrize("environment_of", ENVIRONMENTS)
@pytest.mark.parametrize("command", ["inspect", "compare", "compare --markdown"])
def test_every_output_is_written(multilearn: Command, runs: tuple[str, str], environment_of: str, command: str) -> None:
    name, *options = command.split()
    for paths in [runs] if name == "compare" else [[each] for each in runs]:
        ended = multilearn(name, *paths, *options, **ENVIRONMENTS[environment_of])
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr == ""
        assert "intact" in ended.stdout or "same" in ended.stdout


@pytest.mark.parametrize("environment_of", ENVIRONMENTS)
def test_json_is_json_in_every_encoding(multilearn: Command, runs: tuple[str, str], environment_of: str) -> None:
    ended = multilearn("inspect", runs[0], "--json", **ENVIRONMENTS[environment_of])
    found = json.loads(ended.stdout)
    assert found["directory"] == NAME
    assert found["sessions"][0]["device"] == "Gerät \u2581"


@pytest.mark.parametrize("environment_of", ENVIRONMENTS)
def test_errors_are_written_too(multilearn: Command, environment_of: str) -> None:
    ended = multilearn("inspect", NAME, **ENVIRONMENTS[environment_of])
    assert ended.returncode == 2
    assert ended.stderr.startswith("multilearn: A run's directory holds experiment.json. Received: run-\\udcff")
