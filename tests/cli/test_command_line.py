"""`multilearn` itself: help, version, mistyped options, and that nothing heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]

# To look whether a framework is there is allowed, and it is, here; to import it is not.
THERE = """
import sys
from importlib.machinery import ModuleSpec

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"keras", "torch", "tensorflow", "jax", "jaxlib", "multilearn_keras"}:
            return ModuleSpec(name, self, origin="blocked")

    def create_module(self, spec):
        raise SystemExit(f"{spec.name} was imported")

sys.meta_path.insert(0, Blocker())
from multilearn.cli import main

for words in sys.argv[1:]:
    sys.argv[1:] = words.split()
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""
# Where they are not to be found no process is started to ask for their devices.
NOT_THERE = THERE.replace('return ModuleSpec(name, self, origin="blocked")', "raise ModuleNotFoundError(name)")


@pytest.mark.parametrize(
    ("frameworks", "commands"),
    [
        (THERE, ["--help", "--version", "run --help", "run script.py -b alpha", "compare a b", "inspect a"]),
        (NOT_THERE, ["backends"]),
    ],
    ids=["there", "not there"],
)
def test_no_command_imports_a_framework(
    environment: Mapping[str, str], tmp_path: Path, write_run: Write, frameworks: str, commands: list[str]
) -> None:
    (tmp_path / "script.py").write_text("")
    for name in ("a", "b"):
        write_run(name, {"train/1/Loss": ["1.0,final"]})
    done = subprocess.run(
        [sys.executable, "-c", frameworks, *commands],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_help_names_every_command(multilearn: Command) -> None:
    done = multilearn("--help")
    listed = {line.split()[0] for line in done.stdout.partition("Commands")[2].splitlines()[1:] if line.strip()}
    assert {"run", "compare", "inspect", "backends"} <= listed
    assert done.returncode == 0


def test_version_is_the_installed_one(multilearn: Command) -> None:
    assert multilearn("--version").stdout == f"multilearn {version('multilearn-keras')}\n"


@pytest.mark.parametrize(
    ("arguments", "said"), [(["cmopare"], "cmopare"), (["compare", "--jsno"], "--jsno"), (["--verbose"], "--verbose")]
)
def test_a_mistyped_word_is_named(multilearn: Command, arguments: list[str], said: str) -> None:
    done = multilearn(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_reader_that_goes_away_gets_no_traceback(
    environment: Mapping[str, str], tmp_path: Path, write_run: Write
) -> None:
    files = {f"train/{epoch}/Loss": ["1.0,final"] for epoch in range(1, 400)}
    for name in ("a", "b"):
        write_run(name, files)
    with subprocess.Popen(
        [sys.executable, "-m", "multilearn", "compare", "a", "b", "--json"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
