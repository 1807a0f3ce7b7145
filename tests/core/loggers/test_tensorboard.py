"""Event files, read by hand: their points are those of the metric files, once and in order, whatever happened."""

from __future__ import annotations

import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from support import toy_experiment as toy
from support.tracked import events, of_batches, of_epochs, scalars

import multilearn as ml
from multilearn.errors import ConfigurationError
from multilearn.events import START, Attached, EpochEnded, Finished, Position, Split, SplitEnded, Started
from multilearn.loggers import FileMetricLogger, TensorBoardLogger

FLOAT32 = 1e-6


def tracked(directory: Path, every: int = 2, epochs: int = 3, **options: bool) -> ml.LearnerBuilder:
    return toy.builder(directory, epochs, **options).metric_loggers(FileMetricLogger(), TensorBoardLogger(every))


def require_equal(run: Path, every: int = 2, folder: Path | None = None) -> None:
    """That its event files have what its metric files have, once and in order."""
    folder = folder or run / "tensorboard"
    for metric in ("Loss", "Accuracy"):
        batches = scalars(folder / "train")[f"batch/{metric}"]
        assert [x for x, _ in batches] == sorted({x for x, _ in batches})
        assert_close(batches, of_batches(run, every, metric))
        for split in ("train", "valid"):
            assert_close(scalars(folder / f"{split}-epochs")[f"epoch/{metric}"], of_epochs(run, split, metric))


def assert_close(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> None:
    assert [x for x, _ in found] == [x for x, _ in expected]
    assert [y for _, y in found] == pytest.approx([y for _, y in expected], rel=FLOAT32)


def files(run: Path) -> list[str]:
    return sorted(path.relative_to(run).as_posix() for path in (run / "tensorboard").rglob("*") if path.is_file())


def test_its_points_are_those_of_the_metric_files(tmp_path: Path) -> None:
    toy.fit(tracked(tmp_path))
    require_equal(tmp_path)
    assert len(files(tmp_path)) == 4


def test_a_run_resumed_inside_an_epoch_has_each_point_once(tmp_path: Path) -> None:
    toy.stopped(tracked(tmp_path, 3), 2, 2)
    toy.fit(tracked(tmp_path, 3).checkpoint("latest"))
    require_equal(tmp_path, 3)
    assert len(files(tmp_path)) == 4  # those of the first session have been replaced


def test_a_run_that_went_back_has_each_point_once(tmp_path: Path) -> None:
    kept = ml.checkpoint.KeepLast(9)
    toy.fit(tracked(tmp_path).with_checkpointing_strategy(kept))
    toy.fit(tracked(tmp_path).with_checkpointing_strategy(kept).checkpoint(1))
    require_equal(tmp_path)


def test_a_run_that_was_moved_has_all_points(tmp_path: Path) -> None:
    toy.fit(tracked(tmp_path / "a", epochs=2))
    toy.fit(tracked(tmp_path / "b").checkpoint("latest", tmp_path / "a"))
    require_equal(tmp_path / "b")
    require_equal(tmp_path / "a")


def test_a_killed_run_that_is_resumed_has_each_point_once(tmp_path: Path, environment: dict[str, str]) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, time\n"
        "from support import toy_experiment as toy\n"
        "from multilearn.loggers import FileMetricLogger, TensorBoardLogger\n"
        "def kill(epoch, number):\n"
        "    if (epoch, number) == (2, 4) and sys.argv[1:]:\n"
        "        time.sleep(1.5)  # what was logged is in event files\n"
        "        os.kill(os.getpid(), 9)\n"
        "described = toy.builder('run').metric_loggers(FileMetricLogger(), TensorBoardLogger(2))\n"
        "described = described.checkpoint_every(batches=3).checkpoint('latest')\n"
        "toy.fit(described, toy.Watched(toy.train_loader(), kill))\n"
    )
    for arguments, code in ((["kill"], -signal.SIGKILL), ([], 0)):
        run = [sys.executable, str(script), *arguments]
        assert subprocess.run(run, cwd=tmp_path, env=environment, timeout=120).returncode == code
        if code:
            assert scalars(tmp_path / "run/tensorboard/train")["batch/Loss"]
    require_equal(tmp_path / "run")


def test_without_metric_files_what_is_later_is_purged(tmp_path: Path) -> None:
    kept, whole = ml.checkpoint.KeepLast(9), tmp_path / "whole"
    toy.fit(tracked(whole, 5))
    described = toy.builder(tmp_path / "run").metric_loggers(TensorBoardLogger(5)).with_checkpointing_strategy(kept)
    toy.fit(described)
    toy.fit(described.checkpoint(1))
    require_equal(whole, 5, tmp_path / "run" / "tensorboard")
    assert len(files(tmp_path / "run")) == 8


def test_overwriting_a_run_removes_its_event_files_and_no_others(tmp_path: Path) -> None:
    toy.fit(tracked(tmp_path))
    (tmp_path / "tensorboard" / "mine.txt").write_text("mine")
    (tmp_path / "tensorboard" / "train" / "events.out.tfevents.1.host").write_text("mine")
    toy.fit(toy.builder(tmp_path, overwrite=True))
    assert files(tmp_path) == ["tensorboard/mine.txt", "tensorboard/train/events.out.tfevents.1.host"]


def test_nothing_of_it_is_left_where_nothing_else_is(tmp_path: Path) -> None:
    toy.fit(tracked(tmp_path))
    toy.fit(toy.builder(tmp_path, overwrite=True))
    assert not (tmp_path / "tensorboard").exists()


def test_settings_and_status_are_in_it(tmp_path: Path) -> None:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    toy.fit(tracked(tmp_path))
    values = {value.tag: value for event in events(tmp_path / "tensorboard") for value in event.summary.value}
    text = values["settings/text_summary"].tensor.string_val[0].decode()
    assert "| seed | 7 |" in text
    assert f"| directory | {tmp_path} |" in text
    parts = {tag: HParamsPluginData.FromString(value.metadata.plugin_data.content) for tag, value in values.items()}
    assert parts["_hparams_/session_start_info"].session_start_info.hparams["seed"].number_value == 7
    assert parts["_hparams_/session_end_info"].session_end_info.status == 1  # success


def test_texts_and_images_are_logged(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path))
    image = _png(3, 2)
    logger = TensorBoardLogger(directory=str(tmp_path / "elsewhere"))
    for event in (
        Started(tmp_path, 1, START, {}, {}, {}),
        SplitEnded(Split.TRAIN, 1, {}),
        Attached(1, "a note", "**all** is well", None),
        Attached(1, "a picture", None, image),
        EpochEnded(1),
        Finished(Position(1)),
    ):
        logger.log(event)
    logger.close()
    values = {
        value.tag: (event.step, value) for event in events(tmp_path / "elsewhere") for value in event.summary.value
    }
    step, text = values["a note/text_summary"]
    assert (step, text.tensor.string_val[0]) == (1, b"**all** is well")
    step, shown = values["a picture"]
    assert (step, shown.image.width, shown.image.height, shown.image.encoded_image_string) == (1, 3, 2, image)


def test_a_link_in_the_place_of_its_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").symlink_to(tmp_path / "outside")
    toy.fit(tracked(tmp_path / "run"))
    assert not list((tmp_path / "outside").iterdir())
    (warning,) = [line for line in (tmp_path / "run/experiment.log").read_text().splitlines() if "WARNING" in line]
    assert "TensorBoardLogger has failed" in warning
    assert "link" in warning


def _png(width: int, height: int) -> bytes:
    """A black picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(bytes(height * (1 + 3 * width)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_two_loggers_of_one_place_are_refused_and_of_two_places_are_not(tmp_path: Path) -> None:
    builder = ml.LearnerBuilder(tmp_path / "run")
    with pytest.raises(ConfigurationError, match=r"into one place\. Received: TensorBoardLogger twice"):
        builder.metric_loggers(TensorBoardLogger(), TensorBoardLogger(every=2))
    builder.metric_loggers(TensorBoardLogger(), TensorBoardLogger(directory=str(tmp_path / "elsewhere")))
