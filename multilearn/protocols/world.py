"""The processes that train one model together, and what each of them has of a batch."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from multilearn.environment_variables import LEASH, PATIENCE, read
from multilearn.errors import ConfigurationError, WorldError

if TYPE_CHECKING:
    from multilearn.protocols.arrays import Batch

__all__ = [
    "ALONE",
    "LaunchedRank",
    "Shard",
    "World",
    "end_with_launcher",
    "patience",
    "rows_of",
    "show_without_traceback",
]

_LONGEST = 8.0
"""Seconds for a process whose launcher is gone to end its batch and to save."""

_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class LaunchedRank:
    """The place of a process in a world: number `rank` of `size`, and number `local_rank` of the `local_size` on its
    machine. They meet at `port` of `address`, which is the machine of rank 0."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int

    @property
    def meeting_port(self) -> int:
        """The port for those that open it themselves: at MASTER_PORT, torchrun's own agent may answer."""
        return self.port + (read("TORCHELASTIC_USE_AGENT_STORE") == "True")

    def unmet(self, error: Exception) -> WorldError:
        """What to raise if the others have not come within `patience()` seconds."""
        return WorldError(
            f"All {self.size} ranks meet at {self.address}:{self.port} within {patience():g} seconds.",
            received=f"rank {self.rank} could not join ({' '.join(str(error).split())[:200]})",
            remedy="See that every rank is started, and that MASTER_ADDR can be reached; MULTILEARN_PATIENCE is how "
            "many seconds they wait.",
        )

    def environment(self) -> dict[str, str]:
        """The variables by which a launcher says so."""
        return {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": str(self.local_rank),
            "LOCAL_WORLD_SIZE": str(self.local_size),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }

    @classmethod
    def of_environment(cls) -> Self | None:
        """What a launcher says by RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; None unless it says all of
        them, and of several processes. LOCAL_WORLD_SIZE is how many there are on this machine, by default all of them.

        Raises `ConfigurationError` for what is no place.
        """
        texts = {name: text for name in _LAUNCHED if (text := read(name)) is not None}
        if len(texts) < len(_LAUNCHED):
            return None
        texts["LOCAL_WORLD_SIZE"] = read("LOCAL_WORLD_SIZE") or texts["WORLD_SIZE"]
        numbers = [text for name, text in texts.items() if name != "MASTER_ADDR"]
        if all(text.isascii() and text.isdecimal() for text in numbers):
            rank, size, local_rank, port, local_size = map(int, numbers)
            if size == 1:
                return None
            if rank < size and local_rank < local_size <= size:
                return cls(rank, size, local_rank, local_size, texts["MASTER_ADDR"], port)
        raise ConfigurationError(
            "A launcher gives every process a RANK below WORLD_SIZE, a LOCAL_RANK below LOCAL_WORLD_SIZE, and a port.",
            received=", ".join(f"{name}={text}" for name, text in texts.items()),
            remedy="Unset them to train with this process alone.",
        )


class World:
    """The processes that train one model together: this one is number `rank` of `size`. This class is of one alone.

    What is handed over here is on the host, and rare. What belongs to a step, sums of gradients and measures, an engine
    hands over by its framework's own means.

    `wish`: whether this process has a reason to stop, which engines hand over with every step. `agreed`: whether any
    process had one in the last step.
    """

    rank = 0
    size = 1
    local_rank, local_size = 0, 1
    wish = False
    agreed = False

    def gather(self, value: bytes) -> Sequence[bytes]:
        """What each of them gives, by rank; each waits for all. Raises `WorldError` if one has ended."""
        return [value]

    def leave(self) -> None:
        """Take part in nothing more: the others get a `WorldError` if they ask for anything."""

    def barrier(self) -> None:
        """Wait until all are here."""
        self.gather(b"")

    def first_text(self, text: str | None) -> str | None:
        """That of the first process that has one."""
        return next((each.decode() for each in self.gather((text or "").encode()) if each), None)

    def require_same(self, what: str, facts: Mapping[str, Any], remedy: str) -> None:
        """Raise `ConfigurationError`, in every process, unless all of them have the same facts: it names the first that
        differs. A fact is plain data."""
        of_ranks = [json.loads(each) for each in self.gather(json.dumps(facts, default=str).encode())]
        for name in dict.fromkeys(name for each in of_ranks for name in each):
            values = [each.get(name) for each in of_ranks]
            other = next((rank for rank, value in enumerate(values) if value != values[0]), None)
            if other is not None:
                raise ConfigurationError(
                    f"All ranks of a run have the same {what}.",
                    received=f"{name}: {values[0]!r:.100} on rank 0, and {values[other]!r:.100} on rank {other}",
                    remedy=remedy,
                )


ALONE = World()


@cache
def end_with_launcher() -> None:
    """Have this process end when the launcher that started it is gone, which its standard input shows: as at a SIGTERM,
    and if that does not help, at once."""
    if read(LEASH) is None:
        return

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_LONGEST)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=wait, name="multilearn-launcher", daemon=True).start()


def show_without_traceback() -> None:
    """Have a `WorldError` that ends this process shown in one line: what went wrong is in another process."""
    shown = sys.excepthook

    def show(of: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(of, WorldError):
            print(f"multilearn: {error}", file=sys.stderr)
        else:
            shown(of, error, traceback)

    sys.excepthook = show


@dataclass(frozen=True)
class Shard:
    """The rows of a joint batch that are a process's own: `batch` has those from number `first` on, of `total`.

    `whole`: they are all of them, for there are fewer than can be divided, and every process has all.
    """

    batch: Batch
    first: int
    total: int
    whole: bool


def patience() -> float:
    """How many seconds the processes of a world wait for one another: 600, or what MULTILEARN_PATIENCE says."""
    text = read(PATIENCE) or "600"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise ConfigurationError(f"{PATIENCE} is a number of seconds.", received=repr(text), remedy="Unset it for 600.")
    return seconds


def rows_of(total: int, rank: int, size: int) -> tuple[int, int, bool]:
    """The first row of a joint batch that is process `rank`'s, the one after its last, and whether every process has
    all rows.

    ceil(total / size) each, in their order; the last one has the rest. If it would have none, every process has all.

    >>> [rows_of(18, rank, 4)[:2] for rank in range(4)], rows_of(3, 1, 4)
    ([(0, 5), (5, 10), (10, 15), (15, 18)], (0, 3, True))
    """
    each = -(-total // size)
    if each * (size - 1) >= total:
        return 0, total, True
    return rank * each, min((rank + 1) * each, total), False
