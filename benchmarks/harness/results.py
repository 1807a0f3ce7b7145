"""What was measured, as one file: results.json."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.figures import ratio
from benchmarks.harness.goals import verdicts

__all__ = ["LEARNER", "NAME", "WAITED", "Results", "merged", "read", "waiting", "with_ratios", "write"]

NAME = "results.json"
LEARNER = "learner"
OWN = ("learner", "capture=False", "compile=xla")
"""The peers that are ours."""

TOLERANCES = {("tensorflow", "keras fit", "lstm"): 5e-2, ("tensorflow", "keras fit", "transformer"): 5e-2}
"""Where Keras is known to compute something else: README.md says what."""

TOLERANCE = 1e-3
"""How far, relatively, the losses of a peer may be from those of the loop over the first epoch."""
LONG_TOLERANCE = 1e-2
"""The same over a long one: there rounding alone takes torch's fused Adam 2e-3 from torch's other one."""

WAITED = 1.1
"""Times of the clock over times of the processor, from where on the core was not a process' own."""

Results = dict[str, Any]


def with_ratios(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the training, with how many times what each peer takes we take, and what the goals say of it.

    No ratio to a peer that failed or did other work; none at all where ours did.
    """
    refused = {name: why for name in row["peers"] if (why := _refused(row, name))}
    if LEARNER in refused:
        refused = {name: refused.get(name, f"{LEARNER}: {refused[LEARNER]}") for name in row["peers"]}
    ours = row["peers"][LEARNER]
    kind = "fit" if row["long"] else "step"
    ratios = {
        name: _ratios(ours, peer, kind)
        for name, peer in row["peers"].items()
        if name not in refused and name != LEARNER
    }
    told = {name: ratios.get(name, {}).get("counted") for name in row["peers"] if name not in OWN}
    goals = [
        {"peer": v.peer, "at_most": v.goal.at_most, "ratio": v.ratio, "met": v.met}
        for v in verdicts(row["framework"], row["model"], told)
    ]
    return {**row, "refused": refused, "ratios": ratios, "goals": goals}


def _refused(row: Mapping[str, Any], name: str) -> str | None:
    peer = row["peers"][name]
    if "error" in peer:
        return f"failed: {str(peer['error']).strip().splitlines()[-1]}"
    usual = LONG_TOLERANCE if row["long"] else TOLERANCE
    allowed = TOLERANCES.get((row["framework"], name, row["model"]), usual)
    if peer["difference"] is None:
        return "nothing to compare its losses with"
    if not peer["difference"] <= allowed:
        return f"other losses: apart by {peer['difference']:.1e}, allowed {allowed}"
    return None


def _ratios(ours: Mapping[str, Any], peer: Mapping[str, Any], kind: str) -> dict[str, float]:
    """`counted`: of the clock's times; of the processor's where either had to wait for it, or for something else."""
    found = {
        "step": ratio(ours["step_ms"]["median"], peer["step_ms"]["median"]),
        "cpu": ratio(ours["cpu_step_ms"]["median"], peer["cpu_step_ms"]["median"]),
        "fit": ratio(ours["fit_s"], peer["fit_s"]),
        "cpu_fit": ratio(ours["cpu_fit_s"], peer["cpu_fit_s"]),
    }
    by_clock, by_processor = ("fit", "cpu_fit") if kind == "fit" else ("step", "cpu")
    found["counted"] = found[by_processor if max(waiting(ours), waiting(peer)) > WAITED else by_clock]
    return {name: round(value, 3) for name, value in found.items()}


def waiting(peer: Mapping[str, Any]) -> float:
    """How many times its processor time a step took."""
    return ratio(peer["step_ms"]["median"], peer["cpu_step_ms"]["median"])


def merged(old: Results, new: Results) -> Results:
    """`new`, and of `old` what was not measured again, judged by the goals of today, as long as machine and versions
    are the same.
    """
    if not old or _where(old) != _where(new):
        return new
    rows = {_key(row): with_ratios(row) for row in (*old["training"], *new["training"])}
    cases = {
        name: {**old["cases"].get(name, {}), **new["cases"].get(name, {})} for name in {**old["cases"], **new["cases"]}
    }
    return {**new, "training": [rows[key] for key in sorted(rows, key=_place)], "cases": cases}


def _where(results: Results) -> list[Any]:
    return [results["versions"], *(results["machine"].get(key) for key in ("processor", "cores", "python"))]


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["framework"], row["model"], row["batch"], row["long"]


def _place(key: tuple[Any, ...]) -> tuple[Any, ...]:
    frameworks, models = ("torch", "tensorflow", "jax"), ("mlp", "cnn", "lstm", "transformer", "resnet")
    return frameworks.index(key[0]), models.index(key[1]), key[3], key[2]


def read(directory: Path) -> Results:
    """What is there, or nothing."""
    try:
        found: Results = json.loads((directory / NAME).read_text())
    except FileNotFoundError:
        return {}
    return found


def write(directory: Path, files: Iterable[tuple[str, str]]) -> None:
    """Each whole, whatever happens meanwhile."""
    for name, text in files:
        temporary = directory / f".{name}.part"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, directory / name)
