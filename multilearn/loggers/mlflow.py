"""MLflow: a run of its server, or of a database file."""

from __future__ import annotations

import re
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from multilearn.errors import ConfigurationError
from multilearn.events import Attached
from multilearn.loggers.points import Point
from multilearn.loggers.tracked_run import TrackedRun
from multilearn.loggers.tracker import OpenRun, Status, TrackerLogger
from multilearn.storage.layout import file_name

__all__ = ["MlflowLogger"]

_AT_ONCE = 1000  # metrics in a request, and 100 parameters
_LONGEST = 6000  # characters of a parameter
_REFUSED = re.compile(r"[^\w\-. :]", re.ASCII)
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_SECONDS = 10.0  # for a connection


@dataclass
class MlflowLogger(TrackerLogger):
    """A run of MLflow in `experiment`; needs `multilearn-keras[mlflow]`.

    `train/<metric>` is averaged over `every` updates; `epoch/train/<metric>` and `epoch/valid/<metric>` are epoch
    values; the step is the number of updates, and `epoch` a metric, too. Of names, what MLflow does not take becomes
    `_`. NaN is kept, an infinity becomes the largest float, in a database of SQLite. A run that was stopped is KILLED.

    `uri`: of the server, such as `http://host:5000`, or `sqlite:///mlflow.db`; by default what MLFLOW_TRACKING_URI or
    `mlflow.set_tracking_uri` says. It is written into experiment.json: a password has no place in it.
    """

    experiment: str = "multilearn"
    uri: str | None = None

    tracker = "mlflow"
    library = "mlflow"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.uri is not None and urlsplit(self.uri).password is not None:
            raise ConfigurationError(
                "The uri of an MlflowLogger is written into experiment.json, and has no password in it.",
                received="one with a password",
                remedy="Set MLFLOW_TRACKING_URI instead, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
            )

    def open(self, run: TrackedRun) -> OpenRun:
        import mlflow

        uri = self.uri or mlflow.get_tracking_uri()
        _require_server(uri)
        # a client of its own: nothing global is set, and no other active run is touched
        client = mlflow.MlflowClient(uri)
        for known in run.known(self.tracker):
            found = _Run.found(client, known.get("run", ""))
            if found is not None and (known.get("settings") == run.digest or not found.is_later_than(run)):
                client.update_run(found.run_id, status="RUNNING")
                break
        else:
            found = _Run.created(client, self.experiment, run)
            run.remember(self.tracker, run=found.run_id)
        found.place = f"run {found.run_id} of {_shown(uri)}"
        return found


class _Run(OpenRun):
    def __init__(self, client: Any, run_id: str, metrics: dict[str, Any]) -> None:
        self.run_id = run_id
        self._client = client
        self._steps: dict[str, set[int]] = {
            name: {each.step for each in client.get_metric_history(run_id, name)} for name in metrics
        }
        self._waiting: list[Any] = []

    @classmethod
    def found(cls, client: Any, run_id: str) -> _Run | None:
        """The run, unless it was deleted, or is of another server."""
        from mlflow.exceptions import MlflowException

        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return cls(client, run_id, run.data.metrics) if run.info.lifecycle_stage == "active" else None

    @classmethod
    def created(cls, client: Any, experiment: str, run: TrackedRun) -> _Run:
        from mlflow.entities import Param

        found = client.get_experiment_by_name(experiment)
        of = client.create_experiment(experiment) if found is None else found.experiment_id
        tags = {f"multilearn.{name}": value for name, value in run.tags.items()}
        run_id = client.create_run(of, run_name=run.name, tags=tags).info.run_id
        settings = [Param(_name(key), str(value)[:_LONGEST]) for key, value in run.settings.items()]
        for first in range(0, len(settings), 100):
            client.log_batch(run_id, params=settings[first : first + 100])
        return cls(client, run_id, {})

    def is_later_than(self, run: TrackedRun) -> bool:
        """Whether it has points of what came after the place from which `run` is resumed."""
        return any(step > run.update for steps in self._steps.values() for step in steps)

    def log(self, point: Point) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        prefix = f"epoch/{point.split}" if point.of_epoch else str(point.split)
        values = {f"{prefix}/{_name(name)}": value for name, value in point.values.items()}
        for name, value in {**values, "epoch": float(point.epoch)}.items():
            steps = self._steps.setdefault(name, set())
            if point.update not in steps:
                steps.add(point.update)
                self._waiting.append(Metric(name, value, now, point.update))
        if len(self._waiting) >= _AT_ONCE:
            self.flush()

    def attach(self, attached: Attached, update: int) -> None:
        folder, name = f"attachments/epoch-{attached.epoch}", file_name(attached.name)
        if attached.text is not None:
            self._client.log_text(self.run_id, attached.text, f"{folder}/{name}.txt")
        if attached.image is not None:
            with tempfile.TemporaryDirectory() as made:
                path = Path(made, f"{name}.png")
                path.write_bytes(attached.image)
                self._client.log_artifact(self.run_id, str(path), folder)

    def flush(self) -> None:
        while self._waiting:
            self._client.log_batch(self.run_id, metrics=self._waiting[:_AT_ONCE])
            del self._waiting[:_AT_ONCE]

    def end(self, status: Status) -> None:
        self._client.set_terminated(self.run_id, _STATUS[status])


def _name(name: str) -> str:
    return _REFUSED.sub("_", name)


def _shown(uri: str) -> str:
    """Without what may be secret: a user with a password, and options.

    >>> _shown("https://me:secret@host:5000/x?token=1"), _shown("sqlite:////tmp/mlflow.db")
    ('https://host:5000/x', 'sqlite:////tmp/mlflow.db')
    """
    return re.sub(r"//[^/]*@", "//", uri).partition("?")[0]


def _require_server(uri: str) -> None:
    """Raise `OSError` if no server is at `uri`: MLflow itself would try for minutes."""
    address = urlsplit(uri)
    if address.scheme in ("http", "https") and address.hostname and not getproxies():
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname, port), _SECONDS).close()
