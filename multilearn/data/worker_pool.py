"""Worker processes as the process that trains sees them, and threads that make batches ahead, in order."""

from __future__ import annotations

import io
import os
import pickle
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np

from multilearn.data.collate import BatchJob, BatchMaker
from multilearn.data.worker import Failure, Setup, inside_worker
from multilearn.environment_variables import LEASH
from multilearn.errors import ConfigurationError, DataError
from multilearn.protocols import Batch
from multilearn.storage.shield import SHIELD

__all__ = ["Prefetcher", "WorkerProcesses"]

_START = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from multilearn.data.worker import main
main()
"""
_PATIENCE = 5.0
_NEW_GROUP = 0x200
"""Windows' CREATE_NEW_PROCESS_GROUP, which `subprocess` only has there."""


class WorkerProcesses:
    """`count` processes that make batches; called from as many threads, each call takes an idle one.

    Raises `ConfigurationError` where the maker cannot be sent to another process.
    """

    def __init__(self, maker: BatchMaker, count: int) -> None:
        if inside_worker():
            raise ConfigurationError(
                "Worker processes import the script, which must not train when it is imported.",
                received="a loader with worker processes, used while a worker imports the script",
                remedy='Put what runs under if __name__ == "__main__": or use workers="thread".',
            )
        setup = _setup(maker)
        self._all: list[_Process] = []
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for _ in range(count):
            self._all.append(_Process(setup))
            self._idle.put(self._all[-1])

    def __call__(self, task: BatchJob) -> Batch:
        process = self._idle.get()
        try:
            return process.made(task)
        finally:
            # also one that has died, so that no thread waits for it forever
            self._idle.put(process)

    def end(self) -> None:
        """Kill them: a thread that waits for one gets an error."""
        for process in self._all:
            process.popen.kill()

    def close(self) -> None:
        """Reap them; no thread may be waiting for one any more."""
        for process in self._all:
            process.close()


class _Process:
    def __init__(self, setup: Setup) -> None:
        # in a process group of its own, so that Ctrl-C does not reach it while it is starting either
        group: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {"creationflags": _NEW_GROUP}
        # many workers with many threads each get into each other's way
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        # it is none of the processes that train together
        environment.pop("WORLD_SIZE", None)
        environment.pop(LEASH, None)
        self.popen = subprocess.Popen(
            [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, **group
        )
        self._setup: Setup | None = setup

    def made(self, task: BatchJob) -> Batch:
        requests, replies = self.popen.stdin, self.popen.stdout
        assert requests is not None and replies is not None
        try:
            if self._setup is not None:
                pickle.dump(sys.path, requests)
                pickle.dump(self._setup, requests)
                self._setup = None
            pickle.dump(task, requests, protocol=5)
            requests.flush()
            reply = pickle.load(replies)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            raise self._died(task) from error
        if isinstance(reply, Failure):
            raised, cause = _error(reply), _cause(reply)
            (cause or raised).add_note(f"In the worker process:\n{reply.trace}")
            raise raised from cause
        return reply

    def close(self) -> None:
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _died(self, task: BatchJob) -> DataError:
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(_PATIENCE)
        code = self.popen.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return DataError(
            "A worker process must live as long as the loader.",
            received=f"the end of one ({how}) at batch {task.number}, items {task.indices}",
            remedy="Look at what it printed; where memory ran out, use fewer workers.",
        )


def _setup(maker: BatchMaker) -> Setup:
    try:
        buffer = io.BytesIO()
        _Pickler(buffer, protocol=5).dump(maker)
    except Exception as error:
        raise _unpicklable(f"{type(error).__name__}: {error}") from error
    payload = buffer.getvalue()
    if b"__main__" not in payload:
        return Setup(None, None, payload)
    main = sys.modules["__main__"]
    # what a worker makes of the script's own classes comes back under the name that it has there
    sys.modules.setdefault("__mp_main__", main)
    name = getattr(getattr(main, "__spec__", None), "name", None)
    script = getattr(main, "__file__", None)
    if name is None and (script is None or not os.path.exists(script)):
        raise _unpicklable("something defined in a notebook or at the prompt, which another process cannot import")
    return Setup(name, None if name is not None else os.path.abspath(str(script)), payload)


def _unpicklable(received: str) -> ConfigurationError:
    return ConfigurationError(
        "Worker processes are sent the dataset and its transform: both must be picklable.",
        received=received,
        remedy='Define them at the top level of a module (no lambda, no open file), or use workers="thread".',
    )


def _error(failure: Failure) -> Exception:
    if failure.in_setup:
        return ConfigurationError(
            "A worker process must be able to import what defines the dataset and its transform.",
            received=failure.message,
            remedy='Define them in a module, what runs under if __name__ == "__main__":, or use workers="thread".',
        )
    return DataError(failure.message)


def _cause(failure: Failure) -> BaseException | None:
    if failure.error is None:
        return None
    try:
        cause: BaseException = pickle.loads(failure.error)
    except Exception:
        return None
    return cause


class _Pickler(pickle.Pickler):
    """Sends the name of a memory-mapped file in place of its content."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, np.memmap) and (where := _place(obj)) is not None:
            return _mapped_again, where
        return NotImplemented


def _place(array: np.memmap[Any, Any]) -> tuple[Any, ...] | None:
    """The file and where in it `array` lies, also where it is a view; None for what is in memory."""
    root: Any = array
    while isinstance(root.base, np.memmap):
        root = root.base
    if root.filename is None or isinstance(root.base, np.ndarray) or root.base is None:
        return None
    inside = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    return str(root.filename), root.offset + inside, array.dtype, array.shape, array.strides


def _mapped_again(path: str, offset: int, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    content = np.memmap(path, np.uint8, "r")
    return np.ndarray(shape, dtype, content, offset, strides).view(np.memmap)


class Prefetcher:
    """`threads` threads that call `make`, and the worker processes that serve them, which end with them."""

    def __init__(self, make: Callable[[Any], Any], threads: int, processes: WorkerProcesses | None = None) -> None:
        self._make = make
        self._processes = processes
        self._threads = ThreadPoolExecutor(threads, "multilearn-data")

    def in_order(self, tasks: Iterable[Any], ahead: int) -> Iterator[Any]:
        """What comes of the tasks, in their order: while one is handed out, at most `ahead` of the next are made."""
        remaining, waiting = iter(tasks), deque[Future[Any]]()
        try:
            for task in remaining:
                with SHIELD:
                    waiting.append(self._threads.submit(self._make, task))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """End threads and processes; what they are making is not waited for where it is in another process."""
        if self._processes is not None:
            self._processes.end()
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._processes is not None:
            self._processes.close()
