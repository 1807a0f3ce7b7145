"""The processes that train on several devices of this machine: what their environments say to them."""

from __future__ import annotations

import os
import socket

from multilearn import backend
from multilearn.environment_variables import DEVICES, LEASH, read
from multilearn.protocols import LaunchedRank

__all__ = ["ONE_PROCESS_A_DEVICE", "environments", "free_port", "ranks"]

ONE_PROCESS_A_DEVICE = ("torch", "tensorflow")
"""The backends whose devices need a process each. A command looks at their names, for loading one takes seconds."""


def environments(name: str, devices: int | None) -> list[dict[str, str]]:
    """For the processes that train on so many devices: one for each device, or one that has all of them.

    JAX makes so many of a CPU, and XLA's pool of threads is to have one for each of them: with fewer, those that wait
    for the others keep these from being computed.
    """
    chosen = backend.environment(name)
    if devices is None:
        return [chosen]
    if devices > 1 and name in ONE_PROCESS_A_DEVICE:
        return [{**chosen, **of_rank} for of_rank in ranks(devices)]
    of_jax = {"JAX_NUM_CPU_DEVICES": str(devices), "NPROC": str(max(16, 2 * devices))} if name == "jax" else {}
    return [{**chosen, DEVICES: str(devices), **of_jax}]


def ranks(count: int) -> list[dict[str, str]]:
    """The variables of each of `count` processes, in the words of torchrun."""
    here, port = "127.0.0.1", free_port("127.0.0.1")
    shared = {
        # several busy pools of threads on the same cores make a step many times slower
        "OMP_NUM_THREADS": read("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // count)),
        LEASH: "1",
    }
    return [{**shared, **LaunchedRank(rank, count, rank, count, here, port).environment()} for rank in range(count)]


def free_port(address: str) -> int:
    """A port of this machine that is free for now."""
    with socket.socket() as found:
        found.bind((address, 0))
        port: int = found.getsockname()[1]
    return port
