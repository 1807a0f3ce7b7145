"""A run of several processes: what all of them must have alike, before the first of them writes anything."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

from multilearn.checkpoint import CheckpointFolder, MpkGzRecorder
from multilearn.errors import DirectoryError, MultilearnError, WorldError
from multilearn.events import Position
from multilearn.learner.start import Start
from multilearn.protocols import World
from multilearn.run import environment
from multilearn.run.environment import Weights
from multilearn.storage.layout import RunDirectory

__all__ = ["ended_with_others", "require_alike", "require_shared"]

_SAME_SCRIPT = "Start the same script with the same arguments on all of them."


def require_alike(world: World, start: Start, weights: Weights) -> None:
    """Raise `ConfigurationError`, in every process, unless all of them are about to train the same: it names what
    differs. Each waits for all, so all have read the directory when the first one writes."""
    run, found = start.run, start.found
    builder, not_data = run.declared
    world.require_same("backend and versions", _text(environment.versions(run.backend)), "Install the same on all.")
    world.require_same("seed", str(start.plan.seed), "Call set_seed(n), or set MULTILEARN_SEED, for all alike.")
    world.require_same("settings", _text([dict(builder), list(not_data), run.subject.description]), _SAME_SCRIPT)
    checkpoint = "none" if found.source is None else f"{found.position}"
    world.require_same("checkpoint to resume from", checkpoint, "The directory must be on storage that they share.")
    for split, facts in start.described["data"].items():
        world.require_same(f"{split} data", _text(facts), "Give every rank the same data: each takes its own rows.")
    world.require_same("initial weights", _text(weights.__dict__), "Call set_seed before the model is made.")


def require_shared(world: World, directory: RunDirectory) -> None:
    """Wait until the first process holds the directory. Raises `DirectoryError` if it is not this process's too."""
    world.barrier()
    there = directory.path.is_dir()
    missing = world.first_text(None if there else f"rank {world.rank}")
    if missing is not None:
        raise DirectoryError(
            "All ranks share the directory of a run.",
            received=f"{directory.path}, which rank 0 has made, and {missing} does not see",
            remedy="Use a directory on storage that is mounted on all machines.",
        )


def ended_with_others(world: World, directory: RunDirectory) -> WorldError:
    """What ends a process if another one has ended, with where the run can be resumed from."""
    saved: list[Position] = []
    with suppress(MultilearnError):
        saved = CheckpointFolder(directory.checkpoints, MpkGzRecorder()).positions()
    kept = f"its last checkpoint is {saved[-1]}" if saved else "it has no checkpoint"
    return WorldError(
        "The processes that train together end together.",
        received=f"rank {world.rank} of the run in {directory.path}, and another rank has ended; {kept}",
        remedy='Run it again with .checkpoint("latest"), on any number of devices.' if saved else "Run it again.",
    )


def _text(facts: Any) -> str:
    """Short enough for a message, and another one for other facts."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return text if len(text) <= 300 else f"{text[:200]}... (sha256 {hashlib.sha256(text.encode()).hexdigest()[:12]})"
