"""A loop by hand in TensorFlow, over `MirroredStrategy` if there are several devices."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from benchmarks.steps.steps import Steps
from benchmarks.training.setup import RATE, Setup
from benchmarks.training.tensorflow_models import tensorflow_model

__all__ = ["prepared", "steps"]


def prepared(devices: int) -> Any:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    if devices == 1:
        return tf.distribute.get_strategy()
    cpu, *_ = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(devices)])
    return tf.distribute.MirroredStrategy([f"cpu:{number}" for number in range(devices)])


def steps(setup: Setup, strategy: Any) -> Steps:
    share = setup.train.batch // strategy.num_replicas_in_sync
    with strategy.scope():
        forward, variables = tensorflow_model(setup.work.model, setup.weights)
        trained = [variable for layer in variables.values() for variable in layer]
        slots = [[tf.Variable(tf.zeros_like(v), trainable=False) for _ in range(2)] for v in trained]
        powers = tf.Variable([1.0, 1.0], trainable=False)

    def of_replica(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = forward(variables, x, True)
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)) / setup.train.batch
        gradients = tape.gradient(loss, trained)
        context = tf.distribute.get_replica_context()
        if strategy.num_replicas_in_sync > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        adam(gradients)
        return loss, tf.math.count_nonzero(tf.argmax(logits, -1, tf.int32) == y)

    def adam(gradients: list[tf.Tensor]) -> None:
        """Kingma and Ba's efficient order of the computation."""
        first, second = 0.9, 0.999
        now = powers * [first, second]
        powers.assign(now)
        rate = RATE * tf.sqrt(1 - now[1]) / (1 - now[0])
        for variable, (m, v), gradient in zip(trained, slots, gradients, strict=True):
            m.assign(first * m + (1 - first) * gradient)
            v.assign(second * v + (1 - second) * tf.square(gradient))
            variable.assign_sub(rate * m / (tf.sqrt(v) + 1e-7))

    @tf.function(autograph=False)
    def train_step(x: Any, y: Any) -> Any:
        return strategy.run(of_replica, args=(x, y))

    batches = []
    for x, y in setup.train:
        parts = [(x[at : at + share], y[at : at + share]) for at in range(0, setup.train.batch, share)]
        of_x, of_y = zip(*parts, strict=True)
        batches.append((placed(strategy, of_x), placed(strategy, of_y)))
    outcomes: list[Any] = []

    def step(number: int) -> None:
        outcomes.append(train_step(*batches[number]))

    def wait() -> None:
        for loss, _ in outcomes:
            [float(each) for each in strategy.experimental_local_results(loss)]
        outcomes.clear()

    return Steps(step, wait)


def placed(strategy: Any, parts: Any) -> Any:
    """Each replica's part."""
    tensors = [tf.convert_to_tensor(part) for part in parts]
    if strategy.num_replicas_in_sync == 1:
        return tensors[0]
    return strategy.experimental_distribute_values_from_function(lambda of: tensors[of.replica_id_in_sync_group])
