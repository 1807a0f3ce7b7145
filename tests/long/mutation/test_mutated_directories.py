"""What else is in the directory of a run, mutated: manifest, experiment.json, metric files, and whatever lies there."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import toy_experiment as toy
from support.harness import Readers, few, share
from support.mutations import NAMES, bytes_of, nested, trees

hypothesis.settings.load_profile("mutations")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that is sound, and one to be mutated."""
    base = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTILEARN_BACKEND", "toy")
        toy.fit(toy.builder(base / "sound", epochs=1))
    attached = base / "sound" / "attachments" / "epoch-1"
    attached.mkdir(parents=True)
    (attached / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (attached / "a.txt").write_text("a")
    shutil.copytree(base / "sound", base / "run")
    return base


@pytest.fixture(autouse=True)
def afresh(base: Path) -> None:
    """The run as it was before."""
    renewed(base)


def renewed(base: Path) -> Path:
    """The run as it was before, and where it is."""
    shutil.rmtree(base / "run")
    shutil.copytree(base / "sound", base / "run")
    return base / "run"


def mutated(base: Path, name: str, content: bytes) -> Path:
    """The run with other content in one of its files."""
    (base / "run" / name).write_bytes(content)
    return base / "run"


def as_json(tree: Any) -> bytes:
    return json.dumps(tree, indent=1).encode()


def test_the_run_is_sound_before_it_is_mutated(readers: Readers, base: Path) -> None:
    assert readers.read("inspected", base / "run")["found"]["intact"]
    assert readers.read("compared", base / "run")["found"] == {"same": True}
    assert readers.read("folder", base / "run" / "checkpoint")["found"]["latest"] == "1"
    assert readers.read("resumed", base / "run")["found"] == {"epochs": 2}
    assert "found" in readers.read("declared", base / "sound")


MANIFEST = "checkpoint/manifest.json"


@st.composite
def texts(draw: st.DrawFn, text: bytes) -> bytes:
    """JSON whose values were changed, or whose bytes were."""
    if draw(st.booleans()):
        return draw(bytes_of([text]))
    changed = as_json(
        draw(trees(json.loads(text), ["1", "2.5", "0" * 64, {"size": 1, "uncompressed": 1, "sha256": "0" * 64}]))
    )
    encoding = draw(st.sampled_from(["utf-8"] * 8 + ["utf-16", "utf-8-sig", "utf-32"]))
    return changed.decode().encode(encoding)


@settings(max_examples=share(1000))
@given(data=st.data())
def test_manifests(readers: Readers, base: Path, data: st.DataObject) -> None:
    """Whatever it says: what is loaded is what was written, since the checksums are of that."""
    sound = readers.read("folder", base / "sound" / "checkpoint")["found"]
    run = mutated(base, MANIFEST, data.draw(texts((base / "sound" / MANIFEST).read_bytes())))
    told = readers.read("folder", run / "checkpoint")
    if "found" in told and told["found"]["latest"] is not None:
        items, kept = told["found"]["items"], sound["items"]
        assert all(each in kept["map"] for each in items["map"])
    readers.read("inspected", run)


@pytest.mark.parametrize("part", ["model", "optim", "scheduler"])
@settings(max_examples=share(300))
@given(data=st.data())
def test_records_under_a_manifest(readers: Readers, base: Path, part: str, data: st.DataObject) -> None:
    """Of a file that was changed by a bit nothing is loaded."""
    name = f"checkpoint/{part}-1.mpk.gz"
    whole = (base / "sound" / name).read_bytes()
    changed = data.draw(bytes_of([whole]))
    told = readers.read("folder", mutated(base, name, changed) / "checkpoint")["found"]
    assert told["latest"] == (None if changed != whole else "1")
    (base / "run" / name).write_bytes(whole)


@settings(max_examples=share(1200))
@given(data=st.data())
def test_documents(readers: Readers, base: Path, data: st.DataObject) -> None:
    """experiment.json, to everything that reads it."""
    run = mutated(base, "experiment.json", data.draw(texts((base / "sound" / "experiment.json").read_bytes())))
    for reader in ("inspected", "compared", "declared", "reported"):
        readers.read(reader, run)


@settings(max_examples=share(150))
@given(data=st.data())
def test_documents_of_runs_that_go_on(readers: Readers, base: Path, data: st.DataObject) -> None:
    content = data.draw(texts((base / "sound" / "experiment.json").read_bytes()))
    readers.read("resumed", mutated(renewed(base).parent, "experiment.json", content))


LOSS = "train/epoch-1/Loss.log"
LINES = [
    b"0.5,8\n0.25,3\n0.4,final\n",
    b"a\\x2cb\nunavailable\n\\\\,final\n",
    b"NaN,1\n-inf,0.5\n1e-300,final\n0.1,2\n",
]


@settings(max_examples=share(1200))
@given(content=bytes_of(LINES))
@example(content=b"0.5," + b"9" * 4000 + b"\n0.5,final\n")
@example(content=b"0.5," + b"9" * 200 + b"\n" * 2 + b"0.5,final\n")
@example(content=b"9" * 5000 + b"\n0.5,final\n")
@example(content=b"1e" + b"9" * 5000 + b",1\n0.5,final\n")
@example(content="0.5,8\n0.5,final\n".encode("utf-16"))
@example(content=b"\xef\xbb\xbf0.5,8\n0.5,final\n")
@example(content=b"0.5,8\r\n0.5,final\r\n")
@example(content=b"\x00" * 4096)
def test_metric_files(readers: Readers, base: Path, content: bytes) -> None:
    run = mutated(base, LOSS, content)
    told = readers.read("metric_file", run / LOSS)
    if "found" in told:
        assert len(told["found"]["values"]) == content.count(b"\n") - (told["found"]["final"] != "None")
    for reader in ("inspected", "compared", "reported"):
        readers.read(reader, run)


TIMELINE = [
    b'{"at": "2026-01-02T03:04:05Z", "event": "split", "epoch": 1, "split": "train", "seconds": 0.5, "measured": 2}\n',
    b'{"at": 1, "event": "split", "epoch": 1, "split": "train", "items": 1e308, "measured": 9, "seconds": 1e-308}\n',
    b'{"at": "2026-01-02T03:04:05", "event": "finished", "position": "1", "seconds": NaN}\n',
]


@settings(max_examples=share(300))
@given(content=bytes_of(TIMELINE), log=bytes_of([b"2026-01-02T03:04:05.000Z WARNING multilearn it drifts\n"]))
def test_timelines_and_logs(readers: Readers, base: Path, content: bytes, log: bytes) -> None:
    mutated(base, "experiment.log", log)
    assert "found" in readers.read("reported", mutated(base, "timeline.jsonl", content))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


IN_PLACE: dict[str, Callable[[Path], object]] = {
    "a pipe": pipe,
    "a folder": Path.mkdir,
    "a socket": bound,
    "zeros without end": lambda path: path.symlink_to("/dev/zero"),
    "a pipe behind a link": lambda path: (os.mkfifo(path.with_name("p")), path.symlink_to("p")),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "memory": lambda path: path.symlink_to("/proc/self/mem"),
    "a terabyte of nothing": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
    "nothing": Path.touch,
}
PLACES = [
    "experiment.json",
    MANIFEST,
    LOSS,
    "checkpoint/model-1.mpk.gz",
    "checkpoint/scheduler-1.mpk.gz",
    "train",
    "checkpoint",
    "experiment.log",
    "timeline.jsonl",
    "attachments",
    "attachments/epoch-1",
    "attachments/epoch-1/a.png",
    "attachments/epoch-1/a.txt",
]
TOLD_OF = ("inspected", "compared", "declared", "reported")


@pytest.mark.parametrize(("name", "kind"), few(product(PLACES, IN_PLACE)))
def test_what_is_no_file_is_not_waited_for(readers: Readers, base: Path, name: str, kind: str) -> None:
    path = base / "run" / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    IN_PLACE[kind](path)
    for reader in TOLD_OF:
        readers.read(reader, base / "run")
    readers.read("folder", base / "run" / "checkpoint")


@pytest.mark.parametrize("name", ["experiment.json", MANIFEST, LOSS, "checkpoint/scheduler-1.mpk.gz", ".lock"])
@pytest.mark.parametrize("kind", ["a pipe", "a folder", "zeros without end", "a link to itself"])
def test_what_is_no_file_does_not_hold_up_a_run_that_goes_on(
    readers: Readers, base: Path, name: str, kind: str
) -> None:
    path = base / "run" / name
    path.unlink(missing_ok=True)
    IN_PLACE[kind](path)
    readers.read("resumed", base / "run")


@pytest.mark.parametrize("name", few(each for each in NAMES if each.strip(".") and not {"/", "\0"} & set(each)))
def test_names_of_metric_files(readers: Readers, base: Path, name: str) -> None:
    shown = os.fsencode(name[:200]) + b".log"
    for file in (shown, b"\xff" + shown, b"%FF" + shown, b"%5" + shown):
        target = os.path.join(os.fsencode(base / "run" / "train" / "epoch-1"), file)
        with open(target, "wb") as written:
            written.write(b"0.5,1\n0.5,final\n")
    for reader in TOLD_OF:
        readers.read(reader, base / "run")


@pytest.mark.parametrize(
    "name", ["epoch-0", "epoch--1", "epoch-1e3", "epoch-" + "9" * 200, "epoch-٣", "epoch-01", "epoch-"]
)
def test_names_of_epochs(readers: Readers, base: Path, name: str) -> None:
    for split in ("train", "valid"):
        shutil.copytree(base / "run" / split / "epoch-1", base / "run" / split / name)
    for reader in TOLD_OF:
        readers.read(reader, base / "run")


DOCUMENTS = {
    "of lists": lambda sound: {**sound, "a": nested(5000)},
    "of maps": lambda sound: {**sound, "sessions": [{**sound["sessions"][0], "x": nested(500, maps=True)}]},
    "of a seed that is a list": lambda sound: {**sound, "seed": [1]},
    "of versions that are maps": lambda sound: {
        **sound,
        "sessions": [{**sound["sessions"][0], "versions": {"keras": {}}}],
    },
    "of half a pair": lambda sound: {**sound, "builder": {"directory": "\ud800"}},
    "from a path that is none": lambda sound: {
        **sound,
        "sessions": [{**sound["sessions"][0], "resumed_from": {"directory": "a\0b", "position": "1"}}],
    },
    "from a position that is none": lambda sound: {
        **sound,
        "sessions": [{**sound["sessions"][0], "resumed_from": {"directory": "x", "position": "one"}}],
    },
    "of a huge number": lambda sound: {**sound, "seed": 10**4000},
    "of names that steer a terminal": lambda sound: {
        **sound,
        "metrics": [{"name": "\x1b[2J\n\u202e", "splits": ["train"]}],
    },
}


def test_documents_that_were_too_much_once(readers: Readers, base: Path) -> None:
    sound = json.loads((base / "sound" / "experiment.json").read_bytes())
    for name, change in DOCUMENTS.items():
        content = as_json(change(sound)) if name != "of lists" else b'{"version": 1, "a": ' + b"[" * 100_000 + b"}"
        for reader in (*TOLD_OF, "resumed"):
            run = mutated(renewed(base).parent, "experiment.json", content)
            readers.read(reader, run)


def test_a_key_that_occurs_twice_is_refused(readers: Readers, base: Path) -> None:
    sound = (base / "sound" / "experiment.json").read_bytes()
    run = mutated(base, "experiment.json", sound.replace(b'"seed": 7', b'"seed": 8, "seed": 7', 1))
    assert "twice" in readers.refused("inspected", run)
    manifest = (base / "sound" / MANIFEST).read_bytes()
    run = mutated(
        renewed(base).parent, MANIFEST, manifest.replace(b'"writing": null', b'"writing": null, "writing": "9"')
    )
    assert "twice" in readers.refused("folder", run / "checkpoint")


def test_a_manifest_that_claims_more_than_a_disk_has(readers: Readers, base: Path) -> None:
    manifest = json.loads((base / "sound" / MANIFEST).read_bytes())
    for facts in manifest["checkpoints"][0]["files"].values():
        facts["size"] = 10**4000
    run = mutated(base, MANIFEST, as_json(manifest))
    assert not readers.read("inspected", run)["found"]["intact"]


def test_a_manifest_with_names_that_no_file_can_have(readers: Readers, base: Path) -> None:
    manifest = json.loads((base / "sound" / MANIFEST).read_bytes())
    files = manifest["checkpoints"][0]["files"]
    files[f"model-1.{'a' * 300}"] = files.pop("model-1.mpk.gz")
    run = mutated(base, MANIFEST, as_json(manifest))
    assert not readers.read("inspected", run)["found"]["intact"]
    assert "cannot be read" in readers.read("folder", run / "checkpoint")["found"]["problems"]["1"]


def test_a_bomb_that_its_manifest_vouches_for(readers: Readers, base: Path) -> None:
    """Both were changed by the same hand, and the checksum is right: it is the size of the model that is believed."""
    import hashlib

    for name in ("model", "scheduler"):
        renewed(base)
        bomb = gzip.compress(
            gzip.decompress((base / "sound" / f"checkpoint/{name}-1.mpk.gz").read_bytes()) + bytes(100 << 20), 1
        )
        manifest = json.loads((base / "sound" / MANIFEST).read_bytes())
        facts = manifest["checkpoints"][0]["files"][f"{name}-1.mpk.gz"]
        facts |= {"size": len(bomb), "uncompressed": 100 << 20, "sha256": hashlib.sha256(bomb).hexdigest()}
        mutated(base, f"checkpoint/{name}-1.mpk.gz", bomb)
        run = mutated(base, MANIFEST, as_json(manifest))
        readers.refused("resumed", run, most=90)
