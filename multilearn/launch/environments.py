"""The processes that train on several devices of this machine: what their environments say to them."""

from __future__ import annotations

import os
import socket

from multilearn import backend
from multilearn.environment_variables import DEVICES, LEASH, read

__all__ = ["ONE_PROCESS_A_DEVICE", "environments", "ranks"]

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
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        # several busy pools of threads on the same cores make a step many times slower
        "OMP_NUM_THREADS": read("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // count)),
        LEASH: "1",
    }
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
