"""The models in plain JAX: functions of parameters, laid out as Keras has them, and of moving statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.training.layouts import joined_attention
from benchmarks.training.setup import Weights
from benchmarks.training.workloads import HEADS, RESIDUAL, TOKENS, WIDTH

__all__ = ["jax_model"]

Tree = dict[str, Any]
Forward = Callable[[Tree, Tree, Any, bool], tuple[Any, Tree]]
"""Of parameters, moving statistics, inputs and `training`: logits, and the statistics after it."""


def jax_model(name: str, weights: Weights) -> tuple[Forward, Tree, Tree]:
    """The function, its parameters and its moving statistics."""
    if name == "transformer":
        weights = {**weights, "attention": list(joined_attention(weights["attention"]))}
    arrays = {key: [jnp.asarray(array) for array in held] for key, held in weights.items()}
    parameters = {key: held[:2] if key.endswith("_norm") else held for key, held in arrays.items()}
    moving = {key: held[2:] for key, held in arrays.items() if key.endswith("_norm")}
    return FORWARD[name], parameters, moving


def mlp(p: Tree, moving: Tree, x: Any, training: bool) -> tuple[Any, Tree]:
    for name in ("dense1", "dense2"):
        x = jax.nn.relu(dense(p[name], x))
    return dense(p["out"], x), moving


def cnn(p: Tree, moving: Tree, x: Any, training: bool) -> tuple[Any, Tree]:
    for name in ("conv1", "conv2"):
        kernel, bias = p[name]
        x = pooled(jax.nn.relu(convolution(x, kernel, "VALID") + bias))
    return dense(p["out"], x.reshape(-1, 800)), moving


def lstm(p: Tree, moving: Tree, ids: Any, training: bool) -> tuple[Any, Tree]:
    kernel, recurrent, bias = p["lstm"]
    # one product a step; that of the inputs of all times at once is slower on processors, for what it has to keep
    joined = jnp.concatenate([kernel, recurrent])

    def step(carried: tuple[Any, Any], inputs: Any) -> tuple[tuple[Any, Any], None]:
        cell, hidden = carried
        gates = jnp.concatenate([inputs, hidden], axis=1) @ joined + bias
        enter, forget, new, leave = jnp.split(gates, 4, axis=1)
        cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(enter) * jnp.tanh(new)
        return (cell, jax.nn.sigmoid(leave) * jnp.tanh(cell)), None

    zeros = jnp.zeros((ids.shape[0], WIDTH))
    (_, hidden), _ = jax.lax.scan(step, (zeros, zeros), p["tokens"][0][ids.T])
    return dense(p["out"], hidden), moving


def transformer(p: Tree, moving: Tree, ids: Any, training: bool) -> tuple[Any, Tree]:
    kernel, bias, projection, last = p["attention"]
    x = p["tokens"][0][ids] + p["places"][0]
    mixed = dense((kernel, bias), layer_norm(p["norm1"], x)).reshape(-1, TOKENS, 3, HEADS, WIDTH // HEADS)
    queries, keys, values = (mixed[:, :, part].swapaxes(1, 2) for part in range(3))
    scores = queries * (WIDTH // HEADS) ** -0.5 @ keys.swapaxes(2, 3)
    scores = jnp.where(jnp.tri(TOKENS, dtype=bool), scores, -1e9)
    mixed = (jax.nn.softmax(scores) @ values).swapaxes(1, 2).reshape(-1, TOKENS, WIDTH)
    x = x + dense((projection, last), mixed)
    x = x + dense(p["down"], jax.nn.gelu(dense(p["up"], layer_norm(p["norm2"], x)), approximate=False))
    return dense(p["out"], layer_norm(p["norm3"], x)), moving


def resnet(p: Tree, moving: Tree, x: Any, training: bool) -> tuple[Any, Tree]:
    after = {}

    def convolved(x: Any, name: str) -> Any:
        x = convolution(x, p[f"{name}_conv"][0], "SAME")
        (gamma, beta), (mean, variance) = p[f"{name}_norm"], moving[f"{name}_norm"]
        if training:
            seen = (x.mean((0, 1, 2)), x.var((0, 1, 2)))
            after[f"{name}_norm"] = [0.99 * mean + 0.01 * seen[0], 0.99 * variance + 0.01 * seen[1]]
            mean, variance = seen
        return (x - mean) * (gamma * jax.lax.rsqrt(variance + 1e-3)) + beta

    x = jax.nn.relu(convolved(x, "stem"))
    for block in range(len(RESIDUAL)):
        if block:
            x = pooled(x)
        around = convolved(x, f"around{block}") if block else x
        y = jax.nn.relu(convolved(x, f"first{block}"))
        x = jax.nn.relu(convolved(y, f"second{block}") + around)
    return dense(p["out"], x.mean((1, 2))), after if training else moving


FORWARD: dict[str, Forward] = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "transformer": transformer, "resnet": resnet}


def dense(layer: Any, x: Any) -> Any:
    return x @ layer[0] + layer[1]


def convolution(x: Any, kernel: Any, padding: str) -> Any:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def pooled(x: Any) -> Any:
    """The largest of each two by two."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def layer_norm(layer: Any, x: Any) -> Any:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * layer[0] + layer[1]
