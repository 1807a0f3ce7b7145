"""What every recorder must do, and what is special to safetensors and to half precision."""

from __future__ import annotations

import io
import json
import logging
import tracemalloc
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.earlier_records import HalfRecorder
from support.record_strategies import records, types

from multilearn.checkpoint import (
    CheckpointFolder,
    HostTensor,
    MpkGzRecorder,
    MpkRecorder,
    SafetensorsRecorder,
    convert,
    nbytes,
    read_file,
)
from multilearn.errors import CheckpointError, ConfigurationError, RecordError
from multilearn.events import Position

RECORDERS = [MpkGzRecorder, MpkRecorder, SafetensorsRecorder]
PLAIN = [MpkRecorder, SafetensorsRecorder]  # every byte of the file is seen by the decoder
LIMIT = 1 << 22

SAMPLE = {
    "layers": {
        "dense.0": {"kernel": HostTensor.of(np.arange(6, dtype=np.float32).reshape(2, 3) / 3)},
        "é/%": {"bf": HostTensor("BF16", np.array([1, 0x7FC0], np.uint16)), "flag": HostTensor.of(np.array(True))},
        "empty": {},
    },
    "steps": [HostTensor.of(np.array(7, np.int64)), HostTensor.of(np.zeros((0, 2), np.float64))],
    "note": 'ä\0"',
    "numbers": [1, -1, 2**64 - 1, 0.1, None, True, b"\0\xff"],
}


def written(recorder: Any, item: dict[str, Any], **metadata: Any) -> bytes:
    file = io.BytesIO()
    recorder.write(file, item, metadata)
    return file.getvalue()


def read(recorder: Any, data: bytes, limit: int = LIMIT) -> Any:
    return recorder.read(io.BytesIO(data), limit)


@given(item=records)
def test_what_is_written_is_read_bit_for_bit_with_its_order_within_the_limit_for_its_like(item):
    for recorder in PLAIN:  # the gzipped one: test_records_mpk.py
        data = written(recorder(), item, epoch=3)
        found = read(recorder(), data, nbytes(item))
        assert found.item == item
        assert types(found.item) == types(item)
        assert json.dumps(keys_of(found.item)) == json.dumps(keys_of(item))
        assert found.metadata == {"format": "multilearn", "version": 1, "epoch": 3}
        assert written(recorder(), found.item, epoch=3) == data


def keys_of(value: Any) -> Any:
    """The keys in their order."""
    if isinstance(value, dict):
        return [[key, keys_of(each)] for key, each in value.items()]
    return [keys_of(each) for each in value] if isinstance(value, list) else None


@pytest.mark.parametrize("recorder", RECORDERS)
def test_a_sample_with_every_kind_of_value_survives_and_the_size_told_suffices_to_read_it(recorder):
    recorder = recorder()
    file = io.BytesIO()
    size = recorder.write(file, SAMPLE, {"part": "optim"})
    found = read(recorder, file.getvalue(), size)
    assert found.item == SAMPLE
    assert found.metadata == {"format": "multilearn", "version": 1, "part": "optim"}


@pytest.mark.parametrize("recorder", RECORDERS)
@pytest.mark.parametrize("number", [float("nan"), -0.0, float("-inf"), 5e-324])
def test_floats_keep_their_bits(recorder, number):
    found = read(recorder(), written(recorder(), {"a": number}, rate=number))
    for each in (found.item["a"], found.metadata["rate"]):
        assert np.float64(each).tobytes() == np.float64(number).tobytes()


@pytest.mark.parametrize("recorder", RECORDERS)
@pytest.mark.parametrize(
    "item", [{"a": object}, {"a": np.zeros(2)}, {1: 2}, {"a": "\ud800"}, {"\ud800": 1}, [1]], ids=repr
)
def test_what_a_record_cannot_hold_is_refused(recorder, item):
    with pytest.raises(CheckpointError):
        written(recorder(), item)


@pytest.mark.parametrize("recorder", RECORDERS)
def test_a_record_that_holds_itself_and_metadata_that_pretends_are_refused(recorder):
    item: dict[str, Any] = {}
    item["a"] = item
    with pytest.raises(CheckpointError, match="nested"):
        written(recorder(), item)
    for reserved in ("format", "version", "precision"):
        with pytest.raises(CheckpointError, match=reserved):
            written(recorder(), {}, **{reserved: 2})


@pytest.mark.parametrize("recorder", PLAIN)
def test_a_file_cut_anywhere_or_with_more_behind_it_is_a_record_error(recorder):
    data = written(recorder(), SAMPLE, epoch=3)
    for end in range(len(data)):
        with pytest.raises(RecordError):
            read(recorder(), data[:end])
    with pytest.raises(RecordError):
        read(recorder(), data + b"\0")


@pytest.mark.parametrize("recorder", PLAIN)
@settings(max_examples=100)
@given(data=st.data())
def test_mutated_bytes_are_a_record_or_a_record_error_and_nothing_else(recorder, data):
    content = bytearray(written(data.draw(st.sampled_from([recorder(), HalfRecorder(recorder())])), SAMPLE, epoch=3))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        found = read(recorder(), bytes(content))
    except RecordError:
        return
    assert isinstance(found.item, dict)


@pytest.mark.parametrize("recorder", PLAIN)
def test_a_record_beyond_the_limit_is_refused_before_it_takes_memory(recorder):
    data = written(recorder(), {"a": HostTensor.of(np.zeros(20 << 20, np.uint8))})
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match="at most 1000000 bytes"):
            read(recorder(), data, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("recorder", RECORDERS)
def test_neither_writing_nor_reading_takes_more_than_the_tensors(recorder):
    item = {"a": HostTensor.of(np.zeros(16 << 20, np.uint8))}
    data = written(recorder(), item)
    tracemalloc.start()
    try:
        with open("/dev/null", "wb") as file:
            recorder().write(file, item, {})
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        read(recorder(), data, 17 << 20)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


# Half precision, which only records of earlier versions have


WIDE = {
    "kernel": HostTensor.of(np.array([[1 / 3, -2.5], [1e-9, 65504.0]], np.float32)),
    "double": HostTensor.of(np.array(1 / 7)),
    "own": HostTensor.of(np.array([0.5], np.float16)),
    "bf": HostTensor("BF16", np.array([0x3F80], np.uint16)),
    "steps": HostTensor.of(np.array(2**40)),
    "rate": 1 / 3,
}
ROUNDED = {
    **WIDE,
    "kernel": HostTensor.of(WIDE["kernel"].array.astype(np.float16).astype(np.float32)),
    "double": HostTensor.of(np.asarray(WIDE["double"].array.astype(np.float16).astype(np.float64))),
}


@pytest.mark.parametrize("recorder", RECORDERS)
def test_floats_that_were_stored_as_f16_are_read_as_what_they_were_and_count_so_against_the_limit(recorder):
    found = read(recorder(), written(HalfRecorder(recorder()), WIDE))
    assert found.metadata["precision"] == "half"
    assert found.item == ROUNDED
    data = written(HalfRecorder(recorder()), {"a": HostTensor.of(np.zeros(50_000))})
    assert read(recorder(), data, 401_000).item == {"a": HostTensor.of(np.zeros(50_000))}
    with pytest.raises(RecordError, match="at most 350000 bytes"):
        read(recorder(), data, 350_000)


@pytest.mark.parametrize("change", [{"was": "I32"}, {"was": None}, {"dtype": "I16"}, {"was": ["F32"]}], ids=str)
def test_a_halved_tensor_that_was_no_wider_float_is_no_record(change):
    tensor = {"dtype": "F16", "was": "F32", "shape": [1], "bytes": b"\0\0"}
    content = {"metadata": {"format": "multilearn", "version": 1}, "item": {"a": tensor}}
    assert read(MpkRecorder(), msgpack.packb(content)).item == {"a": HostTensor.of(np.zeros(1, np.float32))}
    tensor.update(change)
    with pytest.raises(RecordError, match="halved"):
        read(MpkRecorder(), msgpack.packb(content))


# Safetensors


def test_the_file_is_one_of_safetensors_as_its_own_library_reads_it(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "a.safetensors"
    kernel, count = np.array([[1.5, -2.0]], np.float32), np.arange(3)
    item = {"layers": {"dense.0": {"kernel": HostTensor.of(kernel), "a/b": HostTensor.of(count)}}, "n": [1, None]}
    path.write_bytes(written(SafetensorsRecorder(), item, epoch=3))
    found = safetensors.load_file(path)
    assert {name: (array.dtype, array.tolist()) for name, array in found.items()} == {
        "layers/dense.0/kernel": (np.float32, kernel.tolist()),
        "layers/dense.0/a%2Fb": (np.int64, count.tolist()),
    }
    with pytest.importorskip("safetensors").safe_open(path, "numpy") as file:
        described = file.metadata()
    assert {key: json.loads(text) for key, text in described.items() if key in ("metadata", "item")} == {
        "metadata": {"format": "multilearn", "version": 1, "epoch": 3},
        "item": {
            "layers": {"dense.0": {"kernel": {"$tensor": "F32"}, "a/b": {"$tensor": "I64"}}},
            "n": [1, None],
        },
    }


def test_a_file_of_another_program_is_a_flat_map_of_its_tensors():
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = {"model.layer.0.weight": np.ones((2, 2), np.float16), "b": np.array(True)}
    found = read(SafetensorsRecorder(), safetensors.save(arrays, {"format": "pt"}))
    assert found.item == {name: HostTensor.of(array) for name, array in arrays.items()}
    assert found.metadata == {"format": "pt"}


def file_of(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def one(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}}


def described(item: Any, **changes: Any) -> dict[str, Any]:
    texts = {"format": "multilearn", "version": "1", "metadata": json.dumps({"format": "multilearn", "version": 1})}
    text = item if isinstance(item, str) else json.dumps(item)
    return {"__metadata__": {**texts, "item": text, **changes}, **one()}


TENSOR = {"a": {"$tensor": "F32"}}
NO_RECORDS = {
    "nothing": b"",
    "half a length": bytes(4),
    "no JSON": file_of(b"{"),
    "a list": file_of([]),
    "UTF-16": file_of("{}".encode("utf-16")),
    "a lying length": file_of(one(), bytes(4), 1 << 62),
    "a long length": file_of(one(), bytes(4), 90_000_000),
    "deep": file_of(b"[" * 100_000),
    "many values": file_of(b"[" + b"0," * 9_000_000 + b"0]"),
    "NaN": file_of(b'{"a":NaN}'),
    "a key twice": file_of(b'{"a":1,"a":1}'),
    "half a surrogate": file_of({"\ud800": one()["a"]}, bytes(4)),
    "an unknown dtype": file_of(one(dtype="F8_E4M3"), bytes(4)),
    "a dtype that is a list": file_of(one(dtype=[]), bytes(4)),
    "another key": file_of(one(more=1), bytes(4)),
    "a number": file_of({"a": 1}),
    "too few bytes": file_of(one(shape=[2]), bytes(4)),
    "a negative shape": file_of(one(shape=[-1, -1]), bytes(4)),
    "shape true": file_of(one(shape=[True]), bytes(4)),
    "a huge shape": file_of(one(shape=[1 << 61], data_offsets=[0, 1 << 63])),
    "a huge empty shape": file_of(one(shape=[0, 1 << 62, 1 << 62], data_offsets=[0, 0])),
    "offsets backwards": file_of(one(data_offsets=[4, 0]), bytes(4)),
    "one offset": file_of(one(data_offsets=[0]), bytes(4)),
    "a hole": file_of(one(data_offsets=[1, 5]), bytes(5)),
    "an overlap": file_of({**one(), "b": one()["a"]}, bytes(4)),
    "missing data": file_of(one(), bytes(3)),
    "trailing data": file_of(one(), bytes(5)),
    "a bool of 2": file_of(one(dtype="BOOL", data_offsets=[0, 1]), b"\2"),
    "metadata no texts": file_of({"__metadata__": {"a": 1}}),
    "metadata a list": file_of({"__metadata__": []}),
    "a tensor that is not there": file_of(described({"b": {"$tensor": "F32"}}), bytes(4)),
    "a tensor twice": file_of(described({"a": {"$tensor": "F32"}, "%61": 1, "": [{"$tensor": "F32"}]}), bytes(4)),
    "a tensor that is not described": file_of(described({}), bytes(4)),
    "a tensor as something else": file_of(described({"a": {"$tensor": "I32"}}), bytes(4)),
    "an item that is a tensor": file_of(described({"$tensor": "F32"}), bytes(4)),
    "an item that is a list": file_of(described([]), bytes(4)),
    "an unknown tag": file_of(described({**TENSOR, "b": {"$set": []}}), bytes(4)),
    "a tag among others": file_of(described({**TENSOR, "b": {"$bytes": "", "c": 1}}), bytes(4)),
    "no base64": file_of(described({**TENSOR, "b": {"$bytes": "a"}}), bytes(4)),
    "no hex": file_of(described({**TENSOR, "b": {"$float": "xx"}}), bytes(4)),
    "half a float": file_of(described({**TENSOR, "b": {"$float": "00"}}), bytes(4)),
    "non-ASCII base64": file_of(described({**TENSOR, "b": {"$bytes": "é"}}), bytes(4)),
    "an item that is no JSON": file_of(described("{"), bytes(4)),
    "a deep item": file_of(described('{"a":' * 500 + "1" + "}" * 500), bytes(4)),
    "half a surrogate in the item": file_of(described('{"b":"\\ud800","a":{"$tensor":"F32"}}'), bytes(4)),
    "a long number": file_of(described('{"a":{"$tensor":"F32"},"b":' + "1" * 5000 + "}"), bytes(4)),
    "a later version": file_of(described(TENSOR, metadata='{"format":"multilearn","version":2}'), bytes(4)),
    "another text": file_of(described(TENSOR, more=""), bytes(4)),
}


@pytest.mark.parametrize("content", NO_RECORDS.values(), ids=NO_RECORDS)
def test_no_safetensors_record_is_one_record_error(content):
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match="Received: "):
            read(SafetensorsRecorder(), content, 32 << 20)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_the_samples_of_no_records_differ_from_a_record_in_one_thing():
    zero = HostTensor.of(np.zeros(1, np.float32))
    assert read(SafetensorsRecorder(), file_of(one(), bytes(4))).item == {"a": zero}
    assert read(SafetensorsRecorder(), file_of(described({**TENSOR, "b": {"$bytes": ""}}), bytes(4))).item == {
        "a": zero,
        "b": b"",
    }


def test_integers_of_any_size_survive_in_safetensors():
    item = {"state": 2**128 + 1, "negative": -(10**400)}
    assert read(SafetensorsRecorder(), written(SafetensorsRecorder(), item)).item == item
    with pytest.raises(CheckpointError, match="digits"):
        written(SafetensorsRecorder(), {"a": 10**5000})


# From one format into another


@pytest.mark.parametrize("source", RECORDERS)
@pytest.mark.parametrize("target", RECORDERS)
def test_a_record_moves_between_any_two_formats(tmp_path, source, target):
    one, other = tmp_path / f"a.{source().extension}", tmp_path / f"b.{target().extension}"
    one.write_bytes(written(source(), SAMPLE, epoch=3))
    convert(one, str(other))
    assert read_file(other).item == SAMPLE
    assert other.read_bytes() == written(target(), SAMPLE, epoch=3)
    assert {path.name for path in tmp_path.iterdir()} == {one.name, other.name}


@pytest.mark.parametrize("recorder", RECORDERS)
def test_a_conversion_to_half_precision_exports_the_wide_floats_as_f16(tmp_path, recorder, caplog):
    source, target = tmp_path / "a.mpk", tmp_path / f"b.{recorder.extension}"
    large = {"variance": HostTensor.of(np.array([1.0, 70_000.0], np.float32))}
    edge = HostTensor.of(np.array([65_504.0, np.inf, np.nan], np.float32))
    source.write_bytes(written(MpkRecorder(), {**WIDE, "norm": large, "steps": [edge]}, part="model"))
    with caplog.at_level(logging.WARNING):
        convert(source, target, precision="half")
    assert [record.getMessage().split()[0] for record in caplog.records] == ["norm/variance"]
    found = read_file(target)
    assert found.metadata == {"format": "multilearn", "version": 1, "part": "model"}
    narrow = [
        HostTensor.of(np.asarray(each.array.astype(np.float16))) for each in (WIDE["kernel"], WIDE["double"], edge)
    ]
    assert found.item == {**WIDE, "kernel": narrow[0], "double": narrow[1], "norm": large, "steps": [narrow[2]]}


def test_only_a_model_is_converted_to_half_precision_and_to_no_other(tmp_path):
    (tmp_path / "a.mpk").write_bytes(written(MpkRecorder(), WIDE, part="optim"))
    for precision, said in (("half", "the part optim"), ("float16", "'float16'")):
        with pytest.raises(ConfigurationError, match=said):
            convert(tmp_path / "a.mpk", tmp_path / "b.mpk", precision=precision)
    assert not (tmp_path / "b.mpk").exists()


@pytest.mark.parametrize("recorder", RECORDERS)
def test_a_record_of_an_earlier_version_in_half_precision_is_converted_in_full(tmp_path, recorder):
    source = tmp_path / f"a.{recorder.extension}"
    source.write_bytes(written(HalfRecorder(recorder()), WIDE, part="model"))
    convert(source, tmp_path / "b.mpk")
    found = read_file(tmp_path / "b.mpk")
    assert found.metadata == {"format": "multilearn", "version": 1, "part": "model"}
    assert found.item == ROUNDED


def test_a_conversion_that_fails_leaves_the_target_as_it_was(tmp_path):
    source, target = tmp_path / "a.safetensors", tmp_path / "b.mpk"
    target.write_bytes(b"old")
    source.write_bytes(written(SafetensorsRecorder(), {"a": 2**64}))
    with pytest.raises(CheckpointError):
        convert(source, target)
    source.write_bytes(b"no record")
    with pytest.raises(RecordError, match=r"a\.safetensors"):
        convert(source, target)
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(RecordError, match=r"\.safetensors.*model\.txt"):
        convert(source, tmp_path / "model.txt")


class JsonRecorder:
    """One of a user's own, for records of plain values."""

    extension = "json"

    def write(self, file, item, metadata):
        return file.write(json.dumps({"item": item, "metadata": metadata}).encode()) or 1000

    def read(self, file, limit):
        return type("Contents", (), json.loads(file.read(limit)))


@pytest.mark.parametrize("old", [*RECORDERS, JsonRecorder])
@pytest.mark.parametrize("new", [*RECORDERS, JsonRecorder])
def test_a_folder_is_read_whoever_wrote_it_and_dropped_and_replaced_whoever_writes(tmp_path, old, new):
    old, new = old(), new()
    before = CheckpointFolder(tmp_path, old)
    for epoch in (1, 2, 3):
        before.save(Position(epoch), {"model": {"n": epoch}, "optim": {}})
    after = CheckpointFolder(tmp_path, new)
    if isinstance(old, JsonRecorder) and old != new and not isinstance(new, JsonRecorder):
        with pytest.raises(RecordError, match=r"model-1\.json.*Give the recorder"):
            after.load(Position(1))
    else:
        assert after.load(Position(1)) == {"model": {"n": 1}, "optim": {}}
    assert after.problem(Position(2)) is None
    after.save(Position(3), {"model": {"n": 33}, "optim": {}})
    after.save(Position(4), {"model": {"n": 4}, "optim": {}}, drop=[Position(1)])
    assert after.load(Position(3), parts=["model"]) == {"model": {"n": 33}}
    names = {
        f"{part}-{name}"
        for part in ("model", "optim")
        for name in (f"2.{old.extension}", f"3.{new.extension}", f"4.{new.extension}")
    }
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.json", *names}
    CheckpointFolder(tmp_path).clear()
    assert not tmp_path.exists()


@pytest.mark.parametrize("killed", RECORDERS)
def test_what_a_killed_process_left_behind_is_removed_whatever_it_wrote(tmp_path, killed):
    folder = CheckpointFolder(tmp_path)
    folder.save(Position(1), {"model": {}})
    content = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**content, "writing": "2"}))
    for name in (f"model-2.{killed().extension}", f"optim-2.{killed().extension}.tmp"):
        (tmp_path / name).write_text("cut")
    (tmp_path / "model-3.safetensors").write_text("mine")
    folder.clean()
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.json", "model-1.mpk.gz", "model-3.safetensors"}


@pytest.mark.parametrize("extension", [".mpk", "", "../mpk", "Mpk", "tmp", "mpk.tmp", "a b", None])
def test_an_extension_that_names_no_files_is_refused(extension):
    recorder = JsonRecorder()
    recorder.extension = extension
    with pytest.raises(ConfigurationError, match="extension"):
        CheckpointFolder(Path("nowhere"), recorder)
