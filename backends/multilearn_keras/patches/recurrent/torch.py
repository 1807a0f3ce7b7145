"""LSTM and GRU over a whole sequence as one operation of torch each, on the CPU.

What does not depend on the step before is computed for all steps at once: the factors of the gradient, and the product
that gives the gradient of the recurrent kernel. As one operation each way they stay one node in a captured step.

Sequences are (steps, batch, ...), a mask (steps, batch, 1), true where a step counts; elsewhere the states stay.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from multilearn_keras.patches.recurrent import reference as recurrent_steps

__all__ = ["gru", "lstm"]


@torch.library.custom_op("multilearn::lstm", mutates_args=(), device_types="cpu")
def _lstm(
    projected: Tensor, kernel: Tensor, hidden: Tensor, carry: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The hidden states and the last carry; the carries before each step and the gates, for the gradient."""
    steps, batch, width = projected.shape
    units = width // 4
    gates = projected.clone(memory_format=torch.contiguous_format)
    hiddens, carries = (projected.new_empty((steps, batch, units)) for _ in range(2))
    present = mask.unbind() if mask is not None else None
    through = gates.view(steps, batch, 4, units)
    every = zip(gates.unbind(), gates[:, :, : 2 * units].unbind(), through.unbind(2)[2].unbind(), strict=True)
    outs, kept = through.unbind(2)[3].unbind(), hiddens.unbind()
    ins, forgets, befores = through.unbind(2)[0].unbind(), through.unbind(2)[1].unbind(), carries.unbind()
    for step, (gate, early, candidate) in enumerate(every):
        befores[step].copy_(carry)
        gate.addmm_(hidden, kernel)
        early.sigmoid_()
        candidate.tanh_()
        outs[step].sigmoid_()
        following = torch.mul(forgets[step], carry).addcmul_(ins[step], candidate)
        shown = torch.mul(outs[step], torch.tanh(following), out=kept[step])
        if present is not None:
            following = torch.where(present[step], following, carry)
            shown.copy_(torch.where(present[step], shown, hidden))
        hidden, carry = shown, following
    return hiddens, carry.clone(), carries, gates


@torch.library.custom_op("multilearn::lstm_backward", mutates_args=(), device_types="cpu")
def _lstm_backward(
    to_hiddens: Tensor | None,
    to_carry: Tensor | None,
    kernel: Tensor,
    hidden: Tensor,
    mask: Tensor | None,
    hiddens: Tensor,
    carries: Tensor,
    gates: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    steps, batch, units = hiddens.shape
    through = gates.view(steps, batch, 4, units)
    i, f, candidate, o = through.unbind(2)
    shown = torch.mul(f, carries).addcmul_(i, candidate).tanh_()
    slopes = torch.addcmul(through, through, through, value=-1)  # of the sigmoid
    slopes[:, :, 0].mul_(candidate)
    slopes[:, :, 1].mul_(carries)
    slopes[:, :, 2].copy_(i).addcmul_(i, candidate.square(), value=-1)
    slopes[:, :, 3].mul_(shown)
    into = shown.square_().neg_().add_(1).mul_(o)
    if mask is not None:
        nothing = slopes.new_zeros(())
        slopes, into = torch.where(mask[:, :, None], slopes, nothing), torch.where(mask, into, nothing)
        f = torch.where(mask, f, 1.0)
        passed = (~mask).to(slopes.dtype).unbind()
    given = (to_hiddens if to_hiddens is not None else torch.zeros_like(hiddens)).unbind()
    back = kernel.t().contiguous()
    of_hidden = given[-1]
    of_carry = torch.zeros_like(hidden) if to_carry is None else to_carry
    early, last, into_steps = slopes[:, :, :3].unbind(), slopes[:, :, 3].unbind(), into.unbind()
    all_gates, forgets = slopes.view(steps, batch, 4 * units).unbind(), f.unbind()
    for step in range(steps - 1, -1, -1):
        of_carry = torch.addcmul(of_carry, of_hidden, into_steps[step])
        early[step].mul_(of_carry.unsqueeze(1))  # the slopes become the gradients
        last[step].mul_(of_hidden)
        of_carry = of_carry * forgets[step]
        after = of_hidden
        of_hidden = torch.addmm(given[step - 1], all_gates[step], back) if step else torch.mm(all_gates[step], back)
        if mask is not None:
            of_hidden.addcmul_(after, passed[step])
    gradients = slopes.view(steps, batch, 4 * units)
    return gradients, _of_kernel(_before(hidden, hiddens), gradients), of_hidden, of_carry


def _before(hidden: Tensor, hiddens: Tensor) -> Tensor:
    """The hidden state that each step began with."""
    return torch.cat((hidden.unsqueeze(0), hiddens[:-1]))


def _of_kernel(before: Tensor, gradients: Tensor) -> Tensor:
    return before.flatten(0, 1).t() @ gradients.flatten(0, 1)


def _keep_lstm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    hiddens, _, carries, gates = output
    ctx.mark_non_differentiable(carries, gates)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs, hiddens, carries, gates)


def _of_lstm(ctx: Any, to_hiddens: Any, to_carry: Any, *_: Any) -> tuple[Any, ...]:
    projected, kernel, hidden, carry, mask, *kept = ctx.saved_tensors
    if torch.is_grad_enabled():
        inputs = (projected, kernel, hidden, carry, mask)
        return recurrent_steps.gradient(recurrent_steps.lstm, inputs, (to_hiddens, to_carry))
    return (*_lstm_backward(to_hiddens, to_carry, kernel, hidden, mask, *kept), None)


@torch.library.custom_op("multilearn::gru", mutates_args=(), device_types="cpu")
def _gru(
    projected: Tensor, kernel: Tensor, bias: Tensor | None, hidden: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden states; update, reset, candidate and the recurrent part of it, for the gradient."""
    steps, batch, width = projected.shape
    units = width // 3
    hiddens, gates = (projected.new_empty((steps, batch, n * units)) for n in (1, 2))
    candidates, inners = torch.empty_like(hiddens), projected.new_empty((steps, batch, width))
    given_gates, given = projected[:, :, : 2 * units].unbind(), projected[:, :, 2 * units :].unbind()
    inner_gates, inner_last = inners[:, :, : 2 * units].unbind(), inners[:, :, 2 * units :].unbind()
    updates, resets = gates[:, :, :units].unbind(), gates[:, :, units:].unbind()
    every, all_inner, all_gates, kept = candidates.unbind(), inners.unbind(), gates.unbind(), hiddens.unbind()
    present = mask.unbind() if mask is not None else None
    for step in range(steps):
        if bias is None:
            torch.mm(hidden, kernel, out=all_inner[step])
        else:
            torch.addmm(bias, hidden, kernel, out=all_inner[step])
        torch.add(given_gates[step], inner_gates[step], out=all_gates[step]).sigmoid_()
        candidate = torch.addcmul(given[step], resets[step], inner_last[step], out=every[step]).tanh_()
        shown = torch.lerp(candidate, hidden, updates[step], out=kept[step])
        if present is not None:
            shown.copy_(torch.where(present[step], shown, hidden))
        hidden = shown
    return hiddens, torch.cat((gates, candidates), 2), inners[:, :, 2 * units :].contiguous()


@torch.library.custom_op("multilearn::gru_backward", mutates_args=(), device_types="cpu")
def _gru_backward(
    to_hiddens: Tensor,
    kernel: Tensor,
    hidden: Tensor,
    mask: Tensor | None,
    hiddens: Tensor,
    gates: Tensor,
    inner: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    steps, batch, units = hiddens.shape
    update, reset, candidate = gates.view(steps, batch, 3, units).unbind(2)
    before = _before(hidden, hiddens)
    slopes = gates.new_empty((steps, batch, 3, units))
    last = (1 - update) * (1 - candidate.square())
    torch.mul((before - candidate) * update, 1 - update, out=slopes[:, :, 0])
    torch.mul(last * inner * reset, 1 - reset, out=slopes[:, :, 1])
    torch.mul(last, reset, out=slopes[:, :, 2])
    if mask is not None:
        nothing = slopes.new_zeros(())
        slopes, last = torch.where(mask[:, :, None], slopes, nothing), torch.where(mask, last, nothing)
        update = torch.where(mask, update, 1.0)
    given, back, updates = to_hiddens.unbind(), kernel.t().contiguous(), update.unbind()
    every, all_gates, candidates = slopes.unbind(), slopes.view(steps, batch, 3 * units).unbind(), last.unbind()
    of_hidden = given[-1]
    for step in range(steps - 1, -1, -1):
        every[step].mul_(of_hidden.unsqueeze(1))  # the slopes become the gradients
        candidates[step].mul_(of_hidden)
        kept = torch.addcmul(given[step - 1], of_hidden, updates[step]) if step else of_hidden * updates[step]
        of_hidden = kept.addmm_(all_gates[step], back)
    of_inner = slopes.view(steps, batch, 3 * units)
    of_projected = torch.cat((of_inner[:, :, : 2 * units], last), 2)
    return of_projected, _of_kernel(before, of_inner), of_inner.sum((0, 1)), of_hidden


def _keep_gru(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*inputs, *output)


def _of_gru(ctx: Any, to_hiddens: Any, *_: Any) -> tuple[Any, ...]:
    projected, kernel, bias, hidden, mask, *kept = ctx.saved_tensors
    if torch.is_grad_enabled():
        inputs = (projected, kernel, bias, hidden, mask)
        return recurrent_steps.gradient(recurrent_steps.gru, inputs, (to_hiddens,))
    of_projected, of_kernel, of_bias, of_hidden = _gru_backward(to_hiddens, kernel, hidden, mask, *kept)
    return of_projected, of_kernel, None if bias is None else of_bias, of_hidden, None


torch.library.register_autograd("multilearn::lstm", _of_lstm, setup_context=_keep_lstm)
torch.library.register_autograd("multilearn::gru", _of_gru, setup_context=_keep_gru)


def lstm(
    projected: Tensor, kernel: Tensor, hidden: Tensor, carry: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The hidden state after each step, (steps, batch, units), and the last carry, (batch, units).

    `projected` is inputs @ kernel + bias, (steps, batch, 4 units), its gates in Keras' order: input, forget,
    candidate, output; `kernel` the recurrent one. A gradient of a gradient goes through the steps one by one.
    """
    hiddens, last, _, _ = _lstm(projected, kernel, hidden, carry, mask)
    return hiddens, last


def gru(projected: Tensor, kernel: Tensor, bias: Tensor | None, hidden: Tensor, mask: Tensor | None) -> Tensor:
    """The hidden state after each step, (steps, batch, units), of a GRU that resets after the product.

    `projected` is inputs @ kernel + bias, (steps, batch, 3 units): update, reset, candidate; `kernel` and `bias` are
    the recurrent ones.
    """
    hiddens, _, _ = _gru(projected, kernel, bias, hidden, mask)
    return hiddens
