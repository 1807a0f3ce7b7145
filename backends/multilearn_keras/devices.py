"""The devices of each framework, as the core sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn.launch.environments import ONE_PROCESS_A_DEVICE
from multilearn.protocols import World
from multilearn_keras.world import current

__all__ = ["KerasDevice", "available", "check_lives_on", "jax_device", "listed", "named"]

_KINDS = {"cuda": "gpu", "rocm": "gpu"}


@dataclass(frozen=True)
class KerasDevice:
    """A device by kind and number: `gpu:0`."""

    kind: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}"


def available() -> Sequence[KerasDevice]:
    """What Keras' framework can train on, accelerators first."""
    framework = keras.backend.backend()
    if framework == "torch":
        import torch

        accelerators = [KerasDevice("gpu", index) for index in range(torch.cuda.device_count())]
        return [*accelerators, KerasDevice("cpu")]
    if framework == "tensorflow":
        import tensorflow as tf

        found = [KerasDevice("gpu", index) for index, _ in enumerate(tf.config.list_physical_devices("GPU"))]
        return [*found, KerasDevice("cpu")]
    import jax

    found = [KerasDevice(_kind_of(device), number) for number, device in enumerate(jax.local_devices())]
    return found if any(device.kind == "cpu" for device in found) else [*found, KerasDevice("cpu")]


def named(names: Sequence[str]) -> Sequence[KerasDevice]:
    """The devices that this process is to use, of these names: a model is on the first of them. Raises
    `ConfigurationError` as `listed`, and for several where a process has one."""
    found = listed(names)
    if len(found) > 1 and keras.backend.backend() in ONE_PROCESS_A_DEVICE:
        raise ConfigurationError(
            f"On {keras.backend.backend()} a process has one device.",
            received=f"{len(found)} devices, and one process",
            remedy=f"Start it with multilearn run --devices {len(found)} SCRIPT, or give one device.",
        )
    return found


def listed(names: Sequence[str]) -> Sequence[KerasDevice]:
    """The devices of these names; `"all"`: all accelerators, or all CPUs if there are none. Raises `ConfigurationError`
    for a name that there is not. If each device has a process, the numbers of CPUs count those that share it."""
    devices, world = available(), current()
    own_processes = keras.backend.backend() in ONE_PROCESS_A_DEVICE
    every = [str(device) for device in devices if device.kind == devices[0].kind]
    wanted = every if list(names) == ["all"] else list(names)
    if world.size > 1:
        # a program of JAX is for all devices of all processes
        wanted = _of_rank(wanted, world) if own_processes else every
    counted = world.size == 1 and len(wanted) > 1 and own_processes
    found = sorted((resolve(name, counted) for name in wanted), key=lambda device: device.index)
    if len({device.kind for device in found}) > 1:
        raise ConfigurationError(
            "Devices that share batches are of one kind.", received=", ".join(map(str, found)), remedy="Name others."
        )
    if len(set(found)) < len(found):
        raise ConfigurationError(
            "Each device is named once.", received=", ".join(map(str, found)), remedy='Name others, or write "all".'
        )
    return found


def _of_rank(names: list[str], world: World) -> list[str]:
    """The name that is this process's, of those that all processes of its machine are to have: one for each."""
    if len(names) <= 1:
        return names
    if len(names) != world.local_size:
        raise ConfigurationError(
            "Under a launcher there are as many devices as processes on each machine.",
            received=f"{len(names)} devices ({', '.join(names)}) and {world.local_size} processes",
            remedy="Leave .devices(...) out, or start as many processes.",
        )
    name = names[world.local_rank]
    # the number of a CPU counts the processes that share it
    return ["cpu"] if name.lower().partition(":")[0] == "cpu" else [name]


def has_gpu() -> bool:
    """Whether there is a GPU among them."""
    return any(device.kind == "gpu" for device in available())


def resolve(name: str, counted: bool = False) -> KerasDevice:
    """The device called `name` ("cpu", "gpu:0", "cuda:0"), or number N of the processes of a CPU, if these are
    `counted`. Raises `ConfigurationError`."""
    devices = available()
    kind, _, index = name.lower().partition(":")
    if counted and kind == "cpu" and (index or "0").isdecimal():
        return KerasDevice("cpu", int(index or 0))
    wanted = f"{_KINDS.get(kind, kind)}:{index or 0}"
    for device in devices:
        if str(device) == wanted:
            return device
    of_cpu = "; multilearn run --devices N has JAX make N of a CPU" if keras.backend.backend() == "jax" else ""
    raise ConfigurationError(
        f"The device must be one that {keras.backend.backend()} sees here: {', '.join(map(str, devices))}.",
        received=repr(name),
        remedy=f"Leave .devices(...) out for the first of them{of_cpu}.",
    )


def jax_device(device: KerasDevice) -> Any:
    """JAX' object of a device."""
    import jax

    return jax.local_devices(backend=device.kind)[device.index]


def check_lives_on(variable: keras.Variable, device: str) -> None:
    """Raise `ConfigurationError` unless the variable is on `device`: a model stays where it was made."""
    found = _device_of(variable)
    if found != device:
        raise ConfigurationError(
            f"The model must be on the device that it is trained on, {device}.",
            received=f"a model on {found}",
            remedy=f"Make the model inside `with keras.device({device!r}):`.",
        )


def _device_of(variable: keras.Variable) -> str:
    framework = keras.backend.backend()
    if framework == "torch":
        device = variable.value.device
        return f"{_KINDS.get(device.type, device.type)}:{device.index or 0}"
    if framework == "tensorflow":
        _, kind, index = variable.value.device.lower().rsplit(":", 2)
        return f"{kind}:{index}"
    import jax

    (device,) = variable.value.devices()
    return f"{_kind_of(device)}:{jax.local_devices(backend=device.platform).index(device)}"


def _kind_of(device: Any) -> str:
    """Of one of JAX' devices."""
    return _KINDS.get(device.platform, device.platform)
