"""Writes the pictures of the tutorial: `python tools/pictures.py RUN RUN`, with the two runs of its section 2.

The full screen (extra `screen`) is that of the first run in its last epochs; the report is what Chromium shows of one.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import multilearn as ml
from multilearn.events import Event, SplitEnded
from multilearn.renderers.screen.app import RunScreen

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE = 110, 32
LAST = 15  # the epoch that the screen is shown in


def main(runs: list[str]) -> int:
    """Both pictures, into docs/images."""
    IMAGES.joinpath("tutorial_screen.svg").write_text(asyncio.run(screen(runs[0])), encoding="utf-8")
    report(runs, IMAGES / "tutorial_report.png")
    return 0


async def screen(run: str) -> str:
    """The screen as SVG, which loads no font from the network."""
    let_go = threading.Event()

    def events() -> Iterator[Event]:
        for event in ml.follow(run):
            yield event
            if isinstance(event, SplitEnded) and event.epoch == LAST:
                let_go.wait()
                return

    app = RunScreen([("", events())], ask=lambda wish: None, watching=True)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(5)
        drawn = app.export_screenshot(title="multilearn run train.py --screen")
        let_go.set()
    return re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)


def report(runs: list[str], picture: Path) -> None:
    """The head of the report, 1200 x 880 pixels."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,880"]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        subprocess.run(["multilearn", "report", *runs, "-o", str(page), "--title", "Digits"], check=True)
        shot = [f"--user-data-dir={folder}/profile", f"--screenshot={picture}", page.as_uri()]
        subprocess.run([chromium, *options, *shot], check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
