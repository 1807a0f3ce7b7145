"""What a run saves, and where: the checkpointer that its settings ask for."""

from __future__ import annotations

from multilearn.checkpoint import CheckpointFolder
from multilearn.checkpoint.checkpointer import BestInMemory, Checkpointer, CountedFiles, FileCheckpointer
from multilearn.learner.start import Start
from multilearn.storage.layout import RunDirectory

__all__ = ["checkpointer_of"]


def checkpointer_of(start: Start) -> Checkpointer:
    """Files, if there is a recorder; else the best state in memory, if it is restored in the end."""
    settings, run = start.run.settings, RunDirectory(start.run.path)
    if settings.recorder is None:
        return Checkpointer() if settings.restore_best is None else BestInMemory(settings.restore_best)
    # metric files of another run are copied, and not durable yet
    durable = start.found.position.finished_epochs if start.found.source == run.path else 0
    counted = CountedFiles(run, lambda: start.store.journal, durable)
    return FileCheckpointer(CheckpointFolder(run.checkpoints, settings.recorder), settings.kept, counted)
