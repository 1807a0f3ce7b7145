"""A loop by hand in JAX: one jitted program over a mesh of all devices."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.steps.steps import Steps
from benchmarks.training.jax_loop import adam
from benchmarks.training.jax_models import jax_model
from benchmarks.training.setup import Setup

__all__ = ["prepared", "steps"]


def prepared(devices: int) -> Any:
    found = jax.devices()[:devices]
    assert len(found) == devices, found
    return Mesh(found, ("items",))


def steps(setup: Setup, mesh: Any) -> Steps:
    rows, everywhere = NamedSharding(mesh, PartitionSpec("items")), NamedSharding(mesh, PartitionSpec())
    forward, parameters, moving = jax_model(setup.work.model, setup.weights)

    def outcome(parameters: Any, x: Any, y: Any) -> tuple[Any, Any]:
        logits, _ = forward(parameters, moving, x, True)
        chosen = (jax.nn.log_softmax(logits) * jax.nn.one_hot(y, logits.shape[-1])).sum(-1)
        return -chosen.mean(), (logits.argmax(-1) == y).sum()

    @partial(jax.jit, donate_argnums=0)
    def train_step(state: Any, x: Any, y: Any) -> tuple[Any, Any]:
        (loss, hits), found = jax.value_and_grad(outcome, has_aux=True)(state["parameters"], x, y)
        return adam(state, found), (loss, hits)

    zeros = partial(jax.tree.map, jnp.zeros_like)
    state = {"parameters": parameters, "step": jnp.zeros(()), "m": zeros(parameters), "v": zeros(parameters)}
    kept = [jax.device_put(state, everywhere)]
    batches, outcomes = list(setup.train), []

    def step(number: int) -> None:
        x, y = batches[number]
        kept[0], found = train_step(kept[0], jax.device_put(x, rows), jax.device_put(y, rows))
        outcomes.append(found)

    def wait() -> None:
        jax.device_get(outcomes)
        outcomes.clear()

    return Steps(step, wait)
