"""The engine on JAX: jitted steps over a state that is kept outside the model object and donated from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from multilearn.metrics import Metric
from multilearn.protocols import Batch, HostOutput, Record, StepOutput
from multilearn_keras.engines.engine import KerasEngine
from multilearn_keras.tasks import CompiledModel

__all__ = ["JaxEngine"]


class _State(NamedTuple):
    """Values in the order of the engine's variables; `sums` and `weight` are the accumulated gradient."""

    trained: list[jax.Array]
    kept: list[jax.Array]
    optimizer: list[jax.Array]
    sums: list[jax.Array] | None
    weight: jax.Array


class JaxEngine(KerasEngine):
    """While it runs, the model object holds the values it was made with; `release` puts the trained ones in."""

    _now: _State

    def _set_up(self) -> None:
        self._rate_at = [id(variable) for variable in self._optimizer.variables].index(id(self._rate))
        self._train = jax.jit(self._train_on, static_argnames="update", donate_argnums=0)
        self._eval = jax.jit(self._evaluate_on)
        self._pull()

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        with self._on_device():
            self._now, measures = self._train(self._now, self._prepared(batch), np.float32(lr), update=update)
        return StepOutput(measures)

    def eval_step(self, batch: Batch) -> StepOutput:
        with self._on_device():
            return StepOutput(self._eval(self._now.trained, self._now.kept, self._prepared(batch)))

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        return [HostOutput(measures) for measures in jax.device_get([output.measures for output in outputs])]

    def restore(self, record: Record) -> None:
        super().restore(record)
        self._pull()

    def release(self) -> None:
        for variable, value in self._pairs():
            # after a step that failed halfway its donated arguments are gone: the variable keeps what it has
            if not value.is_deleted():
                variable.assign(value)

    def _train_on(self, state: _State, batch: Batch, lr: Any, update: bool) -> tuple[_State, Any]:
        gradients, (kept, count, measures) = jax.grad(self._loss, has_aux=True)(state.trained, state, batch)
        if state.sums is not None:
            sums = [
                total + gradient * count.astype(gradient.dtype)
                for total, gradient in zip(state.sums, gradients, strict=True)
            ]
            state = state._replace(sums=sums, weight=state.weight + count)
        state = state._replace(kept=kept)
        return (self._updated(state, gradients, lr) if update else state), measures

    def _loss(self, trained: list[Any], state: _State, batch: Batch) -> tuple[Any, Any]:
        mapping = [
            *zip(self._trained, trained, strict=True),
            *zip(self._kept, state.kept, strict=True),
            *zip(self._optimizer.variables, state.optimizer, strict=True),
        ]
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            output = self._task.step(batch, True)
            loss = self._optimizer.scale_loss(output.loss)
            measures = self._measured(self._options.train_metrics, output)
        kept = [scope.get_current_value(variable) for variable in self._kept]
        return loss, (kept, jnp.asarray(output.count, jnp.float32), measures)

    def _updated(self, state: _State, gradients: list[Any], lr: Any) -> _State:
        sums, weight = state.sums, state.weight
        if sums is not None:
            # nothing counted at all: the sums are zero, and so is the mean
            divisor = jnp.where(weight == 0, 1.0, weight)
            gradients = [total / divisor.astype(total.dtype) for total in sums]
            sums, weight = [jnp.zeros_like(total) for total in sums], jnp.zeros_like(weight)
        optimizer = list(state.optimizer)
        optimizer[self._rate_at] = jnp.asarray(lr, optimizer[self._rate_at].dtype)
        trained, optimizer = self._optimizer.stateless_apply(optimizer, gradients, state.trained)
        return _State(list(trained), state.kept, list(optimizer), sums, weight)

    def _evaluate_on(self, trained: list[Any], kept: list[Any], batch: Batch) -> Any:
        return self._evaluated_with(trained, kept, batch, self._options.eval_metrics)

    def _evaluated_with(self, trained: Any, kept: Any, batch: Batch, metrics: Sequence[Metric]) -> Any:
        mapping = [*zip(self._trained, trained, strict=True), *zip(self._kept, kept, strict=True)]
        with keras.StatelessScope(mapping, collect_losses=True):
            return self._measured(metrics, self._task.step(batch, False))

    def _probe(self, batch: Batch, metrics: Sequence[Metric]) -> None:
        if isinstance(self._task, CompiledModel):
            # Keras makes variables for a compiled loss at its first call, which must not be a traced one
            self._evaluated(batch, metrics)
        else:
            trained, kept = ([v.value for v in group] for group in (self._trained, self._kept))
            jax.eval_shape(partial(self._evaluated_with, metrics=metrics), trained, kept, batch)

    def _pull(self) -> None:
        """The state as real copies of the variables' values, which the first step may donate."""
        trained, kept, optimizer = (
            [jnp.array(variable.value, copy=True) for variable in group]
            for group in (self._trained, self._kept, self._optimizer.variables)
        )
        sums = [jnp.zeros_like(value) for value in trained] if self._options.accumulate else None
        self._now = _State(trained, kept, optimizer, sums, jnp.zeros((), jnp.float32))

    def _pairs(self) -> list[tuple[keras.Variable, jax.Array]]:
        groups = (self._trained, self._kept, self._optimizer.variables)
        values = (self._now.trained, self._now.kept, self._now.optimizer)
        return [pair for group, found in zip(groups, values, strict=True) for pair in zip(group, found, strict=True)]

    def _values_of(self, variables: Mapping[str, keras.Variable]) -> Mapping[str, Any]:
        values = {id(variable): value for variable, value in self._pairs()}
        return {key: values[id(variable)] for key, variable in variables.items()}
