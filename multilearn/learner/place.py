"""Where a run will be: checked when it is built, and brought to where it begins when it is fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from multilearn.errors import DirectoryError
from multilearn.learner.settings import Settings
from multilearn.run import grid_cell, restart
from multilearn.run.directory import begin, refuse_existing_run, refuse_unusable, rewind
from multilearn.run.integrity import damages
from multilearn.run.obstacles import refuse_obstacles
from multilearn.run.resume import Resume, ResumePoint, folder_of
from multilearn.storage.layout import RunDirectory
from multilearn.storage.refusals import reading, storing

__all__ = ["placed", "prepare"]


def placed(settings: Settings, backend: str, seed: int) -> tuple[Settings, Path]:
    """The settings and the path of a run whose backend and seed are known.

    Raises `DirectoryError` for a directory that cannot be written to, or holds a run and is neither resumed nor
    overwritten.
    """
    if "{n}" in settings.directory.below and (grid_cell.current() or restart.Attempt.current()):
        raise DirectoryError(
            "What is started again finds its run by the directory.",
            received=f"{settings.directory.written!r}, which has another number each time",
            remedy="Leave {n} out.",
        )
    resume = settings.resume
    resuming = resume is not None and resume.directory is None
    path = settings.directory.path(backend, seed, existing=resuming)
    with reading(path):
        return replace(settings, resume=_allowed(settings, path, backend, seed)), path


def _allowed(settings: Settings, path: Path, backend: str, seed: int) -> Resume | None:
    """What a run that may be in `path` resumes. Raises `DirectoryError` for one that may not."""
    resume = settings.resume
    refuse_unusable(RunDirectory(path), saves=settings.recorder is not None, logs=settings.application_log is not None)
    if resume is not None and resume.directory is not None:
        refuse_obstacles(RunDirectory(resume.directory))
    resume = restart.resumed(grid_cell.resumed(resume, settings.directory.written, path, backend, seed), path)
    if resume is not None and resume.is_of(path):
        # also if it is named like another run's: what is resumed must never be overwritten
        return replace(resume, directory=None, written=None)
    if not settings.overwrite:
        refuse_existing_run(path)
    return resume


def prepare(run: RunDirectory, settings: Settings, found: ResumePoint) -> list[str]:
    """Bring the directory to the state from which the run begins. Returns sentences for the log."""
    resume = settings.resume
    with storing(run.path):
        if resume is None or resume.directory is not None:
            begin(run, overwrite=settings.overwrite)
            return []
        notes: list[str] = []
        if found.source == run.path:
            folder, _ = folder_of(resume, run.path, settings.recorder).recovered()
            notes += damages(run, folder, found)
        return [*notes, *rewind(run, settings.recorder, settings.epochs, found.position)]
