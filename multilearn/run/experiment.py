"""experiment.json: what was declared, and one entry for each process that worked on the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from multilearn.checkpoint import write_atomically
from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.plain import as_number, is_number
from multilearn.printable import now
from multilearn.run.environment import Weights
from multilearn.storage.reading import parsed, read_whole

__all__ = ["Experiment", "Session", "earlier", "in_words", "read_document"]

VERSION = 1
_HALVES = re.compile("[\\ud800-\\udc7f\\udd00-\\udfff]")
_LIMIT = 64 << 20
"""Bytes: a thousand times what a large model needs."""


@dataclass(frozen=True)
class Session:
    """One process at work on a run. `ended` is None while it is, and stays so if it is killed.

    `trained`: whether it trained a batch, None if an earlier version recorded nothing of it; `outcome`: `completed`,
    `stopped` (for `reason`) or `failed` (with `error`); `position`: how far it came; `finished`: whether there is
    nothing left to train, None if it was not recorded; `restored`: the epoch whose weights `fit` returned, None
    where those were the last ones; `command`: of a grid, which command started it; of what is started again after a
    failure, which attempt of which job. What it ran on, and with which data: see `evidence`.
    `others`: what another version of this library wrote besides.
    """

    started: str = ""
    backend: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    devices: Sequence[str] = field(default_factory=list)
    machine: Mapping[str, Any] = field(default_factory=dict)
    threads: Mapping[str, Any] = field(default_factory=dict)
    numerics: Mapping[str, Any] = field(default_factory=dict)
    loaders: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    resumed_from: Mapping[str, str] | None = None
    trained: bool | None = None
    ended: str | None = None
    outcome: str | None = None
    reason: str | None = None
    error: str | None = None
    position: str | None = None
    finished: bool | None = None
    restored: int | None = None
    command: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Session:
        """Of any version: what is missing has its default, and what is not known is kept."""
        names = {each.name for each in fields(cls)} - {"others"}
        known = {name: value for name, value in entry.items() if name in names and _fits(name, value)}
        return cls(**known, others={name: value for name, value in entry.items() if name not in names})

    @property
    def on(self) -> str:
        """The devices that it trained on; of an earlier version the one that was recorded, `""` if none was."""
        return ", ".join(self.devices) or self.device

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to train: all epochs are trained, or a rule of early stopping ended it."""
        return self.outcome == "completed" or self.finished is True

    def to_entry(self) -> dict[str, Any]:
        """As it is written."""
        entry = asdict(self)
        return {**entry.pop("others"), **entry}


@dataclass(frozen=True)
class Experiment:
    """The content of experiment.json. `builder` is the table of what was declared, `not_data` what else is in the
    builder, in words; `weights` are the hashes of the initial ones."""

    seed: int
    builder: Mapping[str, Any]
    not_data: tuple[str, ...]
    subject: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    metrics: tuple[Mapping[str, Any], ...]
    weights: Weights = field(default_factory=Weights)
    sessions: tuple[Session, ...] = field(default=())

    def to_json(self) -> str:
        document = {"version": VERSION, **asdict(self)}
        document |= document.pop("subject")
        del document["weights"]
        document |= {"weights_sha256": self.weights.sha256, "weights_crc32": dict(self.weights.crc32)}
        document["sessions"] = [session.to_entry() for session in self.sessions]
        return json.dumps(document, indent=2, ensure_ascii=False, default=_number) + "\n"

    def ended(self, **facts: Any) -> Experiment:
        """The same with the last session at its end."""
        return self.with_facts(ended=now(), **facts)

    def with_facts(self, **facts: Any) -> Experiment:
        """The same with these facts of the last session."""
        *earlier, last = self.sessions
        return replace(self, sessions=(*earlier, replace(last, **facts)))

    def write(self, path: Path) -> None:
        """Atomically. Names of files that are not UTF-8 are read as they were; no other half of a surrogate pair is."""
        text = _HALVES.sub("\ufffd", self.to_json())
        write_atomically(path, text.encode(errors="backslashreplace"))


def read_document(path: Path) -> dict[str, Any]:
    """What an experiment.json of any version holds. Raises `DirectoryError` if it is not readable, or no object."""
    try:
        document = parsed(read_whole(path, _LIMIT, path.parent), file_names=True)
    except (OSError, ValueError, MemoryError) as error:
        raise DirectoryError.unreadable(path, error) from error
    if not isinstance(document, dict):
        raise DirectoryError(f"{path} must hold an object.", received=type(document).__name__)
    return document


def earlier(path: Path) -> tuple[tuple[Session, ...], Weights]:
    """The sessions and the hashes of the initial weights that experiment.json tells of; none if it is not readable."""
    try:
        document = read_document(path)
    except DirectoryError:
        return (), Weights()
    entries = document.get("sessions")
    sessions = entries if isinstance(entries, list) else []
    return tuple(Session.read(entry) for entry in sessions if isinstance(entry, dict)), Weights.read(document)


def in_words(error: BaseException) -> str:
    """An error as one line."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _number(value: object) -> object:
    """What JSON has no word for by itself: numbers of numpy's and of frameworks."""
    if is_number(number := as_number(value)):
        return number
    raise ConfigurationError(
        "experiment.json holds numbers, text, lists and maps.",
        received=f"{type(value).__name__}: {str(value)[:100]}",
        remedy="Have the backend, the loader or the metric that says it return such data.",
    )


def _fits(name: str, value: Any) -> bool:
    """Whether a field of a session can have this value."""
    if name == "resumed_from":
        place = (value.get(part) for part in ("directory", "position")) if isinstance(value, dict) else (None,)
        return value is None or all(isinstance(part, str) and "\0" not in part for part in place)
    default = getattr(Session(), name)
    if name == "devices":
        return isinstance(value, list) and all(isinstance(device, str) for device in value)
    if isinstance(default, (str, dict)):
        return isinstance(value, type(default))
    return value is None or isinstance(value, {"restored": int, "trained": bool, "finished": bool}.get(name, str))
