"""A matrix of environments for `test_model.py`: copy this folder, and run `nox`.

One environment per framework, with nothing else in it; the runs of all of them meet in `runs`, where each is compared
with those before it. `nox -s together` has all frameworks in one environment instead, and moves runs between them.
"""

from __future__ import annotations

import json
import os
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["clean", "alone"]

# How each framework is to be installed.
FRAMEWORKS = {"torch": "torch==2.13.0", "tensorflow": "tensorflow-cpu", "jax": "jax"}
RUNS = Path("runs").absolute()
# One thread each: several pools on few cores get in each other's way.
ENVIRONMENT = {"KERAS_BACKEND": None, "MULTILEARN_BACKEND": None, "OMP_NUM_THREADS": "1"}


@nox.session(venv_backend="none")
def clean(session: nox.Session) -> None:
    """Nothing is compared with the runs of an earlier matrix."""
    shutil.rmtree(RUNS, ignore_errors=True)


@nox.session
@nox.parametrize("framework", [nox.param(name, id=name) for name in FRAMEWORKS])
def alone(session: nox.Session, framework: str) -> None:
    """The model in an environment of one framework, against the runs of the others so far."""
    session.install(multilearn(), FRAMEWORKS[framework], "pytest")
    session.run("pytest", "-rs", "test_model.py", f"--multilearn-runs={RUNS}", *session.posargs, env=ENVIRONMENT)


@nox.session
def together(session: nox.Session) -> None:
    """The model on all frameworks at once."""
    session.install(multilearn(), *FRAMEWORKS.values(), "pytest")
    session.run("pytest", "-rs", "test_model.py", *session.posargs, env=ENVIRONMENT)


def multilearn() -> str:
    """What MULTILEARN says: a folder or a requirement; else what is installed beside nox; else what is published."""
    if asked := os.environ.get("MULTILEARN"):
        return f"multilearn-keras[keras] @ {Path(asked).resolve().as_uri()}" if Path(asked).exists() else asked
    try:
        origin = distribution("multilearn-keras").read_text("direct_url.json")
    except PackageNotFoundError:
        return "multilearn-keras[keras]"
    return f"multilearn-keras[keras] @ {json.loads(origin)['url']}" if origin else "multilearn-keras[keras]"
