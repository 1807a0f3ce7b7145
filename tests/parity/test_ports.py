"""The ports of the field's scripts: each works, as `multilearn run --quick` tries it, with one curve on all frameworks.

In forks of the warm processes, into a folder that is kept: what is written there is compared.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.environments import EXAMPLES
from support.processes import BACKENDS, Warm, epoch_values, on_each

PORTS = sorted((EXAMPLES / "ports").glob("*.py"))
SCRIPTS = [*PORTS, EXAMPLES / "language_model.py"]
"""With the miniature GPT, which has options of its own."""
PAIRS = list(itertools.combinations(BACKENDS, 2))
TOLERANCE = 1e-4
WIDER = {
    # Adam's first update moves every weight of the teacher by the whole rate, in the direction of its gradient: where
    # that is nothing but rounding, in either (with SGD the losses agree to 5e-5); the student learns from that teacher
    "distillation": 1e-3,
}
QUICKLY_COMPILED = "--xla_backend_optimization_level=0"
"""What JAX compiles here runs for two updates: compiling is most of it."""


@pytest.fixture(scope="module")
def tried(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Where each script, on each framework, has left what it wrote: `folder/script`."""
    folder = tmp_path_factory.mktemp("tried")

    def try_all(backend: str) -> Path:
        for script in SCRIPTS:
            own = folder / backend / script.stem
            own.mkdir(parents=True)
            variables = {"MULTILEARN_QUICK": str(own), "MULTILEARN_RENDERER": "silent"}
            if backend == "jax":
                variables["XLA_FLAGS"] = QUICKLY_COMPILED
            options = () if script in PORTS else ("--quick",)
            warm[backend].done(script, *options, **variables)
        return folder / backend

    return on_each(try_all)


def runs(folder: Path) -> list[Path]:
    """The directories of all runs in it, in one order on all frameworks."""
    return sorted(path.parent for path in folder.rglob("experiment.json"))


def fits(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "fits.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_fit_of_a_port_is_trained_saved_resumed_and_evaluated(tried: Mapping[str, Path], script: Path) -> None:
    for backend in BACKENDS:
        found = fits(tried[backend] / script.stem)
        assert found
        for fit in found:
            assert (fit["epochs"], fit["resumed"], fit["differs"]) == ([1, 2], 1, []), (backend, fit)
            assert math.isfinite(fit["evaluated"]["Loss"])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_port_has_the_same_curve_on_all_frameworks(tried: Mapping[str, Path], script: Path) -> None:
    tolerance = WIDER.get(script.stem, TOLERANCE)
    curves = {name: [epoch_values(run) for run in runs(tried[name] / script.stem)] for name in BACKENDS}
    for one, other in PAIRS:
        assert len(curves[one]) == len(curves[other]) > 0
        for values, others in zip(curves[one], curves[other], strict=True):
            assert list(values) == list(others)
            losses = {key: value for key, value in values.items() if key[1] == "Loss"}
            assert losses == pytest.approx({key: others[key] for key in losses}, rel=tolerance, abs=0), (one, other)


def test_every_port_is_listed_with_its_lines() -> None:
    page = (EXAMPLES.parent / "docs" / "examples.md").read_text(encoding="utf-8")
    rows = {line.split("](")[1].split(")")[0]: line for line in page.splitlines() if "](../examples/ports/" in line}
    assert sorted(rows) == [f"../examples/ports/{script.name}" for script in PORTS]
    for script in PORTS:
        lines = len(script.read_text(encoding="utf-8").splitlines())
        assert f" | {lines} | " in rows[f"../examples/ports/{script.name}"], script.name
        assert 40 <= lines <= 90
