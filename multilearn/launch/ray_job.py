"""The process that has a script run by the workers of a Ray Train job: `multilearn run --ray`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from multilearn.errors import BackendError, ConfigurationError, pip_install

__all__ = ["RayCluster"]

_WORKERS = re.compile(r"([0-9]{1,6})(?: *\.\. *([0-9]{1,6}))?")
_WRITE = "Write for instance --ray local --workers 2."


@dataclass(frozen=True)
class RayCluster:
    """What `--ray` and `--workers` say: where Ray is, as `ray.init` takes it, and how many workers train together, at
    least and at most."""

    address: str
    workers: tuple[int, int]

    @classmethod
    def checked(
        cls, address: str | None, workers: str | None, devices: int | None = None, seeds: Sequence[str] = ()
    ) -> Self | None:
        """None if neither is given. Raises `ConfigurationError` for what does not go together, and `BackendError`
        where Ray is not installed."""
        if address is None and workers is None:
            return None
        if address is None or workers is None or not address.strip():
            given = [f"--ray {address!r}"] if address is not None else []
            given += [f"--workers {workers}"] if workers is not None else []
            raise ConfigurationError(
                "A job on Ray needs the address of the cluster and the number of workers.",
                received=f"{' and '.join(given)} alone",
                remedy=_WRITE,
            )
        numbers = _numbers(workers)
        if devices is not None:
            raise ConfigurationError(
                "Each worker of a job on Ray trains on one device.",
                received=f"--workers {workers} and --devices {devices}",
                remedy="Leave --devices out.",
            )
        if seeds:
            raise ConfigurationError(
                "A grid runs on this machine, and a job on Ray where its workers are.",
                received=f"--ray {address} and --seeds {','.join(seeds)}",
                remedy="Start a job for each seed, with --seed.",
            )
        if find_spec("ray") is None:
            raise BackendError(
                "--ray needs Ray Train.",
                received="an environment without ray",
                remedy=f"Install it with: {pip_install('ray')}",
            )
        return cls(address.strip(), numbers)

    def command(self, script: Path, arguments: Sequence[str]) -> list[str]:
        """What runs the job, in the environment of a backend."""
        job = ["-m", "multilearn_ray", self.address, *map(str, self.workers)]
        return [sys.executable, "-u", *job, str(script), *arguments]


def _numbers(workers: str) -> tuple[int, int]:
    """The fewest and the most of `2`, which are the same, or of `1..4`."""
    found = _WORKERS.fullmatch(workers.strip())
    fewest, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= fewest <= most:
        raise ConfigurationError(
            "The number of workers is at least 1, or a range that goes up, of which Ray chooses.",
            received=repr(workers),
            remedy="Write for instance --workers 2 or --workers 1..4.",
        )
    return fewest, most
