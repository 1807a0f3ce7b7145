"""An LSTM over a whole sequence by oneDNN's kernel, which `nn.LSTM` uses too, as one operation of torch each way.

ATen's operation makes what its gradient needs only where gradients are on, and fails when a captured graph calls it
with them off. Here they are on inside. It knows float32, and no masks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from multilearn_keras.patches.recurrent import reference as recurrent_steps

__all__ = ["is_there", "lstm"]

_MODE, _LAYERS = 2, 1  # of all that ATen's operation knows: one layer of an LSTM


def is_there() -> bool:
    """Whether torch has oneDNN, and may use it."""
    return torch.backends.mkldnn.is_available() and torch._C._get_mkldnn_enabled()


def _in_its_layout(kernel: Tensor, recurrent: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights (4 units, width), their gates in Keras' order, and two biases that are added."""
    none = kernel.new_zeros(kernel.shape[1])
    return kernel.t().contiguous(), recurrent.t().contiguous(), none if bias is None else bias, none


@torch.library.custom_op("multilearn::onednn_lstm", mutates_args=(), device_types="cpu")
def _lstm(
    sequences: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor | None, hidden: Tensor, carry: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The hidden states, the last one, the last carry, and what the gradient needs."""
    weights, states = _in_its_layout(kernel, recurrent, bias), (hidden[None], carry[None])
    units = recurrent.shape[0]
    with torch.enable_grad():
        hiddens, last, last_carry, kept = torch.ops.aten.mkldnn_rnn_layer(
            sequences.contiguous(), *weights, *states, False, [], _MODE, units, _LAYERS, True, False, False, True
        )
    return hiddens, last[0], last_carry[0], kept


@torch.library.custom_op("multilearn::onednn_lstm_backward", mutates_args=(), device_types="cpu")
def _lstm_backward(
    to_hiddens: Tensor | None,
    to_last: Tensor | None,
    to_carry: Tensor | None,
    sequences: Tensor,
    kernel: Tensor,
    recurrent: Tensor,
    bias: Tensor | None,
    hidden: Tensor,
    carry: Tensor,
    hiddens: Tensor,
    last: Tensor,
    last_carry: Tensor,
    kept: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of sequences, kernels, bias (zeros' too, if there is none) and states."""
    weights, states = _in_its_layout(kernel, recurrent, bias), (hidden[None], carry[None])
    outputs = (hiddens, last[None], last_carry[None])
    given = [to_hiddens, *(to if to is None else to[None] for to in (to_last, to_carry))]
    given = [to if to is None else to.contiguous() for to in given]
    of_sequences, of_kernel, of_recurrent, of_bias, _, of_hidden, of_carry = torch.ops.aten.mkldnn_rnn_layer_backward(
        sequences.contiguous(), *weights, *states, *outputs, *given, False, _MODE, recurrent.shape[0], _LAYERS, True,
        True, False, [], False, kept,
    )  # fmt: skip
    of_kernels = of_kernel.t().contiguous(), of_recurrent.t().contiguous()
    return of_sequences, *of_kernels, of_bias.clone(), of_hidden[0], of_carry[0]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.mark_non_differentiable(output[-1])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs, *output)


def _gradient(ctx: Any, to_hiddens: Any, to_last: Any, to_carry: Any, _: Any) -> tuple[Any, ...]:
    saved, given = ctx.saved_tensors, (to_hiddens, to_last, to_carry)
    if torch.is_grad_enabled():
        return recurrent_steps.gradient(_by_steps, saved[:6], given)
    of_bias = saved[3] is not None
    found = _lstm_backward(*given, *saved)
    return *found[:3], found[3] if of_bias else None, *found[4:]


def _by_steps(
    sequences: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor | None, hidden: Tensor, carry: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    projected = sequences @ kernel
    projected = projected if bias is None else projected + bias
    hiddens, last_carry = recurrent_steps.lstm(projected, recurrent, hidden, carry, None)
    return hiddens, hiddens[-1], last_carry


torch.library.register_autograd("multilearn::onednn_lstm", _gradient, setup_context=_keep)


def lstm(
    sequences: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor | None, hidden: Tensor, carry: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden state after each step, (steps, batch, units), the last one, and the last carry, (batch, units).

    `sequences` are (steps, batch, features), the kernels and the bias as Keras has them; all of it float32.
    """
    hiddens, last, last_carry, _ = _lstm(sequences, kernel, recurrent, bias, hidden, carry)
    return hiddens, last, last_carry
