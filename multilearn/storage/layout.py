"""The directory of a run: every path in it is named here, once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from multilearn.events import Split
from multilearn.storage.own_files import is_folder
from multilearn.storage.refusals import storing

__all__ = ["EVENT_SERIES", "HISTORY", "RunDirectory", "file_name", "metric_name"]

HISTORY = "history.log"
EVENT_SERIES = (".", Split.TRAIN.value, f"{Split.TRAIN}-epochs", f"{Split.VALID}-epochs")
"""The folders of event files: of each series one, the first for what is no series."""

_EPOCH = re.compile(r"epoch-(0|[1-9][0-9]*)", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9 .()@=+,-]")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def file_name(metric: str) -> str:
    """The file name (without `.log`) of a metric: spaces become `_`, what a path could trip over `%XX` of its bytes.

    Injective: `metric_name` undoes it. Case is not folded.

    >>> file_name("Top 5 Accuracy"), file_name("a/b")
    ('Top_5_Accuracy', 'a%2Fb')
    """
    text = _UNSAFE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), metric)
    if text.startswith(".") or _RESERVED.fullmatch(text):
        text = f"%{ord(text[0]):02X}{text[1:]}"
    if text.endswith((".", " ")):
        text = f"{text[:-1]}%{ord(text[-1]):02X}"
    return text.replace(" ", "_")


def metric_name(file: str) -> str:
    """The metric whose `file_name` is `file`."""
    text = file.replace("_", " ")
    return re.sub(r"(?:%[0-9A-F]{2})+", lambda match: bytes.fromhex(match[0].replace("%", "")).decode(), text)


@dataclass(frozen=True)
class RunDirectory:
    """Names every path of a run; creates and reads nothing."""

    path: Path

    @property
    def log(self) -> Path:
        return self.path / "experiment.log"

    @property
    def experiment(self) -> Path:
        return self.path / "experiment.json"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @property
    def stop(self) -> Path:
        return self.path / ".stop"

    @property
    def timeline(self) -> Path:
        return self.path / "timeline.jsonl"

    @property
    def attachments(self) -> Path:
        return self.path / "attachments"

    @property
    def trackers(self) -> Path:
        """Which runs of trackers this one is."""
        return self.path / "trackers.json"

    @property
    def tensorboard(self) -> Path:
        """The folder of event files, in which `EVENT_SERIES` are."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoint"

    @property
    def history(self) -> Path:
        return self.checkpoints / HISTORY

    def epoch(self, split: Split, epoch: int) -> Path:
        """The folder of a split's metric files of one epoch, counted from 1."""
        return self.path / split / f"epoch-{epoch}"

    def metric(self, split: Split, epoch: int, metric: str) -> Path:
        return self.epoch(split, epoch) / f"{file_name(metric)}.log"

    def test(self, name: str) -> Path:
        """The folder of the metric files of the evaluation called `name`."""
        return self.path / Split.TEST / file_name(name)

    def measured(self) -> Iterator[Path]:
        """The folders with metric files that exist, of epochs and of evaluations. A link is none."""
        for split in (Split.TRAIN, Split.VALID):
            yield from self.epochs(split).values()
        evaluations = self.path / Split.TEST
        yield from filter(is_folder, sorted(evaluations.glob("*")) if is_folder(evaluations) else ())

    def attached(self, epoch: int, name: str, ending: str) -> Path:
        """The file of a text or an image that was logged after an epoch, with its ending: `.txt` or `.png`."""
        return self.attachments / f"epoch-{epoch}" / f"{file_name(name)}{ending}"

    def epochs(self, split: Split | str) -> dict[int, Path]:
        """The epoch folders that exist, in order; of `"attachments"`, too. A link is none."""
        found, parent = {}, self.path / split
        with storing(parent):
            names = os.listdir(parent) if is_folder(parent) else []
        for name in names:
            if (ours := _EPOCH.fullmatch(name)) and is_folder(parent / name):
                found[int(ours[1])] = parent / name
        return dict(sorted(found.items()))
