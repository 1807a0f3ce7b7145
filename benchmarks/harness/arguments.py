"""What is asked for on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["FRAMEWORKS", "TRAINING", "Request", "known_cases", "parsed"]

FRAMEWORKS = ("torch", "tensorflow", "jax")
T = TypeVar("T")

TRAINING = "training"
QUICK_BATCH = 64
HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Request:
    """Which cases, on which frameworks; of the training, which models at which batch sizes."""

    cases: tuple[str, ...]
    frameworks: tuple[str, ...]
    models: tuple[str, ...]
    batches: tuple[int, ...]
    quick: bool
    output: Path | None
    """Where results are written; None: nowhere."""
    partial: bool
    """Not everything: what is not measured again stays in the results."""


def known_cases() -> tuple[str, ...]:
    """The training, and the files next to this package."""
    files = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    return (TRAINING, *files)


def parsed(arguments: Sequence[str], models: Sequence[str], batches: Sequence[int]) -> Request:
    """The request that `arguments` make. Ends the program, naming what is known, where they are none.

    >>> parsed(["training", "--model", "mlp"], ("mlp", "cnn"), (16, 64)).batches
    (16, 64)
    """
    cases = known_cases()
    parser = argparse.ArgumentParser(prog="nox -s bench --", description="Benchmarks, each in processes of one thread.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"any of {', '.join(cases)}; default: all")
    parser.add_argument("--framework", action="append", choices=FRAMEWORKS, help="may be given several times")
    parser.add_argument("--model", action="append", choices=models, help=f"of {TRAINING}, may be given several times")
    parser.add_argument("--batch", action="append", type=int, choices=batches, help=f"of {TRAINING}, likewise")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a look, in minutes: batch size {QUICK_BATCH}, few epochs; written only where --output says",
    )
    parser.add_argument("--output", type=Path, help="a directory for results.json, RESULTS.md and results.svg")
    found = parser.parse_args(arguments)
    for case in found.cases:
        if case not in cases:
            parser.error(f"There is no case {case!r}. Known: {', '.join(cases)}.")
    if (found.model or found.batch) and found.cases not in ([], [TRAINING]):
        parser.error(f"--model and --batch are of {TRAINING}. Received with: {', '.join(found.cases)}.")
    if found.output is not None and not found.output.is_dir():
        parser.error(f"--output must be a directory that is there. Received: {str(found.output)!r}.")
    chosen = found.cases or ([TRAINING] if found.model or found.batch else cases)
    sizes = [QUICK_BATCH] if found.quick and found.batch is None else found.batch
    return Request(
        tuple(dict.fromkeys(chosen)),
        _in_order(found.framework, FRAMEWORKS),
        _in_order(found.model, models),
        _in_order(sizes, batches),
        found.quick,
        found.output or (None if found.quick else HERE),
        bool(found.cases or found.framework or found.model or sizes),
    )


def _in_order(asked: Sequence[T] | None, known: Sequence[T]) -> tuple[T, ...]:
    return tuple(each for each in known if asked is None or each in asked)
