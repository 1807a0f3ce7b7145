"""The pages that users read: every Python block of one runs, in order, and no public name is missing.

The blocks of a page share one namespace and one empty directory. A TOML block describes a builder: it is written to
`run.toml` there. What follows a program and has no language is what it prints. Other fragments have another language.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support.samples import difference, fences

import multilearn as ml
import multilearn_keras

OPTIONAL = [name for name in ("pandas",) if find_spec(name) is None]
"""What blocks may import that makes every process of Keras start more slowly: they run if it is installed."""

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!\w+://)([^)#]+)(?:#[^)]*)?\)")


def named(page: str) -> set[str]:
    """What stands in code quotes on a page, word by word, or in its blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    code = [*re.findall(r"`([^`\n]+)`", text), *(content for _, _, content in fences(text))]
    return {word for part in code for word in re.findall(r"\w+", part)}


def programs(page: Path) -> bool:
    """Whether there is a program on the page."""
    return any(language == "python" for _, language, _ in fences(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", list(filter(programs, PAGES)), ids=lambda page: page.name)
def test_every_python_block_of_a_page_runs_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    ran = 0
    printed = None
    for line, language, content in fences(page.read_text(encoding="utf-8")):
        if language == "toml":
            Path("run.toml").write_text(content, encoding="utf-8")
        if language == "python" and not any(f"import {name}" in content for name in OPTIONAL):
            # the empty lines before it make tracebacks name the line of the page
            exec(compile("\n" * (line - 1) + content, page, "exec"), namespace)
            ran += 1
            printed = capsys.readouterr().out
        elif not language and printed is not None:
            assert difference(content.replace("-torch", f"-{ml.backend.chosen()}"), printed) is None
        if language != "python":
            printed = None
    assert ran


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere_in_the_repository(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert broken == []


EVERYWHERE = [str(page.relative_to(ROOT)) for page in PAGES]
PUBLIC: dict[str, tuple[set[str], list[str]]] = {
    "methods of the builder and of the learner": (
        {name for of in (ml.LearnerBuilder, ml.Learner) for name in vars(of) if not name.startswith("_")},
        ["docs/learner.md"],
    ),
    "metrics": (set(ml.metrics.__all__), ["docs/metrics.md"]),
    "schedules": (set(ml.schedulers.__all__), ["docs/schedules.md"]),
    "tasks": (set(multilearn_keras.__all__), EVERYWHERE),
    **{
        module.__name__: ({name for name in module.__all__ if isinstance(getattr(module, name), type)}, EVERYWHERE)
        for module in (ml.early_stopping, ml.checkpoint, ml.loggers, ml.renderers, ml.outputs)
    },
}


@pytest.mark.parametrize("what", PUBLIC)
def test_every_public_name_is_on_its_page(what: str) -> None:
    names, pages = PUBLIC[what]
    assert names - set().union(*map(named, pages)) == set()


def test_every_example_and_every_page_is_named_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    files = [*(ROOT / "examples").glob("*.py"), *(ROOT / "docs").glob("*.md")]
    assert [file.name for file in files if f"{file.parent.name}/{file.name}" not in text] == []
