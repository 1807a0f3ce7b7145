"""TestU01's SmallCrush over the generator of `random.bits`: prints a table, writes docs/randomness_report.md.

    nox -s randomness                       every stream, about 10 s each on a processor of its own
    nox -s randomness -- seeds lanes        some of them; the report is left alone

The library is Debian's (https://simul.iro.umontreal.ca/testu01). It is loaded by ctypes, and reads the numbers from a
named pipe, so nothing is compiled.
"""

from __future__ import annotations

import ctypes
import datetime
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from streams import REVERSED, STREAMS, blocks, check, reverse

REPORT = Path(__file__).parents[1] / "docs" / "randomness_report.md"
LIBRARIES = ("testu01mylib", "testu01probdist", "testu01")
MISSING = """TestU01 is not installed. On Debian and Ubuntu, from the non-free (multiverse) component:
    apt-get install libtestu01-0
or, without being root, unpacked anywhere:
    apt-get download libtestu01-0 && dpkg -x libtestu01-0_*.deb testu01
    TESTU01_LIBRARIES=testu01/usr/lib/x86_64-linux-gnu nox -s randomness"""
FAILED, SUSPICIOUS = 1e-10, 1e-4
Statistic = tuple[str, float]

HEADING = """# What TestU01 says of the random bits

`nox -s randomness` writes this page: SmallCrush ({version}) over the streams of `tools/streams.py`,
with numpy {numpy} on Python {python}, {date}. A statistic fails with a p-value outside [1e-10, 1 - 1e-10], and
is suspicious outside [1e-4, 1 - 1e-4]: of the {count} statistics here, {expected:.2f} would be of truly random bits.

**{failed} failed, {suspicious} suspicious.** The numbers, and so the p-values, are the same on every machine.
"""


def load() -> ctypes.CDLL:
    """TestU01, or exit with how to install it."""
    folder = os.environ.get("TESTU01_LIBRARIES")
    try:
        for name in LIBRARIES:
            library = ctypes.CDLL(
                str(Path(folder, f"lib{name}.so.0")) if folder else f"lib{name}.so.0", ctypes.RTLD_GLOBAL
            )
    except OSError as error:
        sys.exit(f"{MISSING}\n({error})")
    library.ufile_CreateReadBin.restype = ctypes.c_void_p
    library.ufile_CreateReadBin.argtypes = [ctypes.c_char_p, ctypes.c_long]
    library.ufile_DeleteReadBin.argtypes = library.bbattery_SmallCrush.argtypes = [ctypes.c_void_p]
    ctypes.c_int.in_dll(library, "swrite_Basic").value = 0
    return library


def small_crush(library: ctypes.CDLL, numbers: Iterator[np.ndarray]) -> list[Statistic]:
    """The statistics of SmallCrush, each with its p-value, over endless blocks of uint32."""
    with tempfile.TemporaryDirectory() as folder:
        pipe = os.path.join(folder, "numbers")
        os.mkfifo(pipe)
        feeder = threading.Thread(target=feed, args=(pipe, numbers))
        feeder.start()
        generator = library.ufile_CreateReadBin(pipe.encode(), 2**16)
        library.bbattery_SmallCrush(generator)
        library.ufile_DeleteReadBin(generator)  # closes the pipe, which ends the feeder
        feeder.join()
    values = (ctypes.c_double * 200).in_dll(library, "bbattery_pVal")
    names = (ctypes.c_char_p * 200).in_dll(library, "bbattery_TestNames")
    count = ctypes.c_int.in_dll(library, "bbattery_NTests").value
    return [(names[k].decode(), values[k]) for k in range(count)]


def feed(pipe: str, numbers: Iterator[np.ndarray]) -> None:
    try:
        with open(pipe, "wb") as sink:
            for block in numbers:
                sink.write(block.astype(">u4"))  # TestU01 reads the upper byte first
    except BrokenPipeError:
        pass


def main(chosen: list[str]) -> int:
    library = load()
    check()
    unknown = [name for name in chosen if name not in STREAMS]
    if unknown:
        sys.exit(f"No stream is called {', '.join(unknown)}. There are: {', '.join(STREAMS)}.")
    found: dict[str, list[Statistic]] = {}
    for name in chosen or STREAMS:
        meaning, stream = STREAMS[name]
        found[f"{name}: {meaning}"] = told(name, small_crush(library, blocks(stream)))
        if name in REVERSED:
            backwards = map(reverse, blocks(stream))
            found[f"{name}, bits reversed"] = told(f"{name}, bits reversed", small_crush(library, backwards))
    if not chosen:
        REPORT.write_text(report(found), encoding="utf-8")
    return int(any(beyond(statistics, FAILED) for statistics in found.values()))


def told(name: str, statistics: list[Statistic]) -> list[Statistic]:
    marked = ", ".join(f"{label} {p:.3g}" for label, p in beyond(statistics, SUSPICIOUS))
    print(f"{name}: {marked or f'{len(statistics)} statistics passed'}", file=sys.stderr, flush=True)
    return statistics


def beyond(statistics: list[Statistic], limit: float) -> list[Statistic]:
    return [(name, p) for name, p in statistics if not limit <= p <= 1 - limit]


def report(found: dict[str, list[Statistic]]) -> str:
    """The page, in Markdown."""
    everything = [statistic for statistics in found.values() for statistic in statistics]
    failed = len(beyond(everything, FAILED))
    heading = HEADING.format(
        version="TestU01 1.2.3",
        numpy=np.__version__,
        python=platform.python_version(),
        date=datetime.datetime.now(datetime.UTC).date(),
        count=len(everything),
        expected=2 * SUSPICIOUS * len(everything),
        failed=failed or "None",
        suspicious=len(beyond(everything, SUSPICIOUS)) - failed or "none",
    )
    names = [name for name, _ in next(iter(found.values()))]
    lines = ["| stream | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for stream, statistics in found.items():
        lines.append(f"| {stream} | " + " | ".join(f"{p:.2g}" for _, p in statistics) + " |")
    return "\n".join([heading, *lines]) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
