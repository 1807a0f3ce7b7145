"""Trackio: a local database that its dashboard shows."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from multilearn.events import Attached
from multilearn.loggers.image import opened
from multilearn.loggers.points import Point
from multilearn.loggers.tracked_run import TrackedRun
from multilearn.loggers.tracker import OpenRun, Status, TrackerLogger

__all__ = ["TrackioLogger"]


@dataclass
class TrackioLogger(TrackerLogger):
    """A run of Trackio in `project`, in its local database; `trackio show` shows it. Needs `multilearn-keras[trackio]`.

    `train/<metric>` is averaged over `every` updates; `epoch/train/<metric>` and `epoch/valid/<metric>` are epoch
    values; the step is the number of updates, and `epoch` is beside them. NaN and infinities are kept as texts. Trackio
    has no status of a run.
    """

    project: str = "multilearn"

    tracker = "trackio"
    library = "trackio"

    def open(self, run: TrackedRun) -> OpenRun:
        import trackio
        from trackio.sqlite_storage import SQLiteStorage

        name, rows = f"{run.name}-{uuid.uuid4().hex[:8]}", []
        for known in run.known(self.tracker):
            found = SQLiteStorage.get_logs(known.get("project", ""), known.get("name", ""))
            later = any(row.get("step", 0) > run.update for row in found)
            if found and known.get("project") == self.project and (known.get("settings") == run.digest or not later):
                name, rows = known["name"], found
                break
        opened = trackio.init(
            project=self.project,
            name=name,
            config={**run.settings, **run.tags},
            resume="must" if rows else "never",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
        run.remember(self.tracker, name=name, project=self.project)
        return _Run(opened, rows, f"run {name} of project {self.project}")


class _Run(OpenRun):
    def __init__(self, run: Any, rows: list[dict[str, Any]], place: str) -> None:
        self.place = place
        self._run = run
        self._logged = {(key, row.get("step")) for row in rows for key in row}

    def log(self, point: Point) -> None:
        prefix = f"epoch/{point.split}" if point.of_epoch else str(point.split)
        values = {f"{prefix}/{name}": value for name, value in point.values.items()}
        new = {name: value for name, value in values.items() if (name, point.update) not in self._logged}
        if new:
            self._run.log({**new, "epoch": point.epoch}, step=point.update)

    def attach(self, attached: Attached, update: int) -> None:
        import trackio

        name = f"attachments/{attached.name}"
        if (name, update) in self._logged:
            return
        if attached.text is not None:
            self._run.log({name: trackio.Markdown(attached.text), "epoch": attached.epoch}, step=update)
        elif (image := opened(attached.image)) is not None:
            self._run.log({name: trackio.Image(image), "epoch": attached.epoch}, step=update)

    def flush(self) -> None:
        """Trackio sends by itself, twice a second."""

    def end(self, status: Status) -> None:
        """Trackio knows of no status."""

    def release(self) -> None:
        self._run.finish()
