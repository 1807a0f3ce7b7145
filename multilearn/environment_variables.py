"""The environment variables of this library: which there are, and what they are set to."""

from __future__ import annotations

import os

__all__ = [
    "BACKEND",
    "DEVICES",
    "FIT",
    "GRID",
    "JOB",
    "LEASH",
    "PATIENCE",
    "QUICK",
    "RENDERER",
    "SEED",
    "TRACE",
    "TRACEBACK",
    "read",
]

BACKEND = "MULTILEARN_BACKEND"
"""The backend of the process."""
DEVICES = "MULTILEARN_DEVICES"
"""How many devices to train on: `multilearn run --devices`."""
SEED = "MULTILEARN_SEED"
"""The seed of the experiment, in place of the one that the script sets."""
TRACE = "MULTILEARN_WALK"
"""The file into which `fit` writes a step that it takes apart, in place of training: `multilearn diff-step`."""
TRACEBACK = "MULTILEARN_TRACEBACK"
"""How errors are shown: "full", with all frames of this library; "short", refusals without any: `multilearn run`."""
GRID = "MULTILEARN_CELL"
"""The file of the cell that the process is in a grid: `multilearn run --seeds`."""
JOB = "MULTILEARN_JOB"
"""The name of the job that starts this process again if it fails, and the number of the attempt: `multilearn_ray`."""
LEASH = "MULTILEARN_LEASH"
"""Set for the processes of `multilearn run --devices`: they end when their standard input does."""
FIT = "MULTILEARN_FIT"
"""The folder that a process which a fit has started leaves its result in."""
PATIENCE = "MULTILEARN_PATIENCE"
"""How many seconds the processes of a run wait for one another; 600 by default."""
QUICK = "MULTILEARN_QUICK"
"""The folder that runs are tried in, in place of their directories, a batch an epoch: `multilearn run --quick`."""
RENDERER = "MULTILEARN_RENDERER"
"""How runs are shown, in place of what the script says: screen, live, lines or silent."""


def read(name: str) -> str | None:
    """What a variable is set to, without white space around it; None if it is not, or to nothing."""
    return os.environ.get(name, "").strip() or None
