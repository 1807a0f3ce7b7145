"""A function that is called after each epoch: what it gets, what it may log, and that the run is the same."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn import EpochReport
from multilearn.errors import ConfigurationError
from multilearn.events import Attached, EpochEnded, SplitEnded
from multilearn.plots.png import png_of


def decoded(png: bytes) -> np.ndarray:
    """(height, width, channels) of a PNG file without filters, with every checksum looked at."""
    assert png[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
    at, chunks = 8, {}
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + data),)
        chunks[kind] = data
        at += 12 + length
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colour]
    assert (depth, rest) == (8, [0, 0, 0])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, channels)


def logging(path: Path, name: str, log: Callable[[Any], object]) -> bytes:
    """The file that one function leaves of epoch 1."""
    toy.fit(toy.builder(path, 1).on_epoch(log))
    return (path / "attachments/epoch-1" / name).read_bytes()


def test_it_gets_each_epoch_its_history_and_the_model_as_trained_so_far(tmp_path: Path) -> None:
    found: list[tuple[int, tuple[float, ...], dict[str, np.ndarray]]] = []

    def look(report: Any) -> None:
        found.append(
            (
                report.epoch,
                report.history["valid"]["Loss"],
                {name: values.copy() for name, values in report.model.weights.items()},
            )
        )

    learner = toy.fit(toy.builder(tmp_path / "run").on_epoch(look))
    assert [epoch for epoch, *_ in found] == [1, 2, 3]
    assert [losses for _, losses, _ in found] == [learner.history["valid"]["Loss"][:n] for n in (1, 2, 3)]
    for epoch, _, weights in found:
        once = toy.fit(toy.builder(tmp_path / str(epoch), epoch))
        np.testing.assert_equal(once._run.subject.task.model.weights, weights)


def test_the_run_is_the_same_whatever_it_draws(tmp_path: Path) -> None:
    def draw(report: Any) -> None:
        random.random(), np.random.rand()
        report.log_text("drawn", "x")

    plain = toy.fit(toy.builder(tmp_path / "plain"))
    learner = toy.fit(toy.builder(tmp_path / "run").on_epoch(draw).on_epoch(draw))
    assert toy.weights(learner) == toy.weights(plain)
    assert toy.metric_files(tmp_path / "run") == toy.metric_files(tmp_path / "plain")


def test_what_it_logs_is_on_disk_in_events_and_followed(tmp_path: Path) -> None:
    live = toy.Recorded()

    def log(report: Any) -> None:
        report.log_text("wrong ones / ü", f"{report.epoch}: 3, 5\n")
        report.log_image("first", np.full((2, 3), report.epoch, np.uint8))

    loggers = (ml.loggers.FileMetricLogger(), live)
    toy.fit(toy.builder(tmp_path, 2).metric_loggers(*loggers).on_epoch(log))
    attached = live.of(Attached)
    assert [(event.epoch, event.name, event.text) for event in attached if event.text] == [
        (1, "wrong ones / ü", "1: 3, 5\n"),
        (2, "wrong ones / ü", "2: 3, 5\n"),
    ]
    followed = [event for event in ml.follow(tmp_path) if isinstance(event, Attached | EpochEnded)]
    key = lambda event: (event.epoch, isinstance(event, Attached), getattr(event, "name", ""))  # noqa: E731
    assert sorted(followed, key=key) == sorted([*attached, *live.of(EpochEnded)], key=key)
    image = (tmp_path / "attachments/epoch-2/first.png").read_bytes()
    assert decoded(image)[..., 0].tolist() == [[2, 2, 2], [2, 2, 2]]


def test_what_came_after_the_place_that_is_resumed_goes(tmp_path: Path) -> None:
    def names() -> list[str]:
        return sorted(path.parent.name for path in tmp_path.rglob("attachments/*/note.txt"))

    kept = ml.checkpoint.KeepLast(9)
    described = toy.builder(tmp_path / "run").with_checkpointing_strategy(kept)
    log: Callable[[Any], object] = lambda report: report.log_text("note", "")  # noqa: E731
    toy.fit(described.on_epoch(log))
    assert names() == ["epoch-1", "epoch-2", "epoch-3"]
    toy.fit(toy.builder(tmp_path / "run", 2).with_checkpointing_strategy(kept).checkpoint(1))
    assert names() == ["epoch-1"]
    toy.fit(toy.builder(tmp_path / "other", 1).checkpoint(1, tmp_path / "run"))
    assert names() == ["epoch-1", "epoch-1"]
    toy.fit(toy.builder(tmp_path / "run", 1, overwrite=True))
    assert names() == ["epoch-1"] and not (tmp_path / "run/attachments").exists()


WHOLE = png_of(np.zeros((2, 2), np.uint8))
GREY = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.mark.parametrize(
    ("image", "pixels"),
    [
        (GREY, GREY[..., None]),
        (np.stack([GREY] * 3, -1), np.stack([GREY] * 3, -1)),
        (np.stack([GREY] * 4, -1), np.stack([GREY] * 4, -1)),
        ([[0.0, 1.0, 0.5]], [[[0], [255], [128]]]),
        (np.array([[-1.0, 2.0, np.nan]]), [[[0], [255], [0]]]),
        (np.array([[True, False]]), [[[255], [0]]]),
    ],
    ids=["grey", "RGB", "RGBA", "list of floats", "out of range", "bool"],
)
def test_an_image_is_what_was_given(tmp_path: Path, image: Any, pixels: Any) -> None:
    png = logging(tmp_path / "run", "a.png", lambda report: report.log_image("a", image))
    np.testing.assert_array_equal(decoded(png), pixels)
    again = logging(tmp_path / "bytes", "a.png", lambda report: report.log_image("a", png))
    assert again == png


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (lambda report: report.log_text("a", 3), r"a text that is logged is a str.*Received: 3"),
        (lambda report: report.log_text("", "a"), r"name of what is logged.*Received: ''"),
        (
            lambda report: report.log_image("a", np.zeros((2, 2, 5), np.uint8)),
            r"Received: an array \(2, 2, 5\) of uint8",
        ),
        (lambda report: report.log_image("a", np.zeros((2, 2), np.int64)), r"uint8, or floats.*int64"),
        (lambda report: report.log_image("a", WHOLE[:-1]), r"a PNG file, all of them"),
        (lambda report: report.log_image("a", WHOLE[:29]), r"a PNG file, all of them"),
        (lambda report: report.log_image("a", WHOLE[:20] + b"x" + WHOLE[21:]), r"a PNG file, all of them"),
        (lambda report: report.log_text("a", "x" * (65 << 20)), r"at most 64 MiB.*of 65 MiB"),
        (lambda report: report.log_image("a", b"GIF89a"), r"a PNG file.*GIF89a"),
        (lambda report: report.log_image("a", np.zeros((0, 2))), r"\(0, 2, 1\)"),
    ],
    ids=["no text", "no name", "channels", "int64", "torn", "head", "damaged", "large", "GIF", "empty"],
)
def test_what_cannot_be_logged_is_refused(tmp_path: Path, log: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?i){message}"):
        logging(tmp_path, "a", log)


def test_what_it_raises_stops_the_run_after_the_epoch_was_recorded(tmp_path: Path) -> None:
    def fail(report: Any) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        toy.fit(toy.builder(tmp_path).on_epoch(fail))
    assert [event.epoch for event in ml.follow(tmp_path) if isinstance(event, SplitEnded)] == [1, 1]


def test_what_cannot_be_called_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"takes one argument, the report\. Received: None"):
        ml.LearnerBuilder(tmp_path).on_epoch(None)


class Counting:
    def __call__(self, report: EpochReport) -> None: ...

    def keras(self, epoch: int, logs: object) -> None: ...


@pytest.mark.parametrize(
    "function", [lambda epoch, logs: None, lambda: None, lambda report, *, name: None, Counting().keras]
)
def test_a_function_that_cannot_take_the_report_is_refused(tmp_path: Path, function: Any) -> None:
    rule = r"takes one argument, the report\. Received: .*\(.*\).*\. Have it take one argument, an EpochReport"
    with pytest.raises(ConfigurationError, match=rule):
        ml.LearnerBuilder(tmp_path).on_epoch(function)


@pytest.mark.parametrize("function", [lambda *given: None, lambda report, also=None: None, Counting(), print, max])
def test_a_function_that_can_take_it_is_not(tmp_path: Path, function: Any) -> None:
    ml.LearnerBuilder(tmp_path).on_epoch(function)
