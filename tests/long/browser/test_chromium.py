"""Reports as Chromium shows them: it has nothing to say on its console, and what is hidden is hidden."""

from __future__ import annotations

import json
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from multilearn.commands.report.report import report
from multilearn.storage.layout import file_name

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "</script><img src=x onerror=\"console.log('in')\">"
MATRIX = '{"counts": [[5\\x2c 1]\\x2c [0\\x2c 4]]}'

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH")


def run(folder: Path, name: str, backend: str, seed: int, metric: str = "Accuracy") -> Path:
    """A run of 20 epochs with an attachment and a warning."""
    directory = folder / name
    for split in ("train", "valid"):
        for epoch in range(1, 21):
            place = directory / split / f"epoch-{epoch}"
            place.mkdir(parents=True)
            drift = 1e-3 * seed if backend == "jax" and epoch > 9 else 0.0
            (place / "Loss.log").write_text(f"{1 / epoch + drift!r},64\n{1 / epoch + drift!r},final\n")
            (place / f"{file_name(metric)}.log").write_text(f"{1 - 2**-epoch!r},64\n{1 - 2**-epoch!r},final\n")
            (place / "ConfusionMatrix.log").write_text(f"{MATRIX},10\n{MATRIX},final\n")
    attached = directory / "attachments" / "epoch-20"
    attached.mkdir(parents=True)
    (attached / "sample.png").write_bytes(png(8, 8))
    (attached / f"{file_name(HOSTILE)}.txt").write_text(HOSTILE)
    (directory / "experiment.log").write_text(f"2026-01-31T12:00:00.123Z WARNING multilearn {HOSTILE}\n")
    units = {"Loss": "", metric: "share", "ConfusionMatrix": "matrix"}
    declared = {
        "version": 1,
        "seed": seed,
        "metrics": [
            {"name": each, "unit": unit, "numeric": unit != "matrix", "splits": ["train", "valid"]}
            for each, unit in units.items()
        ],
        "sessions": [{"backend": backend, "started": "2026-01-02T03:04:05Z", "ended": "2026-01-02T03:05:05Z"}],
    }
    (directory / "experiment.json").write_text(json.dumps(declared))
    return directory


def png(width: int, height: int) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    rows = zlib.compress(b"".join(b"\0" + b"\x80" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    study = [run(folder, f"{name}-{seed}", name, seed) for name in ("torch", "jax") for seed in (1, 2)]
    hostile = run(folder, HOSTILE.replace("/", ""), HOSTILE, 1, HOSTILE)
    of = {"study": study, "one": study[:1], "hostile": [hostile], "many": [*study[:2], hostile]}
    return {name: report(runs, folder / f"{name}.html", 1e-4, HOSTILE) for name, runs in of.items()}


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Any]:
    def look(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
        profile = tmp_path / "profile"
        own = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--hide-scrollbars"]
        said = ["--enable-logging=stderr", "--v=0"]
        command = [str(CHROMIUM), *own, *said, *options, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    yield look


@pytest.mark.parametrize("name", ["study", "one", "hostile", "many"])
@pytest.mark.parametrize(("theme", "width"), [("light", 1240), ("dark", 400)])
def test_nothing_is_said_on_the_console(
    pages: dict[str, Path], chromium: Any, tmp_path: Path, name: str, theme: str, width: int
) -> None:
    picture = tmp_path / f"{name}.png"
    dark = ["--force-dark-mode"] if theme == "dark" else []
    ended = chromium(pages[name], f"--screenshot={picture}", f"--window-size={width},2000", *dark)
    assert [line for line in ended.stderr.splitlines() if "CONSOLE" in line] == []
    assert picture.stat().st_size > 20_000


def test_the_console_is_listened_to(chromium: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<!doctype html><script>console.log('here')</script>")
    assert "CONSOLE" in chromium(tmp_path / "page.html", "--dump-dom").stderr


def test_the_script_makes_buttons_of_the_legend_and_charts_that_answer_keys(
    pages: dict[str, Path], chromium: Any
) -> None:
    shown = chromium(pages["study"], "--dump-dom").stdout
    assert shown.count('aria-pressed="true"') == 2 and "<i></i>torch</button>" in shown
    assert 'aria-label="Loss, Loss after each epoch. torch-1, train: ' in shown and 'tabindex="0"' in shown


def test_a_name_is_no_script(pages: dict[str, Path], chromium: Any) -> None:
    shown = chromium(pages["hostile"], "--dump-dom").stdout
    assert shown.count("<img") == 1 and "<img alt=" in shown and shown.count("<script") == 1


def test_it_prints(pages: dict[str, Path], chromium: Any, tmp_path: Path) -> None:
    paper = tmp_path / "paper.pdf"
    ended = chromium(pages["study"], f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert paper.read_bytes().startswith(b"%PDF") and "CONSOLE" not in ended.stderr
