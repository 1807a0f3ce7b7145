"""experiment.json: what was declared, and one entry for each process that worked on the run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from multilearn.checkpoint import HostTensor, write_atomically

__all__ = ["Experiment", "Session", "earlier", "fingerprint", "in_words", "now", "threads"]

VERSION = 1


@dataclass(frozen=True)
class Session:
    """One process at work on a run. `ended` is None while it is, and stays so if it is killed.

    `outcome`: `completed`, `stopped` (for `reason`) or `failed` (with `error`); `position`: how far it came;
    `restored`: the epoch whose weights `fit` returned, None where those were the last ones.
    """

    started: str
    backend: str
    versions: Mapping[str, str]
    device: str
    threads: Mapping[str, str]
    resumed_from: Mapping[str, str] | None = None
    ended: str | None = None
    outcome: str | None = None
    reason: str | None = None
    error: str | None = None
    position: str | None = None
    restored: int | None = None


@dataclass(frozen=True)
class Experiment:
    """The content of experiment.json. `builder` is the table of what was declared, `not_data` what else the builder was
    told, in words; `weights_sha256` is that of the initial weights, None if they are not known."""

    seed: int
    builder: Mapping[str, Any]
    not_data: tuple[str, ...]
    subject: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    metrics: tuple[Mapping[str, Any], ...]
    weights_sha256: str | None = None
    sessions: tuple[Session, ...] = field(default=())

    def to_json(self) -> str:
        document = {"version": VERSION, **asdict(self)}
        document |= document.pop("subject")
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def ended(self, **facts: Any) -> Experiment:
        """The same with the last session at its end."""
        *earlier, last = self.sessions
        return replace(self, sessions=(*earlier, replace(last, ended=now(), **facts)))

    def write(self, path: Path) -> None:
        """Atomically."""
        write_atomically(path, self.to_json().encode())


def now() -> str:
    """This moment in UTC, as it is written everywhere: `2026-01-31T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def earlier(path: Path) -> tuple[tuple[Session, ...], str | None]:
    """The sessions and the hash of the initial weights that experiment.json tells of; none if it is not readable."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        sessions = tuple(Session(**session) for session in document["sessions"])
        return sessions, document.get("weights_sha256")
    except (OSError, ValueError, KeyError, TypeError):
        return (), None


def in_words(error: BaseException) -> str:
    """An error as one line."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def threads() -> dict[str, str]:
    """The settings of the environment that change how sums are split over threads, and so their rounding."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS")
    return {name: os.environ[name] for name in names if name in os.environ} | {"cpus": str(os.cpu_count())}


def fingerprint(weights: Mapping[str, Any]) -> str:
    """The sha256 of a nested record of tensors, in the order of their paths: path, type, shape, little-endian bytes."""
    digest = hashlib.sha256()
    for path, tensor in sorted(_tensors(weights), key=itemgetter(0)):
        digest.update(f"{path} {tensor}\n".encode())
        digest.update(tensor.raw.data)
    return digest.hexdigest()


def _tensors(nested: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, HostTensor]]:
    for key, value in nested.items():
        if isinstance(value, HostTensor):
            yield f"{path}{key}", value
        else:
            yield from _tensors(value, f"{path}{key}/")
