"""What training and evaluating share on JAX: compiled steps, and copies to the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import jax
import keras

from multilearn.metrics import Metric
from multilearn.protocols import Batch, HostOutput, StepOutput
from multilearn_keras.engines.eager import EagerSteps, chain
from multilearn_keras.engines.jax.programs import Programs, asks_for_value, fetched
from multilearn_keras.engines.model import OpenedModel
from multilearn_keras.engines.packed import Measures
from multilearn_keras.state.keys import variables
from multilearn_keras.tasks import CompiledModel

__all__ = ["OnJax"]

Run = Callable[..., tuple[Any, Measures]]


class OnJax(OpenedModel):
    """Copies to the host, and a look at a batch that computes nothing."""

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        return fetched(outputs)

    def _jitted(self, kind: str, function: Callable[..., tuple[Any, Measures]], donated: bool = False) -> Run:
        """What runs `function`, given a key of its arguments and these, compiled unless that is not wanted."""
        if not self._options.capture:
            return lambda _, *arguments: function(*arguments)
        return Programs(kind, function, self._eager, donated)

    @cached_property
    def _eager(self) -> EagerSteps:
        return EagerSteps(asks_for_value)

    def _probe_eagerly(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> Any:
        return super()._probe(batch, metrics, training)

    def _probe(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> Any:
        if isinstance(self._task, CompiledModel) or not self._options.capture:
            # Keras makes variables for a compiled loss at its first call, which must not be a traced one
            return super()._probe(batch, metrics, training)
        found = list(variables(self._task).values())

        def stepped(values: list[jax.Array], batch: Batch) -> Any:
            pairs = list(zip(found, values, strict=True))
            with keras.StatelessScope(pairs, collect_losses=True, initialize_variables=False):
                return self._measured(metrics, self._step(batch, training))

        try:
            jax.eval_shape(stepped, [variable.value for variable in found], batch)
        except Exception as error:
            if not any(map(asks_for_value, chain(error))):
                raise
            return super()._probe(batch, metrics, training)
        finally:
            # Keras gives what the step has made its first values at the end of a scope: not of one that is traced
            with keras.StatelessScope():
                pass
        return None
