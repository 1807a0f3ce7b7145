"""What this installation can train on: backends, their versions and devices, and which one would be used."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, entry_points, packages_distributions, version

from multilearn import backend
from multilearn.commands.text import Sentences, TextTable, as_text, document
from multilearn.errors import BackendError, pip_install

__all__ = ["BackendStatus", "Installation", "look"]

_SECONDS = 120
_ASK = """
import json, sys
from multilearn import backend
from multilearn.errors import BackendError
devices = [str(device) for device in backend.load(sys.argv[1]).devices()]
print()
print(json.dumps(devices))
"""


@dataclass(frozen=True)
class BackendStatus:
    """One known backend. `devices` is None if it is not installed or could not be asked; `problem` says why."""

    name: str
    installed: bool
    versions: Mapping[str, str]
    devices: Sequence[str] | None
    problem: str | None


@dataclass(frozen=True)
class Installation:
    """All known backends; which would be used (None if there is none), for what reason, and why it would be refused."""

    backends: tuple[BackendStatus, ...]
    used: str | None
    reason: str
    refusal: str | None

    def as_json(self) -> str:
        """`used`, `reason`, `refusal`, and `backends` with the fields of `BackendStatus`; null if there is none."""
        return document(asdict(self))

    def as_text(self) -> str:
        table = [["backend", "versions", "devices"]]
        for found in self.backends:
            versions = ", ".join(f"{name} {each}" for name, each in found.versions.items())
            devices = found.problem if found.devices is None else ", ".join(found.devices)
            table.append([found.name, versions or "not installed", devices or "none"])
        used = f"would be used: {self.used} ({self.reason})" if self.used else "would be used: none"
        refused = [f"which is refused: {self.refusal}"] if self.refusal else []
        return as_text([TextTable("", table), Sentences([used, *refused])])


def look() -> Installation:
    """Ask the installed backends for their devices, each in its own process: one process has one framework."""
    names = backend.known()
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = tuple(pool.map(_found, names))
    choice, refusal = backend.choice(), None
    try:
        backend.usable()
    except BackendError as error:
        refusal = str(error)
    return Installation(found, choice.name, choice.reason, refusal)


def _found(name: str) -> BackendStatus:
    if not backend.installed(name):
        return BackendStatus(name, False, {}, None, pip_install(name))
    devices, problem = _devices(name)
    return BackendStatus(name, True, _versions(name), devices, problem)


def _versions(name: str) -> dict[str, str]:
    """Of the framework and Keras, or of the distribution that brought the backend; nothing is imported."""
    if name in backend.ON_KERAS:
        owners = packages_distributions()
        return {module: _version(next(iter(owners.get(module, [module])))) for module in (name, "keras")}
    brought = [entry.dist for entry in entry_points(group=backend.GROUP) if entry.name == name]
    return {each.name: each.version for each in brought if each}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of unknown version"


def _devices(name: str) -> tuple[Sequence[str] | None, str | None]:
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _ASK, name],
            env={**backend.environment(name), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None, f"gave no answer within {_SECONDS} s"
    if answer.returncode:
        said = answer.stderr.strip().splitlines() or [f"exit {answer.returncode}"]
        return None, f"could not be asked: {said[-1]}"
    return json.loads(answer.stdout.splitlines()[-1]), None
