"""What a case says of itself, read without running it."""

from __future__ import annotations

import ast
from pathlib import Path

from benchmarks.harness.arguments import FRAMEWORKS

__all__ = ["frameworks_of"]

HERE = Path(__file__).resolve().parents[1]


def frameworks_of(case: str) -> set[str]:
    """Its `FRAMEWORKS`, by default all; empty where it needs none."""
    for statement in ast.parse((HERE / f"{case}.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "FRAMEWORKS" for target in statement.targets
        ):
            return set(ast.literal_eval(statement.value))
    return set(FRAMEWORKS)
