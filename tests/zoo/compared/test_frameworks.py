"""Models of keras-hub, of texts and images, have the same curve on every framework: `nox -s "zoo(compared)"`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "parity"))

from processes import BACKENDS, environment, epoch_values

NAMES = ("bert", "gpt2 with lora", "vit")
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The folder with a run of each model, of each framework, which trained them in a process of its own."""
    folder = tmp_path_factory.mktemp("runs")
    for backend in BACKENDS:
        command = [sys.executable, str(Path(__file__).with_name("trained.py")), str(folder / backend)]
        variables = environment(MULTILEARN_BACKEND=backend)
        ended = subprocess.run(command, env=variables, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
    return {backend: folder / backend for backend in BACKENDS}


@pytest.mark.parametrize("name", NAMES)
def test_every_framework_has_the_same_curve(runs: Mapping[str, Path], name: str) -> None:
    values = {backend: epoch_values(folder / name) for backend, folder in runs.items()}
    assert len(values) == 3
    for one, other in combinations(values, 2):
        assert values[one].keys() == values[other].keys()
        assert {("train", "Loss", 2), ("valid", "Loss", 2)} <= values[one].keys()
        differences = [abs(value / values[other][key] - 1) for key, value in values[one].items() if value]
        print(f"{name}: {one} and {other} differ by {max(differences):.1e}, relative, after 20 updates")
        assert values[one] == pytest.approx(values[other], rel=TOLERANCE)
