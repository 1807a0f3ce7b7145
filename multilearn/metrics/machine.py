"""Metrics of the machine: use and memory of CPU and GPU."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from multilearn.arguments import settle, whole
from multilearn.metrics.items import Parametrized
from multilearn.protocols import UNAVAILABLE, Entry, Measured, Moment, State

__all__ = ["CpuMemory", "CpuUse", "GpuMemory", "GpuUse", "Sensor"]

_SECONDS = 1.0
"""A reading is good for so long: reading a sensor takes time that the training does not have."""


class Sensor(Parametrized, ABC):
    """Something to be read on this machine, at most once a second. The value of an epoch is the mean over its batches.

    `"unavailable"` where the machine has nothing to read, or the package that reads it is not installed; NaN as long as
    there is no reading yet.
    """

    numeric: ClassVar[bool] = True
    repeatable: ClassVar[bool] = False

    @abstractmethod
    def reader(self) -> Callable[[], float]:
        """A function that reads it. Whatever it, or this method, raises means that there is nothing to read."""

    def observer(self) -> Callable[[Moment], Measured]:
        try:
            read = self.reader()
        except Exception:
            return lambda moment: {"value": None}
        last: tuple[float, float | None] | None = None

        def observe(moment: Moment) -> Measured:
            nonlocal last
            if last is None or not 0 <= moment.clock - last[0] < _SECONDS:
                last = moment.clock, _value(read)
            return {"value": last[1]}

        return observe

    def merge(self, state: State | None, measured: Measured) -> State:
        value, sums = measured["value"], dict(state or {"total": 0.0, "readings": 0, "missing": 0})
        if value is None:
            sums["missing"] += 1
        elif not math.isnan(value):
            sums["total"] += value
            sums["readings"] += 1
        return sums

    def entry(self, state: State) -> Entry:
        if state["readings"]:
            return Entry(state["total"] / state["readings"])
        return Entry(UNAVAILABLE if state["missing"] else float("nan"))


def _value(read: Callable[[], float]) -> float | None:
    # what drivers raise is their own; a run does not end because a thermometer does
    try:
        return float(read())
    except Exception:
        return None


_GIB = 2**30


@dataclass(frozen=True)
class CpuUse(Sensor):
    """The share of the time of all cores that the machine was busy in, by all processes, since the reading before.

    A fraction in files and in Python, per cent on the screen. See `Sensor` for what is read when.
    """

    unit: ClassVar[str] = "share"

    def reader(self) -> Callable[[], float]:
        before, value = _cpu_seconds(), float("nan")

        def read() -> float:
            nonlocal before, value
            now = _cpu_seconds()
            busy, total = now[0] - before[0], now[1] - before[1]
            # the system counts in ticks of 10 ms: no tick, nothing new
            if total > 0:
                before, value = now, min(max(busy / total, 0.0), 1.0)
            return value

        return read


@dataclass(frozen=True)
class CpuMemory(Sensor):
    """What this process holds of the machine's memory (its resident set), in GiB (2^30 bytes).

    See `Sensor` for what is read when.
    """

    unit: ClassVar[str] = "GiB"

    def reader(self) -> Callable[[], float]:
        import psutil

        process = psutil.Process()
        return lambda: process.memory_info().rss / _GIB


def _cpu_seconds() -> tuple[float, float]:
    """How long all cores together have been busy, and have been there at all."""
    import psutil

    times = psutil.cpu_times()._asdict()
    # Linux counts guests among its users too
    total = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    return total - times["idle"] - times.get("iowait", 0.0), total


@dataclass(frozen=True)
class _GpuSensor(Sensor):
    """Of GPU number `index`."""

    index: int = 0

    def __post_init__(self) -> None:
        settle(self, index=whole(f"The index of {type(self).__name__}", self.index, 0))

    def reader(self) -> Callable[[], float]:
        import pynvml

        def read() -> float:
            # opened for each reading: nothing of it stays open when the run is over
            pynvml.nvmlInit()
            try:
                return self.asked(pynvml, _gpu(pynvml, self.index))
            finally:
                pynvml.nvmlShutdown()

        read()
        return read

    @abstractmethod
    def asked(self, nvml: Any, gpu: Any) -> float:
        """What the driver says."""


@dataclass(frozen=True)
class GpuUse(_GpuSensor):
    """The share of the time in which GPU number `index` was busy, over the driver's own sample period.

    A fraction in files and in Python, per cent on the screen. GPUs are numbered from 0, as the framework sees them.
    Needs an NVIDIA GPU and the package `nvidia-ml-py`. See `Sensor` for what is read when.

    >>> GpuUse().name, GpuUse(1).name
    ('GpuUse', 'GpuUse(index=1)')
    """

    unit: ClassVar[str] = "share"

    def asked(self, nvml: Any, gpu: Any) -> float:
        return float(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)


@dataclass(frozen=True)
class GpuMemory(_GpuSensor):
    """What is in use of the memory of GPU number `index`, by all processes, in GiB (2^30 bytes).

    TensorFlow and JAX take most of it when they start. GPUs are numbered from 0, as the framework sees them.
    Needs an NVIDIA GPU and the package `nvidia-ml-py`. See `Sensor` for what is read when.

    >>> GpuMemory().name, GpuMemory(1).name
    ('GpuMemory', 'GpuMemory(index=1)')
    """

    unit: ClassVar[str] = "GiB"

    def asked(self, nvml: Any, gpu: Any) -> float:
        return float(nvml.nvmlDeviceGetMemoryInfo(gpu).used / _GIB)


def _gpu(nvml: Any, index: int) -> Any:
    """The GPU that frameworks call number `index`: CUDA_VISIBLE_DEVICES may hide and reorder them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = str(index) if visible is None else visible.split(",")[index].strip()
    if chosen.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(chosen))
    return nvml.nvmlDeviceGetHandleByUUID(chosen)
