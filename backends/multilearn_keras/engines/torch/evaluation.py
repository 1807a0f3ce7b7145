"""A model that is not being trained, on PyTorch."""

from __future__ import annotations

from typing import Any

import torch

from multilearn.protocols import Batch
from multilearn_keras.engines.evaluation import KerasEvalEngine
from multilearn_keras.engines.torch.base import OnTorch
from multilearn_keras.engines.torch.modules import ModuleValues

__all__ = ["TorchEvalEngine"]


class TorchEvalEngine(OnTorch, KerasEvalEngine):
    """Steps without gradients."""

    def _set_up(self) -> None:
        self._mapping = self._pairs(self._values)
        self._modules = ModuleValues(self._task, self._mapping)
        self._eval = self._captured("evaluation", self._measured_of)
        self._predict = self._captured("prediction", self._predicted_of)

    def predict_step(self, batch: Batch) -> Any:
        inputs = self._prepared_inputs(batch)
        with self._on_device():
            return self._predict(inputs)

    def _measured_of(self, batch: Batch) -> dict[str, dict[str, Any]]:
        with self._modules.in_place():
            return super()._measured_of(batch)

    def _predicted_of(self, inputs: Any) -> Any:
        with torch.no_grad(), self._modules.in_place():
            return self._predicted(inputs, self._mapping)
