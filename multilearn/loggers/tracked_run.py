"""What trackers need to know of a run besides its values: its settings, and which of their runs it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from multilearn.events import Position, Started
from multilearn.printable import printable
from multilearn.storage.atomic import write_atomically
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import kind_of
from multilearn.storage.reading import parsed, read_whole

__all__ = ["Setting", "TrackedRun"]

Setting = str | int | float | bool

_LARGEST = 64 << 20  # bytes
_OF_DISPLAY = ("metrics", "metric_loggers", "directory", "overwrite", "checkpoint", "summary")
_DECIDING = ("seed", "backend", "task", "loss", "scheduler", "optimizer", "model")
"""What the values depend on."""


@dataclass(frozen=True)
class TrackedRun:
    """The run in a directory, as it was when a session began at `position`, after `update` updates."""

    directory: RunDirectory
    position: Position
    update: int
    document: Mapping[str, Any]

    @classmethod
    def of(cls, started: Started) -> TrackedRun:
        """Raises `OSError` or `ValueError` where experiment.json cannot be read."""
        directory = RunDirectory(started.directory)
        document = parsed(read_whole(directory.experiment, _LARGEST, directory.path), file_names=True)
        if not isinstance(document, dict):
            raise ValueError(f"{directory.experiment} must hold an object")
        return cls(directory, started.position, started.update, document)

    @property
    def name(self) -> str:
        """As trackers show it."""
        return printable(self.directory.path.absolute().name)

    @property
    def accumulation(self) -> int:
        """Batches for each update."""
        declared = _table(self.document.get("builder")).get("grads_accumulation")
        return declared if type(declared) is int and declared > 0 else 1

    @cached_property
    def settings(self) -> dict[str, Setting]:
        """What was declared, flat, with dots: `optimizer.learning_rate`. For tables of hyper-parameters."""
        session, builder = self._session, _table(self.document.get("builder"))
        nested = {
            "seed": self.document.get("seed"),
            "backend": session.get("backend"),
            "device": session.get("device"),
            "task": self.document.get("task"),
            "loss": self.document.get("loss"),
            "scheduler": _table(self.document.get("scheduler")).get("description"),
            "optimizer": self.document.get("optimizer"),
            "model": _table(self.document.get("model")).get("layers"),
            "weights_sha256": self.document.get("weights_sha256"),
            "builder": {key: value for key, value in builder.items() if key not in _OF_DISPLAY},
            "versions": session.get("versions"),
        }
        return dict(_flat(nested))

    @property
    def tags(self) -> dict[str, str]:
        """Where the run is; and of one that was moved here, where it is from."""
        origin = _table(self._session.get("resumed_from"))
        found = {"directory": printable(str(self.directory.path.absolute()))}
        if origin and origin.get("directory") != str(self.directory.path):
            found["resumed_from"] = printable(f"{origin.get('directory')}, {origin.get('position')}")
        return found

    @property
    def digest(self) -> str:
        """Equal for runs whose values are to be equal."""
        deciding = {name: value for name, value in self.settings.items() if name.split(".")[0] in _DECIDING}
        accumulation = {"accumulation": self.accumulation}
        return hashlib.sha256(json.dumps(deciding | accumulation, sort_keys=True).encode()).hexdigest()[:16]

    def known(self, tracker: str) -> list[dict[str, str]]:
        """The runs of a tracker that this directory was logged into, the newest first."""
        path = self.directory.trackers
        if kind_of(path) is None:
            return []
        found = parsed(read_whole(path, _LARGEST, self.directory.path))
        entries = _table(found).get(tracker)
        return [
            each
            for each in (entries if isinstance(entries, list) else ())
            if isinstance(each, dict) and all(isinstance(value, str) for value in each.values())
        ]

    def remember(self, tracker: str, **facts: str) -> None:
        """Have the next session find this run of the tracker first."""
        entry = {**facts, "settings": self.digest}
        path = self.directory.trackers
        found = {} if kind_of(path) is None else parsed(read_whole(path, _LARGEST, self.directory.path))
        others = [each for each in self.known(tracker) if {**each, "settings": ""} != {**entry, "settings": ""}]
        document = {**_table(found), tracker: [entry, *others]}
        write_atomically(path, f"{json.dumps(document, indent=2)}\n".encode())

    @property
    def _session(self) -> Mapping[str, Any]:
        sessions = self.document.get("sessions")
        return _table(sessions[-1]) if isinstance(sessions, list) and sessions else {}


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Setting]]:
    for key, value in table.items():
        name = f"{path}{printable(str(key))}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, str):
            yield name, printable(value)
        elif isinstance(value, (int, float)):
            yield name, value
        elif value is not None:
            yield name, printable(json.dumps(value))
