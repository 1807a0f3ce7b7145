"""Builds ./site from README.md, docs/, examples/ and the docstrings: `nox -s docs`.

A link of a page to a file of the repository becomes one to its page: README.md is the first page, a script is shown, a
module of the packages is its place in the reference. Zensical refuses links and anchors that lead nowhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
STAGE = ROOT / "build" / "site"
SOURCES = (ROOT, ROOT / "backends")
SCRIPTS = [*sorted(ROOT.glob("examples/*.py")), *sorted(ROOT.glob("examples/ports/*.py"))]
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}

# Code, in which nothing is a link, or a link.
_LINK = re.compile(
    r"^```.*?^```$|(?P<tick>`+)[^`]+(?P=tick)|\[(?P<text>[^]]*)\]\((?!\w+:)(?P<path>[^)#\s]+)(?P<anchor>#[^)]*)?\)",
    re.MULTILINE | re.DOTALL,
)
_LOADED = re.compile(r'<(?:script|img|iframe)[^>]* src="?(?:https?:)?//|<link[^>]* href="?https?://[^>]*stylesheet')


def main() -> None:
    """Ends the process if a link leads nowhere, or a page would load something from the network."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", STAGE / "docs")
    shutil.copy(HERE / "docstrings.py", STAGE)
    for file in ("site.css", "iframe-worker.js"):
        shutil.copy(HERE / file, STAGE / "docs")
    for path in [*PAGES, *sorted(page.relative_to(ROOT).as_posix() for page in ROOT.glob("docs/**/*.md"))]:
        add(path)
    scripts = [add_source(path.relative_to(ROOT).as_posix()) for path in SCRIPTS]
    configuration = tomllib.loads((HERE / "zensical.toml").read_text(encoding="utf-8"))
    project = configuration["project"]
    project["nav"] = there(project["nav"], scripts)
    handler = project["plugins"]["mkdocstrings"]["handlers"]["python"]
    handler["paths"] = [str(folder) for folder in SOURCES]
    (STAGE / "zensical.toml").write_text(tomli_w.dumps(configuration), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=STAGE)
    if done.returncode:
        raise SystemExit(done.returncode)
    loading = [page.name for page in STAGE.glob("site/**/*.html") if _LOADED.search(page.read_text(encoding="utf-8"))]
    if loading:
        raise SystemExit(f"These pages load something from the network: {', '.join(loading)}")
    shutil.rmtree(ROOT / "site", ignore_errors=True)
    shutil.move(STAGE / "site", ROOT / "site")


def add(path: str) -> None:
    """A page of the repository, with the links of the site."""
    page = ROOT / path

    def moved(link: re.Match[str]) -> str:
        if link["path"] is None:
            return link[0]
        target = Path(os.path.normpath(page.parent / link["path"]))
        if not target.exists():
            raise SystemExit(f"{path}: the link {link[0]} leads nowhere")
        module = dotted(target)
        if module:
            return f"[{link['text']}][{module}]"
        shown = place(target.relative_to(ROOT).as_posix())
        if shown is None:
            return link["text"]
        if target.suffix in {".py", ".toml"}:
            add_source(target.relative_to(ROOT).as_posix())
        relative = os.path.relpath(shown, Path(place(path) or "").parent)
        return f"[{link['text']}]({relative}{link['anchor'] or ''})"

    written = STAGE / "docs" / (place(path) or "")
    written.write_text(_LINK.sub(moved, page.read_text(encoding="utf-8")), encoding="utf-8")


def add_source(path: str) -> str:
    """A page that shows a script."""
    written = STAGE / "docs" / f"{path}.md"
    written.parent.mkdir(parents=True, exist_ok=True)
    language = path.rpartition(".")[2].replace("py", "python")
    written.write_text(
        f"# {path}\n\n````{language}\n{(ROOT / path).read_text(encoding='utf-8')}````\n", encoding="utf-8"
    )
    return f"{path}.md"


def place(path: str) -> str | None:
    """Where a file of the repository is in the site, if it is there."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{path}.md" if path.endswith((".py", ".toml")) else PAGES.get(path)


def dotted(target: Path) -> str | None:
    """The name of a module of the packages."""
    for folder in SOURCES:
        parts = target.relative_to(folder).with_suffix("").parts if target.is_relative_to(folder) else ("",)
        if target.suffix == ".py" and parts[0] in {"multilearn", "multilearn_keras", "multilearn_ray"}:
            return ".".join(parts).removesuffix(".__init__")
    return None


def there(nav: list[Any], scripts: list[str]) -> list[Any]:
    """The navigation with the pages that exist, and with the scripts under "Examples"."""
    kept: list[Any] = []
    for entry in nav:
        title, page = next(iter(entry.items())) if isinstance(entry, dict) else (None, entry)
        if title == "Examples":
            kept.append({title: [*there(page, []), *({Path(script).stem: script} for script in scripts)]})
        elif isinstance(page, list):
            kept += [{title: inside}] if (inside := there(page, scripts)) else []
        elif (STAGE / "docs" / page).is_file():
            kept.append(entry)
    return kept


if __name__ == "__main__":
    main()
