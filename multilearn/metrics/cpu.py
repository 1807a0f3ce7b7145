"""Use of the processor, and of its memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from multilearn.metrics.sensor import Sensor

__all__ = ["CpuMemory", "CpuUse"]

_GIB = 2**30


@dataclass(frozen=True)
class CpuUse(Sensor):
    """The share of the time of all cores that the machine was busy in, whoever kept it busy, since the reading before.

    A fraction in files and in Python, per cent on the screen. See `Sensor` for what is read when.
    """

    name: ClassVar[str] = "CpuUse"
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

    name: ClassVar[str] = "CpuMemory"
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
