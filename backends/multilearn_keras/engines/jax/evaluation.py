"""A model that is not being trained, on JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from multilearn.data import mapped
from multilearn.protocols import Batch, EngineOptions, Example, StepOutput
from multilearn_keras.engines.evaluation import KerasEvalEngine
from multilearn_keras.engines.jax.base import OnJax
from multilearn_keras.engines.jax.padding import filled, items_of, treats_items_alone
from multilearn_keras.engines.packed import Measures
from multilearn_keras.engines.signatures import signature

__all__ = ["JaxEvalEngine"]


class JaxEvalEngine(OnJax, KerasEvalEngine):
    """The values go into the jitted steps as arguments."""

    def __init__(self, task: Any, examples: Sequence[Example], options: EngineOptions) -> None:
        super().__init__(task, examples, options)
        example = self._examples[0].batch
        self._fillers = {False: self._filler(example, options.eval_metrics, training=False)}
        alone = options.capture and not hasattr(task, "predict") and treats_items_alone(task.model, training=False)
        self._items = items_of(mapped(self._host, self._inputs(example))) if alone else None

    def _set_up(self) -> None:
        self._eval = self._jitted("evaluation", self._evaluate_on)
        self._predict = self._jitted("prediction", self._predict_on)

    def eval_step(self, batch: Batch) -> StepOutput:
        with self._on_device():
            key, batch = self._ready(batch, training=False)
            return StepOutput(self._eval(key, self._values, batch)[1])

    def predict_step(self, batch: Batch) -> Any:
        with self._on_device():
            inputs = self._prepared_inputs(batch)
            n = items_of(inputs)
            if n is None or self._items is None or not 0 < n < self._items:
                return self._predict(signature(inputs), self._values, inputs)[0]
            inputs = filled(inputs, self._items)
            predicted = self._predict(signature(inputs), self._values, inputs)[0]
            # on the host: cutting on the device would be a program for every size
            return mapped(lambda each: np.asarray(each)[:n], predicted)

    def _evaluate_on(self, values: list[Any], batch: Batch) -> tuple[None, Measures]:
        return None, self._evaluated(batch, self._options.eval_metrics, self._pairs(values))

    def _predict_on(self, values: list[Any], inputs: Any) -> tuple[Any, Measures]:
        return self._predicted(inputs, self._pairs(values)), {}
