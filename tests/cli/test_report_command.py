"""`multilearn report`: one page about runs, whose numbers are those of `compare`, and which nothing gets into."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.pages import Node, parse

from multilearn.storage.layout import file_name
from multilearn.storage.lock import locked

Command = Callable[..., Any]
Write = Callable[..., Path]
Files = dict[str, list[str]]

HOSTILE = "</script><img src=x onerror=\"alert('1')\">\u202e&<b>"
MATRIX = '{"counts": [[5\\x2c 1]\\x2c [0\\x2c 4]]}'
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
DRAWN = {"desc", "path", "rect", "svg", "text", "title"}
READ = {"a", "b", "br", "data", "details", "div", "figcaption", "figure", "h1", "h2", "h3", "h4", "header", "i", "img"}
READ |= {"input", "label", "li", "nav", "ol", "p", "pre", "section", "span", "strong", "summary", "ul"}
TABLES = {"table", "tbody", "td", "th", "thead", "tr"}
PAGE = {"document", "html", "head", "meta", "style", "body", "main", "script"}


def files(epochs: int = 3, splits: Sequence[str] = ("train", "valid"), apart: float = 0.0) -> Files:
    """A loss and an accuracy over 64 items, of which the loss is the further `apart` the later."""
    found = {}
    for split, epoch in product(splits, range(1, epochs + 1)):
        loss, share = 1 / epoch + apart * (epoch - 1), 1 - 2**-epoch
        found[f"{split}/{epoch}/Loss"] = [f"{loss * 1.5!r},32", f"{loss * 0.5!r},32", f"{loss!r},final"]
        found[f"{split}/{epoch}/Accuracy"] = [f"{share!r},64", f"{share!r},final"]
    return found


@pytest.fixture
def study(write_run: Write) -> list[str]:
    """Three backends, two seeds; jax drifts away with seed 2."""
    names = []
    for backend, seed in product(("torch", "tensorflow", "jax"), (1, 2)):
        names.append(f"{backend}-{seed}")
        drift = 1e-3 if (backend, seed) == ("jax", 2) else 0.0
        write_run(names[-1], files(apart=drift), backend=backend, seed=seed)
    return names


@pytest.fixture
def reported(command: Command, tmp_path: Path) -> Callable[..., Node]:
    """Writes the report of these arguments and reads it; it has nothing in it that could do anything."""

    def report(*arguments: object) -> Node:
        ended = command("report", *arguments, "-o", "r.html")
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
        assert ended.stdout.startswith("written: r.html (")
        page = parse(tmp_path / "r.html")
        require_harmless(page, (tmp_path / "r.html").read_text(encoding="utf-8"))
        return page

    return report


def require_harmless(page: Node, text: str) -> None:
    assert {node.tag for node in page.nodes()} <= DRAWN | READ | TABLES | PAGE
    assert not re.search(r"https?:|\bwww\.|javascript:|@import|url\(", text)
    places = {node.attributes["id"] for node in page.nodes() if "id" in node.attributes}
    for node in page.nodes():
        names = set(node.attributes)
        assert not any(name.startswith("on") or name == "style" for name in names), node
        if "href" in names:
            assert node.tag == "a" and node.attributes["href"][1:] in places
        if "src" in names:
            assert node.tag == "img" and node.attributes["src"].startswith("data:image/png;base64,")
    (script,), (style,) = page.nodes("script"), page.nodes("style")
    policy = next(meta.attributes["content"] for meta in page.nodes("meta") if "http-equiv" in meta.attributes)
    hashes = [base64.b64encode(hashlib.sha256(node.text.encode()).digest()).decode() for node in (style, script)]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    assert re.findall(r"sha256-([^']+)", policy) == hashes


def values(page: Node, title: str) -> dict[tuple[int, str], float]:
    """The table behind a chart: by epoch and head of the column, from the attributes that have all digits."""
    cards = [card for card in page.nodes("figure", "card") if card.one("b").text == title]
    heads, *rows = cards[0].one("table", "numbers").rows()
    return {
        (int(row[0].text), head.text): float(next(cell.nodes("data")).attributes["value"])
        for row in rows
        for head, cell in zip(heads[1:], row[1:], strict=True)
        if list(cell.nodes("data"))
    }


def test_every_value_is_that_of_compare(command: Command, reported: Callable[..., Node], study: list[str]) -> None:
    compared = json.loads(command("compare", *study, "--json").stdout)
    page = reported(*study)
    expected: dict[str, dict[tuple[int, str], float]] = {}
    for of_seed in compared["seeds"]:
        for row in of_seed["comparison"]["values"]:
            for backend, value in zip(of_seed["backends"], row["values"], strict=True):
                column = f"{backend}-{of_seed['seed']} {row['split']}"
                expected.setdefault(row["metric"], {})[row["epoch"], column] = value
    assert {metric: values(page, metric) for metric in expected} == expected
    assert sum(map(len, expected.values())) == 6 * 2 * 2 * 3


def test_the_verdict_is_that_of_compare(command: Command, reported: Callable[..., Node], study: list[str]) -> None:
    compared = json.loads(command("compare", *study, "--json").stdout)
    banner = reported(*study).one("div", "verdict")
    assert {"bad"} < banner.classes and not compared["same"]
    head, verdict, first = banner.one("strong").text, *(each.text for each in banner.nodes("p"))
    assert f"{head.lower()}: {verdict}" == compared["verdict"]
    assert first == f"First difference: {compared['first_difference']}"
    same = reported(*study[:4]).one("div", "verdict")
    assert "good" in same.classes and same.one("strong").text == "Same, within the tolerance"


def test_how_far_apart_is_in_units_of_what_is_allowed(
    command: Command, reported: Callable[..., Node], study: list[str]
) -> None:
    compared = json.loads(command("compare", *study, "--json").stdout)
    page = reported(*study)
    expected: dict[str, dict[tuple[int, str], float]] = {}
    for of_seed in compared["seeds"]:
        names = of_seed["backends"]
        for pair in of_seed["comparison"]["pairs"]:
            first, second = (names[at] for at in pair["runs"])
            for row in pair["epochs"]:
                used = row["relative"] / 1e-4 if row["items"] is None else row["absolute"] * row["items"]
                expected.setdefault(f"{second} and {first}", {})[row["epoch"], f"seed {of_seed['seed']}"] = used
    found = {title: values(page, title) for title in expected}
    assert found == {title: pytest.approx(of) for title, of in expected.items()}
    assert max(found["jax and torch"].values()) > 1 and max(found["tensorflow and torch"].values()) == 0


def test_what_the_seeds_came_to_and_the_preconditions_are_there(
    reported: Callable[..., Node], study: list[str]
) -> None:
    page = reported(*study)
    apart = page.section("apart")
    assert "In the end, mean \u00b1 standard deviation over 2 seeds" in [each.text for each in apart.nodes("h3")]
    held = [[cell.text for cell in row[:2]] for row in page.section("preconditions").one("table").rows()[1:]]
    assert ["seed", "held"] in held and ["machine", "not recorded by all"] in held


def test_seeds_are_a_mean_with_an_area_and_thin_lines(reported: Callable[..., Node], study: list[str]) -> None:
    page = reported(*study)
    assert page.one("header").one("p").text.startswith("6 runs, 3 backends \u00d7 2 seeds \u00b7 2026-01-02")
    chart = next(page.section("curves").nodes("svg"))
    assert len(list(chart.nodes("path", "thin"))) == 12 and len(list(chart.nodes("path", "band"))) == 6
    assert chart.one("desc").text.startswith("Loss after each epoch. torch-1, train: 0.33333 in epoch 3; ")


def test_the_runs_have_their_last_and_best_values(reported: Callable[..., Node], write_run: Write) -> None:
    metrics = [
        {"name": "Loss", "unit": "", "numeric": True, "better": "lowest", "splits": ["train", "valid"]},
        {"name": "Accuracy", "unit": "share", "numeric": True, "better": "highest", "splits": ["train", "valid"]},
    ]
    run = write_run("a", files(4), metrics=metrics, builder={"num_epochs": 5})
    (run / "valid/epoch-4/Loss.log").write_text("0.75,final\n")
    timeline = [
        {"at": "2026-01-02T03:04:25Z", "event": "split", "epoch": epoch, "split": "train", "batches": 2}
        | {"update": 2 * epoch, "learning_rate": 0.1 / epoch, "measured": 2, "items": 64, "seconds": 0.5}
        for epoch in (1, 2)
    ]
    hostile = ['{"event": "split"}', "[]", '{"event": "split", "epoch": 3, "split": "train", "seconds": "x"}', "torn"]
    (run / "timeline.jsonl").write_text("\n".join([*map(json.dumps, timeline), *hostile]))
    page = reported("a")
    head, row = page.section("runs").one("table").rows()
    assert [cell.text for cell in head] == [
        *("run", "backend", "seed", "epochs", "state"),
        *("valid Losslast \u00b7 best", "valid Accuracylast \u00b7 best", "speed", "items", "time"),
    ]
    assert [cell.text for cell in row] == [
        *("a", "torch", "42", "4 of 5", "completed", "0.7500 \u00b7 0.3333 @ 3", "93.75 % \u00b7 93.75 % @ 4"),
        *("4.0 batches/s", "128/s", "1:00"),
    ]
    assert values(page, "Learning rate, of the last update") == {(1, "a train"): 0.1, (2, "a train"): 0.05}
    assert values(page, "Items per second, in training") == {(1, "a train"): 128.0, (2, "a train"): 128.0}


def test_one_run_is_without_a_verdict_and_has_its_batches(reported: Callable[..., Node], write_run: Write) -> None:
    write_run("a", files())
    page = reported("a", "--title", "One & only")
    assert not list(page.nodes("div", "verdict")) and page.one("h1").text == "One & only"
    assert [each.attributes["id"] for each in page.nodes("section")] == ["runs", "curves", "environment", "each"]
    batches = next(page.section("curves").nodes("path", "thin"))
    assert batches.one("title").text == "a, train batches"
    # two batches an epoch, three epochs
    assert len(re.findall(r"[ML]", batches.attributes["d"])) == 6


def test_runs_without_an_epoch_in_common_are_shown_and_it_is_said_why(
    reported: Callable[..., Node], write_run: Write, session: Callable[..., dict[str, Any]]
) -> None:
    write_run("a", files())
    write_run("begun", {"train/1/Loss": ["1.0,4"]}, sessions=[session("jax", ended=None, outcome=None)])
    page = reported("a", "begun")
    banner = page.one("div", "verdict")
    assert banner.one("strong").text == "No verdict"
    assert "The runs have no finished epoch in common. Received: a: epochs 1-3; begun: no epoch." in banner.text
    assert [row[4].text for row in page.section("runs").one("table").rows()[1:]] == ["completed", "killed"]


def test_a_run_without_metric_files_is_shown_as_one(reported: Callable[..., Node], write_run: Write) -> None:
    write_run("a", {})
    page = reported("a")
    assert [cell.text for cell in page.section("runs").one("table").rows()[1]][3:5] == ["no metric files", "completed"]
    assert not list(page.nodes("svg"))


def test_seeds_on_one_backend_have_no_verdict_and_a_mean(reported: Callable[..., Node], write_run: Write) -> None:
    for seed in (1, 2):
        write_run(f"a{seed}", files(), seed=seed)
    page = reported("a1", "a2")
    assert page.one("div", "verdict").one("strong").text == "No verdict"
    assert list(page.section("curves").nodes("path", "band"))


def test_runs_that_nothing_distinguishes_are_compared_all_with_each_other(
    reported: Callable[..., Node], write_run: Write
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_run(name, files(), seed=seed)
    page = reported("a", "b", "c")
    titles = [card.one("b").text for card in page.section("apart").nodes("figure")]
    assert titles == ["b and a", "c and a", "c and b"]


def test_different_numbers_of_epochs_are_said_as_compare_says_them(
    reported: Callable[..., Node], write_run: Write
) -> None:
    write_run("a", files(3))
    write_run("b", files(4), backend="jax")
    banner = reported("a", "b").one("div", "verdict")
    assert "not all of it could be compared" in banner.text
    assert "different numbers of finished epochs (a 3, b 4): compared in epochs 1-3 only" in banner.one("ul").text


def test_a_run_that_goes_on_and_one_that_failed(
    reported: Callable[..., Node], write_run: Write, session: Callable[..., dict[str, Any]]
) -> None:
    running = write_run("running", files(), sessions=[session("torch", ended=None, outcome=None)])
    origin = {"directory": "elsewhere", "position": "1.2"}
    sessions = [
        session("torch", outcome="stopped", reason="enough", position="1.2"),
        session("torch", outcome="failed", error="NonFiniteLoss: it diverged", resumed_from=origin),
    ]
    failed = write_run("failed", files(), sessions=sessions)
    (failed / "experiment.log").write_text(
        "2026-01-31T12:00:00.123Z INFO multilearn all is well\n"
        "2026-01-31T12:00:00.123Z WARNING multilearn it drifts\n"
        "2026-01-31T12:00:00.123Z ERROR multilearn it diverged\n  a WARNING in a traceback\n"
    )
    with locked(running / ".lock"):
        page = reported("running", "failed")
    assert [row[4].text for row in page.section("runs").one("table").rows()[1:]] == ["running", "failed"]
    each = page.section("run-1")
    assert [item.text for item in each.nodes("li")] == [
        "2026-01-02T03:04:05+00:00 on torch (cpu:0): stopped at 1.2, 2026-01-02T03:05:05+00:00: enough",
        "2026-01-02T03:04:05+00:00 on torch (cpu:0), resumed from 1.2 of elsewhere: failed at 2, "
        "2026-01-02T03:05:05+00:00: NonFiniteLoss: it diverged",
    ]
    assert each.one("pre").text.split("\n") == [
        "2026-01-31T12:00:00.123Z WARNING multilearn it drifts",
        "2026-01-31T12:00:00.123Z ERROR multilearn it diverged",
    ]


def test_without_validation_training_is_looked_at(reported: Callable[..., Node], write_run: Write) -> None:
    write_run("a", files(splits=("train",)))
    page = reported("a")
    assert "train Losslast" in page.section("runs").text
    assert all("stroke-dasharray" not in path.attributes for path in page.section("curves").nodes("path", "line"))


def test_what_is_not_a_number_is_written_and_breaks_the_line(reported: Callable[..., Node], write_run: Write) -> None:
    write_run("a", {"train/1/Loss": ["1.0,final"], "train/2/Loss": ["NaN,final"], "train/3/Loss": ["-inf,final"]})
    page = reported("a")
    rows = page.section("curves").one("table", "numbers").rows()[1:]
    assert [[cell.text for cell in row] for row in rows] == [["1", "1.0000"], ["2", "NaN"], ["3", "-inf"]]
    write_run("b", {"train/1/Loss": ["NaN,final"]})
    assert "nothing to draw" in reported("b").section("curves").text


def test_texts_that_differ_are_named_beside_the_largest_difference(
    reported: Callable[..., Node], write_run: Write
) -> None:
    for name, word in (("a", "x"), ("b", "y")):
        write_run(name, {**files(2), "train/2/Word": [f"{word},final"], "train/1/Word": ["z,final"]}, backend=name)
    rows = reported("a", "b").section("apart").one("table", "numbers").rows()[1:]
    assert [[cell.text for cell in row] for row in rows] == [
        ["1", "0 train Accuracy"],
        ["2", "0 train Accuracy; train Word differs"],
    ]


def test_text_metrics_are_tables(reported: Callable[..., Node], write_run: Write) -> None:
    metrics = [{"name": "Word", "unit": "", "numeric": False, "splits": ["train"]}]
    found = {"train/1/Word": ["a", "a,final"], "train/2/Word": ["b", f"<{'b' * 99}>,final"]}
    write_run("a", found, metrics=metrics)
    page = reported("a")
    assert page.one("figure", "card").one("b").text == "Word"
    last = next(page.section("curves").nodes("table"))
    assert [cell.text for cell in last.rows()[1]] == ["a", "train", f"<{'b' * 36}..."]


def test_equal_matrices_are_drawn_once(reported: Callable[..., Node], write_run: Write) -> None:
    metrics = [{"name": "ConfusionMatrix", "unit": "matrix", "numeric": False, "splits": ["train", "valid"]}]
    other = MATRIX.replace("4]", "3]")
    for name, backend, text in (("a", "torch", MATRIX), ("b", "jax", MATRIX), ("c", "tensorflow", other)):
        of = {f"{split}/1/ConfusionMatrix": [f"{text},10", f"{text},final"] for split in ("train", "valid")}
        write_run(name, of, backend, metrics=metrics)
    cards = list(reported("a", "b", "c").section("confusion").nodes("figure"))
    assert [card.one("b").text for card in cards] == ["a, b", "c"]
    assert "the same on 2 \u00b7 valid ConfusionMatrix \u00b7 9 of 10 right; 0 taken for 1: 1" in cards[0].text
    assert [[cell.text for cell in row] for row in cards[0].one("table").rows()[1:]] == [
        ["0", "5", "1"],
        ["1", "0", "4"],
    ]


def test_attachments_are_in_the_page(reported: Callable[..., Node], write_run: Write, tmp_path: Path) -> None:
    run = write_run("a", files())
    for epoch in range(1, 21):
        folder = run / "attachments" / f"epoch-{epoch}"
        folder.mkdir(parents=True)
        (folder / f"{file_name('a sample')}.png").write_bytes(PNG)
        (folder / "words.txt").write_text("one\ntwo")
    (folder / "no picture.png").write_bytes(b"GIF89a")
    (folder / "large.png").write_bytes(PNG + bytes(2 << 20))
    (folder / "elsewhere.txt").symlink_to(tmp_path / "a" / "experiment.json")
    each = reported("a").section("run-0")
    images = list(each.nodes("img"))
    assert [image.attributes["alt"] for image in images[:2]] == ["a sample, epoch 1", "a sample, epoch 4"]
    assert images[-1].attributes["alt"] == "a sample, epoch 20" and len(images) == 8
    assert base64.b64decode(images[0].attributes["src"].partition(",")[2]) == PNG
    assert [pre.text for pre in each.nodes("pre")] == ["one\ntwo"] * 8
    assert "left out: no PNG" in each.text and "left out: larger than 2 MiB" in each.text
    assert "elsewhere" not in each.text


def test_no_name_is_anything_but_text(
    reported: Callable[..., Node], write_run: Write, session: Callable[..., dict[str, Any]]
) -> None:
    of = {f"{split}/{epoch}/{file_name(HOSTILE)}": ["1.5,final"] for split in ("train", "valid") for epoch in (1, 2)}
    metrics = [{"name": HOSTILE, "unit": HOSTILE, "numeric": True, "splits": ["train", "valid"]}]
    sessions = [
        session(
            HOSTILE,
            error=HOSTILE,
            outcome=HOSTILE,
            started=HOSTILE,
            versions={HOSTILE: HOSTILE},
            machine={HOSTILE: HOSTILE},
            device=HOSTILE,
            resumed_from={"directory": HOSTILE, "position": HOSTILE},
        )
    ]
    name = HOSTILE.replace("/", "")
    declared: Mapping[str, Any] = {"task": HOSTILE, "model": {"class": HOSTILE, "layers": {HOSTILE: HOSTILE}}}
    run = write_run(name, of, metrics=metrics, sessions=sessions, **declared)
    (run / "experiment.log").write_text(f"2026-01-31T12:00:00.123Z WARNING x {HOSTILE}\n")
    attached = run / "attachments" / "epoch-1"
    attached.mkdir(parents=True)
    (attached / f"{file_name(HOSTILE)}.png").write_bytes(PNG)
    (attached / f"{file_name(HOSTILE)}.txt").write_text(HOSTILE)
    write_run("b", of, backend="jax", metrics=metrics, **declared)
    page = reported(name, "b", "--title", HOSTILE)
    shown = HOSTILE.replace("\u202e", "\\u202e")
    assert page.one("h1").text == shown and next(page.nodes("figure")).one("b").text == shown
    assert next(title.text for title in page.nodes("title")) == shown
    assert shown in page.section("each").text and shown in page.section("environment").text


@pytest.mark.parametrize(("runs", "epochs"), [(1, 20), (30, 10), (1, 500)])
def test_it_is_as_small_as_it_says(command: Command, write_run: Write, tmp_path: Path, runs: int, epochs: int) -> None:
    chance = random.Random(runs)
    for run in range(runs):
        found = files(epochs)
        for key in found:
            if key.endswith("Loss"):
                found[key] = [f"{chance.random()!r},32", f"{chance.random() / 3!r},final"]
        write_run(f"r{run}", found, seed=1)
    assert command("report", *(f"r{run}" for run in range(runs))).returncode == 0
    assert (tmp_path / "report.html").stat().st_size < 60_000 + 25_000 * runs
    parse(tmp_path / "report.html")


def test_colours_can_be_read_in_the_light_and_in_the_dark(reported: Callable[..., Node], write_run: Write) -> None:
    write_run("a", files())
    style = reported("a").one("style").text
    light, dark = (
        dict(re.findall(r"--([\w-]+):(#[0-9a-f]+)", part)) for part in re.findall(r":root{(.*?)}", style, re.S)[:2]
    )
    for colours in (light, {**light, **dark}):
        for ground in ("bg", "card"):
            assert min(contrast(colours[ink], colours[ground]) for ink in ("ink", "dim", "accent")) >= 4.5
            assert min(contrast(colours[f"c{at}"], colours[ground]) for at in range(8)) >= 3
        for standing in ("good", "bad", "so"):
            assert contrast(colours[standing], colours[f"{standing}-bg"]) >= 4.5
            assert contrast(colours["ink"], colours[f"{standing}-bg"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    light, dark = sorted(map(luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else math.pow((part + 0.055) / 1.055, 2.4) for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["empty"], "A run's directory holds experiment.json. Received: empty."),
        (["nothing"], "(no such directory)"),
        (["a", "./a"], "Each run is named once"),
        (["a", "-o", "a.txt"], "A report is written to a file that ends with .html or .htm. Received: a.txt."),
        (["a", "-o", "folder.html"], "folder.html, a directory"),
        (["a", "-o", "none/r.html"], "none, not found"),
        (["a", "-o", "a/train/r.html"], "The files of a run are its own."),
        (["a", "--tolerance", "-1"], "The tolerance must be 0 or more. Received: -1.0."),
        (["a", "--tolerence", "1"], "No such option: --tolerence"),
        (["damaged"], "A metric file has lines"),
        ([], "Missing argument 'DIR...'"),
    ],
)
def test_what_cannot_be_reported_is_one_line_and_nothing_is_written(
    command: Command, write_run: Write, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.html").mkdir()
    write_run("a", files())
    write_run("damaged", {"train/1/Loss": ["1.0,2,3"]})
    before = sorted(tmp_path.rglob("*"))
    ended = command("report", *arguments)
    assert ended.returncode == 2 and message in ended.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_report_that_is_there_is_replaced(command: Command, write_run: Write, tmp_path: Path) -> None:
    write_run("a", files())
    (tmp_path / "report.html").write_text("old")
    assert command("report", "a").returncode == 0
    first = (tmp_path / "report.html").read_bytes()
    assert b"old" not in first[:50]
    command("report", "a")
    assert (tmp_path / "report.html").read_bytes() == first
