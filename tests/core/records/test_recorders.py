"""Runs saved by every recorder, and gone on with by another."""

from __future__ import annotations

import bz2
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy
from support.earlier_records import HalfRecorder

import multilearn as ml
from multilearn.checkpoint import (
    CheckpointFolder,
    KeepLast,
    MpkGzRecorder,
    MpkRecorder,
    SafetensorsRecorder,
    read_file,
)
from multilearn.errors import ConfigurationError, RecordError
from multilearn.events import Position


class Bz2Recorder:
    """As a user would write one."""

    extension = "mpk.bz2"

    def write(self, file, item, metadata):
        size = MpkRecorder().write(packed := io.BytesIO(), item, metadata)
        file.write(bz2.compress(packed.getvalue()))
        return size

    def read(self, file, limit):
        try:
            content = bz2.BZ2Decompressor().decompress(file.read(limit), limit + 1)
        except OSError as error:
            raise RecordError("The file must be bzip2.", received=error) from error
        return MpkRecorder().read(io.BytesIO(content), limit)


def saving(directory: Path, recorder: Any, epochs: int) -> ml.LearnerBuilder:
    return toy.builder(directory, epochs).with_file_checkpointer(recorder).with_checkpointing_strategy(KeepLast(2))


def model_files(directory: Path) -> set[str]:
    return {path.name for path in (directory / "checkpoint").glob("model-*")}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (MpkGzRecorder(), SafetensorsRecorder()),
        (SafetensorsRecorder(), MpkRecorder()),
        (MpkRecorder(), Bz2Recorder()),
    ],
    ids=lambda recorder: recorder.extension,
)
def test_a_run_goes_on_with_another_recorder_bit_for_bit_and_old_files_go_as_the_strategy_says(tmp_path, old, new):
    whole, run = toy.fit(saving(tmp_path / "whole", old, 4)), tmp_path / "run"
    toy.fit(saving(run, old, 2))
    first = toy.fit(saving(run, new, 3).checkpoint("latest"))
    assert first.history["train"]["Loss"] == whole.history["train"]["Loss"][:3]
    assert model_files(run) == {f"model-2.{old.extension}", f"model-3.{new.extension}"}
    second = toy.fit(saving(run, new, 4).checkpoint("latest"))
    assert toy.weights(second) == toy.weights(whole)
    assert model_files(run) == {f"model-3.{new.extension}", f"model-4.{new.extension}"}
    elsewhere = toy.fit(saving(tmp_path / "other", new, 4).checkpoint(3, directory=tmp_path / "whole"))
    assert toy.weights(elsewhere) == toy.weights(whole)


def test_a_run_whose_recorder_nobody_else_knows_says_what_to_do(tmp_path):
    toy.fit(saving(tmp_path, Bz2Recorder(), 1))
    with pytest.raises(RecordError, match=r"model-1\.mpk\.bz2.*Give the recorder that it was written with"):
        toy.fit(saving(tmp_path, MpkGzRecorder(), 2).checkpoint("latest"))


@pytest.mark.parametrize("chunk", [0, -1, 1.5, True, "1", 2**32])
def test_the_byte_strings_of_a_record_have_a_length_that_the_format_has(chunk):
    with pytest.raises(ConfigurationError, match=r"chunk.*4 GiB"):
        MpkGzRecorder(chunk=chunk)


@pytest.mark.parametrize("recorder", [MpkGzRecorder, MpkRecorder, SafetensorsRecorder])
def test_a_resume_says_that_an_earlier_version_stored_the_weights_in_half_precision(tmp_path, recorder, caplog):
    full = toy.fit(saving(tmp_path / "full", recorder(), 2))
    run = tmp_path / "half"
    toy.fit(saving(run, HalfRecorder(recorder()), 2))
    extension = recorder.extension
    before, after = (CheckpointFolder(path / "checkpoint").load(Position(2)) for path in (tmp_path / "full", run))
    assert {part: before[part] == after[part] for part in before} == {"model": False, "optim": True, "scheduler": True}
    for name, tensor in before["model"].items():
        rounded = tensor.array.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(after["model"][name].array, rounded)
    assert read_file(run / f"checkpoint/model-2.{extension}").metadata["precision"] == "half"
    assert "precision" not in read_file(run / f"checkpoint/optim-2.{extension}").metadata
    caplog.clear()
    resumed = toy.fit(saving(run, recorder(), 3).checkpoint("latest"))
    assert "stored in half precision: the rest will differ" in caplog.text
    assert resumed.history["train"]["Loss"][:2] == full.history["train"]["Loss"]
    assert "half precision" in (run / "experiment.log").read_text()


def test_a_full_resume_does_not_speak_of_half_precision(tmp_path, caplog):
    toy.fit(saving(tmp_path, SafetensorsRecorder(), 1))
    toy.fit(saving(tmp_path, SafetensorsRecorder(), 2).checkpoint("latest"))
    assert "half precision" not in caplog.text
    assert json.loads((tmp_path / "checkpoint/manifest.json").read_text())["writing"] is None


def test_a_recorder_whose_extension_names_no_files_is_refused_by_the_builder(tmp_path):
    recorder = Bz2Recorder()
    recorder.extension = ".bz2"
    with pytest.raises(ConfigurationError, match="without a leading dot"):
        ml.LearnerBuilder(tmp_path).with_file_checkpointer(recorder)
