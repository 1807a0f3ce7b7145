"""What a terminal or a pipe has no characters for, and names of files that are not UTF-8, end no command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

NAME = os.fsdecode(b"run-\xff")
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


@pytest.fixture(params=ENVIRONMENTS)
def encoded(request: pytest.FixtureRequest, environment: Mapping[str, str], warm: Callable[..., Any]) -> Any:
    """What runs commands in one of these environments."""
    return warm({**environment, "OMP_NUM_THREADS": "1", **ENVIRONMENTS[request.param]})


@pytest.mark.parametrize("command", ["inspect", "compare", "compare --markdown"])
def test_every_output_is_written(encoded: Any, tmp_path: Path, runs: tuple[str, str], command: str) -> None:
    name, *options = command.split()
    for paths in [runs] if name == "compare" else [[each] for each in runs]:
        ended = encoded.run(tmp_path, name, *paths, *options)
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr == ""
        assert "intact" in ended.stdout or "same" in ended.stdout


def test_json_is_json_in_every_encoding(encoded: Any, tmp_path: Path, runs: tuple[str, str]) -> None:
    found = json.loads(encoded.run(tmp_path, "inspect", runs[0], "--json").stdout)
    assert found["directory"] == NAME
    assert found["sessions"][0]["device"] == "Gerät \u2581"


def test_errors_are_written_too(encoded: Any, tmp_path: Path) -> None:
    ended = encoded.run(tmp_path, "inspect", NAME)
    assert ended.returncode == 2
    assert ended.stderr.startswith("multilearn: A run's directory holds experiment.json. Received: run-\\udcff")
