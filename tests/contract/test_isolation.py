"""One environment, one framework: what passes here passes without the others."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from multilearn import backend

FRAMEWORKS = {"torch", "tensorflow", "jax"}


@pytest.mark.usefixtures("isolated")
def test_no_other_framework_is_installed() -> None:
    assert [name for name in ("torch", "tensorflow", "jax") if find_spec(name)] == [backend.chosen()]


def test_a_run_imports_no_other_framework(tmp_path: Path) -> None:
    script = f"""
import sys
import multilearn as ml, keras, numpy as np
from multilearn_keras import Classification

embedded = [keras.Input((3,), dtype="int32"), keras.layers.Embedding(5, 2)]
model = keras.Sequential([*embedded, keras.layers.LSTM(2), keras.layers.Dense(2)])
data = ml.DataLoader((np.ones((4, 3), "int32"), np.zeros(4, "int32")), 2)
builder = ml.LearnerBuilder({str(tmp_path / "run")!r}).metrics(ml.metrics.Loss()).num_epochs(1)
builder.build(Classification(model), "sgd", 0.1).fit(data, data)
list(ml.predict(model, [np.ones((2, 3), "int32")]))
print(sorted({FRAMEWORKS!r} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == str([backend.chosen()])
