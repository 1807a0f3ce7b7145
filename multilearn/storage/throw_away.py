"""A run that is only tried is written into a folder that is thrown away: `multilearn run --quick`.

The environment variable names the folder. In it each run has a directory in the place of its own, which is not touched;
what there is to say of each fit is in one file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multilearn.environment_variables import QUICK as VARIABLE
from multilearn.environment_variables import read
from multilearn.storage.layout import RunDirectory

__all__ = ["VARIABLE", "asked", "instead_of", "report", "reported", "standing_in"]

_REPORT = "fits.jsonl"


def asked() -> bool:
    """Whether runs are only tried in this process."""
    return read(VARIABLE) is not None


def instead_of(path: Path) -> Path:
    """The directory in the place of that of a run: `path` itself, unless runs are only tried."""
    folder = read(VARIABLE)
    if folder is None:
        return path
    real = Path(os.path.realpath(path))
    return Path(folder) / "runs" / real.relative_to(real.anchor)


def standing_in(path: Path, which: str) -> tuple[Path, str]:
    """Where checkpoint `which` of the run in `path` is looked for: if the run has been tried, in that directory. It has
    few epochs there: `"latest"` then, for one that it did not come to."""
    tried = instead_of(path)
    if tried == path or not tried.is_dir():
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
