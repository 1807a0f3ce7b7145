"""A run in a notebook: its output as HTML, and when it is drawn. In a kernel: tests/long/notebook."""

from __future__ import annotations

import copy
import json
import math
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.errors import ConfigurationError
from multilearn.events import (
    START,
    Attached,
    EpochEnded,
    Event,
    Finished,
    MetricInfo,
    Position,
    Reading,
    Split,
    SplitEnded,
    Started,
    Stepped,
)
from multilearn.history import History
from multilearn.renderers import CliRenderer, NotebookRenderer
from multilearn.renderers.board import Board
from multilearn.renderers.history_view import EpochHistory
from multilearn.renderers.html import as_html, headline
from multilearn.renderers.notebook import default

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e"
TRAIN, VALID = Split.TRAIN, Split.VALID
INFOS = (
    MetricInfo("Loss", plotted=True, better="lowest"),
    MetricInfo(HOSTILE, "share", plotted=True),
    MetricInfo("Word", numeric=False),
)


def started(batches: int | None = 4) -> Started:
    return Started(Path("runs/a"), 2, START, {TRAIN: batches, VALID: 1}, {TRAIN: INFOS, VALID: INFOS}, {})


def events(values: list[float]) -> Iterator[Event]:
    """Two epochs of four batches."""
    for epoch in (1, 2):
        for batch, value in enumerate(values, 1):
            readings = {"Loss": Reading(value, 1, value), HOSTILE: Reading(value, 1, value), "Word": Reading(HOSTILE)}
            yield Stepped(TRAIN, epoch, batch, batch, 0.1, readings)
        for split in (TRAIN, VALID):
            yield SplitEnded(split, epoch, readings)
        yield Attached(epoch, HOSTILE, text=HOSTILE)
        yield EpochEnded(epoch)
    yield Finished(Position(2))


anything = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(anything, min_size=4, max_size=4), st.sampled_from([None, 4]))
def test_at_any_moment_it_is_well_formed_and_every_name_is_text(values: list[float], batches: int | None) -> None:
    board = Board(started(batches), 0.0)
    for at, event in enumerate(events(values), 1):
        board.take(event, float(at))
        if at in (1, 3, 6, 9, 15):
            root = ElementTree.fromstring(as_html(board, headline(board, float(at))))
            assert {each.tag for each in root.iter()}.isdisjoint({"script", "img", "a"})


def test_it_says_where_the_run_is_and_how_it_ended() -> None:
    board = Board(started(), 0.0)
    for at, event in enumerate(events([1.0, 0.5, 0.5, 0.25]), 1):
        board.take(event, float(at))
        if at == 3:
            assert headline(board, 3.0).startswith("epoch 1/2  train 3/4")
            assert '<progress value="0.3750" max="1">' in as_html(board, "")
    assert headline(board, 20.0) == "completed 2 epochs in 20.0 s"
    page = as_html(board, "")
    assert page.count("<svg") == 2 and "<progress" not in page
    assert '0.2500<span class="dim"> best 0.2500 @ 1</span>' in page
    assert f"<pre>{HOSTILE}".replace("<img", "&lt;img").replace("</script>", "&lt;/script&gt;")[:20] in page


def test_images_are_in_the_page() -> None:
    board = Board(started(), 0.0)
    board.take(Attached(1, "sample", image=b"\x89PNG\r\n\x1a\n"), 1.0)
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in as_html(board, "")
    board.take(Attached(1, "sample", image=bytes(3 << 20)), 1.0)
    assert "larger than 2 MiB" in as_html(board, "")


def test_a_matrix_is_drawn_and_not_written() -> None:
    info = MetricInfo("Confusion", "matrix", numeric=False)
    board = Board(replace(started(), metrics={VALID: (info,)}), 0.0)
    board.take(SplitEnded(VALID, 1, {"Confusion": Reading('{"counts": [[5, 1], [0, 4]]}')}), 1.0)
    root = ElementTree.fromstring(as_html(board, ""))
    assert [text.text for text in root.iter("text") if "count" in text.get("class", "")] == ["5", "1", "4"]
    assert "counts" not in "".join(root.itertext())


def test_a_terminal_gets_the_renderer_of_terminals() -> None:
    assert isinstance(default(), CliRenderer)


def test_without_ipython_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr("multilearn.renderers.notebook.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"IPython is not installed. Choose .*pip install ipykernel"):
        NotebookRenderer().host(lambda: None)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What a kernel would send to its notebook."""
    pytest.importorskip("IPython", reason="IPython is not installed: no notebook")
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    publisher = CapturingDisplayPublisher(parent=shell)
    monkeypatch.setattr(shell, "display_pub", publisher)
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    yield publisher.outputs
    InteractiveShell.clear_instance()


def test_it_is_one_output_that_is_replaced_twice_a_second(
    published: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("multilearn.renderers.notebook.time.monotonic", lambda: now[0])
    assert isinstance(default(), NotebookRenderer)
    renderer = NotebookRenderer()
    renderer.render(started())
    for event in events([1.0, 0.5, 0.5, 0.25]):
        now[0] += 0.2
        renderer.render(event)
    renderer.close()
    renderer.close()
    first, *others = published
    (place,) = {each["transient"]["display_id"] for each in published}
    assert place and not first.get("update") and all(each["update"] for each in others)
    # 17 events over 3.4 s, of which every third comes half a second after the drawing before
    assert len(others) == 17 // 3 + 1
    assert others[-1]["data"]["text/plain"] == "completed 2 epochs in 3.4 s"


def test_what_is_not_drawn_yet_is_drawn_at_the_end(published: list[dict[str, Any]]) -> None:
    renderer = NotebookRenderer()
    renderer.render(started())
    renderer.render(next(events([1.0])))
    assert len(published) == 1
    renderer.close()
    assert len(published) == 2 and "train 1/4" in published[1]["data"]["text/plain"]


def history() -> EpochHistory:
    recorded = History()
    for epoch, (loss, accuracy) in enumerate(((1.0, 0.5), (0.5, math.nan)), 1):
        recorded = recorded.with_epoch(TRAIN, epoch, {"Loss": loss, "Rate": 0.1})
        recorded = recorded.with_epoch(VALID, epoch, {"Loss": loss / 2, "Accuracy": accuracy})
    infos = {TRAIN: INFOS[:1], VALID: (INFOS[0], replace(INFOS[1], name="Accuracy"))}
    return EpochHistory(recorded, infos, "a", {TRAIN: ["Loss"], VALID: ["Loss", "Accuracy"]})


def test_a_history_is_a_mapping_of_mappings() -> None:
    found = history()
    assert found["train"] == {"Loss": (1.0, 0.5), "Rate": (0.1, 0.1)} and list(found) == ["train", "valid"]
    assert json.loads(json.dumps(found))["valid"]["Loss"] == [0.5, 0.25]
    copies = (pickle.loads(pickle.dumps(found)), copy.deepcopy(found), found | {})
    assert {str(each) for each in copies} == {str(found)}
    for change in (lambda: found.update(a={}), lambda: found.clear(), lambda: found.__setitem__("train", {})):
        with pytest.raises(TypeError, match="cannot be changed"):
            change()
    with pytest.raises(TypeError, match="cannot be changed"):
        found["train"]["Loss"] = ()  # type: ignore[index]
    empty = EpochHistory(History(), {}, "a", {TRAIN: ["Loss"]})
    assert empty == {"train": {"Loss": ()}} and "<svg" not in empty._repr_html_()


def test_a_history_shows_itself_and_is_plotted() -> None:
    page = ElementTree.fromstring(history()._repr_html_())
    assert len(list(page.iter("svg"))) == 2 and "a, epoch 2" in "".join(page.itertext())
    figure = history().plot()
    assert [chart.title for chart in figure.charts] == ["Loss", "Accuracy"]
    assert [line.name for line in figure.charts[0].lines] == ["a, train", "a, valid"]
    assert [chart.title for chart in history().plot("Rate").charts] == ["Rate"]
    with pytest.raises(ConfigurationError, match=r"Received: Los. There are: Loss, Rate, Accuracy."):
        history().plot("Los")
    with pytest.raises(ConfigurationError, match="a history without an epoch"):
        EpochHistory(History(), {}, "a", {}).plot()


def test_a_history_is_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: no frame")
    frame = history().frame()
    assert list(frame.columns) == [("train", "Loss"), ("train", "Rate"), ("valid", "Loss"), ("valid", "Accuracy")]
    assert list(frame.index) == [1, 2] and frame.loc[2, ("valid", "Loss")] == 0.25
    assert pandas.isna(frame.loc[2, ("valid", "Accuracy")])
    assert len(EpochHistory(History(), {}, "a", {TRAIN: ["Loss"]}).frame()) == 0


def test_without_pandas_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"pandas is not installed. Run: pip install pandas"):
        history().frame()
