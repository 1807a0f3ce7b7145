"""The rules of the house: what importing the core loads, and what it makes public."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

import multilearn

PACKAGE = Path(multilearn.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

AT_IMPORT = {"numpy", "msgpack", "isal"}

IMPORT_AND_REPORT = """
import sys
from importlib.machinery import ModuleSpec

# org: the standard library's pickle asks whether it runs on Jython
allowed = {*sys.stdlib_module_names, "multilearn", "org", *sys.argv[1:]}
attempted = []

class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        return None if top in allowed or top.startswith("_sysconfigdata") else ModuleSpec(name, self)

    def create_module(self, spec):
        attempted.append(spec.name)
        raise ImportError(f"{spec.name} is not for the core")

    def exec_module(self, module):
        pass

before = set(sys.modules)
sys.meta_path.insert(0, Blocker())
import multilearn
at_once = set(sys.modules) - before
for name in multilearn.__all__:
    getattr(multilearn, name)

# without a spec: what compiled modules put there for themselves
tops = {name.partition(".")[0] for name in set(sys.modules) - before if getattr(sys.modules[name], "__spec__", None)}
print("attempted", *sorted(attempted))
print("loaded", *sorted(tops - set(sys.stdlib_module_names) - {"multilearn"}))
print("at once", *sorted({name.partition(".")[0] for name in at_once} - set(sys.stdlib_module_names) - {"multilearn"}))
print("early", *sorted({"asyncio", "dataclasses", "email", "importlib.metadata", "inspect", "logging"} & at_once))
"""
EXTRAS = ("textual",)
"""What a module imports at its top that is there with an extra only; the session `core` has it."""


def test_importing_multilearn_loads_nothing_but_numpy_msgpack_and_isal() -> None:
    command = [sys.executable, "-c", IMPORT_AND_REPORT, *AT_IMPORT]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert said[0].split() == ["attempted"]
    assert set(said[1].split()[1:]) == AT_IMPORT
    # what is not used costs nothing: the names are imported when they are first asked for
    assert said[2:] == ["at once", "early"]


def test_every_public_name_is_there_is_listed_and_is_the_one_of_its_module() -> None:
    assert set(multilearn.__all__) <= set(dir(multilearn))
    star: dict[str, object] = {}
    exec("from multilearn import *", star)
    assert {name for name in star if name != "__builtins__"} == set(multilearn.__all__)
    assert all(getattr(multilearn, name) is star[name] for name in multilearn.__all__)
    from multilearn.learner.learner import Learner

    assert multilearn.Learner is Learner


def test_a_name_that_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match=r"module 'multilearn' has no attribute 'Lerner'"):
        _ = multilearn.Lerner  # type: ignore[attr-defined]
    assert not hasattr(multilearn, "loop_of_ones_own")


@pytest.mark.usefixtures("isolated")
def test_no_framework_is_installed_where_the_core_is_tested() -> None:
    assert [name for name in ("torch", "tensorflow", "jax", "keras") if find_spec(name)] == []


def test_the_public_names_are_sorted_and_each_exists_and_is_documented() -> None:
    assert multilearn.__all__ == sorted(multilearn.__all__)
    assert {"DataLoader", "Learner", "LearnerBuilder", "set_seed"} <= set(multilearn.__all__)
    undocumented = [name for name in multilearn.__all__ if not inspect.getdoc(getattr(multilearn, name))]
    assert undocumented == []


def test_every_module_with_more_than_a_docstring_lists_its_public_names() -> None:
    for source in SOURCES:
        if source.name == "__main__.py":
            continue
        parts = source.relative_to(PACKAGE.parent).with_suffix("").parts
        try:
            module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            continue
        if len(ast.parse(source.read_text(encoding="utf-8")).body) == 1:
            assert module.__doc__, module
            continue
        assert len(set(module.__all__)) == len(module.__all__), module
        assert [public for public in module.__all__ if not hasattr(module, public)] == [], module


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_what_is_no_python_is_installed_too() -> None:
    own = files("multilearn.commands.report")
    assert (
        all(own.joinpath(name).is_file() for name in ("report.css", "report.js"))
        and files("multilearn").joinpath("py.typed").is_file()
    )
