"""The process of one case on one framework.

python -m benchmarks.harness.one FRAMEWORK OUT.json CASE [quick]
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness.machine import versions


def main(framework: str, out: str, case: str, *options: str) -> None:
    # a case is a script as well, and finds its framework where its user writes it
    sys.argv = [f"benchmarks/{case}.py", framework]
    module = importlib.import_module(f"benchmarks.{case}")
    # a case that has no short form is run as it is
    takes_quick = "quick" in inspect.signature(module.main).parameters
    rows: dict[str, Any] = module.main(**({"quick": True} if "quick" in options and takes_quick else {}))
    Path(out).write_text(json.dumps({"rows": rows, "goals": getattr(module, "GOALS", {}), "versions": versions()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
