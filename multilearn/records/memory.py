"""How much memory this process may have."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["available"]

_OF_CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available() -> int | None:
    """In bytes: what the machine has, or less where a container or a limit of the process allows less.

    None where the operating system does not say.
    """
    found = [_of_process()]
    if hasattr(os, "sysconf"):
        with suppress(OSError, ValueError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _OF_CONTAINERS:
        with suppress(OSError, ValueError):  # "max" where there is no limit
            found.append(int(Path(path).read_text(encoding="ascii")))
    return min((each for each in found if each is not None and each > 0), default=None)


def _of_process() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit
