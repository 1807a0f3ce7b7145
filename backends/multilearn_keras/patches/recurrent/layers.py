"""Keras' LSTM and GRU on the CPU as one operation over all steps, on torch and, the LSTM, on TensorFlow.

Keras runs one Python step after the other on torch, and a loop of small operations on TensorFlow. The layers compute
the same with this, to rounding: with dropout of the inputs, initial states, backwards, stateful, unrolled; on torch
with any mask. Left to Keras: other activations than tanh and sigmoid, recurrent dropout, a GRU that resets before the
product, half precision, `use_cudnn=False`, other devices, and what torch or XLA compiles or exports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import activations, ops

from multilearn_keras.keras_internals import replaces

__all__: list[str] = []

_LOOP = "self sequences initial_state mask training"


@replaces("layers.rnn.lstm:LSTM.inner_loop", _LOOP, "torch")
def _lstm_on_torch(original: Callable[..., Any], layer: Any, *given: Any, **named: Any) -> Any:
    return _fused(original, keras.layers.LSTMCell, _fits_torch, _lstm, layer, *given, **named)


@replaces("layers.rnn.gru:GRU.inner_loop", _LOOP, "torch")
def _gru_on_torch(original: Callable[..., Any], layer: Any, *given: Any, **named: Any) -> Any:
    return _fused(original, keras.layers.GRUCell, _fits_torch, _gru, layer, *given, **named)


@replaces("layers.rnn.lstm:LSTM.inner_loop", _LOOP, "tensorflow")
def _lstm_on_tensorflow(original: Callable[..., Any], layer: Any, *given: Any, **named: Any) -> Any:
    from multilearn_keras.patches.recurrent import tensorflow as kernel

    return _fused(original, keras.layers.LSTMCell, kernel.is_fit, kernel.lstm, layer, *given, **named)


def _fused(
    original: Callable[..., Any],
    cell: type,
    is_fit: Callable[[list[Any], Any], bool],
    run: Callable[..., Any],
    layer: Any,
    sequences: Any,
    initial_state: Any,
    mask: Any,
    training: bool = False,
) -> Any:
    states = keras.tree.flatten(initial_state)
    one = keras.tree.flatten(mask)[0]
    if type(layer.cell) is cell and _is_plain(layer, one, training):
        tensors = [ops.convert_to_tensor(each) for each in (sequences, *states, *_weights(layer.cell))]
        if is_fit(tensors, one):
            return _over_all_steps(layer, run, sequences, states, one, training)
    return original(layer, sequences, initial_state, mask, training=training)


def _is_plain(layer: Any, mask: Any, training: bool) -> bool:
    """Whether what the layer computes is what the kernels do."""
    cell = layer.cell
    return (
        layer.use_cudnn in ("auto", True)
        and cell.activation is activations.tanh
        and cell.recurrent_activation is activations.sigmoid
        and getattr(cell, "reset_after", True)
        and not layer.recurrent_dropout
        and not (training and layer.dropout and cell.implementation == 1)  # has a mask for each gate
        and (mask is None or (mask.ndim == 2 and not layer.unroll))
    )


def _fits_torch(tensors: list[Any], mask: Any) -> bool:
    import torch

    sequences = tensors[0]
    return (
        all(tensor.device.type == "cpu" and tensor.dtype == sequences.dtype for tensor in tensors)
        and sequences.dtype in (torch.float32, torch.float64)
        and 0 not in sequences.shape
        and not (torch.jit.is_tracing() or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"))
    )


def _weights(cell: Any) -> list[Any]:
    return [weight for weight in (cell.kernel, cell.recurrent_kernel, cell.bias) if weight is not None]


def _over_all_steps(
    layer: Any, run: Callable[..., Any], sequences: Any, states: Any, mask: Any, training: bool
) -> tuple[Any, Any, list[Any]]:
    """What Keras' `inner_loop` returns: the last output, all of them, and the last states.

    `run(layer, sequences, states, mask)`: the kernel, of (steps, batch, width); what it returns is alike.
    """
    if training and layer.dropout:
        sequences = sequences * ops.expand_dims(layer.cell.get_dropout_mask(sequences[:, 0, :]), 1)
    if layer.stateful:
        states = [ops.copy(state) for state in states]  # the variables are written before the gradient is taken
    if mask is not None:
        mask = mask.bool().t().unsqueeze(-1)  # torch's: no other kernel takes one
    if layer.go_backwards:
        sequences = ops.flip(sequences, 1)
        mask = mask if mask is None else mask.flip(0)
    hiddens, last = run(layer, ops.swapaxes(sequences, 0, 1), states, mask)
    if mask is None:
        return last[0], ops.swapaxes(hiddens, 0, 1), last
    outputs = _shown(hiddens, mask, layer.zero_output_for_mask)
    return outputs[-1], outputs.transpose(0, 1), last


def _shown(hiddens: Any, mask: Any, zeroed: bool) -> Any:
    """At a masked step the output before it; zero if there is none, or where that is asked for."""
    shown = mask if zeroed else mask.cumsum(0) > 0
    return hiddens.where(shown, hiddens.new_zeros(()))


def _lstm(layer: Any, sequences: Any, states: Any, mask: Any) -> tuple[Any, list[Any]]:
    import torch

    from multilearn_keras.patches.recurrent import onednn as recurrent_onednn
    from multilearn_keras.patches.recurrent import torch as recurrent_kernels

    cell = layer.cell
    recurrent = ops.convert_to_tensor(cell.recurrent_kernel)
    if mask is None and sequences.dtype == torch.float32 and recurrent_onednn.is_there():
        kernel, bias = ops.convert_to_tensor(cell.kernel), cell.bias
        bias = bias if bias is None else ops.convert_to_tensor(bias)
        hiddens, hidden, carry = recurrent_onednn.lstm(sequences, kernel, recurrent, bias, *states)
        return hiddens, [hidden, carry]
    projected, (hidden, carry) = _projected(sequences, cell.kernel, cell.bias), states
    hiddens, carry = recurrent_kernels.lstm(projected, recurrent, hidden, carry, mask)
    return hiddens, [hiddens[-1], carry]


def _gru(layer: Any, sequences: Any, states: Any, mask: Any) -> tuple[Any, list[Any]]:
    from multilearn_keras.patches.recurrent import torch as recurrent_kernels

    cell = layer.cell
    own, recurrent = (None, None) if cell.bias is None else ops.convert_to_tensor(cell.bias).unbind()
    kernel = ops.convert_to_tensor(cell.recurrent_kernel)
    projected, (hidden,) = _projected(sequences, cell.kernel, own), states
    hiddens = recurrent_kernels.gru(projected, kernel, recurrent, hidden, mask)
    return hiddens, [hiddens[-1]]


def _projected(sequences: Any, kernel: Any, bias: Any) -> Any:
    import torch

    kernel, rows = ops.convert_to_tensor(kernel), sequences.flatten(0, 1)
    product = rows @ kernel if bias is None else torch.addmm(ops.convert_to_tensor(bias), rows, kernel)
    return product.unflatten(0, sequences.shape[:2])
