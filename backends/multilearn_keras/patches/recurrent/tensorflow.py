"""An LSTM over a whole sequence by TensorFlow's kernel for it, `BlockLSTM`, one operation each way.

Keras has a loop of some twenty operations there, whose gradient keeps what each of them made. The kernel knows float32
and no masks, and XLA does not know the kernel. Its gradient has none itself: it goes through the steps one by one.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops as framework
from tensorflow.python.ops import control_flow_util

from multilearn_keras.devices import has_gpu

__all__ = ["is_fit", "lstm"]


def is_fit(tensors: list[Any], mask: Any) -> bool:
    """Whether the kernel knows these: inputs, states and weights. GPUs are cuDNN's, which Keras asks by itself."""
    by_xla = control_flow_util.GraphOrParentsInXlaContext(framework.get_default_graph())
    return (
        mask is None
        and all(tensor.dtype == tf.float32 for tensor in tensors)
        and 0 not in tensors[0].shape
        and not by_xla
        and not has_gpu()
    )


def lstm(layer: Any, sequences: Any, states: list[Any], mask: None) -> tuple[Any, list[Any]]:
    """The hidden states, (steps, batch, units), and the last states, (batch, units)."""
    # as with cuDNN: Keras' own `fit` asks this before it chooses XLA
    layer.supports_jit = False
    hidden, carry = map(tf.convert_to_tensor, states)
    recurrent = tf.convert_to_tensor(layer.cell.recurrent_kernel)
    units = recurrent.shape[0]
    bias = tf.zeros(4 * units) if layer.cell.bias is None else tf.convert_to_tensor(layer.cell.bias)
    weights = tf.concat([tf.convert_to_tensor(layer.cell.kernel), recurrent], 0)
    none = tf.zeros(units)
    made = tf.raw_ops.BlockLSTM(
        seq_len_max=tf.shape(sequences, tf.int64)[0],
        x=sequences,
        cs_prev=carry,
        h_prev=hidden,
        w=_in_its_order(weights),
        wci=none,
        wcf=none,
        wco=none,
        b=_in_its_order(bias),
        forget_bias=0.0,
        cell_clip=-1.0,
        use_peephole=False,
    )
    return made.h, [made.h[-1], made.cs[-1]]


def _in_its_order(gates: tf.Tensor) -> tf.Tensor:
    """Input, forget, candidate, output, as Keras has them: the kernel has the candidate before the forget gate."""
    i, f, candidate, o = tf.split(gates, 4, -1)
    return tf.concat([i, candidate, f, o], -1)


def _in_steps(sequences: Any, carry: Any, hidden: Any, weights: Any, bias: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """What the kernel makes of the same arguments: carries and hidden states, (steps, batch, units)."""

    def step(states: tuple[tf.Tensor, tf.Tensor], x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        i, candidate, f, o = tf.split(tf.concat([x, states[1]], 1) @ weights + bias, 4, 1)
        following = tf.sigmoid(f) * states[0] + tf.sigmoid(i) * tf.tanh(candidate)
        return following, tf.sigmoid(o) * tf.tanh(following)

    carries, hiddens = tf.scan(step, sequences, (carry, hidden))
    return carries, hiddens


# the inputs of the kernel for the gradient: the kernel's own, what it made, and the gradients of its results
_SEQUENCES, _CARRY, _HIDDEN, _WEIGHTS, _BIAS, _TO_CARRIES, _TO_HIDDENS, _INPUTS = 1, 2, 3, 4, 8, 16, 17, 18
_FOUND = {0: _SEQUENCES, 1: _CARRY, 2: _HIDDEN, 3: _WEIGHTS, 7: _BIAS}
"""Which of its results is the gradient of which input; the others are of peepholes."""


def _gradient_of_gradient(op: Any, *given: Any) -> list[Any]:
    inputs = [op.inputs[place] for place in _FOUND.values()]
    to = [op.inputs[_TO_CARRIES], op.inputs[_TO_HIDDENS]]
    with tf.GradientTape() as outer:
        outer.watch([*inputs, *to])
        with tf.GradientTape() as inner:
            inner.watch(inputs)
            made = _in_steps(*inputs)
        found = inner.gradient(made, inputs, to, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    second = outer.gradient(found, [*inputs, *to], [given[place] for place in _FOUND])
    by_place = dict(zip((*_FOUND.values(), _TO_CARRIES, _TO_HIDDENS), second, strict=True))
    return [by_place.get(place) for place in range(_INPUTS)]


# a second registration, as by a reload, would be an error
if "BlockLSTMGrad" not in framework.gradient_registry.list():
    tf.RegisterGradient("BlockLSTMGrad")(_gradient_of_gradient)
