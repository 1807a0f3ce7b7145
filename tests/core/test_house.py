"""The rules of the house: what the core may import, what it makes public, what its events may hold."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import subprocess
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

import multilearn
from multilearn import events
from multilearn.events import Position

PACKAGE = Path(multilearn.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

AT_IMPORT = {"numpy", "msgpack", "isal"}
ANYWHERE = AT_IMPORT | {"psutil", "pynvml", "pytest", "rich", "scipy", "tomli_w", "typer"}

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


def relative(source: Path) -> str:
    return source.relative_to(PACKAGE).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    """The top-level names of all that is imported below `tree`, under whatever condition, also by `import_module`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module.partition(".")[0]


def third_party(names: Iterator[str]) -> set[str]:
    return {name for name in names if name not in sys.stdlib_module_names and name != "multilearn"}


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


@pytest.mark.parametrize("source", SOURCES, ids=relative)
def test_no_module_of_the_core_names_a_framework_in_an_import(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    assert third_party(imports(tree)) <= ANYWHERE


def test_the_scan_for_imports_sees_every_way_to_write_one() -> None:
    source = """
import a.b as c, d
from e.f import g
from . import not_this
if TYPE_CHECKING:
    import h
def function():
    import i
    return import_module("j.k"), importlib.import_module("l"), __import__("m")
"""
    assert sorted(imports(ast.parse(source))) == list("adehijlm")


def test_what_keras_has_inside_is_named_where_it_is_allowed() -> None:
    spec = find_spec("multilearn_keras")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent

    def names_it(source: Path) -> bool:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    named = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module)) | ast.Constant(value=str(module)):
                    named = [module]
                case _:
                    continue
            if any(name.startswith("keras.src") for name in named):
                return True
        return False

    naming = {source.relative_to(package).as_posix() for source in package.rglob("*.py") if names_it(source)}
    assert {name for name in naming if not name.startswith("patches/")} == {
        "keras_internals.py",
        "engines/torch/update.py",
    }


@pytest.mark.usefixtures("isolated")
def test_no_framework_is_installed_where_the_core_is_tested() -> None:
    assert [name for name in ("torch", "tensorflow", "jax", "keras") if find_spec(name)] == []


def test_the_public_names_are_sorted_and_each_exists_and_is_documented() -> None:
    assert multilearn.__all__ == sorted(multilearn.__all__)
    assert {"DataLoader", "Learner", "LearnerBuilder", "set_seed"} <= set(multilearn.__all__)
    undocumented = [name for name in multilearn.__all__ if not inspect.getdoc(getattr(multilearn, name))]
    assert undocumented == []


@pytest.mark.parametrize("source", [source for source in SOURCES if source.name != "__main__.py"], ids=relative)
def test_every_module_with_more_than_a_docstring_lists_its_public_names(source: Path) -> None:
    parts = source.relative_to(PACKAGE.parent).with_suffix("").parts
    module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    if len(ast.parse(source.read_text(encoding="utf-8")).body) == 1:
        assert module.__doc__
        return
    assert len(set(module.__all__)) == len(module.__all__)
    assert [public for public in module.__all__ if not hasattr(module, public)] == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


EVENTS = typing.get_args(events.Event)
FACTS = [*EVENTS, events.MetricInfo, events.Reading, Position]
HOST_TYPES = {bool, int, float, str, types.NoneType, Path, events.Split, *FACTS}


def leaves(annotation: object) -> Iterator[object]:
    """The types a value of this annotation may be made of, whatever it is wrapped in."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType, tuple, Mapping}:
        for part in typing.get_args(annotation):
            if part is not Ellipsis:
                yield from leaves(part)
    else:
        yield annotation


@pytest.mark.parametrize("fact", [fact for fact in FACTS if fact is not events.Reading])
def test_events_are_frozen_and_have_slots(fact: type) -> None:
    assert dataclasses.is_dataclass(fact)
    assert set(fact.__dict__["__slots__"]) == {field.name for field in dataclasses.fields(fact)}
    unset = object.__new__(fact)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(unset, dataclasses.fields(fact)[0].name, 1)


@pytest.mark.parametrize("fact", FACTS)
def test_events_hold_host_values_only(fact: type) -> None:
    annotations = typing.get_type_hints(fact)
    assert {leaf for annotation in annotations.values() for leaf in leaves(annotation)} <= HOST_TYPES


def test_every_fact_that_the_events_module_declares_is_checked_here() -> None:
    declared = [found for name in events.__all__ if isinstance(found := getattr(events, name), type)]
    assert {fact for fact in declared if dataclasses.is_dataclass(fact)} | {events.Reading} == {*FACTS}
    assert issubclass(events.Reading, tuple)  # there is one for each metric in every batch
