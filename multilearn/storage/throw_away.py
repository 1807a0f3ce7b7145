"""A run that is only tried is written into a folder that is thrown away: `multilearn run --quick`.

The environment variable names the folder. In it each run has a directory in the place of its own, which is not touched;
what there is to say of each fit is in one file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multilearn.environment_variables import QUICK as VARIABLE
from multilearn.environment_variables import read
from multilearn.storage.layout import RunDirectory

__all__ = ["VARIABLE", "asked", "found", "instead_of", "report", "reported", "standing_in"]

_REPORT = "fits.jsonl"
_NUMBERED = re.compile(r"(.+-)([0-9]+(?:\.[0-9]+)?)((?:\.[^0-9].*)?)", re.ASCII)
"""Of an epoch, or of a batch in one."""


def asked() -> bool:
    """Whether runs are only tried in this process."""
    return read(VARIABLE) is not None


def instead_of(path: Path) -> Path:
    """The directory in the place of that of a run: `path` itself, unless runs are only tried."""
    folder = read(VARIABLE)
    if folder is None:
        return path
    real, tried = Path(os.path.realpath(path)), Path(os.path.realpath(folder)) / "runs"
    return real if real.is_relative_to(tried) else tried / real.relative_to(real.anchor)


def found(path: Path) -> Path:
    """Where what `path` names is read: if it is the directory of a run that has been tried, or is in one, in that.

    Such a run has few epochs: of a file or a folder of one that it did not come to, that of the last one is named.
    """
    if not asked():
        return path
    tried = instead_of(path)
    root = next((each for each in (tried, *tried.parents) if RunDirectory(each).experiment.is_file()), None)
    if root is None:
        return path
    below = root
    for name in tried.relative_to(root).parts:
        below = below / name if (below / name).exists() else _last_like(below / name)
    return below if below.exists() else path


def standing_in(path: Path, which: str) -> tuple[Path, str]:
    """Where checkpoint `which` of the run in `path` is looked for: if the run has been tried, in that directory. It has
    few epochs there: `"latest"` then, for one that it did not come to."""
    tried = found(path)
    if not asked() or tried != instead_of(path):
        return path, which
    saved = any(RunDirectory(tried).checkpoints.glob(f"model-{which}.*"))
    return tried, which if saved or which == "best" else "latest"


def report(facts: Mapping[str, Any]) -> None:
    """Keep what there is to say of a fit."""
    with open(Path(read(VARIABLE) or "") / _REPORT, "a", encoding="ascii") as file:
        file.write(json.dumps(facts) + "\n")


def reported(folder: Path) -> list[dict[str, Any]]:
    """What was kept, in order."""
    try:
        return [json.loads(line) for line in (folder / _REPORT).read_text(encoding="ascii").splitlines()]
    except FileNotFoundError:
        return []


def _last_like(path: Path) -> Path:
    """What has the highest number of those that are called like it: `model-2.mpk.gz` for `model-8.mpk.gz`. Itself if
    there is none."""
    if (named := _NUMBERED.fullmatch(path.name)) is None or not path.parent.is_dir():
        return path
    like = filter(None, map(_NUMBERED.fullmatch, (each.name for each in path.parent.iterdir())))
    numbers = [each[2] for each in like if (each[1], each[3]) == (named[1], named[3])]
    last = max(numbers, key=lambda number: [int(part) for part in number.split(".")], default=named[2])
    return path.with_name(f"{named[1]}{last}{named[3]}")
