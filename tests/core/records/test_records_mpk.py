"""Records as files: round trips, the format seen by an independent reader, and damage of every kind."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.record_strategies import records, types

from multilearn.checkpoint import HostTensor, MpkGzRecorder, nbytes
from multilearn.errors import CheckpointError, RecordError
from multilearn.records import bounded_io as streams
from multilearn.records import msgpack_reader as decoder
from multilearn.records import msgpack_writer as encoder

LIMIT = 1 << 22


def written(item, recorder=None, **metadata) -> bytes:
    file = io.BytesIO()
    size = (recorder or MpkGzRecorder()).write(file, item, metadata)
    assert size == len(gzip.decompress(file.getvalue()))
    return file.getvalue()


def read(data: bytes, limit: int = LIMIT):
    return MpkGzRecorder().read(io.BytesIO(data), limit)


@given(records, st.integers(1, 64))
def test_what_is_written_is_read_bit_for_bit_in_chunks_of_any_size_within_the_limit_for_its_like(item, chunk):
    found = read(written(item, MpkGzRecorder(chunk=chunk), epoch=3), nbytes(item)).item
    assert found == item
    assert types(found) == types(item)


def test_the_file_is_one_msgpack_map_in_gzip_as_others_read_it():
    item = {"layers": {"dense.0": {"kernel": HostTensor.of(np.array([[1.0, -2.0]], np.float32))}}, "n": 7, "none": None}
    assert msgpack.unpackb(gzip.decompress(written(item, epoch=3))) == {
        "metadata": {"format": "multilearn", "version": 1, "epoch": 3},
        "item": {
            "layers": {"dense.0": {"kernel": {"dtype": "F32", "shape": [1, 2], "bytes": b"\0\0\x80?\0\0\0\xc0"}}},
            "n": 7,
            "none": None,
        },
    }


def test_what_another_msgpack_writer_packed_is_read():
    kernel = {"bytes": [b"\1\0", b"\2\0"], "shape": [2], "dtype": "BF16"}
    content = {
        "item": {"kernel": kernel, "small": 1.5},
        "metadata": {"format": "multilearn", "version": 1, "who": "me"},
    }
    found = read(gzip.compress(msgpack.packb(content, use_single_float=True)))
    assert found.item == {"kernel": HostTensor("BF16", np.array([1, 2], np.uint16)), "small": 1.5}
    assert found.metadata["who"] == "me"


def test_a_tensor_above_the_chunk_size_is_a_list_of_byte_strings():
    item = {"a": HostTensor.of(np.arange(10, dtype=np.uint8))}
    found = msgpack.unpackb(gzip.decompress(written(item, MpkGzRecorder(chunk=4))))["item"]["a"]["bytes"]
    assert found == [bytes(range(4)), bytes(range(4, 8)), bytes([8, 9])]


def test_equal_state_gives_equal_bytes_and_the_header_has_neither_time_nor_name():
    item = {"a": HostTensor.of(np.arange(100_000, dtype=np.float32)), "b": [1, "x"]}
    twin = {"a": HostTensor.of(np.arange(100_000, dtype=np.float32)), "b": [1, "x"]}
    assert written(item, epoch=1) == written(twin, epoch=1)
    assert written(item)[3:8] == bytes(5)  # flags and mtime (RFC 1952)


def test_the_standard_library_does_what_isal_does(monkeypatch):
    item = {"a": HostTensor.of(np.arange(500_000, dtype=np.int32))}
    usual = written(item)
    monkeypatch.setattr(streams, "_codec", zlib)
    assert read(usual).item == read(written(item)).item == item
    with pytest.raises(RecordError):
        read(usual[:-8] + bytes(8))


# what no recorder takes: test_records_formats.py
@pytest.mark.parametrize(
    "item", [{"a": np.complex64(1)}, {"a": 2**64}, {"a": {"dtype": "F32", "shape": [1], "bytes": b"1234"}}], ids=repr
)
def test_what_msgpack_cannot_hold_is_refused(item):
    with pytest.raises(CheckpointError):
        written(item)


# What is no record.

GOOD = {"metadata": {"format": "multilearn", "version": 1}, "item": {"a": 1}}


def packed(item=None, metadata=None) -> bytes:
    return msgpack.packb({"metadata": metadata or GOOD["metadata"], "item": {"a": 1} if item is None else item})


def tensor(dtype="F32", shape=(1,), content=b"\0\0\0\0") -> bytes:
    return packed({"a": {"dtype": dtype, "shape": shape, "bytes": content}})


NO_RECORDS = {
    "nothing": b"",
    "no map": msgpack.packb([1, 2]),
    "only metadata": msgpack.packb({"metadata": GOOD["metadata"]}),
    "another key": msgpack.packb({**GOOD, "more": 1}),
    "a key twice": b"\x82" + 2 * (b"\xa4item\x80"),
    "metadata no map": msgpack.packb({"metadata": 1, "item": {}}),
    "item no map": msgpack.packb({"metadata": GOOD["metadata"], "item": 1}),
    "another format": packed(metadata={"format": "zip", "version": 1}),
    "no version": packed(metadata={"format": "multilearn"}),
    "a later version": packed(metadata={"format": "multilearn", "version": 2}),
    "version true": packed(metadata={"format": "multilearn", "version": True}),
    "ext": packed({"a": msgpack.ExtType(1, b"x")}),
    "timestamp": packed({"a": msgpack.Timestamp(1)}),
    "never used tag": packed()[:-1] + b"\xc1",
    "key no string": msgpack.packb({"metadata": GOOD["metadata"], "item": {1: 2}}),
    "inner key twice": packed()[:-4] + b"\x82\xa1a\1\xa1a\1",
    "no UTF-8": packed()[:-1] + b"\xa1\xff",
    "deep": packed()[:-1] + b"\x91" * 100_000 + b"\1",
    "deep maps": packed()[:-1] + b"\x81\xa1a" * 100_000 + b"\1",
    "lying bin": packed()[:-1] + b"\xc6\xff\xff\xff\xff",
    "lying list": packed()[:-1] + b"\xdd\xff\xff\xff\xff",
    "lying map": packed()[:-1] + b"\xdf\xff\xff\xff\xff",
    "lying text": packed()[:-1] + b"\xdb\x00\x30\x00\x00x",
    "truncated": packed()[:-1],
    "trailing": packed() + b"\xc0",
    "unknown dtype": tensor("C64"),
    "dtype no string": tensor(dtype=[1]),
    "too few bytes": tensor(shape=[2]),
    "too many bytes": tensor(content=bytes(5)),
    "negative shape": tensor(shape=[-1]),
    "two negative": tensor(shape=[-1, -1]),
    "huge shape": tensor(shape=[2**63]),
    "huge empty shape": tensor(shape=[0, 2**63, 2**63], content=b""),
    "too many axes": tensor(shape=[1] * 1000),
    "shape of bools": tensor(shape=[True]),
    "shape of floats": tensor(shape=[1.0]),
    "shape no list": tensor(shape=1),
    "bytes a string": tensor(content="abcd"),
    "bytes of strings": tensor(content=["ab", "cd"]),
    "bool of 2": tensor("BOOL", [1], b"\2"),
}


@pytest.mark.parametrize("content", NO_RECORDS.values(), ids=NO_RECORDS)
def test_no_record_is_one_record_error(content):
    with pytest.raises(RecordError, match="Received: "):
        read(gzip.compress(content))


def test_the_samples_of_no_records_differ_from_a_record_in_one_thing():
    assert read(gzip.compress(packed())).item == {"a": 1}
    assert read(gzip.compress(tensor())).item == {"a": HostTensor.of(np.zeros(1, np.float32))}


def test_no_gzip_a_wrong_checksum_and_trailing_data_are_record_errors():
    good = gzip.compress(packed())
    for bad in (
        b"",
        packed(),
        good[:-1],
        good[:10],
        good[:5],
        good + b"\0",
        good + good,
        good[:-8] + bytes([good[-8] ^ 1]) + good[-7:],
        good[:-1] + bytes([good[-1] ^ 1]),
    ):
        with pytest.raises(RecordError):
            read(bad)


def test_a_bomb_is_refused_before_it_takes_memory():
    bomb = gzip.compress(packed({"a": bytes(20 << 20)}), 1)
    hidden = gzip.compress(packed() + bytes(20 << 20), 1)
    for data, limit in ((bomb, LIMIT), (hidden, 1 << 30)):
        tracemalloc.start()
        try:
            with pytest.raises(RecordError):
                read(data, limit)
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()


def test_the_number_of_values_is_bounded_when_writing_and_when_reading(monkeypatch):
    item = {"a": [0] * 500}
    data = written(item)
    monkeypatch.setattr(encoder, "VALUES", 400)
    with pytest.raises(CheckpointError, match="400 values"):
        written(item)
    monkeypatch.setattr(decoder, "VALUES", 400)
    with pytest.raises(RecordError, match="400 values"):
        read(data)
