"""`multilearn run --screen`: one cell, whose script has the terminal for itself."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from multilearn.commands.grid.plan import GridPlan
from multilearn.environment_variables import RENDERER
from multilearn.errors import ConfigurationError
from multilearn.renderers.choice import require_screen

__all__ = ["run_on_screen"]


def run_on_screen(plan: GridPlan, as_json: bool) -> NoReturn:
    """Become the process of the script, with its keys, signals and exit code: nothing stands between it and the
    terminal. Raises `ConfigurationError` unless it is one process, and has what the screen needs."""
    cell = plan.cells[0]
    environments = [] if plan.ray is not None else plan.environments(cell)
    several = [
        *(["--seeds"] if plan.grid is not None else []),
        *([f"{len(plan.cells)} cells"] if len(plan.cells) > 1 else []),
        *(["--ray"] if plan.ray is not None else []),
        *(["--quick"] if plan.quick else []),
        *([f"{len(environments)} processes"] if len(environments) > 1 else []),
        *(["--json"] if as_json else []),
    ]
    if several:
        raise ConfigurationError(
            "The screen shows the run of one process.",
            received=f"--screen with {' and '.join(several)}",
            remedy="Choose one backend and one seed, or leave out --screen, and use multilearn watch DIR.",
        )
    require_screen()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, plan.command(), {**environments[0], RENDERER: "screen"})
