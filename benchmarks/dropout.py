"""What portable dropout costs, next to the framework's own and Keras'.

    nox -s bench -- dropout [torch | tensorflow | jax]

One process, one thread; the three run in turn, and the medians of the turns are printed, in microseconds. `step` is
forward and backward: the gradient of sum(x * dropout(x)). Keras' own draws with the seed that a layer holds.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

RATE = 0.3
SHAPES = ((64, 128), (64, 512, 64), (64, 28, 28, 32))
TURNS, ELEMENTS_A_TURN = 15, 2_000_000

BACKEND = sys.argv[1] if sys.argv[1:] else os.environ.get("KERAS_BACKEND", "torch")
os.environ |= {"KERAS_BACKEND": BACKEND, "MULTILEARN_BACKEND": BACKEND, "OMP_NUM_THREADS": "1"}
os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras.src import backend as keras_backend  # noqa: E402

KERAS_DROPOUT = keras_backend.random.dropout  # before it is replaced

import multilearn as ml  # noqa: E402

Dropout = Callable[..., Any]
Run = Callable[[Any], Any]


def torch_modes() -> tuple[dict[str, Dropout], dict[str, Callable[[Dropout, bool], Run]], Run]:
    import torch

    torch.set_num_threads(1)

    def eager(dropout: Dropout, backward: bool) -> Run:
        generator = keras.random.SeedGenerator(3)

        def step(x: Any) -> Any:
            x = x.detach().requires_grad_(backward)
            dropped = dropout(x, generator)
            if backward:
                (x * dropped).sum().backward()
            return x.grad if backward else dropped

        return step

    def native(x: Any, seed: Any) -> Any:
        return torch.nn.functional.dropout(x, RATE, training=True)

    return {"native": native}, {"eager": eager}, torch.from_numpy


def tensorflow_modes() -> tuple[dict[str, Dropout], dict[str, Callable[[Dropout, bool], Run]], Run]:
    import tensorflow as tf

    def compiled(dropout: Dropout, backward: bool, xla: bool) -> Run:
        generator = keras.random.SeedGenerator(3)

        def step(x: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                dropped = dropout(x, generator)
                total = tf.reduce_sum(x * dropped) if backward else None
            return tape.gradient(total, x) if backward else dropped

        return tf.function(step, jit_compile=xla, autograph=False)

    def native(x: Any, seed: Any) -> Any:
        return tf.nn.dropout(x, RATE)

    modes = {name: lambda dropout, backward, xla=xla: compiled(dropout, backward, xla) for name, xla in XLA.items()}
    return {"native": native}, modes, tf.constant


XLA = {"graph": False, "XLA": True}


def jax_modes() -> tuple[dict[str, Dropout], dict[str, Callable[[Dropout, bool], Run]], Run]:
    import jax

    def jitted(dropout: Dropout, backward: bool) -> Run:
        def step(x: Any, seed: Any) -> Any:
            if backward:
                return jax.grad(lambda x: (x * dropout(x, seed)).sum())(x), seed + ONE_DRAW
            return dropout(x, seed), seed + ONE_DRAW

        run, seed = jax.jit(step), [jax.numpy.array([3, 0], "uint32")]

        def with_seed(x: Any) -> Any:
            result, seed[0] = run(x, seed[0])
            return result.block_until_ready()

        return with_seed

    def native(x: Any, seed: Any) -> Any:
        kept = jax.random.bernoulli(jax.random.wrap_key_data(seed), 1 - RATE, x.shape)
        return jax.numpy.where(kept, x / (1 - RATE), 0)

    return {"native": native}, {"jit": jitted}, jax.numpy.asarray


ONE_DRAW = np.array([0, 1], "uint32")


def keras_own(x: Any, seed: Any) -> Any:
    return KERAS_DROPOUT(x, RATE, seed=seed)


def portable(x: Any, seed: Any) -> Any:
    return keras.random.dropout(x, RATE, seed=seed)


def medians(runs: dict[str, Run], x: Any, turns: int) -> dict[str, float]:
    """Microseconds a call."""
    calls = max(1, min(100, ELEMENTS_A_TURN // math.prod(x.shape)))
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            for _ in range(calls):
                run(x)
            if turn:  # the first one compiles
                taken[name].append((time.perf_counter() - began) / calls * 1e6)
    return {name: statistics.median(values) for name, values in taken.items()}


def main(quick: bool = False) -> dict[str, dict[str, float]]:
    """Microseconds a call of each, by what is called; `of_native`: portable dropout as a multiple of native."""
    ml.set_seed(1)
    keras.random.uniform((1,))  # the portable draws are in place from here on
    assert keras_backend.random.dropout is not KERAS_DROPOUT
    dropouts, modes, tensor = {"torch": torch_modes, "tensorflow": tensorflow_modes, "jax": jax_modes}[BACKEND]()
    dropouts |= {"Keras": keras_own, "portable": portable}
    rows = {}
    print(f"{'':35}" + "".join(f"{name:>12}" for name in dropouts) + f"{'of native':>12}")
    for shape in SHAPES[:1] if quick else SHAPES:
        x = tensor(np.random.default_rng(1).random(shape, dtype="float32") + 1)
        for mode, make in modes.items():
            for backward in (False, True):
                made = {name: make(dropout, backward) for name, dropout in dropouts.items()}
                took = medians(made, x, 3 if quick else TURNS)
                what = f"{BACKEND} {mode} {'step' if backward else 'forward'} {shape}"
                share = took["portable"] / took["native"]
                print(
                    f"{what:35}" + "".join(f"{value:12.0f}" for value in took.values()) + f"{share:12.2f}", flush=True
                )
                figures = {f"{name.lower()}_us": value for name, value in took.items()}
                rows[what.removeprefix(f"{BACKEND} ")] = {**figures, "of_native": share}
    return rows


if __name__ == "__main__":
    main()
