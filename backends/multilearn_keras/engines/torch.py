"""The engines on PyTorch: eager steps on the Keras variables themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import torch
from keras.src.backend.torch.core import get_device

from multilearn.data import mapped
from multilearn.metrics import Metric
from multilearn.protocols import Batch, HostOutput, StepOutput
from multilearn_keras.engines.engine import KerasEngine, sum_dtype
from multilearn_keras.engines.evaluation import KerasEvalEngine
from multilearn_keras.engines.opened import OpenedModel

__all__ = ["TorchEngine", "TorchEvalEngine"]


class _OnTorch(OpenedModel):
    """Copies to the device and back."""

    def fetch(self, outputs: Sequence[StepOutput]) -> Sequence[HostOutput]:
        """One copy for all tensors of a type."""
        leaves = [leaf for output in outputs for _, leaf in _leaves(output.measures)]
        arrays = iter(_on_host(leaves))
        return [
            HostOutput({name: {leaf: next(arrays) for leaf in measured} for name, measured in output.measures.items()})
            for output in outputs
        ]

    def _tensors(self, batch: Batch) -> Batch:
        """A prepared batch on the device."""
        with self._on_device():
            device = get_device()
        return mapped(lambda leaf: _tensor(leaf, device), batch)

    def _probe(self, batch: Batch, metrics: Sequence[Metric]) -> None:
        with torch.no_grad():
            super()._probe(batch, metrics)


class TorchEngine(_OnTorch, KerasEngine):
    """Gradients by `torch.autograd.grad`, not through `.grad`; a variable the loss does not reach has zeros."""

    def _set_up(self) -> None:
        self._parameters = [variable.value for variable in self._trained]
        device = self._parameters[0].device
        self._live = list(zip(self._trained, self._parameters, strict=True))
        self._sums = None
        if self._options.accumulate:
            self._sums = [torch.zeros_like(p, dtype=getattr(torch, sum_dtype(p.dtype))) for p in self._parameters]
        self._weight = torch.zeros((), device=device)
        self._taken = torch.zeros((), dtype=torch.bool, device=device)

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        batch = self._tensors(self._prepared(batch))
        skips = self._options.skip_non_finite
        with self._on_device():
            before = _copies(self._statistics) if skips else []
            output = self._task.step(batch, True)
            gradients = self._gradients(self._optimizer.scale_loss(output.loss))
            with torch.no_grad():
                measures = self._measured(self._options.train_metrics, output)
                usable = self._usable(output.loss, gradients) if skips else None
                if usable is not None:
                    _keep_unless(usable, self._statistics, before)
                if self._sums is not None:
                    gradients, usable = self._accumulated(self._sums, gradients, output.count, update, usable)
                if update:
                    self._apply(gradients, lr, usable)
        return StepOutput(measures)

    def eval_step(self, batch: Batch) -> StepOutput:
        batch = self._tensors(self._prepared(batch))
        with self._on_device(), torch.no_grad():
            return StepOutput(self._evaluated(batch, self._options.eval_metrics, self._live))

    def _gradients(self, loss: torch.Tensor) -> list[torch.Tensor]:
        found = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for g, p in zip(found, self._parameters, strict=True)]

    def _accumulated(
        self, sums: list[torch.Tensor], gradients: list[torch.Tensor], count: Any, update: bool, usable: Any
    ) -> tuple[list[torch.Tensor], Any]:
        """Add gradients times count; for an update, their mean by count, and whether any batch was usable.

        Then it starts anew.
        """
        count = torch.as_tensor(count, dtype=torch.float32, device=self._weight.device)
        added = [gradient * count.to(total.dtype) for gradient, total in zip(gradients, sums, strict=True)]
        if usable is not None:
            # not a product with zero: that of NaN is NaN
            added = [torch.where(usable, each, torch.zeros_like(each)) for each in added]
            count = torch.where(usable, count, torch.zeros_like(count))
            self._taken |= usable
        torch._foreach_add_(sums, added)
        self._weight += count
        if not update:
            return gradients, None
        # nothing counted at all: the sums are zero, and so is the mean
        mean = torch._foreach_div(sums, self._weight + (self._weight == 0))
        taken = None if usable is None else self._taken.clone()
        for total in (*sums, self._weight, self._taken):
            total.zero_()
        return [each.to(p.dtype) for each, p in zip(mean, self._parameters, strict=True)], taken

    def _apply(self, gradients: list[torch.Tensor], lr: float, usable: Any) -> None:
        touched = [*self._trained, *self._optimizer.variables] if usable is not None else []
        before = _copies(touched)
        self._rate.assign(lr)
        self._optimizer.apply(gradients, self._trained)
        if usable is not None:
            _keep_unless(usable, touched, before)


class TorchEvalEngine(_OnTorch, KerasEvalEngine):
    """Eager steps without gradients."""

    def _set_up(self) -> None:
        self._mapping = self._pairs(self._values)

    def eval_step(self, batch: Batch) -> StepOutput:
        batch = self._tensors(self._prepared(batch))
        with self._on_device(), torch.no_grad():
            return StepOutput(self._evaluated(batch, self._options.eval_metrics, self._mapping))

    def predict_step(self, batch: Batch) -> Any:
        inputs = self._tensors(mapped(self._host, self._inputs(batch)))
        with self._on_device(), torch.no_grad():
            return self._predicted(inputs, self._mapping)


def _copies(variables: Sequence[keras.Variable]) -> list[torch.Tensor]:
    return [variable.value.detach().clone() for variable in variables]


def _keep_unless(usable: torch.Tensor, variables: Sequence[keras.Variable], before: Sequence[torch.Tensor]) -> None:
    """Put `before` back into the variables unless `usable`, without waiting for the device to say which."""
    for variable, old in zip(variables, before, strict=True):
        variable.assign(torch.where(usable, variable.value, old))


def _leaves(measures: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, torch.Tensor]]:
    for measured in measures.values():
        yield from measured.items()


def _on_host(tensors: Sequence[torch.Tensor]) -> list[np.ndarray[Any, Any]]:
    """Copies, in the same order: the tensors of one type are brought over together."""
    kinds: dict[torch.dtype, list[int]] = {}
    for place, tensor in enumerate(tensors):
        kinds.setdefault(tensor.dtype, []).append(place)
    found: list[Any] = [None] * len(tensors)
    for places in kinds.values():
        together = keras.ops.convert_to_numpy(torch.cat([tensors[place].reshape(-1) for place in places]))
        start = 0
        for place in places:
            shape = tensors[place].shape
            end = start + tensors[place].numel()
            found[place] = together[start:end].reshape(shape)
            start = end
    return found


def _tensor(leaf: Any, device: str) -> torch.Tensor:
    """A copy, for a model may write into its inputs: `x += noise` would go into the data that was loaded."""
    if isinstance(leaf, np.ndarray):
        # to another device it is copied anyhow; torch takes neither negative strides nor arrays it must not write to
        owned = np.array(leaf, order="C") if device == "cpu" else np.require(leaf, requirements=["C", "W"])
        return torch.from_numpy(owned).to(device)
    return keras.ops.convert_to_tensor(leaf).to(device, copy=True)
