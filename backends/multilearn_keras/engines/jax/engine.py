"""The engines on JAX: jitted steps; what is trained is kept outside the model object and donated from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from multilearn.protocols import Batch, Record, StepOutput
from multilearn_keras.engines.compiled import Measures
from multilearn_keras.engines.engine import KerasEngine
from multilearn_keras.engines.jax.evaluation import JaxEvalEngine, OnJax
from multilearn_keras.engines.jax.live import Link, is_linked, linked, on_one_device, unlinked
from multilearn_keras.engines.jax.tracing import TrainingScope, depends
from multilearn_keras.engines.updates import is_usable, sum_dtype
from multilearn_keras.state.transfer import Assigning

__all__ = ["JaxEngine", "JaxEvalEngine"]


class _State(NamedTuple):
    """Values in the order of the engine's variables; `sums` and `weight` are the accumulated gradient.

    `taken`: whether any batch of the window was usable.
    """

    trained: list[jax.Array]
    kept: list[jax.Array]
    optimizer: list[jax.Array]
    sums: list[jax.Array] | None
    weight: jax.Array
    taken: jax.Array


class JaxEngine(OnJax, KerasEngine):
    """While it runs, the variables of the model and the optimizer are linked to the state; `release` puts it in them.

    Of shared models only the optimizer's: their own are written after every step.
    """

    _now: _State

    def _set_up(self) -> None:
        self._rate_at = [id(variable) for variable in self._optimizer.variables].index(id(self._rate))
        self._statistics_at = {id(variable) for variable in self._statistics}
        donated = not self._options.shared
        self._train = self._jitted("training", self._train_on, donated)
        self._close = self._jitted("updates", self._close_on, donated)
        self._eval = self._jitted("evaluation", self._evaluate_on)
        self._pull()

    def _reaches(self, batch: Batch) -> bool:
        def loss(values: list[Any]) -> Any:
            return self._scoped_loss(batch, _both(self._trained, values))

        def change(values: list[Any], changes: list[Any]) -> Any:
            return jax.jvp(loss, (values,), (changes,))[1]

        trained = [variable.value for variable in self._trained]
        return depends(jax.make_jaxpr(change)(trained, trained).jaxpr, len(trained))

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        with self._on_device():
            key, batch = self._placed(batch)
            self._now, measures = self._train(key, self._current(), batch, np.float32(lr))
            self._share()
            self._agree()
        if update and self._options.accumulate:
            self.apply(lr)
        return StepOutput(measures)

    def apply(self, lr: float) -> None:
        with self._on_device():
            self._now, _ = self._close((), self._current(), np.float32(lr))
            self._share()

    def eval_step(self, batch: Batch) -> StepOutput:
        with self._on_device():
            now, (key, batch) = self._current(), self._placed(batch)
            measures = self._eval(key, now.trained, now.kept, batch)[1]
            self._agree()
            return StepOutput(measures)

    def take(self, record: Record, pairs: Assigning, derived: bool = False) -> bool:
        derived = super().take(record, pairs, derived)
        self._pull()
        return derived

    def finish(self) -> None:
        super().finish()
        self._pull()

    def release(self) -> None:
        super().release()
        with self._on_device():
            for variable, link in self._links:
                unlinked(variable, link)

    def _train_on(self, state: _State, batch: Batch, lr: Any) -> tuple[_State, Measures]:
        gradients, (trained, kept, loss, count, measures) = jax.grad(self._loss, has_aux=True)(
            state.trained, state, batch
        )
        usable = None
        if self._options.skip_non_finite:
            usable = is_usable(self._optimizer, loss, gradients)
            kept = [
                jnp.where(usable, new, old) if id(variable) in self._statistics_at else new
                for variable, new, old in zip(self._kept, kept, state.kept, strict=True)
            ]
        state = state._replace(trained=trained, kept=kept)
        if state.sums is not None:
            state = self._added(state, state.sums, gradients, count, usable)
        if self._options.update_metrics:
            found = (gradients, None) if state.sums is None else (self._averages(state), state.taken)
            with keras.StatelessScope(_both(self._optimizer.variables, state.optimizer)):
                measures = {**measures, **self._of_update(found[0], state.trained, found[1])}
        return state if state.sums is not None else self._updated(state, gradients, lr, usable), measures

    def _close_on(self, state: _State, lr: Any) -> tuple[_State, Measures]:
        """The update by the mean gradient of a window, which is emptied."""
        usable = state.taken if self._options.skip_non_finite else None
        state = self._updated(state, self._averages(state), lr, usable)
        return state._replace(
            sums=[jnp.zeros_like(total) for total in state.sums or []],
            weight=jnp.zeros_like(state.weight),
            taken=jnp.zeros_like(state.taken),
        ), {}

    def _averages(self, state: _State) -> list[Any]:
        """The mean gradients of a window by count. Nothing counted at all: the sums are zero, and so is the mean."""
        divisor = jnp.where(state.weight == 0, 1.0, state.weight)
        return [
            (total / divisor.astype(total.dtype)).astype(old.dtype)
            for total, old in _both(state.sums or [], state.trained)
        ]

    def _loss(self, trained: list[Any], state: _State, batch: Batch) -> tuple[Any, Any]:
        mapping = [
            *zip(self._trained, trained, strict=True),
            *zip(self._kept, state.kept, strict=True),
            *zip(self._optimizer.variables, state.optimizer, strict=True),
        ]
        with TrainingScope(mapping, self._trained) as scope:
            output = self._step(batch, True)
            loss = self._optimizer.scale_loss(output.loss)
            measures = self._measured(self._options.train_metrics, output)
        trained, kept = ([scope.get_current_value(each) for each in group] for group in (self._trained, self._kept))
        return loss, (trained, kept, output.loss, jnp.asarray(output.count, jnp.float32), measures)

    def _added(self, state: _State, sums: list[Any], gradients: list[Any], count: Any, usable: Any) -> _State:
        added = [gradient.astype(total.dtype) * count.astype(total.dtype) for total, gradient in _both(sums, gradients)]
        taken = state.taken
        if usable is not None:
            # not a product with zero: that of NaN is NaN
            added = [jnp.where(usable, each, 0) for each in added]
            count, taken = jnp.where(usable, count, 0), taken | usable
        return state._replace(
            sums=[total + each for total, each in _both(sums, added)], weight=state.weight + count, taken=taken
        )

    def _updated(self, state: _State, gradients: list[Any], lr: Any, usable: Any) -> _State:
        optimizer = list(state.optimizer)
        optimizer[self._rate_at] = jnp.asarray(lr, optimizer[self._rate_at].dtype)
        trained, optimizer = self._optimizer.stateless_apply(optimizer, gradients, state.trained)
        if usable is not None:
            trained = [jnp.where(usable, new, old) for new, old in _both(trained, state.trained)]
            optimizer = [jnp.where(usable, new, old) for new, old in _both(optimizer, state.optimizer)]
        return state._replace(trained=list(trained), optimizer=list(optimizer))

    def _evaluate_on(self, trained: list[Any], kept: list[Any], batch: Batch) -> tuple[None, Measures]:
        values = [*_both(self._trained, trained), *_both(self._kept, kept)]
        return None, self._evaluated(batch, self._options.eval_metrics, values)

    def _share(self) -> None:
        """Leave in a shared model what was done."""
        if self._options.shared:
            for variable, value in (*_both(self._trained, self._now.trained), *_both(self._kept, self._now.kept)):
                variable.assign(on_one_device(value))

    def _current(self) -> _State:
        """The state that a step begins with: where it is shared, with what other engines made of the model."""
        if not self._options.shared:
            return self._now
        trained, kept = ([variable.value for variable in group] for group in (self._trained, self._kept))
        trained, kept = self._replicated((trained, kept))
        return self._now._replace(trained=trained, kept=kept)

    def _pull(self) -> None:
        """The state as real copies of the variables' values, which the first step may donate."""
        trained, kept, optimizer = (
            [jnp.array(variable.value, copy=True) for variable in group]
            for group in (self._trained, self._kept, self._optimizer.variables)
        )
        sums = None
        if self._options.accumulate:
            sums = [jnp.zeros(value.shape, sum_dtype(value.dtype)) for value in trained]
        state = _State(trained, kept, optimizer, sums, jnp.zeros((), jnp.float32), jnp.zeros((), bool))
        self._now = self._replicated(state)
        for variable, link in self._links:
            if not is_linked(variable, link):
                linked(variable, link)

    @cached_property
    def _links(self) -> Sequence[tuple[keras.Variable, Link]]:
        groups = {"trained": self._trained, "kept": self._kept, "optimizer": self._optimizer.variables}
        return [
            (variable, Link(partial(self._values_in, group), at))
            for group, variables in groups.items()
            if group == "optimizer" or not self._options.shared
            for at, variable in enumerate(variables)
        ]

    def _values_in(self, group: str) -> list[jax.Array]:
        values: list[jax.Array] = getattr(self._now, group)
        return values

    def _values_of(self, variables: Mapping[str, keras.Variable]) -> Mapping[str, Any]:
        now = self._current()
        groups = ((self._trained, now.trained), (self._kept, now.kept), (self._optimizer.variables, now.optimizer))
        values = {id(variable): value for group, found in groups for variable, value in _both(group, found)}
        return {key: values[id(variable)] for key, variable in variables.items()}


def _both(one: Sequence[Any], other: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(one, other, strict=True))
