"""Runs with several seeds, compared: as text and Markdown for people, and as JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from typing import Any

from multilearn.commands.compare import report as comparison_report
from multilearn.commands.compare.report import besides, conclusions, distance, judged, judgement, states
from multilearn.commands.compare.study import Study
from multilearn.commands.compare.values import Spread, furthest
from multilearn.commands.text import Block, Sentences, TextTable
from multilearn.printable import plural

__all__ = ["blocks", "differences", "finals", "plain", "verdict"]

_NAMED = 3  # differences in the verdict


def plain(study: Study) -> dict[str, Any]:
    """For a JSON document, the fields of `Study`, shares as fractions; the `comparison` of each seed as that of runs
    without seeds, and for every two backends and every epoch where they are furthest apart, over the seeds (`epochs`).
    """
    return {
        "same": study.same,
        "verdict": verdict(study),
        **asdict(study),
        "seeds": [
            {**asdict(each), "comparison": each.comparison and comparison_report.plain(each.comparison)}
            for each in study.seeds
        ],
        "epochs": [asdict(each) for each in study.epochs()],
        "first_difference": study.first_difference(),
    }


def blocks(study: Study) -> list[Block]:
    """For each seed how its runs compare, the finals over the seeds, what else is to be said, and the verdict."""
    compared = [_seeds(study), _epochs(study)] if study.compared else []
    paired = [differences(study)] if study.differences else []
    return [*compared, finals(study), *paired, _preconditions(study), _conclusions(study)]


def verdict(study: Study) -> str:
    """In one line."""
    seeds = plural(len(study.compared), "seed")
    rows = [row for _, comparison in study.compared for row in comparison.values]
    values = plural(len(rows), "value")
    if not study.compared:
        return f"no verdict: none of the {plural(len(study.seeds), 'seed')} has two runs that can be compared"
    allowed = judgement(study.tolerance)
    if study.same:
        return f"same: {values} of {seeds} on {', '.join(study.backends)} within the tolerance ({allowed})"
    reasons = []
    if first := study.first_past():
        group, row = first
        past = sum(not row.within for row in rows)
        where = f"first in epoch {row.epoch} with seed {group.seed}: {row.split} {row.metric}"
        reasons.append(f"{past} of {values} of {seeds} past the tolerance ({allowed}), {where}")
    if study.obstacles or any(comparison.obstacles for _, comparison in study.compared):
        reasons.append("not all of it could be compared")
    return f"different: {'; '.join([*reasons, *_significance(study)])}"


def _significance(study: Study) -> list[str]:
    judged = [each for each in study.differences if each.spread.low is not None]
    if not judged:
        return []
    apart = [each for each in judged if each.spread.apart_from_zero and each.relative > study.tolerance]
    if not apart:
        return ["over the seeds no final metric shows a difference (95 %)"]
    named = ", ".join(f"{each.split} {each.metric} of {each.second} and {each.first}" for each in apart[:_NAMED])
    more = f" and {len(apart) - _NAMED} more" if len(apart) > _NAMED else ""
    return [f"over the seeds these differ in the end (95 %): {named}{more}"]


def _seeds(study: Study) -> TextTable:
    table = [["seed", "pair", "epochs", "largest difference", "first past"]]
    for group, comparison in study.compared:
        for pair in comparison.pairs():
            worst = furthest(pair.epochs, study.tolerance)
            where = f"{distance(worst)} {worst.split} {worst.metric}, epoch {worst.epoch}{besides(worst, pair.texts)}"
            past = f"epoch {pair.first_past}" if pair.first_past else "-"
            names = " / ".join(group.backends[at] for at in pair.runs)
            table.append([str(group.seed), names, str(len(pair.epochs)), where, past])
    return TextTable("for each seed", table, right=(0, 2), keys=2)


def _epochs(study: Study) -> TextTable:
    found = {(each.first, each.second, each.row.epoch): each for each in study.epochs()}
    pairs = [pair for pair in combinations(study.backends, 2) if any(key[:2] == pair for key in found)]
    table = [["epoch", *(" / ".join(pair) for pair in pairs)]]
    for epoch in sorted({epoch for _, _, epoch in found}):
        cells = []
        for first, second in pairs:
            each = found.get((first, second, epoch))
            cells.append("-" if each is None else judged(each.row, f", seed {each.seed}", each.texts))
        table.append([str(epoch), *cells])
    return TextTable("largest difference over the seeds", table, right=(0,))


def finals(study: Study) -> TextTable:
    """What the runs came to, for each name over its seeds."""
    count = max((spread.count for final in study.finals for spread in final.spreads.values()), default=0)
    table = [["split", "metric", *study.backends]]
    for final in study.finals:
        cells = [
            _mean(final.spreads[name], final.unit, count) if name in final.spreads else "-" for name in study.backends
        ]
        table.append([final.split, final.metric, *cells])
    return TextTable(f"in the end, mean ± standard deviation over {plural(count, 'seed')}", table, keys=2)


def differences(study: Study) -> TextTable:
    """How far apart every two names came out."""
    table = [["split", "metric", "difference", "mean", "from", "to", "seeds"]]
    for each in study.differences:
        found = each.spread
        numbers = [_signed(number, each.unit) for number in (found.mean, found.low, found.high)]
        table.append([each.split, each.metric, f"{each.second} - {each.first}", *numbers, str(found.count)])
    title = "differences in the end, paired by seed, with the 95 % interval of their mean"
    return TextTable(title, table, right=(3, 4, 5, 6), keys=3)


def _preconditions(study: Study) -> Sentences:
    """What held for all seeds is said once, what did not for each seed."""
    held: dict[str, list[bool | None]] = {}
    for _, comparison in study.compared:
        for each in comparison.preconditions:
            held.setdefault(each.name, []).append(each.held)
    lines = []
    if always := [name for name, each in held.items() if all(each)]:
        lines.append(f"held for every seed: {', '.join(always)}")
    for group, comparison in study.compared:
        broken = states([each for each in comparison.preconditions if each.held is False])
        lines += [f"seed {group.seed}, {line}" for line in broken]
    if unknown := [name for name, each in held.items() if None in each and False not in each]:
        lines.append(f"not recorded by all: {', '.join(unknown)}")
    return Sentences(lines, "preconditions")


def _conclusions(study: Study) -> Sentences:
    by_seed = [(group.seed, comparison) for group, comparison in study.compared]
    notes = [*(f"seed {seed}: {note}" for seed, each in by_seed for note in each.notes), *study.notes]
    obstacles = [*(f"seed {seed}: {why}" for seed, each in by_seed for why in each.obstacles), *study.obstacles]
    return conclusions(notes, obstacles, study.first_difference(), verdict(study))


def _mean(spread: Spread, unit: str, of: int) -> str:
    scale, digits = (100, ".2f") if unit == "share" else (1, "#.5g")
    text = f"{scale * spread.mean:{digits}}"
    if spread.deviation is not None:
        text += f" ± {scale * spread.deviation:#.2g}"
    return f"{text}{' %' if unit == 'share' else ''}" + (f" ({spread.count} of {of})" if spread.count < of else "")


def _signed(number: float | None, unit: str) -> str:
    if number is None:
        return "-"
    return f"{100 * number:+.2g} %" if unit == "share" else f"{number:+.2g}"
