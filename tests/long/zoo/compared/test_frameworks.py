"""Models of keras-hub, of texts and images, have the same curve on every framework: `nox -s "zoo(compared)"`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from support.processes import BACKENDS, environment

# Of the loss. The larger updates of the ViT amplify rounding: Keras' own fit of it differs by 1.3e-5 between torch and
# TensorFlow, of the same images.
TOLERANCES = {"bert": 1e-6, "gpt2 with lora": 1e-6, "vit": 1e-4}


Losses = Mapping[str, Mapping[str, list[float]]]


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> Losses:
    """By framework and model: after each of two epochs, of training and then of validation.

    Each framework is in a process of its own, one after the other.
    """
    folder, found = tmp_path_factory.mktemp("runs"), {}
    for backend in BACKENDS:
        command = [sys.executable, str(Path(__file__).with_name("trained.py")), str(folder / backend)]
        variables = environment(MULTILEARN_BACKEND=backend)
        ended = subprocess.run(command, env=variables, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        found[backend] = json.loads((folder / backend / "losses.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", TOLERANCES)
def test_every_framework_has_the_same_curve(losses: Losses, name: str) -> None:
    curves = {backend: np.array(found[name]) for backend, found in losses.items()}
    assert len(curves) == 3
    for one, other in combinations(curves, 2):
        assert curves[one].shape == (4,)
        difference = np.max(np.abs(curves[one] / curves[other] - 1))
        print(f"{name}: {one} and {other} differ by {difference:.1e} of the loss, in 20 updates")
        assert difference < TOLERANCES[name]
