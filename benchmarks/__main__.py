"""All benchmarks, or those that are asked for: `nox -s bench -- --help`."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from benchmarks.harness.arguments import FRAMEWORKS, TRAINING, Request, parsed
from benchmarks.harness.declared import frameworks_of
from benchmarks.harness.machine import machine, one_core, versions
from benchmarks.harness.plot import picture
from benchmarks.harness.processes import THREADS, Outcome, measured_in_a_process
from benchmarks.harness.report import case_lines, head, markdown, missed, training_lines
from benchmarks.harness.results import NAME, Results, merged, read, with_ratios, write
from benchmarks.training.workloads import BATCHES, MODELS

LONG = ("mlp", 64)
"""What is trained ten times as long too: there the whole fit counts, from its call to its return."""


def main() -> int:
    request = parsed(sys.argv[1:], tuple(MODELS), BATCHES)
    results: Results = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "threads": threads(one_core()),
        "quick": request.quick,
        "training": [],
        "cases": {},
    }
    print("\n".join(head(results)), flush=True)
    if importlib.util.find_spec("lightning") is None:
        print("lightning is not installed: it takes no part")
    failures = [*trained(request, results), *of_cases(request, results)]
    keep(request, results)
    lost, total, untold = missed(results)
    print(f"\n{total} goals, {len(lost)} missed, {untold} cannot be told")
    print("\n".join(f"  {line}" for line in lost))
    print("\n".join(f"FAILED {failure}" for failure in failures))
    refused = [row for row in results["training"] if row["refused"]]
    return 1 if failures or refused else 0


def threads(core: int | None) -> str:
    return f"OMP_NUM_THREADS={THREADS['OMP_NUM_THREADS']}, " + ("not pinned" if core is None else f"on core {core}")


def trained(request: Request, results: Results) -> Iterator[str]:
    """Fill in the rows of the training; what failed."""
    if TRAINING not in request.cases:
        return
    for framework in request.frameworks:
        for model in request.models:
            words = [f"{model}:{batch}:{'quick' if request.quick else 'full'}" for batch in request.batches]
            if not request.quick and model == LONG[0] and LONG[1] in request.batches:
                words.append(f"{model}:{LONG[1]}:long")
            done = measured_in_a_process("benchmarks.training", framework, *words)
            about = {key: results[key] for key in ("date", "quick")}
            rows = [with_ratios({**row, **about}) for row in done.found.get("rows", [])]
            for row in rows:
                print("\n".join(["", *training_lines(row)]), flush=True)
            results["training"] += rows
            if done.failure is not None:
                yield told(f"{TRAINING} {framework} {model}", done)
            keep(request, results)


def of_cases(request: Request, results: Results) -> Iterator[str]:
    """Fill in the rows of the other cases; what failed."""
    for case in request.cases:
        if case == TRAINING:
            continue
        declared = frameworks_of(case)
        for framework in [name for name in FRAMEWORKS if name in declared & set(request.frameworks)] or [None] * (
            not declared
        ):
            done = measured_in_a_process("benchmarks.harness.one", framework, case, *["quick"] * request.quick)
            if done.found:
                results["cases"].setdefault(case, {})[framework or ""] = done.found
                print("\n".join(["", *case_lines(case, framework or "", done.found)]), flush=True)
            if done.failure is not None:
                yield told(f"{case} {framework or ''}", done)
            keep(request, results)


def told(what: str, done: Outcome) -> str:
    print(f"\n{what}: {done.failure}", flush=True)
    return f"{what}: {str(done.failure).splitlines()[-1]}"


def keep(request: Request, results: Results) -> None:
    """On disk after each process: an hour is not lost to its last minute."""
    if request.output is None:
        return
    whole: dict[str, Any] = merged(read(request.output), results) if request.partial else results
    texts = (
        (NAME, json.dumps(whole, indent=1) + "\n"),
        ("RESULTS.md", markdown(whole)),
        ("results.svg", picture(whole)),
    )
    write(request.output, texts)


if __name__ == "__main__":
    sys.exit(main())
