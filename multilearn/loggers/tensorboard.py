"""TensorBoard: event files in the directory of the run, written by tensorboardX."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multilearn.events import START, Attached
from multilearn.loggers.image import size
from multilearn.loggers.points import Point, covers
from multilearn.loggers.rewind import EVENTS
from multilearn.loggers.tracked_run import Setting, TrackedRun
from multilearn.loggers.tracker import OpenRun, Status, TrackerLogger
from multilearn.storage.layout import EVENT_SERIES
from multilearn.storage.own_files import files_in, is_folder, require_folder

__all__ = ["TensorBoardLogger"]

_SETTINGS = EVENT_SERIES[0]
_STATUS = {"finished": "STATUS_SUCCESS", "stopped": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}


@dataclass
class TensorBoardLogger(TrackerLogger):
    """Event files in `<run>/tensorboard`, for `tensorboard --logdir runs`; needs `multilearn-keras[tensorboard]`.

    `batch/<metric>` over updates is the series `train`; `epoch/<metric>` over epochs are `train-epochs` and
    `valid-epochs`, in one chart. Settings are a text and columns of the table of hyper-parameters, where the status is,
    too. NaN and infinities are kept; values are rounded to float32, as event files have them.

    `directory`: another folder for the event files of this run, and of no other.

    A resumed run writes all of its points into new files, from its metric files on, and removes the old ones.
    """

    directory: str | None = None

    tracker = "tensorboard"
    library = "tensorboardX"

    def open(self, run: TrackedRun) -> OpenRun:
        if self.directory is None:
            return _EventFiles(run, run.directory.tensorboard, run.directory.path)
        return _EventFiles(run, Path(self.directory).expanduser(), Path(self.directory).expanduser())


class _EventFiles(OpenRun):
    def __init__(self, run: TrackedRun, folder: Path, root: Path) -> None:
        self.place = str(folder)
        self._folder, self._root = folder, root
        self._whole = run.position == START or covers(run.directory, run.position)
        self._suffix = f".{time.time_ns()}{EVENTS[0]}"
        self._writers: dict[str, Any] = {}
        self._earlier = [path for series in EVENT_SERIES for path in self._files(series)]
        table = "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in {**run.tags, **run.settings}.items())
        self._write(_SETTINGS, 0, [_text("settings", f"| setting | value |\n| --- | --- |\n{table}")])
        self._write(_SETTINGS, 0, _hyper_parameters(run.settings))

    def log(self, point: Point) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        kind, series = ("epoch", f"{point.split}-epochs") if point.of_epoch else ("batch", str(point.split))
        values = [Summary.Value(tag=f"{kind}/{name}", simple_value=value) for name, value in point.values.items()]
        self._write(series, point.epoch if point.of_epoch else point.update, values)

    def attach(self, attached: Attached, update: int) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        if attached.text is not None:
            self._write(_SETTINGS, attached.epoch, [_text(attached.name, attached.text)])
        if attached.image is not None:
            width, height = size(attached.image)
            image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=attached.image)
            self._write(_SETTINGS, attached.epoch, [Summary.Value(tag=attached.name, image=image)])

    def replayed(self) -> None:
        if self._whole:
            self.flush()
            for path in self._earlier:
                path.unlink(missing_ok=True)

    def flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def end(self, status: Status) -> None:
        self._write(_SETTINGS, 0, [_status(status)])

    def release(self) -> None:
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.close()

    def _write(self, series: str, step: int, values: list[Any]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        writer = self._writers.get(series) or self._opened(series, step)
        writer.write_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _opened(self, series: str, step: int) -> Any:
        """A new file, from whose first step on what earlier ones say is purged: all of it if this one will be whole."""
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder = self._folder / series
        require_folder(folder, self._root, create=True)
        writer = self._writers[series] = EventsWriter(str(folder / "events"), self._suffix)
        purged = 0 if self._whole else step
        started = SessionLog(status=SessionLog.START)
        writer.write_event(Event(wall_time=time.time(), step=purged, session_log=started))
        return writer

    def _files(self, series: str) -> list[Path]:
        folder = self._folder / series
        return [folder / name for name in files_in(folder, self._root, EVENTS[0])] if is_folder(folder) else []


def _cell(value: Setting) -> str:
    return str(value).replace("|", "\\|")


def _text(tag: str, text: str) -> Any:
    from tensorboardX.summary import text as summary

    return summary(tag, text).value[0]


def _hyper_parameters(settings: Mapping[str, Setting]) -> list[Any]:
    from tensorboardX.summary import hparams

    experiment, started, _ = hparams(dict(settings), {})
    return [experiment.value[0], started.value[0]]


def _status(status: Status) -> Any:
    from tensorboardX.proto.api_pb2 import Status as Statuses
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    ended = SessionEndInfo(status=Statuses.Value(_STATUS[status]), end_time_secs=time.time())
    content = HParamsPluginData(session_end_info=ended, version=0).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content)
    return Summary.Value(tag="_hparams_/session_end_info", metadata=SummaryMetadata(plugin_data=plugin))
