"""Outputs that pages show, next to what was really printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["difference", "fences", "outputs"]

NUMBER = re.compile(r"[+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?")
OF_THE_MACHINE = re.compile(
    r"[\d.]+ (?:s\b|batches/s|kB)|\d:\d\d\b|/\S*(?=/runs/)"
    r"|[+-]?\d(?:\.\d)?e-\d\d(?: (?:train|valid) Loss, (?:epoch|seed) \d+)?|(?<= )0(?= |$)|\b[0-9a-f]{12}\b"
)
"""Durations, speeds, sizes, directories above that of the runs, hashes, and what is nothing but rounding."""
CLOSE = 2e-3
"""Of two numbers that both are printed with few digits."""


def fences(text: str) -> Iterator[tuple[int, str, str]]:
    """The first line (from 1), the language and the content of every fenced block."""
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if line.startswith("```"):
            content = []
            for _, inner in lines:
                if inner.startswith("```"):
                    break
                content.append(inner)
            else:
                raise AssertionError(f"the block in line {number} is not closed")
            yield number + 1, line.removeprefix("```").strip(), "\n".join(content)


def outputs(page: Path) -> list[str]:
    """The blocks of a page without a language: what is printed."""
    return [content for _, language, content in fences(page.read_text(encoding="utf-8")) if not language]


def difference(sample: str, printed: str, *, numbers: bool = True) -> str | None:
    """The first line of a sample that was not printed so; None if all were, in their order. `...` is any lines.

    `numbers`: whether they are to be close; durations and the like are not looked at.
    """
    left, skipping = printed.splitlines(), False
    for line in sample.splitlines():
        if line.strip() == "...":
            skipping = True
            continue
        while skipping and left and not _alike(line, left[0], numbers):
            left.pop(0)
        skipping = False
        if not left or not _alike(line, left[0], numbers):
            return f"the page has\n{line}\nprinted was\n{left[0] if left else 'nothing more'}\n\n{printed}"
        left.pop(0)
    return None


def _alike(line: str, printed: str, numbers: bool) -> bool:
    one, other = (re.sub(r"\s+", " ", OF_THE_MACHINE.sub("@", each)).strip() for each in (line, printed))
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return not numbers or all(_close(*(float(each.replace(",", "")) for each in pair)) for pair in pairs)


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= CLOSE * max(abs(one), abs(other))
