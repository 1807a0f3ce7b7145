"""Weights & Biases: a run of its service, or a folder that `wandb sync` sends there later."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from multilearn.arguments import choice
from multilearn.events import START, Attached
from multilearn.loggers.image import opened
from multilearn.loggers.points import Point, covers
from multilearn.loggers.tracked_run import TrackedRun
from multilearn.loggers.tracker import OpenRun, Status, TrackerLogger
from multilearn.storage.own_files import is_folder, require_folder

__all__ = ["WandbLogger"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass
class WandbLogger(TrackerLogger):
    """A run of Weights & Biases in `project`; needs `multilearn-keras[wandb]`.

    `train/<metric>` is averaged over `every` updates, over `update`; `epoch/train/<metric>` and `epoch/valid/<metric>`
    are epoch values, over `epoch`. NaN and infinities are kept.

    `entity`: the user or team. `mode`: `"online"` or `"offline"`; by default what WANDB_MODE says, else online for who
    is logged in, and nothing is asked. What is offline is in `<run>/wandb`, for `wandb sync`; a resumed run writes all
    of its points into a new folder there, under the same id, and removes the old one, unless that was sent.

    wandb keeps threads and a process of its own until the script ends, or calls `wandb.teardown()`.
    """

    project: str = "multilearn"
    entity: str | None = None
    mode: Literal["online", "offline"] | None = None

    tracker = "wandb"
    library = "wandb"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode is not None:
            choice('mode is "online" or "offline"', self.mode, ("online", "offline"), "Leave it out for WANDB_MODE.")

    def open(self, run: TrackedRun) -> OpenRun:
        import wandb

        mode = self.mode
        if mode is None and wandb.setup().settings.mode == "online" and not wandb.login(prompt=False):
            mode = "offline"
        known = next((each for each in run.known(self.tracker) if _ID.fullmatch(each.get("id", ""))), {})
        whole = run.position == START or covers(run.directory, run.position)
        earlier = _folders(run, known.get("id"))
        sent = any(list(folder.glob("*.synced")) for folder in earlier)
        again = known.get("id") if not (earlier and whole and sent) else None
        require_folder(run.directory.path / "wandb", run.directory.path, create=True)
        opened = wandb.init(
            project=self.project,
            entity=self.entity,
            name=run.name,
            id=again,
            resume="allow" if again and not (earlier and whole) else None,
            dir=str(run.directory.path),
            mode=mode,
            config={**run.settings, **run.tags},
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        if opened.disabled:
            return _Run(opened, [], "nothing, as wandb is disabled")
        run.remember(self.tracker, id=opened.id)
        place = str(Path(opened.dir).parent) if opened.offline else opened.url
        return _Run(opened, earlier if whole and not sent else [], place)


class _Run(OpenRun):
    def __init__(self, run: Any, replaced: list[Path], place: str) -> None:
        self.place = place
        self._run, self._replaced = run, replaced
        self._last = dict(run.summary) if run.resumed else {}
        # x is ours: wandb's own step only counts calls, so nothing is dropped for being earlier
        for name, x in (("update", None), ("epoch", None), ("train/*", "update"), ("epoch/*", "epoch")):
            run.define_metric(name, step_metric=x)

    def log(self, point: Point) -> None:
        prefix = f"epoch/{point.split}" if point.of_epoch else str(point.split)
        values = {f"{prefix}/{name}": value for name, value in point.values.items()}
        if not self._has(point.update, values):
            self._run.log({**values, "update": point.update, "epoch": point.epoch})

    def attach(self, attached: Attached, update: int) -> None:
        import wandb

        name = f"attachments/{attached.name}"
        found = attached.text if attached.text is not None else opened(attached.image)
        if found is not None and not self._has(update, {name: 0.0}):
            value = found if isinstance(found, str) else wandb.Image(found)
            self._run.log({name: value, "update": update, "epoch": attached.epoch})

    def replayed(self) -> None:
        for folder in self._replaced:
            shutil.rmtree(folder)

    def flush(self) -> None:
        """wandb sends by itself."""

    def end(self, status: Status) -> None:
        self._run.summary["status"] = status
        self._run.finish(exit_code=1 if status == "failed" else 0)

    def release(self) -> None:
        self._run.finish()

    def _has(self, update: int, values: dict[str, float]) -> bool:
        """Whether a run that is resumed online had this: wandb tells only what came last."""
        last = self._last.get("update")
        if last is None or update > last:
            return False
        return update < last or all(name in self._last for name in values)


def _folders(run: TrackedRun, known: str | None) -> list[Path]:
    """What was written offline before, and is still here."""
    parent = run.directory.path / "wandb"
    found = sorted(parent.glob(f"offline-run-*-{known}")) if known and is_folder(parent) else []
    return [folder for folder in found if is_folder(folder)]
