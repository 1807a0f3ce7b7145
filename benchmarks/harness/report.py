"""Results as text: lines for the screen, tables for RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.harness.goals import holds
from benchmarks.harness.plot import PEERS
from benchmarks.harness.results import LEARNER, WAITED, Results, waiting

__all__ = ["case_lines", "figures_of", "head", "markdown", "missed", "training_lines"]


def head(results: Results) -> list[str]:
    """Machine, versions, threads."""
    machine = results["machine"]
    return [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}",
        f"Python {machine['python']}, "
        + ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
        f"one thread ({results['threads']}), {results['date']}, load at the start {machine['load']}",
    ]


def training_lines(row: Mapping[str, Any]) -> list[str]:
    """One line for each peer: its step, how many times that we take, the goal."""
    peers, goals = row["peers"], {goal["peer"]: goal for goal in row["goals"]}
    title = f"{row['framework']} {_what(row)}: {row['epochs']} epochs of {row['steps']} + {row['valid_steps']} batches"
    lines = [
        f"{title}{_busy(row)}",
        f"  {'':24} {'ms/step':>18} {'ratio':>6} {'cpu':>6} {'fit':>6} {'start-up':>9}  differs",
    ]
    for name, peer in peers.items():
        if "error" in peer:
            lines.append(f"  {name:24} {row['refused'][name]}")
            continue
        step = peer["step_ms"]
        taken = f"{step['median']:10.3f} ±{100 * step['spread']:4.1f} %"
        ratios = row["ratios"].get(name)
        if name == LEARNER:
            compared = " " * 20
        elif ratios is None:
            compared = f"{'no ratio':>20}"
        else:
            compared = f"{ratios['step']:6.2f} {ratios['cpu']:6.2f} {ratios['fit']:6.2f}"
        told = goals.get(name)
        why = f"  {row['refused'][name]}" if name in row["refused"] else ""
        goal = "" if told is None else f"  {_goal(told)}"
        differs = "" if peer["difference"] is None else f"{peer['difference']:.0e}"
        lines.append(f"  {name:24} {taken:>18} {compared} {peer['start_up_s']:8.2f}s {differs:>8}{goal}{why}")
    return lines


def case_lines(case: str, framework: str, found: Mapping[str, Any]) -> list[str]:
    """One line for each row of a case."""
    lines = [f"{case} {framework}".strip()]
    for name, row in found["rows"].items():
        texts = [f"{key} {value}" for key, value in _texts(row)]
        verdict = [
            f"{key} {goal[0]} {goal[1]:g}: {_word(holds(goal, row[key]))}"
            for key, goal in found["goals"].items()
            if isinstance(row, Mapping) and isinstance(row.get(key), (int, float))
        ]
        lines.append(f"  {name:40} {', '.join(texts)}{'  ' if verdict else ''}{'; '.join(verdict)}")
    return lines


def missed(results: Results) -> tuple[list[str], int, int]:
    """The goals that are not met, one line each; how many there are, and how many could not be told."""
    lines, total, untold = [], 0, 0
    for row in results["training"]:
        for goal in row["goals"]:
            total += 1
            untold += goal["met"] is None
            if goal["met"] is False:
                what = f"{row['framework']} {_what(row)}"
                lines.append(f"{what}: {goal['ratio']:.2f} of {goal['peer']}, at most {goal['at_most']:.2f}")
    for case, framework, name, key, goal, value in figures_of(results):
        total += 1
        if not holds(goal, value):
            lines.append(f"{case} {framework} {name}: {key} {value:g}, {goal[0]} {goal[1]:g}")
    return lines, total, untold


def figures_of(results: Results) -> Iterator[tuple[str, str, str, str, list[Any], float]]:
    """Those figures of other cases that have a goal."""
    for case, by_framework in results["cases"].items():
        for framework, found in by_framework.items():
            for name, row in found["rows"].items():
                for key, goal in found["goals"].items():
                    if isinstance(row, Mapping) and isinstance(row.get(key), (int, float)):
                        yield case, framework, name, key, goal, row[key]


def markdown(results: Results) -> str:
    """RESULTS.md."""
    lines = ["# Results", "", "Written by `nox -s bench`; [README.md](README.md) says what the figures mean.", ""]
    lines += [f"* {line}" for line in head(results)]
    lines += ["", "![ratios](results.svg)", ""]
    for framework in dict.fromkeys(row["framework"] for row in results["training"]):
        rows = [row for row in results["training"] if row["framework"] == framework]
        lines += [f"## Training on {framework}", "", *_ratio_table(rows), "", *_time_table(rows), ""]
    for case, by_framework in results["cases"].items():
        lines += [f"## {case.capitalize()}", ""]
        for framework, found in by_framework.items():
            lines += [*_case_table(framework, found), ""]
    lines += ["## Goals that are missed", ""]
    lost, total, untold = missed(results)
    lines += [f"* {line}" for line in lost] or ["None."]
    lines += ["", f"{len(lost)} of {total} goals; {untold} more cannot be told."]
    return "\n".join(lines) + "\n"


def _ratio_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    peers = [name for name in _peers(rows) if name != LEARNER]
    lines = ["Learner, as a multiple of what the peer takes:", ""]
    lines += _table_head(["", *peers])
    for row in rows:
        goals = {goal["peer"]: goal for goal in row["goals"]}
        cells = []
        for name in peers:
            ratios = row["ratios"].get(name)
            if ratios is None:
                cells.append("no ratio" if name in row["peers"] else "")
            elif name in goals:
                cells.append(f"{ratios['counted']:.2f} ({_word(goals[name]['met'])}: {goals[name]['at_most']:.2f})")
            else:
                cells.append(f"{ratios['counted']:.2f}")
        lines.append(_line([_what(row), *cells]))
    return lines


def _time_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["Milliseconds a step (and seconds of start-up):", "", *_table_head(["", *(peers := _peers(rows))])]
    for row in rows:
        cells = []
        for name in peers:
            peer = row["peers"].get(name)
            if peer is None or "error" in peer:
                cells.append("" if peer is None else "failed")
            else:
                cells.append(f"{peer['step_ms']['median']:.3g} ({max(0.0, peer['start_up_s']):.1f})")
        lines.append(_line([_what(row), *cells]))
    return lines


def _case_table(framework: str, found: Mapping[str, Any]) -> list[str]:
    rows = {name: dict(_texts(row)) for name, row in found["rows"].items()}
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = _table_head([framework, *columns])
    lines += [_line([name, *(row.get(key, "") for key in columns)]) for name, row in rows.items()]
    goals = [f"{key} {goal[0]} {goal[1]:g}" for key, goal in found["goals"].items()]
    return [*lines, *(["", f"Goals: {', '.join(goals)}."] if goals else [])]


def _texts(row: Any) -> Iterator[tuple[str, str]]:
    """The figures of a row as words; one that is a number alone is its value."""
    for key, value in (row if isinstance(row, Mapping) else {"value": row}).items():
        if isinstance(value, Mapping):
            yield from ((f"{key} {inner}", text) for inner, text in _texts(value))
        else:
            yield str(key), f"{value:.4g}" if isinstance(value, float) else str(value)


def _peers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those that took part: ours, then in the order of the plot, then the rest."""
    found = dict.fromkeys(name for row in rows for name in row["peers"])
    ordered = [LEARNER, *PEERS]
    return [*(name for name in ordered if name in found), *(name for name in found if name not in ordered)]


def _table_head(names: Iterable[str]) -> list[str]:
    names = list(names)
    return [_line(names), "|" + "---|" * len(names)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _what(row: Mapping[str, Any]) -> str:
    kind = " long, whole fit" if row["long"] else " quick" if row.get("quick") else ""
    return f"{row['model']} {row['batch']}{kind}"


def _goal(told: Mapping[str, Any]) -> str:
    reached = "" if told["ratio"] is None else f"{told['ratio']:.2f} of "
    return f"{reached}at most {told['at_most']:.2f}: {_word(told['met'])}"


def _word(met: bool | None) -> str:
    return "not told" if met is None else "met" if met else "missed"


def _busy(row: Mapping[str, Any]) -> str:
    """A warning where the core was shared."""
    most = max((waiting(peer) for peer in row["peers"].values() if "error" not in peer), default=0)
    if most <= WAITED:
        return ""
    return f"  (up to {most:.1f} times its processor time: goals of such peers are judged by the ratio cpu)"
