"""What the files of a run say, as events in the order in which they came to pass."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from multilearn.events import (
    START,
    EpochEnded,
    Event,
    MetricInfo,
    Position,
    Reading,
    Saved,
    Split,
    SplitEnded,
    Started,
    Stepped,
)
from multilearn.following.growing import GrowingFile, GrowingMetric
from multilearn.loggers.attachments import attachments
from multilearn.loggers.timeline import facts_of
from multilearn.metrics import LearningRate
from multilearn.run.on_disk import RunOnDisk
from multilearn.storage.layout import metric_name
from multilearn.storage.own_files import files_in, is_folder

__all__ = ["Replay"]

_SPLITS = (Split.TRAIN, Split.VALID)


class Replay:
    """The events of a run. `read` has those that there are; called again, those that have come since.

    `started`: the first of them; `position`: how far it has come; `clock`: how many seconds all batches up to there
    took, as far as timeline.jsonl says it.
    """

    def __init__(self, run: RunOnDisk) -> None:
        self._directory = run.directory
        loaders = run.sessions[-1].loaders
        self._metrics = {split: tuple(_infos(run, split)) for split in _SPLITS}
        self._batches = {split: _batches(loaders[split]) for split in _SPLITS if loaders.get(split)}
        builder = run.declared.get("builder") or {}
        self._accumulation = int(builder.get("grads_accumulation") or 1)
        self.started = Started(
            directory=run.path,
            epochs=run.planned_epochs,
            position=START,
            batches=MappingProxyType(self._batches),
            metrics=MappingProxyType(self._metrics),
            history={},
            validate_every=run.validate_every,
        )
        self._latest = max((max(run.directory.epochs(split), default=0) for split in _SPLITS), default=0)
        self._timeline = GrowingFile(run.directory.timeline, run.path)
        self._updates: dict[int, int] = {}
        self._seconds: dict[tuple[int, str], float] = {}
        self.clock = 0.0
        self._saved: deque[Position] = deque()
        self._attached: set[tuple[int, str, bool]] = set()
        self._update = 0  # before the epoch
        self._trained = 0  # batches of the epoch
        self._epoch = 1
        self._enter(self._first_split())

    @property
    def position(self) -> Position:
        batch = self._trained if self._split is Split.VALID else self._batch
        return Position(self._epoch, batch) if batch else Position(self._epoch - 1)

    def read(self, *, ended: bool = False) -> Iterator[Event]:
        """`ended`: nothing is written any more, so that a metric without a file has none.

        Raises `Cut`, and `FileNotFoundError`, if the run was resumed or replaced meanwhile; `RecordError`.
        """
        self._read_timeline()
        while True:
            past = self._is_past()
            self._list()
            while any([file.read() for file in self._files.values()]):
                if past or ended or not self._missing():
                    yield from self._steps(all)
            complete = bool(self._files) and all(file.final is not None for file in self._files.values())
            if not (past or (complete and (ended or not self._missing()))):
                break
            yield from self._steps(any)
            if complete:
                self._read_timeline()
                self.clock = self._entered + self._seconds.get((self._epoch, self._split), self.clock - self._entered)
                finals = {name: Reading(file.final or "", None, file.final or "") for name, file in self._files.items()}
                yield SplitEnded(self._split, self._epoch, MappingProxyType(finals), self._updates_after())
            yield from self._next()
        yield from self._beside(self._epoch - 1)

    def _steps(self, ready: Callable[[Iterable[object]], bool]) -> Iterator[Event]:
        """The batches of which all files, or any, have a line."""
        split, files = self._split, self._files
        while files and ready(file.values for file in files.values()):
            self._batch += 1
            readings = {name: file.next_reading() for name, file in files.items() if file.values}
            rate = readings.get(LearningRate.name)
            yield Stepped(
                split,
                self._epoch,
                self._batch,
                self._updates_after() if split is Split.VALID else self._update + self._batch // self._accumulation,
                rate.value if rate is not None and isinstance(rate.value, float) and split is Split.TRAIN else None,
                MappingProxyType(readings),
            )

    def _next(self) -> Iterator[Event]:
        """On to the next split, or to the next epoch."""
        if self._split is Split.TRAIN:
            self._trained = self._batch
            if self._validates():
                self._enter(Split.VALID)
                return
        yield from self._attachments(self._epoch)
        yield EpochEnded(self._epoch)
        yield from self._beside(self._epoch)
        self._update, self._trained = self._updates_after(), 0
        self._epoch += 1
        self._enter(self._first_split())

    def _enter(self, split: Split) -> None:
        self._split, self._batch, self._entered = split, 0, self.clock
        self._files: dict[str, GrowingMetric] = {}

    def _first_split(self) -> Split:
        return Split.VALID if self._metrics[Split.VALID] and not self._metrics[Split.TRAIN] else Split.TRAIN

    def _validates(self) -> bool:
        measured = bool(self._metrics[Split.VALID]) and Split.VALID in self._batches
        expected = measured and self.started.validates(self._epoch)
        return is_folder(self._directory.epoch(Split.VALID, self._epoch)) or (expected and not self._is_later())

    def _is_past(self) -> bool:
        """Whether the run has come to another split or epoch, so that nothing is added to the files of this one."""
        on_valid = self._split is Split.TRAIN and is_folder(self._directory.epoch(Split.VALID, self._epoch))
        return on_valid or self._is_later()

    def _is_later(self) -> bool:
        after = self._epoch + 1
        return self._latest >= after or any(is_folder(self._directory.epoch(split, after)) for split in _SPLITS)

    def _missing(self) -> bool:
        """Whether a metric that is measured has no file yet."""
        return any(info.name not in self._files for info in self._metrics[self._split])

    def _list(self) -> None:
        folder, root = self._directory.epoch(self._split, self._epoch), self._directory.path
        for file in files_in(folder, root, ".log") if is_folder(folder) else ():
            name = metric_name(file.removesuffix(".log"))
            if name not in self._files:
                self._files[name] = GrowingMetric(folder / file, root)

    def _updates_after(self) -> int:
        """How many updates are done when the training of the epoch is."""
        batches = self._batch if self._split is Split.TRAIN else self._trained
        return self._updates.get(self._epoch, self._update - (-batches // self._accumulation))

    def _read_timeline(self) -> None:
        try:
            while lines := self._timeline.read():
                for facts in filter(None, map(facts_of, lines)):
                    if facts["event"] == "saved":
                        self._saved.append(Position.parse(facts["position"]))
                    elif facts["event"] == "split":
                        self._take(facts)
        except FileNotFoundError:
            pass  # a run of an earlier version has none

    def _take(self, facts: Mapping[str, Any]) -> None:
        if facts.get("split") == Split.TRAIN and type(facts.get("update")) is int:
            self._updates[facts["epoch"]] = facts["update"]
        if isinstance(seconds := facts.get("seconds"), float):
            self._seconds[facts["epoch"], str(facts.get("split"))] = seconds

    def _attachments(self, epoch: int) -> Iterator[Event]:
        for attached in attachments(self._directory, epoch):
            key = (epoch, attached.name, attached.text is None)
            if key not in self._attached:
                self._attached.add(key)
                yield attached

    def _beside(self, epoch: int) -> Iterator[Event]:
        """What was attached to an epoch that has ended, and the checkpoints up to where it is."""
        yield from self._attachments(epoch)
        done = Position(epoch) if epoch == self._epoch else self.position
        while self._saved and self._saved[0] <= done:
            yield Saved(self._saved.popleft())


def _infos(run: RunOnDisk, split: Split) -> Iterator[MetricInfo]:
    for name, declared in run.metrics.items():
        if split in declared.get("splits", ()):
            numeric, plotted = bool(declared.get("numeric", True)), bool(declared.get("plotted", False))
            yield MetricInfo(name, run.unit(name), numeric, plotted, run.better(name))


def _batches(loader: object) -> int | None:
    found = loader.get("batches") if isinstance(loader, Mapping) else None
    return found if type(found) is int else None
