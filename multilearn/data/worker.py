"""A worker process: it gets a `BatchMaker` once and then tasks, and answers with batches, until its input ends.

It is a fresh interpreter and no fork: a fork of a process in which TensorFlow or JAX has threads may hang.
"""

from __future__ import annotations

import os
import pickle
import runpy
import signal
import sys
import traceback
import types
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from multilearn.seeding.order import derived_seed
from multilearn.seeding.streams import seed_globals

__all__ = ["Failure", "Setup", "inside_worker", "main"]

_inside = False


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know: how to find the script that defines what is pickled, and the maker."""

    module: str | None
    script: str | None
    maker: bytes


@dataclass(frozen=True)
class Failure:
    """What a worker answers in place of a batch; `error`: what it met, None where that cannot be sent."""

    message: str
    trace: str
    error: bytes | None
    in_setup: bool = False


def inside_worker() -> bool:
    """Whether this process is such a worker."""
    return _inside


def main() -> None:
    """Serve until the standard input ends; what the data prints goes to the standard error."""
    global _inside
    _inside = True
    # Ctrl-C is for the process that trains: it ends this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with open(os.devnull) as nothing, suppress(EOFError, OSError):
        sys.stdin = nothing
        _serve(requests, replies)
    # nothing that the data left behind, such as a thread, keeps it from ending
    sys.stderr.flush()
    os._exit(0)


def _serve(requests: BinaryIO, replies: BinaryIO) -> None:
    setup = pickle.load(requests)
    make, problem = None, None
    try:
        _import_script(setup)
        make = pickle.loads(setup.maker)
    except BaseException as error:
        problem = _failure(error, in_setup=True)
    while True:
        task = pickle.load(requests)
        pickle.dump(problem or _made(make, task), replies, protocol=5)
        replies.flush()


def _made(make: Any, task: Any) -> Any:
    seed_globals(derived_seed(task.seed, task.epoch, task.number))
    try:
        return make(task)
    except Exception as error:
        return _failure(error)


def _failure(error: BaseException, in_setup: bool = False) -> Failure:
    cause = error if in_setup else error.__cause__
    sent = None
    if cause is not None:
        with suppress(Exception):
            pickled = pickle.dumps(cause)
            pickle.loads(pickled)
            sent = pickled
    message = f"{type(error).__name__}: {error}" if in_setup else str(error)
    return Failure(message, "".join(traceback.format_exception(cause or error)), sent, in_setup)


def _import_script(setup: Setup) -> None:
    """Import the script under another name, so that what it keeps from being imported does not run."""
    if setup.module is not None:
        found = runpy.run_module(setup.module, run_name="__mp_main__", alter_sys=True)
    elif setup.script is not None:
        found = runpy.run_path(setup.script, run_name="__mp_main__")
    else:
        return
    script = types.ModuleType("__mp_main__")
    vars(script).update(found)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = script
