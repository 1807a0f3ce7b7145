"""Forward and backward of Keras' LSTM and GRU as multilearn runs them on torch, next to nn.LSTM and nn.GRU.

    nox -s bench -- recurrent

One process, one thread, in turn; the least processor time of the turns is printed, in milliseconds, and the ratio,
`of_native`. The layer's step is captured into a flat graph, as training does. Rows: batch, steps, features, units.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ |= {"KERAS_BACKEND": "torch", "MULTILEARN_BACKEND": "torch", "OMP_NUM_THREADS": "1"}

import keras
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from multilearn_keras.patches.install import install

FRAMEWORKS = ("torch",)
SIZES = ((16, 20, 16, 16), (64, 20, 32, 32), (64, 50, 64, 64), (64, 28, 28, 128), (256, 50, 64, 64))
TURNS = 7
PAIRS = ((keras.layers.LSTM, torch.nn.LSTM), (keras.layers.GRU, torch.nn.GRU))


def milliseconds(step: Callable[[], Any], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        step()
    return (time.process_time() - start) / times * 1e3


def steps(kind: Any, peer: Any, x: torch.Tensor, units: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    layer, module = kind(units, return_sequences=True), peer(x.shape[2], units, batch_first=True)
    layer.build(tuple(x.shape))
    weights, parameters = [variable.value for variable in layer.trainable_variables], list(module.parameters())
    graph = make_fx(lambda x: torch.autograd.grad(layer(x).square().sum(), weights))(x)
    return torch.no_grad()(lambda: graph(x)), lambda: torch.autograd.grad(module(x)[0].square().sum(), parameters)


def main(quick: bool = False) -> dict[str, dict[str, float]]:
    """Milliseconds a step of both, by layer and size; `of_native`: the layer's as a multiple of the module's."""
    torch.set_num_threads(1)
    install()
    rows = {}
    print(f"{'layer':6}{'batch':>6}{'steps':>6}{'in':>5}{'units':>6}{'multilearn':>12}{'torch.nn':>10}{'ratio':>7}")
    for kind, peer in PAIRS:
        for batch, length, features, units in SIZES[1:3] if quick else SIZES:
            pair = steps(kind, peer, torch.randn(batch, length, features), units)
            times = max(1, min(40, 500_000 // (batch * length * units)))
            turns = [[milliseconds(step, times) for step in pair] for _ in range(3 if quick else TURNS)]
            own, theirs = (min(column) for column in zip(*turns, strict=True))
            what = f"{kind.__name__:6}{batch:6}{length:6}{features:5}{units:6}"
            print(f"{what}{own:12.2f}{theirs:10.2f}{own / theirs:7.2f}", flush=True)
            rows[" ".join(what.split())] = {"own_ms": own, "native_ms": theirs, "of_native": own / theirs}
    return rows


if __name__ == "__main__":
    main()
