"""The models in plain TensorFlow: functions of variables, laid out as Keras has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.training.layouts import joined_attention
from benchmarks.training.setup import Weights
from benchmarks.training.workloads import HEADS, RESIDUAL, TOKENS, WIDTH

__all__ = ["tensorflow_model"]

Variables = dict[str, list[tf.Variable]]
Forward = Callable[[Variables, tf.Tensor, bool], tf.Tensor]


def tensorflow_model(name: str, weights: Weights) -> tuple[Forward, Variables]:
    """The function of variables, inputs and `training`, and its variables; those not trained say so."""
    if name == "transformer":
        weights = {**weights, "attention": list(joined_attention(weights["attention"]))}
    return FORWARD[name], {key: _variables(key, arrays) for key, arrays in weights.items()}


def _variables(name: str, arrays: list[np.ndarray]) -> list[tf.Variable]:
    moving = 2 if name.endswith("_norm") else 0
    trained = len(arrays) - moving
    return [tf.Variable(array, trainable=place < trained) for place, array in enumerate(arrays)]


def mlp(v: Variables, x: tf.Tensor, training: bool) -> tf.Tensor:
    for name in ("dense1", "dense2"):
        x = tf.nn.relu(dense(v[name], x))
    return dense(v["out"], x)


def cnn(v: Variables, x: tf.Tensor, training: bool) -> tf.Tensor:
    for name in ("conv1", "conv2"):
        kernel, bias = v[name]
        x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "VALID"), bias))
        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
    return dense(v["out"], tf.reshape(x, (-1, 800)))


def lstm(v: Variables, ids: tf.Tensor, training: bool) -> tf.Tensor:
    kernel, recurrent, bias = v["lstm"]
    # TensorFlow's kernel over all times has its gates in another order; a loop of operations takes twice as long
    ordered = [tf.gather(tf.split(part, 4, -1), (0, 2, 1, 3)) for part in (tf.concat([kernel, recurrent], 0), bias)]
    joined = tf.reshape(tf.transpose(ordered[0], (1, 0, 2)), (-1, 4 * WIDTH))
    none, start = tf.zeros(WIDTH), tf.zeros((ids.shape[0], WIDTH))
    done = tf.raw_ops.BlockLSTM(
        seq_len_max=tf.constant(TOKENS, tf.int64),
        x=tf.nn.embedding_lookup(v["tokens"][0], tf.transpose(ids)),
        cs_prev=start,
        h_prev=start,
        w=joined,
        wci=none,
        wcf=none,
        wco=none,
        b=tf.reshape(ordered[1], (-1,)),
        forget_bias=0.0,
        cell_clip=-1.0,
    )
    return dense(v["out"], done.h[-1])


def transformer(v: Variables, ids: tf.Tensor, training: bool) -> tf.Tensor:
    kernel, bias, projection, last = v["attention"]
    x = tf.nn.embedding_lookup(v["tokens"][0], ids) + v["places"][0]
    mixed = dense([kernel, bias], layer_norm(v["norm1"], x))
    mixed = tf.transpose(tf.reshape(mixed, (-1, TOKENS, 3, HEADS, WIDTH // HEADS)), (2, 0, 3, 1, 4))
    queries, keys, values = tf.unstack(mixed, 3)
    scores = tf.matmul(queries * (WIDTH // HEADS) ** -0.5, keys, transpose_b=True)
    mixed = tf.nn.softmax(scores + (1 - tf.linalg.band_part(tf.ones((TOKENS, TOKENS)), -1, 0)) * -1e9) @ values
    x += dense([projection, last], tf.reshape(tf.transpose(mixed, (0, 2, 1, 3)), (-1, TOKENS, WIDTH)))
    x += dense(v["down"], tf.nn.gelu(dense(v["up"], layer_norm(v["norm2"], x))))
    return dense(v["out"], layer_norm(v["norm3"], x))


def resnet(v: Variables, x: tf.Tensor, training: bool) -> tf.Tensor:
    def convolved(x: tf.Tensor, name: str) -> tf.Tensor:
        x = tf.nn.conv2d(x, v[f"{name}_conv"][0], 1, "SAME")
        gamma, beta, mean, variance = v[f"{name}_norm"]
        if not training:
            return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, 1e-3, is_training=False)[0]
        x, batch_mean, batch_variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=1e-3)
        for moving, seen in ((mean, batch_mean), (variance, batch_variance)):
            moving.assign_sub(0.01 * (moving - seen))
        return x

    x = tf.nn.relu(convolved(x, "stem"))
    for block in range(len(RESIDUAL)):
        if block:
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        around = convolved(x, f"around{block}") if block else x
        y = tf.nn.relu(convolved(x, f"first{block}"))
        x = tf.nn.relu(convolved(y, f"second{block}") + around)
    return dense(v["out"], tf.reduce_mean(x, (1, 2)))


FORWARD: dict[str, Forward] = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "transformer": transformer, "resnet": resnet}


def dense(layer: Any, x: tf.Tensor) -> tf.Tensor:
    """A product of matrices: TensorFlow's own over more axes is one for each, or several reshapes."""
    kernel, bias = layer
    flat = tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), kernel) + bias
    return tf.reshape(flat, (*((-1,) if len(x.shape) > 1 else ()), *x.shape[1:-1], kernel.shape[1]))


def layer_norm(layer: Any, x: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, layer[1], layer[0], 1e-5)
