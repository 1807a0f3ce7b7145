"""What experiment.json says of a run: its configuration, and what it runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multilearn.printable import printable
from multilearn.storage.layout import RunDirectory
from multilearn.storage.reading import parsed, read_whole

__all__ = ["RunFacts"]

_LARGEST = 64 << 20
_OF_SESSION = ("started", "devices", "machine", "threads", "numerics", "versions", "loaders", "data", "resumed_from")
_UNSAID: tuple[Any, ...] = (None, "", [], {})


class RunFacts:
    """Of the run in a directory; empty if nothing can be read there."""

    def __init__(self, directory: Path) -> None:
        path = RunDirectory(directory).experiment
        try:
            found = parsed(read_whole(path, _LARGEST, directory), file_names=True)
        except (OSError, ValueError, MemoryError):
            found = {}
        self._document: Mapping[str, Any] = found if isinstance(found, dict) else {}
        sessions = self._document.get("sessions")
        last = sessions[-1] if isinstance(sessions, list) and sessions else {}
        self._session: Mapping[str, Any] = last if isinstance(last, dict) else {}

    @property
    def line(self) -> str:
        """Where it runs, and its seed: `torch · gpu:0 · seed 42`."""
        devices = self._session.get("devices") or [self._session.get("device")]
        where = ", ".join(map(str, devices)) if isinstance(devices, list) else str(devices)
        seed = self._document.get("seed")
        parts = [self._session.get("backend"), where, None if seed is None else f"seed {seed}"]
        return printable(" · ".join(str(part) for part in parts if part not in (None, "", "None")))

    def sections(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """A heading, and under it names and values: what was declared, and what the last session runs on."""
        document = self._document
        configuration = {key: value for key, value in document.items() if key in ("seed", "subject", "scheduler")}
        known = {*configuration, "version", "builder", "not_data", "metrics", "weights", "sessions"}
        described = {key: value for key, value in document.items() if key not in known}
        yield "run", list(_flat({**configuration, **described}))
        builder = document.get("builder")
        yield (
            "builder",
            list(_flat({**(builder if isinstance(builder, dict) else {}), "not data": document.get("not_data")})),
        )
        session = {key: self._session.get(key) for key in ("backend", *_OF_SESSION)}
        yield "environment", list(_flat(session))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """`loaders.train.batches`, and what it is; lists of plain values in one line."""
    if value in _UNSAID:
        return
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        for number, each in enumerate(value):
            if isinstance(each, dict) and "type" in each:
                rest = ", ".join(f"{key}={_word(own)}" for key, own in each.items() if key != "type")
                yield printable(f"{name}[{number}]"), printable(f"{each['type']}({rest})")
            else:
                yield from _flat(each, f"{name}[{number}]")
    else:
        yield printable(name), printable(_word(value))


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
