"""A loop written by hand in JAX: pure functions, one jitted step whose state is donated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.training.jax_models import jax_model
from benchmarks.training.setup import RATE, Setup
from benchmarks.training.turns import Epoch, Peer
from benchmarks.training.workloads import Split

__all__ = ["jax_loop"]

State = dict[str, Any]


def jax_loop(setup: Setup) -> Callable[[Peer], None]:
    """The loss and the count of hits are summed in the state, and read once an epoch."""
    forward, parameters, moving = jax_model(setup.work.model, setup.weights)

    def outcome(parameters: Any, moving: Any, x: Any, y: Any, training: bool) -> tuple[Any, Any]:
        logits, moving = forward(parameters, moving, x, training)
        # by a product: to pick the entries by number is a scatter backwards, and slower on processors
        chosen = (jax.nn.log_softmax(logits) * jax.nn.one_hot(y, logits.shape[-1])).sum(-1)
        return -chosen.mean(), (moving, (logits.argmax(-1) == y).sum())

    @partial(jax.jit, donate_argnums=0)
    def train_step(state: State, x: Any, y: Any) -> tuple[State, Any]:
        gradient = jax.value_and_grad(outcome, has_aux=True)
        (loss, (moving, hits)), found = gradient(state["parameters"], state["moving"], x, y, True)
        updated = adam(state, found)
        return {**updated, "moving": moving, "total": state["total"] + loss, "hits": state["hits"] + hits}, loss

    @partial(jax.jit, donate_argnums=1)
    def valid_step(state: tuple[Any, Any], sums: tuple[Any, Any], x: Any, y: Any) -> tuple[Any, Any]:
        loss, (_, hits) = outcome(*state, x, y, False)
        return sums[0] + loss, sums[1] + hits

    def means(sums: tuple[Any, Any], split: Split) -> tuple[float, float]:
        return float(sums[0]) / len(split), int(sums[1]) / split.y.size

    def fit(peer: Peer) -> None:
        zeros = partial(jax.tree.map, jnp.zeros_like)
        state: State = {"parameters": parameters, "moving": moving, "step": jnp.zeros(())}
        state |= {"m": zeros(parameters), "v": zeros(parameters)}
        first = []
        for number in range(setup.work.epochs):
            state |= {"total": jnp.zeros(()), "hits": jnp.zeros((), "int32")}
            for x, y in setup.train:
                state, loss = train_step(state, x, y)
                if number == 0:
                    first.append(loss)
            train = means((state["total"], state["hits"]), setup.train)
            sums = (jnp.zeros(()), jnp.zeros((), "int32"))
            for x, y in setup.valid:
                sums = valid_step((state["parameters"], state["moving"]), sums, x, y)
            peer.lap(Epoch(*train, *means(sums, setup.valid)))
        peer.first_losses = [float(loss) for loss in first]

    return fit


def adam(state: State, gradients: Any) -> State:
    """Kingma and Ba's efficient order of the computation, which Keras has, too."""
    step = state["step"] + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state["m"], gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state["v"], gradients)
    rate = RATE * jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), state["parameters"], m, v)
    return {**state, "parameters": parameters, "m": m, "v": v, "step": step}
