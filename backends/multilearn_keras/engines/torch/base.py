"""What training and evaluating share on PyTorch: captured steps, and copies to the device and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch

from multilearn.data import mapped
from multilearn.metrics import Metric
from multilearn.protocols import Batch, HostOutput, StepOutput
from multilearn_keras.engines.model import OpenedModel
from multilearn_keras.engines.torch.arrays import borrowed, on_host, owned
from multilearn_keras.engines.torch.capture.captured import Captured, CapturedStep
from multilearn_keras.keras_internals import backend_module

__all__ = ["OnTorch"]


class OnTorch(OpenedModel):
    """Copies to the device and back, and steps that are captured.

    `_mapping`: variables with the values that evaluating gives them; `_eval`: what measures a prepared batch with them.
    """

    _mapping: Sequence[tuple[keras.Variable, torch.Tensor]]
    _eval: Callable[[Batch], dict[str, dict[str, Any]]]

    def eval_step(self, batch: Batch) -> StepOutput:
        batch = self._prepared(batch)
        with self._on_device():
            return StepOutput(self._eval(batch))

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        measures = [measured for output in outputs for measured in output.measures.values()]
        arrays = iter(on_host([leaf for measured in measures for leaf in measured.values()]))
        return [
            HostOutput({name: {leaf: next(arrays) for leaf in measured} for name, measured in output.measures.items()})
            for output in outputs
        ]

    def _captured(self, name: str, run: Any, state: Any = tuple, first_only: bool = False, refuse: Any = None) -> Any:
        """`run(batch)`, of a prepared batch, as a graph where that is asked for."""
        device = self._device_name()
        if not self._options.capture:
            return lambda batch: run(mapped(lambda leaf: owned(leaf, device), batch))
        return Captured(
            CapturedStep(
                name,
                run,
                state,
                own=lambda leaf: owned(leaf, device),
                borrowed=lambda leaf: borrowed(leaf, device),
                passes=self._options.passes,
                compiler=self._options.compile if self._options.compile == "inductor" else None,
                refuse=refuse,
            ),
            first_only,
        )

    def _measured_of(self, batch: Batch) -> dict[str, dict[str, Any]]:
        with torch.no_grad():
            return self._evaluated(batch, self._options.eval_metrics, self._mapping)

    def _device_name(self) -> str:
        with self._on_device():
            return str(backend_module("core").get_device())

    def _probe(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> Any:
        with torch.no_grad():
            return super()._probe(batch, metrics, training)
