"""The lines of a metric file: `value,count` or `value` for each batch, `value,final` for the finished epoch.

Decimal text that gives back the same bits; `NaN`, `inf`, `-inf`. Texts have what would break a line, or read as
something else, written as `\\xHH` or `\\uHHHH`, and a backslash as `\\\\`: one line is one value. All are numbers, or
all are texts; `unavailable` may stand among numbers, for the machine that a run goes on on may lack a sensor.
"""

from __future__ import annotations

import math
import operator
import os
import re
from dataclasses import dataclass
from pathlib import Path

from multilearn.errors import RecordError
from multilearn.metrics.metric import UNAVAILABLE

__all__ = ["MetricFile", "format_final", "format_line", "read_metric_file"]

_FINAL = "final"
_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"NaN|-?inf|-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?", re.ASCII)
_UNSAFE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff\\\\,]")
_ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4}))")


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
    return _format_value(value) if count is None else f"{_format_value(value)},{_format_count(count)}"


def format_final(value: float | str) -> str:
    """The last line of a finished epoch, without its newline.

    >>> format_final(0.25)
    '0.25,final'
    """
    return f"{_format_value(value)},{_FINAL}"


def read_metric_file(path: str | os.PathLike[str]) -> MetricFile:
    """What `path` holds. A last line without its newline was torn by a kill and does not count.

    Raises `RecordError`, naming file and line, if any other line is not of the format, `OSError` if there is no file.
    """
    *lines, _torn = Path(path).read_bytes().split(b"\n")
    values: list[float | str] = []
    counts: list[float | int | None] = []
    final: float | str | None = None
    kinds: set[bool] = set()
    for number, line in enumerate(lines, start=1):
        try:
            if final is not None:
                raise ValueError("a line after the final one")
            value, tail = _parse_line(line.decode())
            if value != UNAVAILABLE:
                kinds.add(isinstance(value, str))
            if len(kinds) > 1:
                raise ValueError("a text among numbers")
        except ValueError as fault:
            raise RecordError(
                f"A metric file has lines `value,count` or `value`, then `value,final`. {path} line {number}: {fault}.",
                received=ascii(line.decode(errors="replace")),
                remedy="Take the line out, or go on from a checkpoint of an earlier epoch.",
            ) from fault
        if tail == _FINAL:
            final = value
        else:
            values.append(value)
            counts.append(None if tail is None else _parse_number(tail))
    return MetricFile(tuple(values), tuple(counts), final)


def _format_value(value: float | str) -> str:
    if isinstance(value, str):
        text = _UNSAFE.sub(lambda match: _escaped(match[0]), value)
        return _escaped(text[0]) + text[1:] if _NUMBER.fullmatch(text) else text
    return _format_float(float(value))


def _format_float(value: float) -> str:
    return repr(value) if not math.isnan(value) else "NaN"


def _format_count(count: float) -> str:
    try:
        return str(operator.index(count))  # type: ignore[arg-type]
    except TypeError:
        return _format_float(float(count))


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _parse_line(line: str) -> tuple[float | str, str | None]:
    """The value, and what stands behind the comma: a number, `final`, or None."""
    text, comma, tail = line.partition(",")
    if comma and tail != _FINAL:
        _parse_number(tail)
    value = float(text) if _NUMBER.fullmatch(text) else _unescaped(text)
    return value, tail if comma else None


def _parse_number(text: str) -> float | int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"no number: {text!r}")
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def _unescaped(text: str) -> str:
    if _UNSAFE.search(_ESCAPE.sub("", text)):
        raise ValueError("an unknown escape, or a character that is never written as it is")
    return _ESCAPE.sub(lambda match: chr(int(match[1] or match[2], 16)) if match[0] != "\\\\" else "\\", text)
