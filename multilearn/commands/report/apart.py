"""How far apart runs are after each epoch, in units of what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from multilearn.commands.compare.report import besides, judgement
from multilearn.commands.compare.values import Pair
from multilearn.commands.report.comparing import ComparedSet
from multilearn.commands.report.curves import values
from multilearn.commands.report.parts import card, dim, key, thinned
from multilearn.plots.chart import COLOURS, Chart, Line
from multilearn.plots.markup import Markup, element, joined
from multilearn.plots.svg import draw

__all__ = ["gate_cards", "gate_words"]

_FLOOR = 1e-4
_NAMED = 8  # lines of one card: more are named in its table only
_PAIRS = 6  # of more of them, those with the first run or group are drawn


@dataclass(frozen=True)
class _Gap:
    """Two runs, or two groups for one seed: after each epoch the metric in which they are furthest apart."""

    name: str
    pair: Pair

    def cell(self, epoch: int, tolerance: float) -> str:
        """The largest difference after an epoch, of which metric it is, and which texts differ."""
        row = next((row for row in self.pair.epochs if row.epoch == epoch), None)
        if row is None:
            return ""
        used = row.used(tolerance)
        shown = element("data", f"{used:.3g}", value=repr(used)) if math.isfinite(used) else f"{used:g}"
        texts = [text for text in self.pair.texts if text.epoch == epoch]
        return joined(shown, " ", dim(f"{row.split} {row.metric}{besides(row, texts)}"))


def gate_words(tolerance: float) -> str:
    """What is drawn."""
    return (
        "After each epoch, the largest difference over all metrics, in units of what is allowed "
        f"({judgement(tolerance)}). Above the line it is past the tolerance; at the bottom it is {_FLOOR:g} or less."
    )


def gate_cards(compared: Sequence[ComparedSet], tolerance: float) -> Iterator[Markup]:
    """A card for each two groups, with a line for each seed; of many runs one card, with a line for each."""
    panels: dict[str, list[_Gap]] = {}
    for each in compared:
        pairs = each.comparison.pairs()
        if len(pairs) > _PAIRS:
            pairs = tuple(pair for pair in pairs if pair.runs[0] == 0)
        for pair in pairs:
            first, second = (each.names[at] for at in pair.runs)
            panel, name = _placed(each, pair, first, second)
            panels.setdefault(panel, []).append(_Gap(name, pair))
    for panel, gaps in panels.items():
        yield _gate_card(panel, gaps, tolerance)


def _placed(each: ComparedSet, pair: Pair, first: str, second: str) -> tuple[str, str]:
    if each.seed is not None:
        return f"{second} and {first}", f"seed {each.seed}"
    if len(each.names) * (len(each.names) - 1) // 2 > _PAIRS:
        return f"each run and {first}", second
    return f"{second} and {first}", "all metrics"


def _gate_card(title: str, gaps: Sequence[_Gap], tolerance: float) -> Markup:
    used = [{row.epoch: row.used(tolerance) for row in gap.pair.epochs} for gap in gaps]
    lines = [
        Line(gap.name, list(map(float, of)), list(of.values()), at % COLOURS, marks=True)
        for at, (gap, of) in enumerate(zip(gaps, used, strict=True))
    ]
    most = "; ".join(
        f"{gap.name}: at most {max(of.values()):.3g} times what is allowed" for gap, of in zip(gaps, used, strict=True)
    )
    chart = Chart(title, lines, log=True, description=most, gate=(1.0, "allowed"), floor=_FLOOR)
    keys = element("span", *(key(gap.name, at % COLOURS) for at, gap in enumerate(gaps)), class_="legend")
    epochs, note = thinned({row.epoch for gap in gaps for row in gap.pair.epochs})
    cells = [[str(epoch), *(gap.cell(epoch, tolerance) for gap in gaps)] for epoch in epochs]
    heads = ["epoch", *(element("span", gap.name, class_=f"c{at % COLOURS}") for at, gap in enumerate(gaps))]
    return card(
        title, draw(chart, 380, 215), values(heads, cells, note), beside=keys if 1 < len(gaps) <= _NAMED else ""
    )
