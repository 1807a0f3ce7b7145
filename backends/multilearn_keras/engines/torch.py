"""The engine on PyTorch: eager steps on the Keras variables themselves."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
from keras.src.backend.torch.core import get_device

from multilearn.data import mapped
from multilearn.protocols import Batch, StepOutput
from multilearn_keras.engines.engine import KerasEngine

__all__ = ["TorchEngine"]


class TorchEngine(KerasEngine):
    """Gradients by `torch.autograd.grad`, not through `.grad`; a variable the loss does not reach has zeros."""

    def _set_up(self) -> None:
        self._parameters = [variable.value for variable in self._trained]
        self._sums = [torch.zeros_like(p) for p in self._parameters] if self._options.accumulate else None
        self._weight = torch.zeros((), device=self._parameters[0].device)

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        batch = self._on_torch(batch)
        with self._on_device():
            output = self._task.step(batch, True)
            gradients = self._gradients(self._optimizer.scale_loss(output.loss))
            with torch.no_grad():
                measures = self._measured(self._options.train_metrics, output)
                if self._sums is not None:
                    gradients = self._accumulated(self._sums, gradients, output.count, update)
                if update:
                    self._rate.assign(lr)
                    self._optimizer.apply(gradients, self._trained)
        return StepOutput(measures)

    def eval_step(self, batch: Batch) -> StepOutput:
        batch = self._on_torch(batch)
        with self._on_device(), torch.no_grad():
            return StepOutput(self._evaluated(batch, self._options.eval_metrics))

    def _probe(self, batch: Batch, metrics: Any) -> None:
        with torch.no_grad():
            self._evaluated(batch, metrics)

    def _gradients(self, loss: torch.Tensor) -> list[torch.Tensor]:
        found = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for g, p in zip(found, self._parameters, strict=True)]

    def _accumulated(
        self, sums: list[torch.Tensor], gradients: list[torch.Tensor], count: Any, update: bool
    ) -> list[torch.Tensor]:
        """Add gradients times count; for an update, their mean by count, and start anew."""
        count = torch.as_tensor(count, dtype=torch.float32, device=self._weight.device)
        torch._foreach_add_(sums, torch._foreach_mul(gradients, count))
        self._weight += count
        if not update:
            return gradients
        # nothing counted at all: the sums are zero, and so is the mean
        mean = torch._foreach_div(sums, self._weight + (self._weight == 0))
        for total in sums:
            total.zero_()
        self._weight.zero_()
        return list(mean)

    def _on_torch(self, batch: Batch) -> Batch:
        with self._on_device():
            device = get_device()
        return mapped(lambda leaf: _tensor(leaf, device), self._prepared(batch))


def _tensor(leaf: Any, device: str) -> torch.Tensor:
    if isinstance(leaf, np.ndarray):
        # torch takes neither negative strides nor, without a warning, arrays it must not write to
        leaf = torch.from_numpy(np.require(leaf, requirements=["C", "W"]))
    return keras.ops.convert_to_tensor(leaf).to(device)
