"""What each reader makes of a path, in a process of its own with little memory: `python -m support.reading MEBIBYTES`.

Reads requests, answers with what came out: one line of JSON each.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import resource
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import multilearn as ml
from multilearn.checkpoint import CheckpointFolder, HostTensor, read_file
from multilearn.commands.compare.study import compare_grouped as compare
from multilearn.commands.inspect import inspect
from multilearn.errors import DirectoryError, MultilearnError, StorageError
from multilearn.loggers.metric_file import read_epoch_value, read_metric_file
from support import toy_experiment as toy

LIMIT = 1 << 22
CONTROL = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f]")


def spelled(value: Any) -> Any:
    """A value of a record as JSON that tells all of them apart."""
    if isinstance(value, HostTensor):
        digest = hashlib.sha256(value.raw.data).hexdigest()
        return {"tensor": value.dtype, "shape": list(value.shape), "sha256": digest}
    if isinstance(value, Mapping):
        return {"map": [[key, spelled(each)] for key, each in value.items()]}
    if isinstance(value, list):
        return [spelled(each) for each in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return {type(value).__name__: repr(value)}


def record(path: Path) -> Any:
    return spelled(read_file(path, limit=LIMIT).item)


def inspected(path: Path) -> Any:
    found = inspect(path)
    text = found.as_text()
    text.encode()
    json.loads(found.as_json())
    if CONTROL.search(text):
        raise AssertionError(f"control characters in {text!r}")
    return {"intact": found.intact, "text": text}


def folder(path: Path) -> Any:
    """All that a checkpoint folder tells: what is there, and what is in it."""
    found = CheckpointFolder(path)
    said = {str(each): found.problem(each) for each in found.positions()}
    latest, skipped = found.latest_intact()
    loaded = None if latest is None else spelled(found.load(latest))
    return {"problems": said, "latest": None if latest is None else str(latest), "skipped": skipped, "items": loaded}


def compared(path: Path) -> Any:
    """The run in `path`, and the sound one next to it, as the command does it."""
    from multilearn.commands.compare import report as comparison_report

    result = compare([path.parent / "sound", path], ungrouped=True)
    for each in comparison_report.blocks(result):
        str(each)
    json.dumps(comparison_report.plain(result), default=str)
    return {"same": result.same}


def reported(path: Path) -> Any:
    """A report and a figure of the run in `path` and the sound one next to it, in which names are text."""
    from multilearn.commands.plot import plot
    from multilearn.commands.report.report import report
    from support.pages import parse

    with tempfile.TemporaryDirectory() as folder:
        page = report([path.parent / "sound", path], Path(folder, "r.html"), 1e-4, "Report")
        text = page.read_text(encoding="utf-8")
        if CONTROL.search(text):
            raise AssertionError("control characters in the report")
        root = parse(page)
        assert len(list(root.nodes("script"))) == len(list(root.nodes("style"))) == 1
        with contextlib.suppress(DirectoryError):  # without a number there is no curve
            ElementTree.parse(plot([path.parent / "sound", path], Path(folder, "c.svg")))
        return {"bytes": len(text)}


def metric_file(path: Path) -> Any:
    found = read_metric_file(path)
    value = read_epoch_value(path)
    assert (value is None) == (found.final is None)
    return {"values": [repr(each) for each in found.values], "final": repr(found.final)}


def toml(path: Path) -> Any:
    return repr(ml.LearnerBuilder.from_toml(path))


def declared(path: Path) -> Any:
    return repr(ml.LearnerBuilder.from_experiment(path))


def resumed(path: Path) -> Any:
    """Go on from what is newest in `path`: what is refused leaves the model and the checkpoints as they were."""
    learner = toy.build(toy.builder(path, epochs=2).checkpoint("latest"))
    model = learner._run.subject.task.model
    before = {name: array.tobytes() for name, array in model.weights.items()}
    files = {each: each.read_bytes() for each in (path / "checkpoint").glob("*") if each.is_file()}
    try:
        learner.fit(toy.train_loader(), toy.valid_loader())
    except (DirectoryError, StorageError):  # the lock is taken, and files are written, when all has been read
        raise
    except MultilearnError as error:
        if str(error).startswith("The metric "):  # what only a first batch can show
            raise
        assert {name: array.tobytes() for name, array in model.weights.items()} == before, "the model was touched"
        assert all(each.is_file() and each.read_bytes() == content for each, content in files.items()), "a file is gone"
        raise
    return {"epochs": len(learner.history["train"]["Loss"])}


def resumed_inside(path: Path) -> Any:
    """The same of a checkpoint inside an epoch, where what a metric was is looked at by its first batch."""
    learner = toy.build(toy.builder(path, epochs=2).checkpoint("latest"))
    learner.fit(toy.train_loader(), toy.valid_loader())
    return {"epochs": len(learner.history["train"]["Loss"])}


READERS: Mapping[str, Callable[[Path], Any]] = {
    each.__name__: each
    for each in (record, inspected, folder, compared, reported, metric_file, toml, declared, resumed, resumed_inside)
}


def answer(request: Mapping[str, str]) -> dict[str, Any]:
    """`found`, or `refused`: an error of ours, or `escaped`: another one."""
    try:
        return {"found": READERS[request["reader"]](Path(os.fsdecode(bytes.fromhex(request["path"]))))}
    except StorageError as error:
        return {"refused": "StorageError", "said": str(error)}
    except MultilearnError as error:
        return {"refused": type(error).__name__, "said": str(error)[:20_000]}
    except BaseException:
        return {"escaped": traceback.format_exc()[-4000:]}


def resident(of: str) -> int:
    """KiB of memory now (`VmRSS`), which is where the highest so far (`VmHWM`) begins anew."""
    status = Path("/proc/self/status").read_text()
    if of == "VmRSS":
        Path("/proc/self/clear_refs").write_text("5")
    return int(status.split(f"{of}:")[1].split()[0])


def main(mebibytes: int) -> None:
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (mebibytes << 20),) * 2)
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            before = resident("VmRSS")
            told = answer(json.loads(line))
            told["grown"] = resident("VmHWM") - before
            print(json.dumps(told), file=replies, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
