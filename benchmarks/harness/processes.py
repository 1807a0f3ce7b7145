"""Fresh processes, one thread each, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["THREADS", "Outcome", "measured_in_a_process"]

ROOT = Path(__file__).resolve().parents[2]
TIME_LIMIT_SECONDS = 1200

THREADS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
"""What keeps each library to one thread."""


@dataclass(frozen=True)
class Outcome:
    """What a process wrote, or why it did not."""

    found: dict[str, Any]
    failure: str | None
    seconds: float


def measured_in_a_process(module: str, framework: str | None, *words: str) -> Outcome:
    """Run `python -m module FRAMEWORK OUT WORDS` in the checkout; what it wrote into OUT as JSON."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        out, log = Path(scratch, "out.json"), Path(scratch, "log")
        command = [sys.executable, "-m", module, framework or "none", str(out), *words]
        failure = _failure(command, framework, log)
        # a process that failed may have got somewhere before
        found = json.loads(out.read_text()) if out.exists() else {}
    if failure is None and not found:
        failure = "it wrote nothing"
    return Outcome(found, failure, time.monotonic() - began)


def _failure(command: Sequence[str], framework: str | None, log: Path) -> str | None:
    with log.open("w") as stream:
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=_environment(framework),
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=TIME_LIMIT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it was not done after {TIME_LIMIT_SECONDS} s"
    if done.returncode == 0:
        return None
    return f"exit code {done.returncode}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-25:])


def _environment(framework: str | None) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("MULTILEARN_SEED", "PYTHONPATH")}
    chosen = {} if framework is None else {"KERAS_BACKEND": framework, "MULTILEARN_BACKEND": framework}
    return {**kept, **THREADS, **chosen, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
