"""The tree and what keeps it readable: folders, sizes, names, words."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").is_file())
PACKAGES = (ROOT / "multilearn", ROOT / "backends/multilearn_keras", ROOT / "backends/multilearn_ray")
SOURCES = [source for package in PACKAGES for source in sorted(package.rglob("*.py"))]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

WORDS = re.compile(
    r"\b(anew|told|aloud|nobody|somebody|whoever|one's own|g(?:o|oes|oing|one) on with|in vain|left aside"
    r"|leaves? (?:it|them) aside|own affair)\b",
    re.IGNORECASE,
)
INSIDE_OF_KERAS = {"keras_internals.py", "engines/torch/update.py"}
ENVIRONMENT = "multilearn/environment_variables.py"


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def folders() -> list[Path]:
    return sorted({source.parent for source in SOURCES})


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def rows() -> dict[str, tuple[str, int]]:
    """The table of CONTRIBUTING.md: what is in a folder, and how many lines at most, by its path."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.findall(
        r"^\| `((?:multilearn|backends/multilearn_(?:keras|ray))[\w/]*)/` \| (.+?) \| ([\d,]+) \|$", text, re.M
    )
    return {path: (line, int(most.replace(",", ""))) for path, line, most in found}


@cache
def nodes(source: Path) -> list[ast.AST]:
    """The string constants and the classes of a module."""
    tree = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    return [node for node in tree if isinstance(node, (ast.ClassDef, ast.Constant))]


def strings(source: Path) -> Iterator[tuple[int, str]]:
    for node in nodes(source):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_the_table_of_folders_is_the_tree() -> None:
    assert list(rows()) == sorted(named(folder) for folder in folders())
    assert all(line.strip(" .") for line, _ in rows().values())


def test_a_folder_has_no_more_lines_than_the_table_says() -> None:
    most = {path: limit for path, (_, limit) in rows().items()}
    found = {named(folder): sum(map(lines, folder.glob("*.py"))) for folder in folders()}
    assert {path: (count, most[path]) for path, count in found.items() if count > most[path]} == {}


def test_a_folder_can_be_overlooked() -> None:
    found = {folder: len(list(folder.glob("*.py"))) for folder in folders()}
    assert {folder: count for folder, count in found.items() if count > (12 if folder in PACKAGES else 18)} == {}


def test_a_module_has_at_most_250_lines() -> None:
    found = {named(source): lines(source) for source in SOURCES}
    assert {path: count for path, count in found.items() if count > 250} == {}


def test_a_public_class_name_is_the_name_of_one_class() -> None:
    found = defaultdict(list)
    for source in SOURCES:
        for node in nodes(source):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(named(source))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_what_keras_has_inside_is_used_in_few_places() -> None:
    package = PACKAGES[1]
    used = {
        source.relative_to(package).as_posix()
        for source in SOURCES
        if re.search(r"""(?:from |import |["'])keras\.src""", source.read_text())
    }
    assert {name for name in used if not name.startswith("patches/")} <= INSIDE_OF_KERAS


def test_the_variables_of_the_environment_are_read_in_one_module() -> None:
    reading = {
        named(source)
        for source in SOURCES
        if any(re.fullmatch(r"MULTILEARN_[A-Z]+", text) for _, text in strings(source))
    }
    assert reading == {ENVIRONMENT}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    return strings(path) if path.suffix == ".py" else enumerate(path.read_text(encoding="utf-8").splitlines(), 1)


def test_words_are_those_of_the_field() -> None:
    paths = [*SOURCES, *DOCUMENTS]
    assert [
        (named(path), number, found[0])
        for path in paths
        for number, text in texts(path)
        for found in WORDS.finditer(text)
    ] == []


def test_the_workflow_runs_the_sessions_that_must_pass() -> None:
    written = re.search(r"session: \[(.*)\]", (ROOT / ".github/workflows/tests.yml").read_text())
    notified = re.search(r"for name in \[(.*), \*\(f\"backend", (ROOT / "noxfile.py").read_text())
    assert written and notified
    alone = [name.strip('"') for name in notified[1].split(", ")] + ["parity"]
    backends = [f"backend({name})" for name in ("torch", "tensorflow", "jax")]
    assert sorted(written[1].split(", ")) == sorted([*alone, *backends])
