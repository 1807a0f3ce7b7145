"""What a tracker must have of a run, from its metric files; and what event files of TensorBoard hold, read by hand."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Series = dict[str, list[tuple[int, float]]]
"""Points by name, as (x, value)."""
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, reversed


def of_batches(run: Path, every: int, metric: str = "Loss") -> list[tuple[int, float]]:
    """(update, mean over the items of the batches since the point before), from the files, with an update per batch."""
    points, update = [], 0
    for epoch in sorted(_epochs(run / "train")):
        lines = [line.split(",") for line in (run / f"train/epoch-{epoch}/{metric}.log").read_text().splitlines()]
        batches = np.array([[float(value), float(count)] for value, count in lines if count != "final"])
        complete = len(batches) < len(lines)
        for first in range(0, len(batches), every):
            window = batches[first : first + every]
            if len(window) == every or complete:
                points.append((update + first + len(window), float(np.average(window[:, 0], weights=window[:, 1]))))
        update += len(batches)
    return points


def of_epochs(run: Path, split: str, metric: str = "Loss") -> list[tuple[int, float]]:
    """(epoch, value) of the finished epochs, from the files."""
    found = {epoch: run / f"{split}/epoch-{epoch}/{metric}.log" for epoch in sorted(_epochs(run / split))}
    last = {epoch: path.read_text().splitlines()[-1].split(",") for epoch, path in found.items()}
    return [(epoch, float(value)) for epoch, (value, end) in last.items() if end == "final"]


def events(folder: Path) -> Iterator[Any]:
    """The events of all files in a folder, the oldest file first. A record that a kill tore ends its file."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda path: path.name.split(".")[-2]):
        data = path.read_bytes()
        while len(data) >= 12:
            (length,) = struct.unpack("<Q", data[:8])
            record = data[12 : 12 + length]
            if len(data) < 16 + length:
                break
            sums = struct.unpack("<I", data[8:12]) + struct.unpack("<I", data[12 + length : 16 + length])
            assert sums == (_masked(data[:8]), _masked(record)), path
            yield Event.FromString(record)
            data = data[16 + length :]


def scalars(folder: Path) -> Series:
    """What TensorBoard shows: where a file begins, what is at its step or later goes."""
    from tensorboardX.proto.event_pb2 import SessionLog

    found: Series = {}
    for event in events(folder):
        if event.session_log.status == SessionLog.START:
            found = {name: [point for point in points if point[0] < event.step] for name, points in found.items()}
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def _epochs(split: Path) -> list[int]:
    return [int(folder.name.removeprefix("epoch-")) for folder in split.glob("epoch-*")]


def _masked(data: bytes) -> int:
    """The masked CRC-32C of a record, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
