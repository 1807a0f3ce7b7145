"""A model that is not being trained, on JAX."""

from __future__ import annotations

from typing import Any

from multilearn.protocols import Batch, StepOutput
from multilearn_keras.engines.evaluation import KerasEvalEngine
from multilearn_keras.engines.jax.base import OnJax
from multilearn_keras.engines.packed import Measures
from multilearn_keras.engines.signatures import signature

__all__ = ["JaxEvalEngine"]


class JaxEvalEngine(OnJax, KerasEvalEngine):
    """The values go into the jitted steps as arguments."""

    def _set_up(self) -> None:
        self._eval = self._jitted("evaluation", self._evaluate_on)
        self._predict = self._jitted("prediction", self._predict_on)

    def eval_step(self, batch: Batch) -> StepOutput:
        with self._on_device():
            batch = self._prepared(batch)
            return StepOutput(self._eval(signature(batch), self._values, batch)[1])

    def predict_step(self, batch: Batch) -> Any:
        with self._on_device():
            inputs = self._prepared_inputs(batch)
            return self._predict(signature(inputs), self._values, inputs)[0]

    def _evaluate_on(self, values: list[Any], batch: Batch) -> tuple[None, Measures]:
        return None, self._evaluated(batch, self._options.eval_metrics, self._pairs(values))

    def _predict_on(self, values: list[Any], inputs: Any) -> tuple[Any, Measures]:
        return self._predicted(inputs, self._pairs(values)), {}
