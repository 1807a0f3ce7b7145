"""Use of an NVIDIA GPU, and of its memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from multilearn.metrics.arguments import whole
from multilearn.metrics.names import named
from multilearn.metrics.sensor import Sensor

__all__ = ["GpuMemory", "GpuUse"]

_GIB = 2**30


@dataclass(frozen=True)
class GpuUse(Sensor):
    """The share of the time in which GPU number `index` was busy, over the driver's own sample period.

    A fraction in files and in Python, per cent on the screen. GPUs are numbered from 0, as the framework sees them.
    Needs an NVIDIA GPU and the package `nvidia-ml-py`. See `Sensor` for what is read when.

    >>> GpuUse().name, GpuUse(1).name
    ('GpuUse', 'GpuUse(index=1)')
    """

    index: int = 0

    unit: ClassVar[str] = "share"

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", whole("The index of GpuUse", self.index, 0))

    @property
    def name(self) -> str:
        return named("GpuUse", index=self.index or None)

    def reader(self) -> Callable[[], float]:
        return _reader(self.index, lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)


@dataclass(frozen=True)
class GpuMemory(Sensor):
    """What is in use of the memory of GPU number `index`, whoever uses it, in GiB (2^30 bytes).

    TensorFlow and JAX take most of it when they start. GPUs are numbered from 0, as the framework sees them.
    Needs an NVIDIA GPU and the package `nvidia-ml-py`. See `Sensor` for what is read when.

    >>> GpuMemory().name, GpuMemory(1).name
    ('GpuMemory', 'GpuMemory(index=1)')
    """

    index: int = 0

    unit: ClassVar[str] = "GiB"

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", whole("The index of GpuMemory", self.index, 0))

    @property
    def name(self) -> str:
        return named("GpuMemory", index=self.index or None)

    def reader(self) -> Callable[[], float]:
        return _reader(self.index, lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used / _GIB)


def _reader(index: int, ask: Callable[[Any, Any], float]) -> Callable[[], float]:
    import pynvml

    def read() -> float:
        # opened for each reading: nothing of it stays open when the run is over
        pynvml.nvmlInit()
        try:
            return ask(pynvml, _gpu(pynvml, index))
        finally:
            pynvml.nvmlShutdown()

    read()
    return read


def _gpu(nvml: Any, index: int) -> Any:
    """The GPU that frameworks call number `index`: CUDA_VISIBLE_DEVICES may hide and reorder them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = str(index) if visible is None else visible.split(",")[index].strip()
    if chosen.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(chosen))
    return nvml.nvmlDeviceGetHandleByUUID(chosen)
