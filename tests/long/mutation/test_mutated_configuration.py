"""A builder in TOML, mutated: a builder, or one error that says what is wrong with the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import pytest
import tomli_w
from hypothesis import example, given, settings
from support.harness import Readers, share
from support.mutations import bytes_of, trees

hypothesis.settings.load_profile("mutations")

TABLE = {
    "directory": "runs/a-{backend}",
    "num_epochs": 3,
    "grads_accumulation": 2,
    "summary": True,
    "nan_policy": "stop",
    "metrics": ["Loss", {"type": "Accuracy", "splits": ["valid"], "plotted": False}],
    "file_checkpointer": {"type": "MpkGzRecorder", "chunk": 65536},
    "checkpointing_strategy": {"type": "AnyOf", "strategies": [{"type": "KeepLast", "n": 2}]},
    "checkpoint": {"which": "latest"},
    "checkpoint_every": {"batches": 5},
    "early_stopping": {"type": "NoImprovement", "epochs": 3},
    "restore_best": {"metric": "Loss", "split": "valid", "direction": "lowest"},
}
TEXTS = [tomli_w.dumps(TABLE).encode()]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toml") / "a.toml"


def test_the_file_is_sound_before_it_is_mutated(readers: Readers, file: Path) -> None:
    file.write_bytes(TEXTS[0])
    assert "found" in readers.read("toml", file)


@settings(max_examples=share(400))
@given(content=bytes_of(TEXTS))
@example(content=b"a = " + b"[" * 100_000)
@example(content=b".".join([b"a"] * 20_000) + b" = 1")
@example(content=b"a = " + b"{a = " * 5_000)
@example(content=b"num_epochs = " + b"9" * 5000)
@example(content=b"\xff\xfe")
@example(content=b'directory = "a\\u0000b"')
@example(content=b"directory = 1979-05-27T07:32:00Z")
def test_bytes(readers: Readers, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    readers.read("toml", file)


@settings(max_examples=share(800))
@given(tree=trees(TABLE, ["KeepBest", {"type": "KeepBest"}, {"type": "Loss"}, {"which": 1}, 1.5]))
def test_values(readers: Readers, file: Path, tree: Any) -> None:
    try:
        content = tomli_w.dumps(tree).encode()
    except (TypeError, ValueError, AttributeError, RecursionError):
        return  # nothing that TOML has a word for
    file.write_bytes(content)
    readers.read("toml", file)
