"""The pages of the site: each is in its navigation, and what a page refers to is there."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import multilearn

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").is_file())
DOCS = ROOT / "docs"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(DOCS.rglob("*.md"))

CODE = re.compile(r"^```.*?^```$|(`+)[^`]+\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)#?([^)]*)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def listed(navigation: list[Any]) -> Iterator[str]:
    for entry in navigation:
        for page in entry.values() if isinstance(entry, dict) else [entry]:
            yield from listed(page) if isinstance(page, list) else [page]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The headings as both the site and a host of repositories call them: where they differ, none can be linked to."""
    plain = [
        re.sub(r"[^\w\s-]", "", re.sub(r"\]\([^)]*\)", "", heading)).strip().lower() for heading in _headings(page)
    ]
    return {re.sub(r"\s", "-", name) for name in plain} & {re.sub(r"[-\s]+", "-", name) for name in plain}


def _headings(page: Path) -> list[str]:
    return HEADING.findall(re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL))


def test_every_page_is_in_the_navigation_of_the_site_once() -> None:
    navigation = tomllib.loads(text(ROOT / "tools/site/zensical.toml"))["project"]["nav"]
    pages = list(listed(navigation))
    assert len(pages) == len(set(pages))
    assert {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} - set(pages) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_within_the_repository_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for path, anchor in LINK.findall(CODE.sub("", text(page))):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


def test_every_public_name_is_in_the_reference() -> None:
    named = set(re.findall(r"^::: ([\w.]+)$", "\n".join(map(text, DOCS.glob("reference/*.md"))), re.MULTILINE))
    of_core = {
        f"multilearn.{name}"
        for name in multilearn.__all__
        if getattr(getattr(multilearn, name), "__module__", None) not in named
    }
    assert of_core | set(keras_names()) <= named


def keras_names() -> Iterator[str]:
    """What `multilearn_keras` lists, which cannot be imported without a framework."""
    for node in ast.parse(text(ROOT / "backends/multilearn_keras/__init__.py")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            yield from (f"multilearn_keras.{name}" for name in ast.literal_eval(node.value))
