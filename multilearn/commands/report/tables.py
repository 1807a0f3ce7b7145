"""What the runs are, what they had in common, and what they ran on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from multilearn.commands.compare import facts
from multilearn.commands.compare.values import Precondition
from multilearn.commands.report.comparing import ComparedSet, Standing
from multilearn.commands.report.parts import dim, key, number, state, table
from multilearn.commands.report.times import RunTimes
from multilearn.commands.shown_runs import ShownRuns, numeric
from multilearn.events import Split
from multilearn.history import Direction
from multilearn.plots.markup import Markup, element, joined
from multilearn.renderers.notation import rate, seconds
from multilearn.run.on_disk import RunOnDisk

__all__ = ["ended", "environment", "layers", "preconditions_table", "runs_table"]

_METRICS = 3  # that are in the table of the runs
_LONGEST = 300  # characters of what a run recorded of a precondition
_MOST = 400  # layers
_OUTCOMES: dict[str | None, Standing] = {"completed": "good", "failed": "bad"}


def runs_table(shown: ShownRuns, colours: Mapping[str, int], times: Sequence[RunTimes]) -> Markup:
    """How each ended, the last and the best value of the first metrics, how fast it was and how long it took."""
    split, metrics = _foremost(shown)
    columns: dict[str, list[str]] = {"run": [], "backend": [], "seed": [], "epochs": [], "state": []}
    for at, (run, name, group) in enumerate(zip(shown.runs, shown.names, shown.groups, strict=True)):
        columns["run"].append(joined(key("", colours[group]), element("a", name, href=f"#run-{at}")))
        columns["backend"].append(run.trained_on)
        columns["seed"].append("" if run.seed is None else str(run.seed))
        columns["epochs"].append(_epochs(run))
        columns["state"].append(state(*ended(run)))
    for metric in metrics:
        head = joined(f"{split} {metric}", element("br"), dim("last \N{MIDDLE DOT} best"))
        columns[head] = [_value(run, split, metric, shown.unit(metric)) for run in shown.runs]
    columns["speed"] = ["" if each.batches is None else rate(each.batches) for each in times]
    columns["items"] = ["" if each.items is None else f"{each.items:.4g}/s" for each in times]
    columns["time"] = ["" if each.seconds is None else seconds(each.seconds) for each in times]
    known = {head: column for head, column in columns.items() if any(column)}
    return table(list(known), list(zip(*known.values(), strict=True)))


def _foremost(shown: ShownRuns) -> tuple[Split, list[str]]:
    """The first metrics, and the split that is looked at: validation, if there is any."""
    for split in (Split.VALID, Split.TRAIN):
        found = [
            metric
            for metric in shown.metrics()
            if shown.repeatable(metric) and any(numeric(run, split, metric) for run in shown.runs)
        ]
        if found:
            return split, found[:_METRICS]
    return Split.TRAIN, []


def _value(run: RunOnDisk, split: Split, metric: str, unit: str) -> Markup:
    values = numeric(run, split, metric)
    if not values:
        return joined("")
    last, best = number(values[max(values)], unit), _best(values, run.better(metric))
    if best is None:
        return last
    return joined(last, " ", element("span", "\N{MIDDLE DOT} ", number(values[best], unit), f" @ {best}", class_="dim"))


def _best(values: Mapping[int, float], better: Direction | None) -> int | None:
    """The earliest on ties; never one whose value is NaN."""
    found = [epoch for epoch, value in values.items() if not math.isnan(value)]
    if better is None or not found:
        return None
    return (min if better == "lowest" else max)(found, key=values.__getitem__)


def _epochs(run: RunOnDisk) -> str:
    builder = run.declared.get("builder")
    planned = builder.get("num_epochs") if isinstance(builder, dict) else None
    done = len(run.epochs)
    if not done and not any(run.directory.epochs(split) for split in (Split.TRAIN, Split.VALID)):
        return "no metric files"  # of a run that logs elsewhere, or has just begun
    return f"{done} of {planned}" if type(planned) is int and planned > done else f"{done}"


def ended(run: RunOnDisk) -> tuple[Standing, str]:
    """How the last session of a run ended, if it did."""
    return _OUTCOMES.get(run.state, "so"), run.state


def preconditions_table(compared: Sequence[ComparedSet]) -> Markup:
    """Which held, over all seeds."""
    found: dict[str, list[Precondition]] = {}
    for each in compared:
        for one in each.comparison.preconditions:
            found.setdefault(one.name, []).append(one)
    rows = []
    for name, of in found.items():
        values = "; ".join(dict.fromkeys(" / ".join(dict.fromkeys(one.values)) for one in of))
        short = values if len(values) <= _LONGEST else f"{values[:_LONGEST]}\N{HORIZONTAL ELLIPSIS}"
        rows.append([name, state(*_held(of)), element("span", short, class_="long")])
    return table(["", "", "of each run"], rows, "plain", named=True)


def _held(of: Sequence[Precondition]) -> tuple[Standing, str]:
    states = {one.held for one in of}
    if False in states:
        needed = any(one.needed for one in of if one.held is False)
        return ("bad", "differs") if needed else ("so", "differs, as it may")
    return ("so", "not recorded by all") if None in states else ("good", "held")


def environment(shown: ShownRuns) -> Markup:
    """Versions, devices, machine, threads and numerical settings: what is equal in all runs is there once."""
    parts: list[list[Mapping[str, str]]] = [
        [facts.over_sessions(run, "versions") for run in shown.runs],
        [{"devices": found[""]} if (found := facts.devices(run)) else {} for run in shown.runs],
        [facts.machine(run) for run in shown.runs],
        [_set(facts.over_sessions(run, "threads")) for run in shown.runs],
        [{name or "TF32": value for name, value in facts.numerics(run, "").items()} for run in shown.runs],
    ]
    return element("div", *(_side_by_side(shown, part) for part in parts if any(part)), class_="stack")


def _set(found: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in found.items() if value != facts.NONE}


def layers(shown: ShownRuns) -> Markup:
    """Those of the models: equal ones are there once."""
    found = [facts.layers(run) for run in shown.runs]
    keys = list(dict.fromkeys(name for of in found for name in of))
    if not keys:
        return joined()
    cut = [{name: of[name] for name in keys[:_MOST] if name in of} for of in found]
    left = len(keys) - _MOST
    more = [element("p", f"and {left} more, in experiment.json", class_="dim")] if left > 0 else []
    return element("details", element("summary", f"layers ({len(keys)})"), _side_by_side(shown, cut), *more)


def _side_by_side(shown: ShownRuns, found: Sequence[Mapping[str, str]]) -> Markup:
    keys = dict.fromkeys(name for of in found for name in of)
    rows = (element("tr", element("th", name, scope="row"), element("td", *_cell(shown, name, found))) for name in keys)
    return element("table", element("tbody", *rows), class_="plain framed")


def _cell(shown: ShownRuns, key: str, found: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """What all runs have once; else each value with the runs that have it."""
    having: dict[str, list[str]] = {}
    for name, of in zip(shown.names, found, strict=True):
        if key in of:
            having.setdefault(of[key], []).append(name)
    for at, (value, names) in enumerate(having.items()):
        if at:
            yield element("br")
        yield value
        if len(names) < len(found):
            yield joined(" ", dim(_listed(shown, names)))


def _listed(shown: ShownRuns, names: Sequence[str]) -> str:
    """A group of which all runs are there by its name."""
    of = dict(zip(shown.names, shown.groups, strict=True))
    whole = {group for group in shown.colours if all(name in names for name in of if of[name] == group)}
    words = list(dict.fromkeys(of[name] if of[name] in whole else name for name in names))
    return ", ".join(words) if len(words) <= 4 else f"{', '.join(words[:3])} and {len(words) - 3} more"
