"""What the trackers have, read with their own libraries: a status, settings, and a series for each metric.

`python -m support.tracked_by TRACKER FOLDER` prints it: these libraries keep what they have seen.
"""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multilearn.storage.layout import metric_name
from support.tracked import Series


@dataclass(frozen=True)
class Tracked:
    """One run of a tracker. In `series` x is the number of updates, of TensorBoard's epoch values the epoch.

    `attached`: the names of texts and images, by epoch.
    """

    series: Series
    settings: dict[str, Any]
    status: str | None
    attached: list[str]


def read(tracker: str, folder: Path, environment: Mapping[str, str]) -> list[Tracked]:
    """What a tracker has of the run `run` in a folder, in which the others keep their data, too."""
    command = [sys.executable, "-m", "support.tracked_by", tracker, str(folder)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return [Tracked(**each) for each in json.loads(ended.stdout.splitlines()[-1])]


def tensorboard(folder: Path) -> Tracked:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    series: Series = {}
    for name in ("train", "train-epochs", "valid-epochs"):
        read = EventAccumulator(str(folder / name), {"scalars": 0}).Reload()
        for tag in read.Tags()["scalars"]:
            kind, _, metric = tag.partition("/")
            split = name.removesuffix("-epochs")
            series[_name(kind, split, metric)] = [(event.step, event.value) for event in read.Scalars(tag)]
    read = EventAccumulator(str(folder)).Reload()
    parts = {
        tag: HParamsPluginData.FromString(read.SummaryMetadata(tag).plugin_data.content)
        for tag in read.summary_metadata
        if tag.startswith("_hparams_/session")
    }
    begun = parts["_hparams_/session_start_info"].session_start_info.hparams
    ended = parts.get("_hparams_/session_end_info")
    return Tracked(
        series,
        {name: getattr(value, value.WhichOneof("kind")) for name, value in begun.items()},
        {1: "finished", 2: "failed"}[ended.session_end_info.status] if ended else None,
        [name for _, name in sorted([*_images(read), *_texts(read)])],
    )


def _images(read: Any) -> Iterator[tuple[int, str]]:
    return ((event.step, tag) for tag in read.Tags()["images"] for event in read.Images(tag))


def _texts(read: Any) -> Iterator[tuple[int, str]]:
    notes = [tag for tag in read.Tags()["tensors"] if tag.endswith("/text_summary") and not tag.startswith("settings")]
    return ((event.step, tag.removesuffix("/text_summary")) for tag in notes for event in read.Tensors(tag))


def mlflow(uri: str) -> list[Tracked]:
    import mlflow as library

    client = library.MlflowClient(uri)
    experiment = client.get_experiment_by_name("multilearn")
    runs = [] if experiment is None else client.search_runs([experiment.experiment_id])
    return [
        Tracked(
            {
                name: [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            },
            run.data.params,
            run.info.status,
            [
                metric_name(Path(file.path).stem)
                for folder in client.list_artifacts(run.info.run_id, "attachments")
                for file in sorted(client.list_artifacts(run.info.run_id, folder.path), key=lambda file: file.path)
            ],
        )
        for run in runs
    ]


def trackio(folder: Path) -> list[Tracked]:
    """Its folder is in TRACKIO_DIR when the library is imported."""
    import trackio as library
    from trackio.sqlite_storage import SQLiteStorage

    assert Path(str(library.utils.TRACKIO_DIR)) == folder
    found = []
    for run in library.Api().runs("multilearn"):
        series: Series = {}
        attached: list[str] = []
        for row in SQLiteStorage.get_logs("multilearn", run.name):
            for name, value in row.items():
                if name.startswith("attachments/"):
                    attached.append(name.removeprefix("attachments/"))
                elif name not in ("step", "timestamp", "epoch") and isinstance(value, int | float):
                    series.setdefault(name, []).append((row["step"], value))
        found.append(Tracked(series, run.config or {}, None, attached))
    return found


def wandb(folder: Path) -> list[Tracked]:
    """Each folder of a run that was written offline; wandb has no reader of its own for its files."""
    found = []
    for path in sorted(folder.glob("offline-run-*/run-*.wandb")):
        series: Series = {}
        settings: dict[str, Any] = {}
        status = None
        attached: list[str] = []
        for record in _records(path.read_bytes()):
            if record.HasField("history"):
                row = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
                attached += dict.fromkeys(name.split("/")[1] for name in row if name.startswith("attachments/"))
                for name, value in row.items():
                    if name.startswith(("train/", "epoch/")) and _is_number(value):
                        series.setdefault(name, []).append((json.loads(row["update"]), float(value.strip('"'))))
            elif record.HasField("run"):
                settings |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif record.HasField("exit"):
                status = "failed" if record.exit.exit_code else "finished"
        found.append(Tracked(series, settings, status, attached))
    return found


def of(tracker: str, folder: Path) -> list[Tracked]:
    """The same, in this process."""
    if tracker == "tensorboard":
        return [tensorboard(folder / "run" / "tensorboard")]
    if tracker == "mlflow":
        return mlflow(f"sqlite:///{folder}/mlflow.db")
    return wandb(folder / "run" / "wandb") if tracker == "wandb" else trackio(folder / "trackio")


def _is_number(text: str) -> bool:
    """JSON of wandb's, which has a text for what JSON has no number for."""
    return isinstance(json.loads(text), int | float) or text in ('"NaN"', '"Infinity"', '"-Infinity"')


def _name(kind: str, split: str, metric: str) -> str:
    return f"{split}/{metric}" if kind == "batch" else f"epoch/{split}/{metric}"


def _records(data: bytes) -> Iterator[Any]:
    """Of the log format of LevelDB: in blocks of 32 KiB, records with a checksum, a length and which part they are."""
    from wandb.proto.wandb_internal_pb2 import Record

    at, parts = 7, b""
    while at + 7 <= len(data):
        left = -at % 32768
        if left and left < 7:
            at += left
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield Record.FromString(parts)
            parts = b""


def close(found: list[tuple[int, float]], expected: list[tuple[int, float]], relative: float = 1e-6) -> bool:
    """Whether both have the same x in the same order, and values that are equal but for float32."""
    return [x for x, _ in found] == [x for x, _ in expected] and all(
        math.isclose(one, other, rel_tol=relative) or (math.isnan(one) and math.isnan(other))
        for (_, one), (_, other) in zip(found, expected, strict=True)
    )


if __name__ == "__main__":
    print(json.dumps([asdict(each) for each in of(sys.argv[1], Path(sys.argv[2]))]))
