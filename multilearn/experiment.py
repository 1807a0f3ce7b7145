"""experiment.json: what was declared, and one entry for each process that worked on the run."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multilearn import seed as seeds
from multilearn.artifacts import RunDirectory
from multilearn.checkpoint import CheckpointFolder, MpkGzRecorder, write_atomically
from multilearn.errors import DirectoryError
from multilearn.events import Split

if TYPE_CHECKING:
    from multilearn.loop import Loop

__all__ = [
    "Experiment",
    "Session",
    "clear_run",
    "earlier",
    "holds_run",
    "in_session",
    "in_words",
    "now",
    "refuse_existing_run",
    "remove_metric_files",
    "threads",
]

_log = logging.getLogger("multilearn")

VERSION = 1


@dataclass(frozen=True)
class Session:
    """One process at work on a run. `ended` is None while it is, and stays so if it is killed.

    `outcome`: `completed`, `stopped` (for `reason`) or `failed` (with `error`); `position`: how far it came.
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


@dataclass(frozen=True)
class Experiment:
    """The content of experiment.json. `weights_sha256` is that of the initial weights, None if they are not known."""

    seed: int
    builder: Mapping[str, Any]
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


def holds_run(path: Path) -> bool:
    """Whether there is anything of a run in the directory."""
    run = RunDirectory(path)
    return run.experiment.exists() or run.checkpoints.exists() or any(run.epochs(split) for split in Split)


def refuse_existing_run(path: Path) -> None:
    """Raise `DirectoryError`, saying how the run ended, if the directory holds one."""
    if not holds_run(path):
        return
    sessions, _ = earlier(RunDirectory(path).experiment)
    raise DirectoryError(
        "A directory holds one run.",
        received=f"{path}, which holds one that {_ending(sessions)}",
        remedy='Go on from it with .checkpoint("latest"), replace it with LearnerBuilder(directory, overwrite=True), '
        "or use another directory.",
    )


def clear_run(path: Path) -> None:
    """Remove the files of a run, and the folders that are empty then; nothing that is not of our layout."""
    run = RunDirectory(path)
    CheckpointFolder(run.checkpoints, MpkGzRecorder()).clear()
    for split in Split:
        remove_metric_files(run, split)
        _remove_if_empty(path / split)
    for file in (run.experiment, run.log):
        file.unlink(missing_ok=True)


@contextmanager
def in_session(experiment: Experiment, run: RunDirectory, loop: Loop) -> Iterator[None]:
    """While it lasts this process works on the run: written into experiment.json and experiment.log at both ends."""
    experiment.write(run.experiment)
    backend = experiment.sessions[-1].backend
    origin = seeds.origin() if experiment.seed == seeds.current() else "the run's own"
    _log.info("Training on %s, seed %s (%s), in %s.", backend, experiment.seed, origin, run.path)
    try:
        yield
    except BaseException as error:
        # the traceback goes into the log only: on the screen Python will show it
        _log.error("The run failed at %s: %s.", loop.position, type(error).__name__)
        _log.info("This is where it failed:", exc_info=error)
        failed = experiment.ended(outcome="failed", error=in_words(error), position=str(loop.position))
        # a full disk must not hide what made the run fail
        with suppress(OSError):
            failed.write(run.experiment)
        raise
    reason = None if loop.completed else loop.interrupter.reason
    outcome = "completed" if reason is None else "stopped"
    _log.info("The run is %s at %s%s.", outcome, loop.position, f" ({reason})" if reason else "")
    experiment.ended(outcome=outcome, reason=reason, position=str(loop.position)).write(run.experiment)


def in_words(error: BaseException) -> str:
    """An error as one line."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def remove_metric_files(run: RunDirectory, split: Split, after: int = 0) -> list[int]:
    """Remove the metric files of the epochs after `after`, and the folders that are empty then; returns the epochs."""
    later = {epoch: folder for epoch, folder in run.epochs(split).items() if epoch > after}
    for folder in later.values():
        for file in folder.glob("*.log"):
            file.unlink()
        _remove_if_empty(folder)
    return list(later)


def threads() -> dict[str, str]:
    """The settings of the environment that change how sums are split over threads, and so their rounding."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS")
    return {name: os.environ[name] for name in names if name in os.environ} | {"cpus": str(os.cpu_count())}


def _ending(sessions: tuple[Session, ...]) -> str:
    if not sessions:
        return "left no record of how it ended"
    last = sessions[-1]
    at = f" at {last.position}" if last.position else ""
    endings = {
        "completed": f"was completed{at}",
        "stopped": f"was stopped{at} ({last.reason})",
        "failed": f"failed{at} ({last.error})",
    }
    return endings.get(last.outcome or "", "is still running or was killed")


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
