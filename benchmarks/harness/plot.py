"""The ratios as a picture, in SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.harness.results import Results

__all__ = ["PEERS", "picture"]

PEERS = ("loop", "loop channels-last", "loop fused", "loop fused channels-last", "keras fit", "lightning")
COLOURS = ("#0b6e99", "#6fb7d6", "#b3541e", "#e0a57f", "#3b7d3b", "#7a4fa3")
LEFT, RIGHT, TOP, LINE, GAP = 150, 30, 76, 18, 40
WIDTH = 760
LOWEST, HIGHEST = 0.1, 10.0
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10)


def picture(results: Results) -> str:
    """A line for each case of the training, a dot for each peer: left of 1 the Learner is the faster one."""
    parts: list[str] = []
    y = TOP
    for framework in dict.fromkeys(row["framework"] for row in results["training"]):
        rows = [row for row in results["training"] if row["framework"] == framework]
        parts += _panel(framework, rows, y)
        y += LINE * len(rows) + GAP + LINE
    body = "\n".join([*_legend(results), *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="{WIDTH}" height="{y}" fill="white"/>\n{body}\n</svg>\n'
    )


def _panel(framework: str, rows: Sequence[Mapping[str, Any]], top: int) -> list[str]:
    bottom = top + LINE * len(rows)
    parts = [_text(10, top - 6, framework, weight="bold")]
    for tick in TICKS:
        x = _place(tick)
        colour, width = ("#444", 1.5) if tick == 1 else ("#ddd", 1)
        parts.append(f'<line x1="{x}" y1="{top - 4}" x2="{x}" y2="{bottom}" stroke="{colour}" stroke-width="{width}"/>')
        parts.append(_text(x, bottom + 13, f"{tick:g}", anchor="middle"))
    for number, row in enumerate(rows):
        y = top + LINE * number + LINE // 2
        name = f"{row['model']} {row['batch']}" + (" long" if row["long"] else "")
        parts.append(_text(LEFT - 8, y + 4, name, anchor="end"))
        parts += _dots(row, y)
    return parts


def _dots(row: Mapping[str, Any], y: int) -> list[str]:
    parts = []
    for peer, colour in zip(PEERS, COLOURS, strict=True):
        if (ratios := row["ratios"].get(peer)) is not None:
            ratio = ratios["counted"]
            title = escape(f"{row['framework']} {row['model']} {row['batch']}: {ratio:.2f} of {peer}")
            parts.append(
                f'<circle cx="{_place(ratio)}" cy="{y}" r="4" fill="{colour}" fill-opacity="0.85">'
                f"<title>{title}</title></circle>"
            )
    return parts


def _legend(results: Results) -> list[str]:
    title = "Learner.fit as a multiple of what the peer takes (left of 1: the Learner is faster)"
    parts = [_text(10, 18, title, weight="bold")]
    shown = [peer for peer in PEERS if any(peer in row["ratios"] for row in results["training"])]
    x = 10
    for peer in shown:
        parts.append(f'<circle cx="{x + 4}" cy="36" r="4" fill="{COLOURS[PEERS.index(peer)]}"/>')
        parts.append(_text(x + 12, 40, peer))
        x += 24 + 6 * len(peer)
    return parts


def _place(ratio: float) -> float:
    """Where on the logarithmic axis; what is beyond its ends is at them."""
    share = math.log(min(max(ratio, LOWEST), HIGHEST) / LOWEST) / math.log(HIGHEST / LOWEST)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
