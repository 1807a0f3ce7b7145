"""A model that is not being trained, on TensorFlow."""

from __future__ import annotations

from typing import Any

from multilearn.protocols import Batch, StepOutput
from multilearn_keras.engines.evaluation import KerasEvalEngine
from multilearn_keras.engines.packed import Measures
from multilearn_keras.engines.tensorflow.base import OnTensorFlow
from multilearn_keras.engines.tensorflow.graphs import GraphStep, left_as_it_is

__all__ = ["TensorFlowEvalEngine"]


class TensorFlowEvalEngine(OnTensorFlow, KerasEvalEngine):
    """The values are captured by the graphs, so other values ask for other graphs."""

    def _set_up(self) -> None:
        self._set_up_graphs()

    def eval_step(self, batch: Batch) -> StepOutput:
        with self._on_device():
            return self._measure("evaluation", self._evaluate, batch)

    def predict_step(self, batch: Batch) -> Any:
        with self._on_device():
            step = GraphStep("prediction", self._predict, left_as_it_is)
            return self._run(step, self._prepared_inputs(batch))

    def _evaluate(self, batch: Batch) -> Measures:
        return self._evaluated(batch, self._options.eval_metrics, self._pairs(self._values))

    def _predict(self, inputs: Any) -> Any:
        return self._predicted(inputs, self._pairs(self._values))
