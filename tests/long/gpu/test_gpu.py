"""On a GPU: the curve of a CPU, by one process and by several, and a loop that does not wait for the device.

`tools/gpu.sh` runs it on a machine that has one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from support.environments import with_support
from support.training import BACKEND, engine_of

from multilearn.environment_variables import LEASH
from multilearn.launch.environments import ranks
from multilearn_keras import Classification
from multilearn_keras.devices import has_gpu

if not has_gpu():
    pytest.skip(f"{BACKEND} sees no GPU on this machine", allow_module_level=True)

SCRIPT = Path(__file__).parent / "scripts" / "on_a_device.py"
MODELS = ("perceptron", "convolutions", "recurrent")
ORDERS, KERNELS = 1e-5, 1e-3
"""How far sums in another order may be apart after 60 updates, relative to a loss, and other kernels."""

needs_processes = pytest.mark.skipif(
    BACKEND != "torch", reason="NCCL and gloo are torch's: JAX has all devices in a process"
)


def losses(folder: Path, name: str, device: str, *options: str, processes: int = 1) -> np.ndarray:
    """What the first process of so many prints."""
    worlds: Sequence[dict[str, str]] = ranks(processes) if processes > 1 else [{}]
    command = [sys.executable, str(SCRIPT), name, device, *options]
    chosen = {"MULTILEARN_BACKEND": BACKEND, "KERAS_BACKEND": BACKEND, LEASH: ""}
    folder.mkdir()
    started = [
        subprocess.Popen(command, cwd=folder, env=with_support(**{**each, **chosen}), stdout=subprocess.PIPE, text=True)
        for each in worlds
    ]
    try:
        said = [process.communicate(timeout=240)[0] for process in started[::-1]][::-1]
    finally:
        for process in started:
            process.kill()
    assert not any(process.returncode for process in started)
    return np.array(json.loads(said[0]))


@pytest.fixture(scope="module")
def on_gpu(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("gpu")
    return {name: losses(folder / name, name, "gpu:0") for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_a_gpu_has_the_curve_of_a_cpu(name: str, on_gpu: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.testing.assert_allclose(on_gpu[name], losses(tmp_path / "cpu", name, "cpu"), rtol=KERNELS)


@pytest.mark.parametrize("name", MODELS)
def test_the_same_run_gives_the_same_bits(name: str, on_gpu: dict[str, np.ndarray], tmp_path: Path) -> None:
    assert np.array_equal(on_gpu[name], losses(tmp_path / "again", name, "gpu:0"))


@needs_processes
@pytest.mark.parametrize("name", MODELS)
def test_one_rank_by_nccl_is_one_process(name: str, on_gpu: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.testing.assert_allclose(losses(tmp_path / "nccl", name, "gpu:0", "world"), on_gpu[name], rtol=ORDERS)


@needs_processes
@pytest.mark.parametrize("name", MODELS)
def test_two_ranks_that_share_a_gpu_are_one_process(name: str, on_gpu: dict[str, np.ndarray], tmp_path: Path) -> None:
    """By gloo: NCCL takes one rank for each GPU."""
    found = losses(tmp_path / "gloo", name, "gpu:0", processes=2)
    np.testing.assert_allclose(found, on_gpu[name], rtol=ORDERS)


def test_the_loop_does_not_wait_for_the_device() -> None:
    ml.set_seed(1)
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(32, 6)).astype("float32"), rng.integers(0, 3, 32)
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dropout(0.2), keras.layers.Dense(3)]
    )
    engine = engine_of(Classification(model), keras.optimizers.Adam(), batch)
    # until its steps are captured
    outputs = [engine.train_step(batch, 0.01, True) for _ in range(30)]
    if BACKEND == "torch":
        import torch

        torch.cuda.set_sync_debug_mode("error")
        try:
            outputs += [engine.train_step(batch, 0.01, True) for _ in range(10)]
        finally:
            torch.cuda.set_sync_debug_mode("default")
    elif BACKEND == "jax":
        import jax

        with jax.transfer_guard_device_to_host("disallow"):
            outputs += [engine.train_step(batch, 0.01, True) for _ in range(10)]
    else:
        pytest.skip("TensorFlow has no means to tell")
    assert all(np.isfinite(host.measures["Loss"]["loss"]).all() for host in engine.fetch(outputs))
