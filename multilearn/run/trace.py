"""A step taken apart: what the first batch becomes on its way through a model, for `multilearn diff-step`.

If the environment variable is set, `fit` does not train. It has its backend walk the first batch, writes all that
was seen to the file that the variable names, and ends the process. Nothing of the run's directory is touched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from multilearn import environment_variables
from multilearn.environment_variables import TRACE as VARIABLE
from multilearn.errors import DataError
from multilearn.protocols import Phase, Traced

__all__ = ["VARIABLE", "asked", "read", "write"]

_HEADER = "header"


def asked() -> Path | None:
    """Where to write, if `fit` is to walk instead of train."""
    name = environment_variables.read(VARIABLE)
    return Path(name) if name else None


def write(traces: Sequence[Traced], path: Path) -> None:
    """One file, for `read`."""
    arrays: dict[str, Any] = {}
    header = []
    for traced in traces:
        names = [str(len(arrays) + at) for at in range(len(traced.arrays))]
        arrays.update(zip(names, traced.arrays, strict=True))
        header.append([traced.phase.name, traced.key, traced.kind, names, traced.epsilon])
    arrays[_HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read(path: Path) -> tuple[Traced, ...]:
    """What `write` wrote. Raises `DataError` for another file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays: Mapping[str, Any] = dict(stored)
        header = json.loads(bytes(arrays[_HEADER]))
        return tuple(
            Traced(Phase[phase], key, kind, tuple(arrays[name] for name in names), epsilon)
            for phase, key, kind, names, epsilon in header
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise DataError("This is no trace of a step.", received=f"{path}: {error}") from error
