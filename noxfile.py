"""`nox -s demo` shows what this is for, `nox -s tests` is all that must pass; `nox -R -s core` reruns a part of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"  # it unpacks pip in a second, which venv takes eight for
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
BACKENDS = tuple(PROJECT["project"]["entry-points"]["multilearn.backends"])
EXTRAS = tuple(PROJECT["project"]["optional-dependencies"])

# Nothing of the caller's choices leaks in, and two busy OpenMP pools on two cores make a step 10 to 20 times slower.
# What pip has not compiled is kept once it is: every process would compile all that it imports, for seconds.
ENVIRONMENT = {
    "KERAS_BACKEND": None,
    "MULTILEARN_BACKEND": None,
    "MULTILEARN_DEVICES": None,
    "MULTILEARN_RENDERER": None,
    "MULTILEARN_SEED": None,
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": None,
    "PYTHONPATH": None,
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# Two processes, each with whole files: a framework is imported twice, and fixtures of a module are made once. The order
# is that of tests/conftest.py; else files of few tests come last, and while a long one lasts, one process has nothing.
BY_FILE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")

# pip would compile all modules of the frameworks, for minutes: the few that are imported are compiled then.
UNCOMPILED = ("--no-compile",)

# Installed where it builds: pip would make an environment for each build, which takes it longer than the build.
BUILDS = PROJECT["build-system"]["requires"]

# What of each extra is imported to see that it is there.
MODULES = {
    **{"keras": "h5py, ml_dtypes", "torch": "torch", "tensorflow": "tensorflow", "jax": "jax", "ray": "ray.train"},
    **{"nvidia": "pynvml", "safetensors": "safetensors", "tensorboard": "tensorboardX", "mlflow": "mlflow, alembic"},
    **{"wandb": "wandb", "trackio": "trackio", "screen": "textual", "stats": "scipy", "images": "PIL"},
    **{"plot": "matplotlib"},
}

# Seconds for one test where it may train for hours: what hangs is ended all the same.
FOR_HOURS = ("--timeout", "14400", "-o", "faulthandler_timeout=15000")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """All that must pass."""
    for name in ["lint", "types", "core", "docs", "package(wheel)", *(f"backend({one})" for one in BACKENDS), "parity"]:
        session.notify(name)


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """One script on two frameworks, a run moved from one to the other, and the three compared."""
    first, second = shown = ("torch", "tensorflow")
    install(session, "examples", *shown, extra="keras")

    def train(*names: str, options: tuple[str, ...] = ()) -> None:
        backends = [option for name in names for option in ("--backend", name)]
        session.run("multilearn", "run", "examples/digits.py", *backends, "--", *options, env=ENVIRONMENT)

    begun, moved = f"runs/digits-begun-on-{first}", f"runs/digits-moved-to-{second}"
    train(*shown)
    train(first, options=("--directory", begun, "--epochs", "4"))
    train(second, options=("--directory", moved, "--from", begun))
    runs = [*(f"runs/digits-{name}" for name in shown), moved]
    session.run("multilearn", "compare", *runs, "--tolerance", "1e-4", env=ENVIRONMENT)


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Style, docstrings, no framework in the core, and no import that climbs from a folder to one above it."""
    session.install(*UNCOMPILED, *requirements("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", env={"PYTHONPATH": os.pathsep.join([".", "backends"])})


@nox.session(default=False)
def types(session: nox.Session) -> None:
    """Static types."""
    install(session, "types")
    session.run("mypy", *session.posargs)


@nox.session(default=False)
def core(session: nox.Session) -> None:
    """The core, the command line and the examples in docstrings, with no framework installed."""
    install(session, "test")
    session.run("pytest", "--doctest-modules", "multilearn", env=ENVIRONMENT)
    session.run("pytest", "--isolated", *BY_FILE, *session.posargs, env=ENVIRONMENT)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """The documentation site, in ./site: no link of it leads nowhere, and no page loads anything from the network."""
    session.install(*UNCOMPILED, *requirements("docs"))
    session.run("python", "tools/site/build.py", env=ENVIRONMENT)


@nox.session(default=False)
@nox.parametrize("framework", [nox.param(name, id=name) for name in BACKENDS])
def backend(session: nox.Session, framework: str) -> None:
    """What every backend must do, with only its framework installed."""
    install(session, "test", framework, extra="keras")
    chosen = {"MULTILEARN_BACKEND": framework, "KERAS_BACKEND": framework}
    paths = session.posargs or ["tests/contract"]
    with compiled_once() as kept:
        session.run("pytest", "--isolated", *BY_FILE, *paths, env={**ENVIRONMENT, **chosen, **kept})
    if framework == BACKENDS[0] and not session.posargs:
        session.run("pytest", "-rP", "tests/long/kills/test_kills.py", "--kills", "6", env={**ENVIRONMENT, **chosen})


@nox.session(default=False)
def faults(session: nox.Session) -> None:
    """Runs that are killed 200 times, disks that are full, files that are damaged: long, and not what must pass."""
    install(session, "test", *BACKENDS, extra="keras")
    for name in ("toy", *BACKENDS):
        chosen = {**ENVIRONMENT, "MULTILEARN_BACKEND": name}
        session.run("pytest", "-rP", "tests/long/kills", "--kills", "50", *FOR_HOURS, *session.posargs, env=chosen)


@nox.session(default=False)
@nox.parametrize("frameworks", [*(nox.param([name], id=name) for name in BACKENDS), nox.param(BACKENDS, id="compared")])
def zoo(session: nox.Session, frameworks: Sequence[str]) -> None:
    """Models of `keras.applications` and keras-hub against Keras' own fit, and compared: not among what must pass."""
    install(session, "test", "zoo", *frameworks, extra="keras")
    session.install(*UNCOMPILED, "--no-deps", *requirements("zoo-alone"))
    if len(frameworks) > 1:
        chosen, paths = {}, ["tests/long/zoo/compared"]
    else:
        chosen = {"MULTILEARN_BACKEND": frameworks[0], "KERAS_BACKEND": frameworks[0]}
        paths = ["tests/long/zoo", "--ignore", "tests/long/zoo/compared"]
    session.run("pytest", "-rP", *FOR_HOURS, *(session.posargs or paths), env={**ENVIRONMENT, **chosen})


@nox.session(default=False)
def mutation(session: nox.Session) -> None:
    """10,000 mutated files, and gigabytes in a few megabytes, to everything that reads them, and thousands of programs
    made at random to the graphs of torch: half an hour.
    """
    framework = BACKENDS[0]
    install(session, "test", framework, extra="keras")
    many = {**ENVIRONMENT, "MULTILEARN_MUTATIONS": "10000"}
    session.run("pytest", *BY_FILE, *FOR_HOURS, *(session.posargs or ["tests/long/mutation"]), env=many)
    chosen = {"MULTILEARN_BACKEND": framework, "KERAS_BACKEND": framework}
    at_random = ("weights/test_damaged_weights", "engines/test_captured_graphs")
    session.run("pytest", *FOR_HOURS, *(f"tests/contract/{file}.py" for file in at_random), env={**many, **chosen})


@nox.session(default=False)
def screen(session: nox.Session) -> None:
    """The whole screen on a terminal of tmux, and the ways in which it ends: minutes, not in `tests`."""
    install(session, "test")
    session.run("pytest", "-rP", *(session.posargs or ["tests/long/screen"]), env=ENVIRONMENT)


@nox.session(default=False)
@nox.parametrize("framework", [nox.param(name, id=name) for name in BACKENDS])
def resume(session: nox.Session, framework: str) -> None:
    """Many kinds of runs, interrupted at many places, on one framework and on the toy: minutes, not in `tests`."""
    install(session, "test", framework, extra="keras")
    chosen = {"MULTILEARN_BACKEND": framework, "KERAS_BACKEND": framework}
    session.run("pytest", *FOR_HOURS, *(session.posargs or ["tests/long/resume"]), env={**ENVIRONMENT, **chosen})
    more = {"MULTILEARN_RESUME_EXAMPLES": "500"}
    session.run("pytest", *FOR_HOURS, "tests/core/run/test_exact_resume.py", env={**ENVIRONMENT, **more})


@nox.session(default=False)
def parity(session: nox.Session) -> None:
    """The backends against each other, all in one environment and each in its own process."""
    install(session, "test", *BACKENDS, extra="keras")
    with compiled_once() as kept:
        session.run("pytest", *BY_FILE, *(session.posargs or ["tests/parity"]), env={**ENVIRONMENT, **kept})


@nox.session(default=False)
def moving(session: nox.Session) -> None:
    """Models under all optimizers, trained on each framework and on with on each: half an hour of one core."""
    install(session, "test", *BACKENDS, extra="keras")
    session.run("pytest", "-rP", *FOR_HOURS, *(session.posargs or ["tests/long/moves"]), env=ENVIRONMENT)


@nox.session(default=False)
def gates(session: nox.Session) -> None:
    """How long the frameworks stay together, over 200 and 2,000 updates of models of all kinds: hours."""
    install(session, "test", *BACKENDS, extra="keras")
    session.run("pytest", "-rP", *FOR_HOURS, *(session.posargs or ["tests/long/gates"]), env=ENVIRONMENT)


@nox.session(default=False)
def devices(session: nox.Session) -> None:
    """Models over 200 updates on 1, 2 and 4 devices of each framework: hours."""
    install(session, "test", *BACKENDS, extra="keras")
    session.run("pytest", "-rP", *FOR_HOURS, *(session.posargs or ["tests/long/devices"]), env=ENVIRONMENT)


@nox.session(default=False)
def ray(session: nox.Session) -> None:
    """Jobs of a local Ray cluster, of which workers are killed: minutes, not in `tests`."""
    framework = BACKENDS[0]
    install(session, "test", "ray", framework, extra="keras")
    session.run("pytest", "-rP", *(session.posargs or ["tests/long/ray"]), env={**ENVIRONMENT, "RAY_ADDRESS": None})


@nox.session(default=False)
def trackers(session: nox.Session) -> None:
    """TensorBoard, MLflow, Weights & Biases (offline) and Trackio themselves, on the toy: minutes, not in `tests`."""
    install(session, "test", "trackers")
    session.run("pytest", "-rP", *(session.posargs or ["tests/long/trackers"]), env=ENVIRONMENT)


@nox.session(default=False)
def notebook(session: nox.Session) -> None:
    """Runs in the kernel of a notebook, and figures by matplotlib, on the toy: not in `tests`."""
    install(session, "test", "notebook", extra="plot")
    paths = ["tests/long/notebook", "tests/core/renderers/test_notebook.py", "tests/core/plots/test_figure.py"]
    session.run("pytest", "-rP", *(session.posargs or paths), env=ENVIRONMENT)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Reports and ./site in Chromium (Debian's package chromium): nothing is said on its console."""
    install(session, "test")
    session.run("pytest", "-rP", *(session.posargs or ["tests/long/browser"]), env=ENVIRONMENT)


@nox.session(default=False)
@nox.parametrize("keras", [nox.param(version, id=version or "newest") for version in ("3.12", "3.13", "3.14", "")])
def keras_versions(session: nox.Session, keras: str) -> None:
    """The portable draws and a resumed run on an older Keras: `nox -s "keras_versions(3.12)" -- [framework]`."""
    (framework,) = session.posargs or ["torch"]
    install(session, "test", framework, extra="keras")
    session.install(*UNCOMPILED, "--upgrade", f"keras~={keras}.0" if keras else "keras")
    session.run("python", "-c", "import keras; print('Keras', keras.__version__)", env={"KERAS_BACKEND": framework})
    chosen = {"MULTILEARN_BACKEND": framework, "KERAS_BACKEND": framework}
    files = ("random/test_random", "random/test_streams_of_bits", "engines/test_fit", "test_examples")
    session.run("pytest", *(f"tests/contract/{file}.py" for file in files), env={**ENVIRONMENT, **chosen})


@nox.session(default=False, python=["3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """The core, and training on one framework, on newer Pythons than that of the other sessions: not in `tests`."""
    (framework,) = session.posargs or ["jax"]
    install(session, "test", framework, extra="keras")
    session.run("pytest", *BY_FILE, env=ENVIRONMENT)
    chosen = {"MULTILEARN_BACKEND": framework, "KERAS_BACKEND": framework}
    session.run("pytest", *BY_FILE, "tests/contract", env={**ENVIRONMENT, **chosen})


@nox.session(default=False)
def randomness(session: nox.Session) -> None:
    """TestU01's SmallCrush over the random bits; writes docs/randomness_report.md. Needs Debian's libtestu01-0."""
    install(session, "jax", extra="keras")
    session.run("python", "tools/small_crush.py", *session.posargs, env={**ENVIRONMENT, "KERAS_BACKEND": "jax"})


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """What training costs, next to its peers: `nox -s bench -- training --framework torch --model mlp`, or `--help`."""
    install(session, "bench", *BACKENDS, extra="keras")
    session.run("python", "-m", "benchmarks", *session.posargs, env=ENVIRONMENT)


@nox.session(default=False, reuse_venv=False)
@nox.parametrize("extra", [nox.param(None, id="wheel"), *(nox.param(name, id=name) for name in EXTRAS)])
def package(session: nox.Session, extra: str | None) -> None:
    """The built wheel against tests of the built sdist, where the checkout is out of reach; and the wheel with each
    extra, in an environment of its own, for minutes: `nox -s "package(torch)"` is one of them.
    """
    session.install(*UNCOMPILED, *BUILDS, *requirements("package"))
    with tempfile.TemporaryDirectory() as outside:
        session.run("python", "-m", "build", "--no-isolation", "--outdir", outside, silent=True)
        (wheel,), (sdist,) = Path(outside).glob("*.whl"), Path(outside).glob("*.tar.gz")
        if extra is not None:
            extra_of_wheel(session, wheel, extra)
            return
        session.run("twine", "check", "--strict", str(wheel), str(sdist))
        session.install(*UNCOMPILED, str(wheel))
        shutil.unpack_archive(sdist, outside)
        unpacked = Path(outside, sdist.name.removesuffix(".tar.gz"))
        for source in ("multilearn", "backends"):
            shutil.rmtree(unpacked / source)
        with session.chdir(unpacked):
            # the others would say of the same code what they said in the session core
            paths = ("tests/core/test_house.py", "tests/core/learner/test_learner.py")
            session.run("pytest", "--isolated", *paths, env=ENVIRONMENT)
            session.run("multilearn", "--help", silent=True, env=ENVIRONMENT)
            session.run("multilearn", "backends", env=ENVIRONMENT)


def extra_of_wheel(session: nox.Session, wheel: Path, extra: str) -> None:
    """What `pip install "multilearn-keras[extra]"` makes of an environment: it agrees with itself, and works."""
    name, version = PROJECT["project"]["name"], PROJECT["project"]["version"]
    pinned = [each for each in requirements(extra) if "==" in each] if extra in PROJECT["dependency-groups"] else []
    asked = [f"--find-links={wheel.parent}", f"{name}[{extra}]=={version}", *pinned]
    session.install(*UNCOMPILED, *asked)
    session.run("python", "-m", "pip", "check")
    with session.chdir(wheel.parent):
        session.run("python", "-c", f"import {MODULES[extra]}", env=ENVIRONMENT)
        if extra in BACKENDS:
            session.install(*UNCOMPILED, *requirements("examples"))
            script = Path(__file__).parent / "examples/digits.py"
            session.run("multilearn", "run", "--quick", str(script), "--backend", extra, env=ENVIRONMENT)


@contextmanager
def compiled_once() -> Iterator[dict[str, str]]:
    """The variables by which JAX compiles what several tests and their processes run a single time, for a session."""
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "JAX_COMPILATION_CACHE_DIR": folder,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        }


def install(session: nox.Session, *groups: str, extra: str | None = None) -> None:
    """The dependency groups, and the checkout, editable, with what it asks for."""
    project = PROJECT["project"]
    asked = [*project["dependencies"], *(project["optional-dependencies"][extra] if extra else ())]
    session.install(*UNCOMPILED, *BUILDS, *asked, *requirements(*groups))
    # what it asks for is there; to look for it once more takes seconds
    session.install(*UNCOMPILED, "--no-deps", "--no-build-isolation", "-e", ".")


def requirements(*groups: str) -> tuple[str, ...]:
    """What `pyproject.toml` lists in these dependency groups."""
    return nox.project.dependency_groups(PROJECT, *groups)
