"""The engines on PyTorch: steps on the Keras variables themselves, eager at first and then as captured graphs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import keras
import torch

from multilearn.data import flat
from multilearn.errors import ConfigurationError
from multilearn.metrics import Metric
from multilearn.protocols import Batch, Record, Shard, StepOutput
from multilearn_keras.engines.compiled import Measures
from multilearn_keras.engines.engine import KerasEngine
from multilearn_keras.engines.joint_check import Named
from multilearn_keras.engines.model import OpenedModel
from multilearn_keras.engines.torch.capture.comparing import Snapshot, Writes
from multilearn_keras.engines.torch.evaluation import OnTorch, TorchEvalEngine, on_host
from multilearn_keras.engines.torch.reach import leads_to
from multilearn_keras.engines.torch.sums import averages, divided, in_one_buffer
from multilearn_keras.engines.torch.update import fused_update
from multilearn_keras.engines.updates import is_usable, sum_dtype
from multilearn_keras.state.assignments import Assigned, kept_by_keras, refusal
from multilearn_keras.state.keys import variables
from multilearn_keras.state.transfer import Assigning

__all__ = ["TorchEngine", "TorchEvalEngine"]


class TorchEngine(OnTorch, KerasEngine):
    """Gradients by `torch.autograd.grad`, not through `.grad`; a variable the loss does not reach has zeros.

    The update is made outside of the graph: what is a number in Python, such as how many updates there were, would
    stay what it was when the graph was made.
    """

    def _set_up(self) -> None:
        self._parameters = [variable.value for variable in self._trained]
        device = self._parameters[0].device
        self._mapping = list(zip(self._trained, self._parameters, strict=True))
        self._sums = None
        self._weight = torch.zeros((), device=device)
        if self._joint is not None:
            self._flat, self._sums, self._weight = in_one_buffer(self._parameters)
        elif self._options.accumulate:
            self._sums = [torch.zeros_like(p, dtype=getattr(torch, sum_dtype(p.dtype))) for p in self._parameters]
        self._taken = torch.zeros((), dtype=torch.bool, device=device)
        self._train = self._captured("training", self._computed, self._changed, refuse=_refuse)
        self._eval = self._captured("validation", self._measured_of, first_only=True)
        # whether a batch is to be left out is known on the device only, and with it the number of updates
        fused = self._options.capture and not self._options.skip_non_finite
        self._fused = fused_update(self._optimizer, self._trained) if fused else None

    def _reaches(self, batch: Batch) -> bool:
        return leads_to([variable.value for variable in self._trained], self._scoped_loss(batch))

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        if self._joint is not None:
            output = self._joint_step(lambda own: self._train(self._prepared(own))[0], batch, training=True)
            return replace(output, measures=self._closed(lr) if update else self._still_open())
        batch = self._prepared(batch)
        with self._on_device():
            measures, gradients, usable = self._train(batch)
            if self._sums is None:
                with torch.no_grad():
                    self._update(gradients, usable, lr)
        if update and self._sums is not None:
            self.apply(lr)
        return StepOutput(measures)

    def apply(self, lr: float) -> None:
        self._closed(lr)

    def _closed(self, lr: float) -> Measures:
        """The update by the mean gradient of the window; where processes share it, what is measured of that."""
        with self._on_device(), torch.no_grad():
            if self._joint is not None:
                self._joint.world.sum(self._flat)
            gradients, usable = self._mean(self._sums or [])
            measures = {} if self._joint is None else self._of_update(gradients, self._parameters, usable)
            self._update(gradients, usable, lr)
            return measures

    def _still_open(self) -> Measures:
        """What is measured of a window that processes share and that stays open: its sums stay those of each."""
        if self._joint is None or not self._options.update_metrics:
            return {}
        with self._on_device(), torch.no_grad():
            sums, weight = divided(self._joint.world.sum(self._flat.clone()), self._parameters)
            return self._of_update(averages(sums, weight), self._parameters, self._taken)

    def gradients_of(self, batch: Batch, shard: Shard | None) -> tuple[Named, Named]:
        joint, before = self._joint, Snapshot(self._changed())
        assert joint is not None
        try:
            self._flat.zero_()
            with nullcontext() if shard is None else joint.rows(shard, True):
                self._computed(batch)
            if shard is not None:
                joint.world.sum(self._flat)
            gradients = self._mean(self._sums or [])[0]
            return _named(self._trained, gradients), _named(self._statistics, [v.value for v in self._statistics])
        finally:
            before.put_back()

    def _probe(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> Any:
        if not training:
            return super()._probe(batch, metrics, training)
        state = [variable.value for variable in variables(self._task).values()]
        # what modules of torch change is no assignment of Keras': buffers are small
        before = Snapshot([tensor for tensor in state if not tensor.requires_grad])
        try:
            with torch.enable_grad(), Writes(flat(batch)) as writes:
                loss = OpenedModel._probe(self, batch, metrics, training)
        finally:
            before.put_back()
        if found := writes.found(state):
            _refuse(found)
        return loss

    def record_of_training(self) -> Record:
        if not self._options.capture:
            return super().record_of_training()
        decided = {"backend": "torch", "training": self._train.decided, "fused": self._fused is not None}
        return {**super().record_of_training(), "engine": decided}

    def take(self, record: Record, pairs: Assigning, derived: bool = False) -> bool:
        derived = super().take(record, pairs, derived)
        decided = record.get("engine") or {}
        if self._options.capture and decided.get("backend") == "torch":
            self._train.decide(decided["training"])
            if not decided["fused"]:
                self._fused = None
        if self._fused is not None:
            self._fused.begin()
        return derived

    def _computed(self, batch: Batch) -> tuple[dict[str, dict[str, Any]], list[torch.Tensor], Any]:
        """Measures; the gradients, unless they went into the sums; if that is asked, whether the batch is usable."""
        skips = self._options.skip_non_finite
        before = _copies(self._statistics) if skips else []
        output, joint = self._step(batch, True), self._joint
        loss, count = output.loss, torch.as_tensor(output.count, dtype=torch.float32, device=self._weight.device)
        if joint is not None:
            # before the backward pass: with shared statistics a gradient is of the rows of other processes too
            count = count * (joint.part * joint.scale)
            loss = loss * count
        gradients = self._gradients(self._optimizer.scale_loss(loss))
        with torch.no_grad():
            measures = self._measured(self._options.train_metrics, output)
            usable = is_usable(self._optimizer, output.loss, gradients) if skips else None
            if usable is not None and joint is not None:
                usable = joint.world.summed((~usable).float()) == 0
            if usable is not None:
                _keep_unless(usable, self._statistics, before)
            if self._sums is not None:
                self._add(self._sums, gradients, count, usable)
            if joint is None and self._options.update_metrics:
                found = (gradients, None) if self._sums is None else (averages(self._sums, self._weight), self._taken)
                measures |= self._of_update(found[0], self._parameters, found[1])
            if self._sums is not None:
                gradients, usable = [], None
        return measures, gradients, usable

    def _changed(self) -> list[torch.Tensor]:
        """All that `_computed` may change."""
        own = [variable.value for variable in (*self._state.values(), *kept_by_keras(self._model))]
        return [*own, *(self._sums or ()), self._weight, self._taken]

    def _gradients(self, loss: torch.Tensor) -> list[torch.Tensor]:
        if not loss.requires_grad:
            raise ConfigurationError(
                "The loss must depend on the weights that are trained.",
                received="a loss without a gradient",
                remedy="Compute it in keras.ops from what the model outputs, without stop_gradient around all of it.",
            )
        found = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for g, p in zip(found, self._parameters, strict=True)]

    def _add(self, sums: list[torch.Tensor], gradients: list[torch.Tensor], count: torch.Tensor, usable: Any) -> None:
        """Add gradients times count, which they are already where processes share the batch, if it is usable."""
        if self._joint is None:
            added = [gradient * count.to(total.dtype) for gradient, total in zip(gradients, sums, strict=True)]
        else:
            added = [gradient.to(total.dtype) for gradient, total in zip(gradients, sums, strict=True)]
        if usable is not None:
            # not a product with zero: that of NaN is NaN
            added = [torch.where(usable, each, torch.zeros_like(each)) for each in added]
            count = torch.where(usable, count, torch.zeros_like(count))
            self._taken |= usable
        torch._foreach_add_(sums, added)
        self._weight += count

    def _mean(self, sums: list[torch.Tensor]) -> tuple[list[torch.Tensor], Any]:
        """The mean gradients of a window, and whether any batch was usable, if that is asked. It is emptied."""
        mean = averages(sums, self._weight)
        taken = self._taken.clone() if self._options.skip_non_finite else None
        for total in (*sums, self._weight, self._taken):
            total.zero_()
        return [each.to(p.dtype) for each, p in zip(mean, self._parameters, strict=True)], taken

    def _update(self, gradients: list[torch.Tensor], usable: Any, lr: float) -> None:
        if self._fused is not None:
            if self._fused(gradients, lr):
                return
            self._fused = None
        touched = [*self._trained, *self._optimizer.variables] if usable is not None else []
        before = _copies(touched)
        self._rate.value.fill_(lr)
        self._optimizer.apply(gradients, self._trained)
        if usable is not None:
            with self._rate_guard.opened():
                _keep_unless(usable, touched, before)


def _named(variables: Sequence[keras.Variable], tensors: Sequence[torch.Tensor]) -> Named:
    """Copies on the host, by the paths of the variables."""
    return {variable.path: array for variable, array in zip(variables, on_host(tensors), strict=True)}


def _refuse(found: Sequence[Assigned]) -> None:
    raise refusal(found)


def _copies(variables: Sequence[keras.Variable]) -> list[torch.Tensor]:
    return [variable.value.detach().clone() for variable in variables]


def _keep_unless(usable: torch.Tensor, variables: Sequence[keras.Variable], before: Sequence[torch.Tensor]) -> None:
    """Put `before` back into the variables unless `usable`, without waiting for the device to say which."""
    for variable, old in zip(variables, before, strict=True):
        variable.assign(torch.where(usable, variable.value, old))
