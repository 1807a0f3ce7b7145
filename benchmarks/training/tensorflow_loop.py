"""A loop written by hand in TensorFlow: variables, and one `tf.function` for a step."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from benchmarks.training.setup import RATE, Setup
from benchmarks.training.tensorflow_models import tensorflow_model
from benchmarks.training.turns import Epoch, Peer
from benchmarks.training.workloads import Split

__all__ = ["tensorflow_loop"]


def tensorflow_loop(setup: Setup, *, xla: bool = False) -> Callable[[Peer], None]:
    """The loss and the count of hits are summed in variables, and read once an epoch."""
    forward, variables = tensorflow_model(setup.work.model, setup.weights)
    trained = [variable for layer in variables.values() for variable in layer if variable.trainable]
    adam = Adam(trained)
    total, hits = tf.Variable(0.0), tf.Variable(0, dtype=tf.int64)

    def outcome(x: tf.Tensor, y: tf.Tensor, training: bool) -> tf.Tensor:
        logits = forward(variables, x, training)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        total.assign_add(loss)
        hits.assign_add(tf.math.count_nonzero(tf.argmax(logits, -1, tf.int32) == y))
        return loss

    @tf.function(autograph=False, jit_compile=xla)
    def train_step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = outcome(x, y, True)
        adam.apply(tape.gradient(loss, trained))
        return loss

    @tf.function(autograph=False, jit_compile=xla)
    def valid_step(x: tf.Tensor, y: tf.Tensor) -> None:
        outcome(x, y, False)

    def means(split: Split) -> tuple[float, float]:
        found = float(total) / len(split), int(hits) / split.y.size
        total.assign(0.0)
        hits.assign(0)
        return found

    def fit(peer: Peer) -> None:
        first = []
        for number in range(setup.work.epochs):
            for x, y in setup.train:
                loss = train_step(tf.convert_to_tensor(x), tf.convert_to_tensor(y))
                if number == 0:
                    first.append(loss)
            train = means(setup.train)
            for x, y in setup.valid:
                valid_step(tf.convert_to_tensor(x), tf.convert_to_tensor(y))
            peer.lap(Epoch(*train, *means(setup.valid)))
        peer.first_losses = [float(loss) for loss in first]

    return fit


class Adam:
    """TensorFlow's own kernel for it: one operation for each variable."""

    def __init__(self, trained: list[tf.Variable]) -> None:
        self._trained = trained
        self._slots = [tuple(tf.Variable(tf.zeros_like(v), trainable=False) for _ in range(2)) for v in trained]
        self._powers = tf.Variable([1.0, 1.0], trainable=False)

    def apply(self, gradients: list[tf.Tensor]) -> None:
        powers = self._powers.assign(self._powers * [0.9, 0.999])
        for variable, (m, v), gradient in zip(self._trained, self._slots, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=RATE,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-7,
                grad=tf.convert_to_tensor(gradient),
            )
