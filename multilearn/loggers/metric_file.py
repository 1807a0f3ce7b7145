"""The lines of a metric file: `value,count` or `value` for each batch, `value,final` for the finished epoch.

Decimal text that gives back the same bits; `NaN`, `inf`, `-inf`. Texts have what would break a line, or read as
something else, written as `\\xHH` or `\\uHHHH`, and a backslash as `\\\\`: one line is one value. All are numbers, or
all are texts; `unavailable` may stand among numbers, for the machine that a run is resumed on may lack a sensor.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from numbers import Integral
from pathlib import Path

from multilearn.errors import RecordError
from multilearn.protocols import UNAVAILABLE
from multilearn.storage.reading import opened
from multilearn.storage.throw_away import found

__all__ = [
    "FINAL",
    "EpochValue",
    "MetricFile",
    "format_final",
    "format_line",
    "parse_line",
    "read_epoch_value",
    "read_lines",
    "read_metric_file",
]

FINAL = "final"
_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"NaN|-?inf|-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?", re.ASCII)
_UNSAFE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff\\\\,]")
_ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4}))")
_LONGEST = 1 << 24  # bytes of a line
_DIGITS = 200  # of a count
_SHOWN = 200  # characters of what is wrong


@dataclass(frozen=True, slots=True)
class EpochValue:
    """A metric's exact value over an epoch; `items` is the sum of the logged counts, None if they are missing."""

    value: float | str
    items: float | None


@dataclass(frozen=True, slots=True)
class MetricFile:
    """One metric over one epoch: a value and a count for each batch, and the epoch value once it is finished."""

    values: tuple[float | str, ...]
    counts: tuple[float | int | None, ...]
    final: float | str | None


def format_line(value: float | str, count: float | None = None) -> str:
    """The line of one batch, without its newline.

    >>> format_line(0.1, 64), format_line(float("nan")), format_line("a,b")
    ('0.1,64', 'NaN', 'a\\\\x2cb')
    """
    if count is None:
        return _format_value(value)
    return f"{_format_value(value)},{int(count) if isinstance(count, Integral) else _format_value(count)}"


def format_final(value: float | str) -> str:
    """The last line of a finished epoch, without its newline.

    >>> format_final(0.25)
    '0.25,final'
    """
    return f"{_format_value(value)},{FINAL}"


def read_metric_file(path: str | os.PathLike[str], inside: Path | None = None) -> MetricFile:
    """What `path` holds. A last line without its newline was torn by a kill and does not count.

    `inside`: the directory of a run, below which no link is followed.

    Raises `RecordError`, naming file and line, if any other line is not of the format; `OSError` if there is no file.
    """
    values: list[float | str] = []
    counts: list[float | int | None] = []
    final: float | str | None = None
    for value, count, is_final in read_lines(found(Path(path)) if inside is None else path, inside):
        if is_final:
            final = value
        else:
            values.append(value)
            counts.append(count)
    return MetricFile(tuple(values), tuple(counts), final)


def read_epoch_value(path: str | os.PathLike[str], inside: Path | None = None) -> EpochValue | None:
    """The value of the epoch that `path` tells of, None if it was not finished. Raises as `read_metric_file` does."""
    final: float | str | None = None
    items: float | int = 0
    counted, logged = True, 0
    for value, count, is_final in read_lines(path, inside):
        if is_final:
            final = value
        else:
            logged += 1
            counted = counted and count is not None
            items += count or 0
    return None if final is None else EpochValue(final, float(items) if counted and logged else None)


def read_lines(
    path: str | os.PathLike[str], inside: Path | None = None
) -> Iterator[tuple[float | str, float | int | None, bool]]:
    """The same one after the other, for files of any length: value, count, and whether it is that of the epoch."""
    finished = False
    kinds: set[bool] = set()
    with opened(path, inside) as file:
        for number, line in enumerate(iter(partial(file.readline, _LONGEST), b""), start=1):
            if len(line) == _LONGEST:
                raise _malformed(path, number, f"a line of {_LONGEST} bytes or more", line)
            if not line.endswith(b"\n"):
                break
            try:
                if finished:
                    raise ValueError("a line after the final one")
                value, tail = parse_line(line[:-1].decode())
                if value != UNAVAILABLE:
                    kinds.add(isinstance(value, str))
                if len(kinds) > 1:
                    raise ValueError("a text among numbers")
            except ValueError as fault:
                raise _malformed(path, number, str(fault), line[:-1]) from fault
            finished = tail == FINAL
            yield value, None if tail is None or finished else _parse_number(tail), finished


def _malformed(path: str | os.PathLike[str], number: int, fault: str, line: bytes) -> RecordError:
    rule = "A metric file has lines `value,count` or `value`, then `value,final`."
    return RecordError(
        f"{rule} {path} line {number}: {fault[:_SHOWN]}.",
        received=ascii(line[:_SHOWN].decode(errors="replace")),
        remedy="Take the line out, or resume from a checkpoint of an earlier epoch.",
    )


def _format_value(value: float | str) -> str:
    if isinstance(value, str):
        text = _UNSAFE.sub(lambda match: _escaped(match[0]), value)
        return _escaped(text[0]) + text[1:] if _NUMBER.fullmatch(text) else text
    return "NaN" if math.isnan(value) else repr(float(value))


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def parse_line(line: str) -> tuple[float | str, str | None]:
    """The value, and what stands behind the comma: a number, `final`, or None. Raises `ValueError`."""
    text, comma, tail = line.partition(",")
    if comma and tail != FINAL:
        _parse_number(tail)
    value = float(text) if _NUMBER.fullmatch(text) else _unescaped(text)
    return value, tail if comma else None


@lru_cache(maxsize=1024)  # a file has the same count in most of its lines
def _parse_number(text: str) -> float | int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"no number: {text!r}")
    if not _INTEGER.fullmatch(text):
        return float(text)
    if len(text) > _DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _unescaped(text: str) -> str:
    if _UNSAFE.search(_ESCAPE.sub("", text)):
        raise ValueError("an unknown escape, or a character that is never written as it is")
    return _ESCAPE.sub(lambda match: chr(int(match[1] or match[2], 16)) if match[0] != "\\\\" else "\\", text)
