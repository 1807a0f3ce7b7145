"""The optimizer's update by ATen's fused kernels, where they compute what Keras computes."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import torch
from keras.src.backend.torch.optimizers import torch_adam, torch_adamw, torch_sgd

from multilearn_keras.engines.torch.capture.comparing import Snapshot, distance, largest

__all__ = ["FusedUpdate", "fused_update"]

Tensors = Sequence[torch.Tensor]

_log = logging.getLogger("multilearn")

TRIED = 3
"""So many updates are made both ways."""
COMPARED_BYTES = 64 << 20
"""Of the parameters, so many bytes."""


def fused_update(optimizer: Any, trained: Sequence[keras.Variable]) -> FusedUpdate | None:
    """For Adam, AdamW and SGD on parameters in single or double precision; None if Keras' own update is made.

    What of an optimizer is about the gradients' scale, and custom subclasses, is left to Keras.
    """
    kind = _KINDS.get(type(optimizer))
    if kind is None or optimizer.loss_scale_factor is not None:
        return None
    if any(getattr(variable, "overwrite_with_gradient", False) for variable in trained):
        return None
    values = [variable.value for variable in trained]
    places = {(value.dtype, value.device.type) for value in values}
    known = places <= {(dtype, device) for dtype in (torch.float32, torch.float64) for device in ("cpu", "cuda")}
    if len(places) != 1 or not known or not all(value.is_contiguous() for value in values):
        return None
    return kind(optimizer, trained)


class FusedUpdate(ABC):
    """What Keras' `apply` does, with one kernel for the step itself. The first updates are compared with Keras' own."""

    def __init__(self, optimizer: Any, trained: Sequence[keras.Variable]) -> None:
        self._optimizer = optimizer
        self._trained = list(trained)
        self._rate = optimizer._learning_rate
        places = [optimizer._get_variable_index(variable) for variable in trained]
        self._slots = [[slots[place].value for place in places] for slots in self._kept()]
        self._parameters = [variable.value for variable in trained]
        self._clips = any((optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm))
        decays = optimizer.weight_decay is not None
        self._decayed = [v.value for v in trained if decays and optimizer._use_weight_decay(v)]
        self._constrained = [variable for variable in trained if variable.constraint is not None]
        self._left = TRIED
        self.begin()

    def begin(self) -> None:
        """Read how many updates there were: after they were restored, or assigned by anybody else."""
        self._iterations = self._optimizer.iterations.value
        self._done, self._version = int(self._iterations), self._iterations._version

    def __call__(self, gradients: Tensors, lr: float) -> bool:
        """One update at the rate `lr`; the gradients may be overwritten. It is called if no tape is kept.

        False: nothing was done, for it would not be Keras' update.
        """
        gradients = [gradient.contiguous() for gradient in gradients]
        if self._iterations._version != self._version:
            self.begin()
        self._rate.value.fill_(lr)
        if self._left and not self._is_right(gradients, lr):
            return False
        if self._clips:
            gradients = self._optimizer._clip_gradients(gradients)
        if self._decayed:
            # v - (v * decay) * rate, rounded as Keras does
            lost = torch._foreach_mul(self._decayed, self._optimizer.weight_decay)
            torch._foreach_mul_(lost, float(np.float32(lr)))
            torch._foreach_sub_(self._decayed, lost)
        self._step(self._parameters, gradients, self._slots, lr)
        if self._optimizer.use_ema:
            self._average()
        for variable in self._constrained:
            variable.assign(variable.constraint(variable))
        self._iterations.add_(1)
        self._done, self._version = self._done + 1, self._iterations._version
        return True

    @abstractmethod
    def _kept(self) -> Sequence[Sequence[keras.Variable]]:
        """The optimizer's lists of what it keeps for each variable, as the kernel takes them."""

    @abstractmethod
    def _step(self, parameters: Tensors, gradients: Tensors, slots: Sequence[Tensors], lr: float) -> None: ...

    def _average(self) -> None:
        optimizer = self._optimizer
        optimizer._update_model_variables_moving_average(optimizer._trainable_variables)
        every = optimizer.ema_overwrite_frequency
        if every and (self._done + 1) % every == 0:
            optimizer._overwrite_model_variables_with_average_value(optimizer._trainable_variables)

    def _is_right(self, gradients: Tensors, lr: float) -> bool:
        """Whether the kernel's step is Keras' own, of as many parameters as are quickly compared."""
        self._left -= 1
        compared = self._compared()
        parameters = [self._parameters[at] for at in compared]
        slots = [[kept[at] for at in compared] for kept in self._slots]
        touched = [*parameters, *(slot for kept in slots for slot in kept)]
        before = Snapshot(touched)
        own = [gradients[at].clone() for at in compared]
        self._step(parameters, own, slots, lr)
        found = Snapshot(touched).values
        before.put_back()
        own = [gradients[at].clone() for at in compared]
        self._optimizer._backend_update_step(own, [self._trained[at] for at in compared], self._optimizer.learning_rate)
        # what is left where two numbers cancel is rounded as they are
        pairs = zip(found, touched, before.values, strict=True)
        off = max(distance(mine, its, largest(old)) for mine, its, old in pairs)
        before.put_back()
        if off > 1:
            message = "The update of %s is computed by Keras: torch's kernel differs by %.1f times the tolerance."
            _log.warning(message, type(self._optimizer).__name__, off)
        return off <= 1

    def _compared(self) -> list[int]:
        places = sorted(range(len(self._parameters)), key=lambda at: self._parameters[at].nbytes)
        sizes = np.cumsum([self._parameters[at].nbytes for at in places])
        return places[: max(1, int(np.searchsorted(sizes, COMPARED_BYTES, side="right")))]


class _Adam(FusedUpdate):
    """Adam and AdamW, with and without amsgrad.

    Keras adds epsilon to sqrt(v) and the kernel to sqrt(v / (1 - beta_2^t)), so the kernel gets epsilon divided by
    sqrt(1 - beta_2^t). Keras computes rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) in the parameters' precision and the
    kernel in double, so the kernel's rate is multiplied with the quotient of the two: without, the loss is 5e-3 off
    after 200 updates.
    """

    def _kept(self) -> Sequence[Sequence[keras.Variable]]:
        optimizer = self._optimizer
        return [optimizer._momentums, optimizer._velocities, *([optimizer._velocity_hats] if optimizer.amsgrad else [])]

    def _step(self, parameters: Tensors, gradients: Tensors, slots: Sequence[Tensors], lr: float) -> None:
        beta_1, beta_2, update = self._optimizer.beta_1, self._optimizer.beta_2, self._done + 1
        number = np.float32 if parameters[0].dtype == torch.float32 else np.float64
        rate, one = number(np.float32(lr)), number(1)
        with np.errstate(under="ignore"):
            powers = [np.power(number(beta), number(update)) for beta in (beta_1, beta_2)]
        of_keras = float(rate * np.sqrt(one - powers[1]) / (one - powers[0]))
        root = math.sqrt(1 - beta_2**update)
        torch._fused_adam_(
            parameters,
            gradients,
            slots[0],
            slots[1],
            slots[2] if self._optimizer.amsgrad else [],
            [torch.tensor(float(update))] * len(parameters),
            lr=of_keras * (1 - beta_1**update) / root,
            beta1=beta_1,
            beta2=beta_2,
            weight_decay=0.0,
            eps=self._optimizer.epsilon / root,
            amsgrad=self._optimizer.amsgrad,
            maximize=False,
        )


class _SGD(FusedUpdate):
    """SGD with and without momentum, Nesterov's too.

    Keras keeps m = momentum * m - rate * g and adds it, the kernel b = momentum * b + g and adds -rate * b: they are
    the same where the kernel divides the gradients by -1 / rate, and its own rate is -1.
    """

    def _kept(self) -> Sequence[Sequence[keras.Variable]]:
        return [self._optimizer.momentums] if self._optimizer.momentum else []

    def _step(self, parameters: Tensors, gradients: Tensors, slots: Sequence[Tensors], lr: float) -> None:
        rate = float(np.float32(lr))
        if not slots:
            torch._foreach_add_(parameters, gradients, alpha=-rate)
            return
        if not rate:
            # nothing can be divided by what it would be
            torch._foreach_mul_(slots[0], self._optimizer.momentum)
            torch._foreach_add_(parameters, slots[0], alpha=self._optimizer.momentum if self._optimizer.nesterov else 1)
            return
        torch._fused_sgd_(
            parameters,
            gradients,
            slots[0],
            weight_decay=0.0,
            momentum=self._optimizer.momentum,
            lr=-1.0,
            dampening=0.0,
            nesterov=self._optimizer.nesterov,
            maximize=False,
            is_first_step=False,
            grad_scale=torch.tensor(-1.0 / rate),
        )


# what Keras makes on torch of keras.optimizers.Adam and so on
_KINDS = {torch_adam.Adam: _Adam, torch_adamw.AdamW: _Adam, torch_sgd.SGD: _SGD}
