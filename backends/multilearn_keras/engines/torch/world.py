"""Several processes on PyTorch: `torch.distributed` by NCCL between GPUs, else by gloo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from multilearn.errors import WorldError
from multilearn.protocols import LaunchedRank, patience
from multilearn_keras.world import KerasWorld

__all__ = ["TorchWorld", "connected"]


def connected(place: LaunchedRank) -> TorchWorld:
    """The world of this place. A process group that there is already, as Ray makes it, is taken over.

    Raises `WorldError` if the others do not come within `patience()` seconds.
    """
    gpus = torch.cuda.device_count()
    if gpus:
        torch.cuda.set_device(place.local_rank % gpus)
    if not dist.is_initialized():
        try:
            # NCCL takes one process for each GPU
            of_devices = "cpu:gloo,cuda:nccl" if 0 < place.local_size <= gpus else "gloo"
            dist.init_process_group(of_devices, timeout=timedelta(seconds=patience()))
        except (RuntimeError, ValueError) as error:
            raise place.unmet(error) from error
    return TorchWorld(place)


class TorchWorld(KerasWorld):
    """The default process group."""

    def gather_words(self, own: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return self.gather_rows(torch.from_numpy(own)).numpy()

    def gather_rows(self, own: torch.Tensor) -> torch.Tensor:
        found = own.new_zeros((self.size, *own.shape))
        with _peers():
            if own.is_cuda and "cuda:gloo" in dist.get_backend_config():
                # which has sums alone between GPUs; those of bytes and zeros are the bytes
                found[self.rank] = own
                dist.all_reduce(found)
                return found
            _gather(found.view(-1), own.contiguous().view(-1))
        return found

    def sum(self, flat: torch.Tensor) -> torch.Tensor:
        with _peers():
            dist.all_reduce(flat)
        return flat

    def summed(self, x: Any) -> Any:
        return _summed(x)

    def leave(self) -> None:
        if dist.is_initialized():
            dist.destroy_process_group()


# the second is the name that it had before
_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


@torch.library.custom_op("multilearn::sum_over_ranks", mutates_args=())
def _summed(x: torch.Tensor) -> torch.Tensor:
    """One node of a captured graph, forward and backward."""
    total = x.clone(memory_format=torch.contiguous_format)
    with _peers():
        dist.all_reduce(total)
    return total


@_summed.register_fake
def _like(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
    return _summed(gradient)


_summed.register_autograd(_backward)


@contextmanager
def _peers() -> Iterator[None]:
    """What another process's end does to what they do together is a `WorldError`."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise WorldError.of(error) from error
