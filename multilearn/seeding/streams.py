"""The global random streams: Python's, numpy's and, if it is loaded, torch's on the CPU."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from multilearn.records.tensors import HostTensor
from multilearn.seeding.order import derived_seed

__all__ = ["GlobalStreams", "kept_globals", "seed_globals", "seeded_globals"]


@dataclass(frozen=True, eq=False)
class GlobalStreams:
    """Where the streams were at one moment. Quick to take; `torch` is None if it is not loaded."""

    python: tuple[Any, ...]
    numpy: tuple[Any, ...]
    torch: np.ndarray[Any, Any] | None = None

    @classmethod
    def now(cls) -> GlobalStreams:
        torch = _of_torch()
        state = None if torch is None else torch.get_state().numpy().copy()
        return cls(random.getstate(), tuple(np.random.get_state(legacy=True)), state)

    def put_back(self) -> None:
        """Continue from there; torch's only if it is still, or already, loaded."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        if self.torch is not None and (torch := _of_torch()) is not None:
            torch.set_state(sys.modules["torch"].from_numpy(self.torch.copy()))

    def record(self) -> dict[str, Any]:
        """As plain data."""
        version, internal, gauss = self.python
        name, keys, position, has_gauss, cached = self.numpy
        return {
            "python": {"version": version, "state": list(internal), "gauss": gauss},
            "numpy": {
                "name": str(name),
                "state": [int(key) for key in keys],
                "position": int(position),
                "has_gauss": int(has_gauss),
                "gauss": float(cached),
            },
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> GlobalStreams:
        """What `record` returned, and torch's, in records of version 0.1.

        Raises `KeyError`, `TypeError` or `ValueError` for anything else.
        """
        python, numpy, torch = record["python"], record["numpy"], record.get("torch")
        if torch is not None and not isinstance(torch, HostTensor):
            raise TypeError("the state of torch's stream is no tensor")
        keys, position = np.asarray(numpy["state"], np.uint32), numpy["position"]
        if not 0 <= position <= len(keys):  # numpy takes any, and reads what lies there
            raise ValueError(f"the position {position} in the stream of numpy")
        return cls(
            (python["version"], tuple(python["state"]), python["gauss"]),
            (numpy["name"], keys, position, numpy["has_gauss"], numpy["gauss"]),
            None if torch is None else torch.numpy(),
        )


@contextmanager
def kept_globals() -> Iterator[None]:
    """Restores the global streams at its end."""
    before = GlobalStreams.now()
    try:
        yield
    finally:
        before.put_back()


@contextmanager
def seeded_globals(seed: int, epoch: int, number: int = 0) -> Iterator[None]:
    """While it lasts, Python's, numpy's and (if it is loaded) torch's global streams are functions of the arguments.

    They are restored afterwards: what loading draws changes no other numbers, and no other draws change it.
    """
    with kept_globals():
        seed_globals(derived_seed(seed, epoch, number))
        yield


def seed_globals(n: int) -> None:
    """Start the global streams of Python, numpy and, where it is loaded, torch (on the CPU) from `n`."""
    random.seed(n)
    np.random.seed(n & 0xFFFFFFFF)
    if (torch := _of_torch()) is not None:
        torch.manual_seed(n)


def _of_torch() -> Any:
    """Torch's own default generator, if torch is loaded."""
    return getattr(sys.modules.get("torch"), "default_generator", None)
