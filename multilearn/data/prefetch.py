"""Batches made ahead by threads, handed out in order whichever is done first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from multilearn.data.worker_pool import WorkerProcesses
from multilearn.storage.shield import SHIELD

__all__ = ["Prefetcher"]


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
