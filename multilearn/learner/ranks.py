"""A run of several processes: what all of them must have alike, before the first of them writes anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from multilearn.checkpoint import CheckpointFolder, MpkGzRecorder
from multilearn.errors import DirectoryError, MultilearnError, WorldError
from multilearn.events import Position
from multilearn.learner.inputs import Data
from multilearn.learner.start import BuiltRun
from multilearn.protocols import World
from multilearn.run import environment
from multilearn.run.resume import ResumePoint
from multilearn.storage.layout import RunDirectory

__all__ = ["ending_together", "require_alike", "require_one_directory", "require_shared"]


def require_alike(run: BuiltRun, data: Data) -> None:
    """Raise `ConfigurationError`, in every process, unless all of them are about to train the same."""
    world, (builder, not_data) = run.backend.world, run.declared
    if world.size == 1:
        return
    world.require_same("backend and versions", environment.versions(run.backend), "Install the same on all machines.")
    world.require_same("seed", {"seed": run.seed}, "Call set_seed(n), or set MULTILEARN_SEED, on all of them alike.")
    same_script = "Start the same script with the same arguments on all of them."
    world.require_same("settings", {**builder, "objects": not_data}, same_script)
    world.require_same("model and optimizer", run.subject.description, same_script)
    for kind, facts in data.described(first_batches=True).items():
        world.require_same(f"{kind}, of which each takes its own rows", facts, "Load the same on all of them.")


def require_one_directory(found: ResumePoint, world: World) -> None:
    """Raise `ConfigurationError`, in every process, unless all have found the same in the directory of the run. Each
    waits for all: all have read it when the first one writes."""
    position = None if found.source is None else str(found.position)
    remedy = "The directory of the run must be on storage that all of them share."
    world.require_same("checkpoint to resume from", {"checkpoint": position}, remedy)


def require_shared(world: World, directory: RunDirectory) -> None:
    """Wait until the first process holds the directory. Raises `DirectoryError` if it is not this process's too."""
    world.barrier()
    missing = world.first_text(None if os.path.isdir(directory.path) else f"rank {world.rank}")
    if missing is not None:
        raise DirectoryError(
            "All ranks share the directory of a run.",
            received=f"{directory.path}, which rank 0 has made, and {missing} does not see",
            remedy="Use a directory on storage that is mounted on all machines.",
        )


@contextmanager
def ending_together(
    world: World, directory: RunDirectory, end: Callable[[BaseException, World], NoReturn] | None
) -> Iterator[None]:
    """Have a failure in this process end the others, and a failure of another one say from where the run can be
    resumed. `end`: called with what is raised, in its place."""
    try:
        yield
    except BaseException as error:
        world.leave()
        of_others = _ended_with_others(world, directory) if isinstance(error, WorldError) else None
        if end is not None:
            end(of_others or error, world)
        if of_others is None:
            raise
        raise of_others from error


def _ended_with_others(world: World, directory: RunDirectory) -> WorldError:
    saved: list[Position] = []
    with suppress(MultilearnError):
        saved = CheckpointFolder(directory.checkpoints, MpkGzRecorder()).positions()
    kept = f"its last checkpoint is {saved[-1]}" if saved else "it has no checkpoint"
    return WorldError(
        "The processes that train together end together.",
        received=f"rank {world.rank} of the run in {directory.path}, and another rank has ended; {kept}",
        remedy='Run it again with .checkpoint("latest"), on any number of devices.' if saved else "Run it again.",
    )
