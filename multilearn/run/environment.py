"""What explains later why two runs differ: what a session had before it, and what it ran on."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from pathlib import Path
from typing import Any
from zlib import crc32

from multilearn.checkpoint import HostTensor
from multilearn.errors import DISTRIBUTION
from multilearn.protocols import Backend

__all__ = ["Weights", "machine", "threads", "versions"]

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "XLA_FLAGS",
)


@dataclass(frozen=True)
class Weights:
    """The hashes of the initial weights: of all of them, None if they are not known, and of each by its path.

    The one proves that they are equal, the others find the first that is not.
    """

    sha256: str | None = None
    crc32: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Weights:
        """Of a nested record of tensors: paths, types, shapes and little-endian bytes, in the order of the paths."""
        each = {path: f"{crc32(tensor.raw.data, crc32(str(tensor).encode())):08x}" for path, tensor in _tensors(record)}
        digest = hashlib.sha256()
        for path, tensor in sorted(_tensors(record), key=itemgetter(0)):
            digest.update(f"{path} {tensor}\n".encode())
            digest.update(tensor.raw.data)
        return cls(digest.hexdigest(), each)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Weights:
        """From the content of an experiment.json of any version."""
        whole, each = document.get("weights_sha256"), document.get("weights_crc32")
        return cls(whole if isinstance(whole, str) else None, each if isinstance(each, dict) else {})


def versions(backend: Backend) -> dict[str, str]:
    """Of Python, of this library, and of what the backend stands on."""
    try:
        own = version(DISTRIBUTION)
    except PackageNotFoundError:
        own = "unknown"
    return {"python": platform.python_version(), "multilearn": own, **backend.versions()}


def threads() -> dict[str, str | None]:
    """The settings of the environment that change how sums are split over threads, and so their rounding."""
    return {name: os.environ.get(name) for name in _THREADS} | {"cpus": str(os.cpu_count())}


def machine() -> dict[str, str]:
    """The system, the architecture, and the name of the processor where the system tells it."""
    return {"system": platform.system(), "architecture": platform.machine(), "cpu": _cpu()}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or "unknown"


def _tensors(nested: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, HostTensor]]:
    for key, value in nested.items():
        if isinstance(value, HostTensor):
            yield f"{path}{key}", value
        else:
            yield from _tensors(value, f"{path}{key}/")
