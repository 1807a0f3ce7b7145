"""Runs in the kernel of a notebook: one output, replaced in place; interrupting the kernel stops and saves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.environments import TESTS
from support.pages import parse

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install nbclient ipykernel pandas")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: no kernel of a notebook")
pytest.importorskip("pandas", reason="pandas is not installed: no frames")

SETUP = f"""
import sys
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS / "toy")!r}]
import multilearn as ml
from support.toy_experiment import Watched, arrays, build, builder, train_loader, valid_loader
import time

def described(epochs, **options):
    return ml.LearnerBuilder("run", **options).metrics(ml.metrics.Loss(), ml.metrics.Accuracy()).num_epochs(epochs)
"""

Notebook = Callable[..., Any]


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Runs cells in a kernel of this interpreter, in `tmp_path`; `interrupt`: seconds into the last one."""
    spec = tmp_path / "jupyter" / "kernels" / "own"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "own", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("MULTILEARN_BACKEND", "toy")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))

    def execute(*cells: str) -> Any:
        import nbformat

        content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (SETUP, *cells)])
        client = nbclient.NotebookClient(
            content, kernel_name="own", timeout=120, resources={"metadata": {"path": tmp_path}}
        )
        client.execute()
        nbformat.validate(content)
        return content

    return execute


def outputs(cell: Any, kind: str) -> list[Any]:
    return [output for output in cell.outputs if output.output_type == kind]


def test_a_run_is_one_output_which_shows_how_it_ended(notebook: Notebook, tmp_path: Path) -> None:
    content = notebook("learner = build(described(3)); model = learner.fit(train_loader(), valid_loader())")
    (output,) = outputs(content.cells[-1], "display_data")
    page = output.data["text/html"]
    assert output.data["text/plain"].startswith("completed 3 epochs in ")
    assert page.count("<svg") == 2 and "<progress" not in page and "<script" not in page
    assert len(page) < 60_000
    (tmp_path / "page.html").write_text(page)
    assert {"Loss", "Accuracy"} <= {node.text for node in parse(tmp_path / "page.html").nodes("b")}


def test_an_interrupted_kernel_stops_the_run_and_saves_it(notebook: Notebook, tmp_path: Path) -> None:
    content = notebook(
        "import os, signal, threading\n"
        "def slowly(epoch, number):\n"
        "    time.sleep(0.02)\n"
        "    if (epoch, number) == (2, 3): os.kill(os.getpid(), signal.SIGINT)\n"
        "learner = build(described(50).with_file_checkpointer())\n"
        "model = learner.fit(Watched(train_loader(), slowly), valid_loader())\n"
        "learner.stopped_by",
    )
    cell = content.cells[-1]
    assert outputs(cell, "execute_result")[0].data["text/plain"] == "'SIGINT'"
    (output,) = outputs(cell, "display_data")
    assert output.data["text/plain"].startswith("stopped in epoch 2 after ")
    assert list((tmp_path / "run" / "checkpoint").glob("*2.*"))


def test_a_learner_and_its_history_show_themselves(notebook: Notebook) -> None:
    content = notebook(
        "learner = build(described(2)); model = learner.fit(train_loader(), valid_loader())",
        "learner",
        "learner.history",
        "learner.plot('Loss')",
        "frame = learner.history.frame()\n"
        "assert list(frame['valid']['Loss']) == list(learner.history['valid']['Loss'])\n"
        "assert list(frame.index) == [1, 2] and frame.index.name == 'epoch'",
    )
    shown = [outputs(cell, "execute_result")[0].data for cell in content.cells[2:5]]
    assert all("<svg" in each["text/html"] for each in shown[:2]) and "run, completed" in shown[0]["text/html"]
    assert shown[2]["image/svg+xml"].startswith("<svg")


def test_an_evaluation_is_a_line(notebook: Notebook) -> None:
    content = notebook(
        "learner = build(described(1)); model = learner.fit(train_loader(), valid_loader())",
        "from multilearn.renderers.notebook import NotebookRenderer\n"
        "from support.toy_experiment import task\n"
        "values = ml.Evaluator('run', renderer=NotebookRenderer()).evaluate(task(), valid_loader())",
    )
    (stream,) = outputs(content.cells[-1], "stream")
    assert stream.text.startswith("test ") and "Loss" in stream.text
