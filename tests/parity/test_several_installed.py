"""What needs several frameworks in one environment: the example that moves a run, and imports of the others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from support.environments import EXAMPLES
from support.processes import BACKENDS, SCRIPTS, Warm, environment, on_each


def test_the_example_begins_a_run_here_and_ends_it_there_as_if_it_had_stayed(tmp_path: Path) -> None:
    first, other = BACKENDS[0], BACKENDS[-1]
    options = ["--begin", first, "--go-on", other, "--quick", "--directory", "moved"]
    command = [sys.executable, str(EXAMPLES / "resume_elsewhere.py"), *options]
    ended = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "same: 8 values within the tolerance" in ended.stdout and "Traceback" not in ended.stderr
    (session,) = json.loads((tmp_path / "moved" / "moved" / "experiment.json").read_text())["sessions"]
    assert (session["backend"], session["resumed_from"]["position"]) == (other, "1")


def test_describing_a_model_imports_no_other_framework(warm: Mapping[str, Warm]) -> None:
    """As Keras' own serialization does."""
    for backend, ended in on_each(lambda backend: warm[backend].run(SCRIPTS / "described.py")).items():
        assert (ended.code, ended.said.splitlines()[-1]) == (0, "set()"), (backend, ended.said)
