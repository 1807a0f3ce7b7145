"""Records of every format, mutated: what is read is what the bytes say, and everything else one error of ours."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.earlier_records import HalfRecorder
from support.harness import Readers, few, share
from support.mutations import NAMES, bytes_of, trees

from multilearn.checkpoint import HostTensor, MpkGzRecorder, MpkRecorder, Recorder, SafetensorsRecorder

hypothesis.settings.load_profile("mutations")

full = pytest.mark.skipif("MULTILEARN_MUTATIONS" not in os.environ, reason="gigabytes are for the nox session mutation")

ITEM = {
    "layers": {"dense.0": {"kernel": HostTensor.of(np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))}},
    "wide": HostTensor.of(np.array([0.1, 1e300])),
    "brain": HostTensor("BF16", np.array([0x3F80, 0x7FC0], np.uint16)),
    "steps": [HostTensor.of(np.array(7, np.int64)), 3, None],
    "mask": HostTensor.of(np.array([True, False])),
    "empty": HostTensor.of(np.zeros((0, 3), np.int8)),
    "plain": {"a": 1, "b": -2.5, "c": "é", "d": b"\0\xff", "e": True, "f": [1, 2, [3]], "g": {}},
}


def written(recorder: Recorder, item: Any = ITEM) -> bytes:
    recorder.write(file := io.BytesIO(), item, {"part": "model", "checkpoint": "1"})
    return file.getvalue()


MPK = [written(MpkRecorder()), written(HalfRecorder(MpkRecorder())), written(MpkRecorder(chunk=7))]
GZ = [written(MpkGzRecorder()), written(HalfRecorder(MpkGzRecorder()))]
SAFETENSORS = [written(SafetensorsRecorder()), written(HalfRecorder(SafetensorsRecorder()))]


def told(value: Any) -> Any:
    """What `reading.spelled` has of a value that another library has decoded."""
    if isinstance(value, dict):
        if value.keys() in ({"dtype", "shape", "bytes"}, {"dtype", "shape", "bytes", "was"}):
            content = value["bytes"]
            return tensor(b"".join(content) if isinstance(content, list) else content, value["dtype"], value)
        return {"map": [[key, told(each)] for key, each in value.items()]}
    if isinstance(value, list):
        return [told(each) for each in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return {type(value).__name__: repr(value)}


def tensor(content: bytes, dtype: str, facts: dict[str, Any]) -> dict[str, Any]:
    was = facts.get("was", dtype)
    if was != dtype:
        wider = {"F32": np.float32, "F64": np.float64}[was]
        content = np.frombuffer(content, np.float16).astype(wider).tobytes()
    return {"tensor": was, "shape": facts["shape"], "sha256": hashlib.sha256(content).hexdigest()}


def by_msgpack(data: bytes) -> Any:
    return told(msgpack.unpackb(data, strict_map_key=False)["item"])


def inside(held: dict[str, Any]) -> list[tuple[str, Any]]:
    """In the order of their bytes."""
    return sorted(held.items(), key=lambda each: each[1][0]["data_offsets"])


def by_safetensors(data: bytes) -> Any:
    """The format as it is described: length, header, bytes; records have their structure in the metadata."""
    (length,) = struct.unpack("<Q", data[:8])
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    texts = header.pop("__metadata__", {})
    held = {name: (each, rest[slice(*each["data_offsets"])]) for name, each in header.items()}
    if texts.get("format") != "multilearn":
        return {"map": [[name, tensor(content, each["dtype"], each)] for name, (each, content) in inside(held)]}

    def rebuilt(value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [rebuilt(each, f"{path}/{at}") for at, each in enumerate(value)]
        if not isinstance(value, dict):
            return {type(value).__name__: repr(value)}
        if set(value) == {"$tensor"}:
            each, content = held.pop(path[1:])
            return tensor(content, each["dtype"], {**each, "was": value["$tensor"]})
        if set(value) == {"$bytes"}:
            return {"bytes": base64.b64decode(value["$bytes"]).hex()}
        if set(value) == {"$float"}:
            return {"float": repr(struct.unpack("<d", bytes.fromhex(value["$float"]))[0])}
        names = {key: key[1:] if key.startswith("$$") else key for key in value}
        parts = {key: name.replace("%", "%25").replace("/", "%2F") or "%" for key, name in names.items()}
        return {"map": [[names[key], rebuilt(each, f"{path}/{parts[key]}")] for key, each in value.items()]}

    return rebuilt(json.loads(texts["item"]), "")


def judged(readers: Readers, path: Path, data: bytes, *expected: Callable[[], Any]) -> None:
    """Read as a record and by `inspect`, which agree; where it is one, it is what one of `expected` gives."""
    path.write_bytes(data)
    as_record = readers.read("record", path)
    inspected = readers.read("inspected", path)
    assert inspected["found"]["intact"] == ("found" in as_record), (as_record, inspected)
    if "found" in as_record:
        assert as_record["found"] in [each() for each in expected]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


def test_the_records_are_sound_before_they_are_mutated(readers: Readers, place: Path) -> None:
    for name, several, expected in (
        ("a.mpk", MPK, by_msgpack),
        ("a.safetensors", SAFETENSORS, by_safetensors),
        ("a.mpk.gz", GZ, lambda data: by_msgpack(gzip.decompress(data))),
    ):
        for data in several:
            (place / name).write_bytes(data)
            assert readers.read("record", place / name)["found"] == expected(data)


@settings(max_examples=share(2100))
@given(data=bytes_of(MPK))
def test_bytes_of_msgpack(readers: Readers, place: Path, data: bytes) -> None:
    judged(readers, place / "a.mpk", data, lambda: by_msgpack(data))


TREE = msgpack.unpackb(MPK[1], strict_map_key=False)
EXTRA = [msgpack.ExtType(5, b"abc"), msgpack.Timestamp(1), b"", b"\xff" * 9, "F32", "BF16", "C64", "BOOL", [b"ab", b""]]


@settings(max_examples=share(1800))
@given(tree=trees(TREE, EXTRA), packed=st.sampled_from(["mpk", "mpk.gz"]))
def test_values_of_msgpack(readers: Readers, place: Path, tree: Any, packed: str) -> None:
    data = msgpack.packb(tree, unicode_errors="surrogatepass", use_bin_type=True)
    judged(
        readers, place / f"b.{packed}", data if packed == "mpk" else gzip.compress(data, 1), lambda: by_msgpack(data)
    )


@settings(max_examples=share(1000))
@given(data=bytes_of(GZ))
@example(data=GZ[0] + GZ[0])
@example(data=GZ[0] + b"\0")
@example(data=GZ[0][:-8] + b"\0\0\0\0" + GZ[0][-4:])
@example(data=GZ[0][:-4] + b"\xff\xff\xff\xff")
@example(data=GZ[0][:3] + b"\x04" + GZ[0][4:10] + b"\xff\xff" + b"a" * 65535 + GZ[0][10:])
@example(data=GZ[0][:3] + b"\x18" + GZ[0][4:10] + b"../../name\0comment\x1b[2J\0" + GZ[0][10:])
@example(data=GZ[0][:3] + b"\x02" + GZ[0][4:10] + b"\0\0" + GZ[0][10:])
@example(data=GZ[0][:3] + b"\xe0" + GZ[0][4:])
@example(data=GZ[0][:10] + b"\x00\x00\x00\xff\xff" * 1000 + GZ[0][10:])
def test_bytes_of_gzip(readers: Readers, place: Path, data: bytes) -> None:
    """The checksum is gzip's: what is read is what was written, whatever was done to the file."""
    judged(readers, place / "c.mpk.gz", data, *(partial(by_msgpack, gzip.decompress(each)) for each in GZ))


@settings(max_examples=share(900))
@given(data=bytes_of(SAFETENSORS))
def test_bytes_of_safetensors(readers: Readers, place: Path, data: bytes) -> None:
    judged(readers, place / "d.safetensors", data, lambda: by_safetensors(data))


LENGTH = struct.unpack("<Q", SAFETENSORS[1][:8])[0]
HEADER, BYTES = json.loads(SAFETENSORS[1][8 : 8 + LENGTH]), SAFETENSORS[1][8 + LENGTH :]
FLAT = {name: value for name, value in HEADER.items() if name != "__metadata__"}
OUTLINE = json.loads(HEADER["__metadata__"]["item"])


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """With another header, or one that describes another record."""
    which = draw(st.sampled_from(["header", "flat", "outline"]))
    if which == "outline":
        item = draw(
            trees(OUTLINE, [{"$tensor": "F64"}, {"$bytes": "="}, {"$float": "00"}, {"$$": 1}, {"$x": 1, "b": 2}])
        )
        header = {**HEADER, "__metadata__": {**HEADER["__metadata__"], "item": json.dumps(item)}}
    else:
        header = draw(trees(HEADER if which == "header" else FLAT, ["F64", "C64", [0, 8], [8, 0], [2**62, 2**63]]))
    text = json.dumps(header).encode()
    claimed = draw(st.sampled_from([len(text)] * 8 + [0, 1, len(text) - 1, len(text) + 1, 10**8, 2**63, 2**64 - 1]))
    return struct.pack("<Q", claimed) + text + BYTES


@settings(max_examples=share(900))
@given(data=headers())
def test_headers_of_safetensors(readers: Readers, place: Path, data: bytes) -> None:
    judged(readers, place / "e.safetensors", data, lambda: by_safetensors(data))


def small_mpk(item: bytes) -> bytes:
    """A record with that as its item, in msgpack."""
    metadata = msgpack.packb({"format": "multilearn", "version": 1})
    return b"\x82\xa8metadata" + metadata + b"\xa4item" + item


def one_tensor(dtype: str = "F32", shape: bytes = b"\x91\x01", content: bytes = b"\xc4\x04abcd") -> bytes:
    name = bytes([0xA0 + len(dtype)]) + dtype.encode()
    return small_mpk(b"\x81\xa1w\x83\xa5dtype" + name + b"\xa5shape" + shape + b"\xa5bytes" + content)


def safetensors_file(header: bytes, content: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + content


def layout(shape: str, end: int = 4) -> bytes:
    return safetensors_file(b'{"w":{"dtype":"F32","shape":%s,"data_offsets":[0,%d]}}' % (shape.encode(), end), b"abcd")


# what else is no record: tests/core/records
HOSTILE = {
    "a shape whose product takes hours.mpk.gz": one_tensor(
        shape=b"\xdd" + struct.pack(">I", 200_000) + (b"\xcf" + b"\xff" * 8) * 200_000
    ),
    "deep lists.mpk.gz": small_mpk(b"\x91" * 100_000),
    "deep keys.mpk.gz": b"\x81" * 100_000,
    "another shape of hours.safetensors": layout(json.dumps([10**4000] * 300)),
    "many sizes.safetensors": layout("[" + "1," * 200_000 + "1]"),
    "deep header.safetensors": safetensors_file(b'{"a":' * 100_000),
    "millions of marks.safetensors": safetensors_file(b'{"a":[' + b"[]," * (4 << 20) + b"[]]}"),
    "with a mark of its order.safetensors": safetensors_file(b"\xef\xbb\xbf{}"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record_is_refused(readers: Readers, place: Path, name: str) -> None:
    content = HOSTILE[name]
    path = place / f"h{name[name.index('.') :]}"
    path.write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
    for reader in ("record", "inspected"):
        told = readers.read(reader, path)
        assert "refused" in told or not told["found"].get("intact", True), told


MANY = 5 << 20
A_LIST = b"\x81\xa1a\xdd" + struct.pack(">I", MANY)
MILLIONS = {
    "maps": small_mpk(A_LIST + b"\x80" * MANY),
    "lists": small_mpk(A_LIST + b"\x90" * MANY),
    "names": small_mpk(b"\x81\xa1a\xdf" + struct.pack(">I", MANY) + b"".join(b"\xa6%06x\x01" % n for n in range(MANY))),
    "chunks": one_tensor(content=b"\xdd" + struct.pack(">I", MANY) + b"\xc4\x00" * MANY),
}


@full
@pytest.mark.parametrize("name", MILLIONS)
def test_millions_of_values_in_a_few_bytes_are_refused(readers: Readers, place: Path, name: str) -> None:
    path = place / "millions.mpk.gz"
    path.write_bytes(gzip.compress(MILLIONS[name]))
    for reader in ("record", "inspected"):
        told = readers.read(reader, path, most=500)
        assert "refused" in told or not told["found"]["intact"]


def test_a_long_name_above_many_others_takes_no_more_than_it_has(readers: Readers, place: Path) -> None:
    """A megabyte above 16,384 names would be 16 GB of paths."""
    inner = b"\xde\x40\x00" + b"".join(b"\xa4%04x\x01" % n for n in range(0x4000))
    path = place / "long.mpk.gz"
    path.write_bytes(gzip.compress(small_mpk(b"\x81\xdb" + struct.pack(">I", 1 << 20) + b"a" * (1 << 20) + inner)))
    shown = readers.read("inspected", path)["found"]
    assert shown["intact"] and len(shown["text"]) < 100 << 20


@pytest.mark.parametrize("name", few(NAMES))
def test_no_name_does_anything(readers: Readers, place: Path, name: str) -> None:
    """They are read as they are, shown without what a terminal acts upon, and no path is made of them."""
    item = {name: {name: HostTensor.of(np.zeros(2, np.float32))}, "z": name}
    if name in ("$tensor", "__metadata__"):
        item = {"a": item}
    for recorder in (MpkGzRecorder(), SafetensorsRecorder()):
        path = place / f"n.{recorder.extension}"
        path.write_bytes(written(recorder, item))
        assert [key for key, _ in readers.read("record", path)["found"]["map"]] == list(item)
        assert readers.read("inspected", path)["found"]["intact"]


@pytest.fixture(scope="module")
def bombs(place: Path) -> Path:
    """Several GB of zeros in a few MB: as a tensor, as a text, as garbage behind a record, and as a second member."""
    size = 3 << 30
    claim = struct.pack(">I", size)
    starts = {
        "tensor": one_tensor("U8", b"\x91\xce" + claim, b"\xc6" + claim),
        "text": small_mpk(b"\x81\xa1a\xdb" + claim),
        "bytes": small_mpk(b"\x81\xa1a\xc6" + claim),
        "garbage": small_mpk(b"\x80"),
    }
    zeros = bytes(1 << 24)
    for name, start in starts.items():
        packing = zlib.compressobj(1, zlib.DEFLATED, 31)
        with (place / f"{name}.mpk.gz").open("wb") as file:
            file.write(packing.compress(start))
            for _ in range(size >> 24):
                file.write(packing.compress(zeros))
            file.write(packing.flush())
    whole = (place / "garbage.mpk.gz").read_bytes()
    (place / "second.mpk.gz").write_bytes(gzip.compress(small_mpk(b"\x80")) + whole)
    (place / "packed twice.mpk.gz").write_bytes(gzip.compress(whole))
    return place


@full
@pytest.mark.parametrize("name", ["tensor", "text", "bytes", "garbage", "second", "packed twice"])
def test_a_bomb_goes_off_nowhere(readers: Readers, bombs: Path, name: str) -> None:
    path = bombs / f"{name}.mpk.gz"
    assert path.stat().st_size < 20 << 20
    readers.refused("record", path, most=100)
    if name != "tensor":  # `inspect` reads what half of the memory can hold
        assert not readers.read("inspected", path, most=200)["found"]["intact"]


def test_the_twins_of_what_is_refused_are_read(readers: Readers, place: Path) -> None:
    twins = {"a.mpk": one_tensor(), "b.mpk.gz": gzip.compress(small_mpk(b"\x80")), "c.safetensors": layout("[1]")}
    for name, content in twins.items():
        (place / name).write_bytes(content)
        assert "found" in readers.read("record", place / name)
