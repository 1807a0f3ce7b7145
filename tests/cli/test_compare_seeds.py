"""Runs with several seeds side by side: grouped by seed and backend, on directories written by hand."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.commands import text as blocks
from multilearn.commands.compare import report as comparison_report
from multilearn.commands.compare import study_report
from multilearn.commands.compare.study import Study, compare_grouped
from multilearn.commands.compare.values import Comparison, Row, quantile, spread
from multilearn.commands.text import document
from multilearn.errors import ConfigurationError, DirectoryError

Command = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]
Seeds = Callable[..., list[Path]]

# the final validation losses of three seeds: jax - torch is 0.1, 0.2, 0.3
TORCH, JAX = (0.5, 0.7, 0.6), (0.6, 0.9, 0.9)


@pytest.fixture
def seeds(write_run: Write) -> Seeds:
    """Writes a run of two epochs for each final validation loss; the seeds count from 1."""

    def write(backend: str, finals: Sequence[object], first: object = 1.0, **declared: object) -> list[Path]:
        return [
            write_run(
                f"runs/{backend}-{seed}",
                {"valid/1/Loss": [f"{first},4", f"{first},final"], "valid/2/Loss": [f"{final},4", f"{final},final"]},
                backend=backend,
                seed=seed,
                **declared,
            )
            for seed, final in enumerate(finals, start=1)
        ]

    return write


def study(directories: Sequence[Path], *given: object) -> Study:
    found = compare_grouped(directories, *given)  # type: ignore[arg-type]
    assert isinstance(found, Study)
    return found


def text(found: Study) -> list[str]:
    return blocks.as_text(study_report.blocks(found)).splitlines()


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 30])
def test_the_quantile_leaves_a_fortieth_of_students_distribution_above_it(freedom: int) -> None:
    found = quantile(freedom)
    assert found is not None
    if freedom == 1:
        assert found == pytest.approx(math.tan(0.475 * math.pi), rel=1e-12)
    if freedom == 2:
        assert found == pytest.approx(0.95 * math.sqrt(2 / (1 - 0.95**2)), rel=1e-12)
    # the density over its own integral, by Simpson's rule
    x, step = np.linspace(-found, found, 20_001, retstep=True)
    density = (1 + x**2 / freedom) ** (-(freedom + 1) / 2)
    weights = np.where(np.arange(x.size) % 2, 4.0, 2.0)
    weights[[0, -1]] = 1
    whole = math.sqrt(freedom * math.pi) * math.gamma(freedom / 2) / math.gamma((freedom + 1) / 2)
    assert (weights @ density) * step / 3 / whole == pytest.approx(0.95, abs=1e-10)


def test_the_interval_is_the_mean_with_t_standard_errors_to_each_side() -> None:
    found = spread([0.1, 0.2, 0.3])
    # t = 4.302653 for two degrees of freedom, s = 0.1, the standard error s / sqrt(3) = 0.0577350
    assert (found.count, found.mean, found.deviation) == (3, pytest.approx(0.2), pytest.approx(0.1))
    assert (found.low, found.high) == (pytest.approx(-0.0484138, abs=1e-7), pytest.approx(0.4484138, abs=1e-7))
    assert not found.apart_from_zero and spread([0.2, 0.3]).low == pytest.approx(0.25 - 12.7062047 * 0.05, abs=1e-7)
    assert spread([5.0]) == type(found)(1, 5.0, None, None, None)
    assert spread([2.0, 2.0]).apart_from_zero


def test_seeds_are_compared_one_by_one_and_the_finals_over_all(seeds: Seeds) -> None:
    found = study([*seeds("torch", TORCH), *seeds("jax", JAX)])
    assert [(group.seed, group.backends) for group in found.seeds] == [(n, ("torch", "jax")) for n in (1, 2, 3)]
    (final,) = found.finals
    torch, jax = final.spreads["torch"], final.spreads["jax"]
    assert (torch.mean, torch.deviation, torch.count) == (pytest.approx(0.6), pytest.approx(0.1), 3)
    # deviations of 0.6, 0.9, 0.9 from 0.8: 0.2, 0.1, 0.1; s = sqrt(0.06 / 2)
    assert (jax.mean, jax.deviation) == (pytest.approx(0.8), pytest.approx(math.sqrt(0.03)))
    (difference,) = found.differences
    assert (difference.first, difference.second) == ("torch", "jax")
    assert (difference.spread.mean, difference.spread.deviation) == (pytest.approx(0.2), pytest.approx(0.1))
    assert difference.spread.high == pytest.approx(0.4484138, abs=1e-7)
    assert difference.relative == pytest.approx(0.2 / 0.8)
    assert not found.same


def test_texts_that_differ_are_named_after_the_numbers_of_each_seed_and_epoch(write_run: Write) -> None:
    def run(backend: str, seed: int, loss: str, matrix: str) -> Path:
        files = {"valid/1/Loss": [f"{loss},final"], "valid/1/ConfusionMatrix": [f"{matrix},final"]}
        return write_run(f"runs/{backend}-{seed}", files, backend=backend, seed=seed)

    torch = [run("torch", seed, "2.0", "3 1; 0 4") for seed in (1, 2)]
    jax = [run("jax", 1, "2.00001", "3 1; 0 4"), run("jax", 2, "2.00002", "3 1; 1 3")]
    found = study([*torch, *jax])
    (epoch,) = found.epochs()
    assert (epoch.seed, epoch.row.metric, epoch.row.relative) == (2, "Loss", pytest.approx(2e-5 / 2.00002))
    assert [(each.metric, each.values) for each in epoch.texts] == [("ConfusionMatrix", ("3 1; 0 4", "3 1; 1 3"))]
    assert [cells(line) for line in text(found)[:9]] == [
        ["for each seed"],
        ["seed", "pair", "epochs", "largest difference", "first past"],
        ["1", "torch / jax", "1", "5.0e-06 valid Loss, epoch 1", "-"],
        ["2", "torch / jax", "1", "1.0e-05 valid Loss, epoch 1; valid ConfusionMatrix differs", "epoch 1"],
        [""],
        ["largest difference over the seeds"],
        ["epoch", "torch / jax"],
        ["1", "1.0e-05 valid Loss, seed 2; valid ConfusionMatrix differs"],
        [""],
    ]


def test_the_report_has_a_line_for_each_seed_epoch_and_metric(seeds: Seeds) -> None:
    lines = text(study([*seeds("torch", TORCH), *seeds("jax", JAX)]))
    assert [cells(line) for line in lines[:18]] == [
        ["for each seed"],
        ["seed", "pair", "epochs", "largest difference", "first past"],
        ["1", "torch / jax", "2", "1.7e-01 valid Loss, epoch 2", "epoch 2"],
        ["2", "torch / jax", "2", "2.2e-01 valid Loss, epoch 2", "epoch 2"],
        ["3", "torch / jax", "2", "3.3e-01 valid Loss, epoch 2", "epoch 2"],
        [""],
        ["largest difference over the seeds"],
        ["epoch", "torch / jax"],
        ["1", "0 valid Loss, seed 1"],
        ["2", "3.3e-01 valid Loss, seed 3, past"],
        [""],
        ["in the end, mean ± standard deviation over 3 seeds"],
        ["split", "metric", "torch", "jax"],
        ["valid", "Loss", "0.60000 ± 0.10", "0.80000 ± 0.17"],
        [""],
        ["differences in the end, paired by seed, with the 95 % interval of their mean"],
        ["split", "metric", "difference", "mean", "from", "to", "seeds"],
        ["valid", "Loss", "jax - torch", "+0.2", "-0.048", "+0.45", "3"],
    ]
    assert lines[19] == "preconditions" and lines[20].startswith("held for every seed: seed, ")
    assert lines[-2].startswith("first difference: seed 1: ")
    assert lines[-1] == (
        "different: 3 of 6 values of 3 seeds past the tolerance (relative 0.0001, shares one item), first in epoch 2 "
        "with seed 1: valid Loss; over the seeds no final metric shows a difference (95 %)"
    )


def test_a_difference_that_all_seeds_share_is_named(seeds: Seeds) -> None:
    # 0.2, 0.2, 0.2003: an interval of 0.0007 around 0.2001
    found = study([*seeds("torch", (0.5, 0.7, 0.6)), *seeds("jax", (0.7, 0.9, 0.8003))])
    assert text(found)[-1].endswith("over the seeds these differ in the end (95 %): valid Loss of jax and torch")
    # within the tolerance no difference is named, however sure it is
    near = study([*seeds("torch", (0.5, 0.7, 0.6)), *seeds("jax", (0.50001, 0.70001, 0.60001), first=2.0)])
    assert near.differences[0].spread.apart_from_zero
    assert text(near)[-1].endswith("over the seeds no final metric shows a difference (95 %)")


def test_equal_runs_of_every_seed_are_the_same(seeds: Seeds) -> None:
    found = study([*seeds("torch", TORCH), *seeds("jax", TORCH)])
    assert found.same and found.first_past() is None
    assert text(found)[-1] == (
        "same: 6 values of 3 seeds on torch, jax within the tolerance (relative 0.0001, shares one item)"
    )
    assert not any(line.startswith("first difference") for line in text(found))


def test_a_seed_that_a_backend_lacks_is_an_obstacle_unless_the_rest_is_enough(seeds: Seeds) -> None:
    directories = [*seeds("torch", TORCH), *seeds("jax", TORCH[:1])]
    found = study(directories)
    assert not found.same
    assert "but: no run on jax with seed 2, 3" in text(found)
    assert text(found)[-1] == "different: not all of it could be compared"
    assert ["valid", "Loss", "0.60000 ± 0.10", "0.50000 (1 of 3)"] in [cells(line) for line in text(found)]
    accepted = study(directories, 1e-4, True)
    assert accepted.same and "note: no run on jax with seed 2, 3" in text(accepted)


def test_a_run_without_a_finished_epoch_is_said_and_the_others_are_compared(seeds: Seeds, write_run: Write) -> None:
    directories = [*seeds("torch", TORCH), *seeds("jax", TORCH[:2])]
    directories.append(write_run("runs/jax-3", {"valid/1/Loss": ["1.0,4"]}, backend="jax", seed=3))
    found = study(directories)
    (obstacle,) = found.obstacles
    assert obstacle.startswith("seed 3: The runs have no finished epoch in common.")
    assert not found.same and len(found.compared) == 2


def test_seeds_on_one_backend_are_summed_up_without_a_verdict(seeds: Seeds) -> None:
    directories = seeds("torch", TORCH)
    found = study(directories)
    assert not found.same
    assert text(found) == [
        "in the end, mean ± standard deviation over 3 seeds",
        "split  metric  torch",
        "valid  Loss    0.60000 ± 0.10",
        "",
        "no verdict: none of the 3 seeds has two runs that can be compared",
    ]
    all_with_each_other = compare_grouped(directories, ungrouped=True)
    assert isinstance(all_with_each_other, Comparison)
    assert all_with_each_other.preconditions[0].values == ("1", "2", "3")


def test_what_is_no_finite_number_is_in_no_mean_and_is_said(seeds: Seeds, write_run: Write) -> None:
    found = study([*seeds("torch", (0.5, "NaN", "inf", "1e200", 0.7)), *seeds("jax", (0.5, "NaN", 0.7, 0.7, 0.7))])
    assert [line for line in text(found) if "no mean" in line] == [
        "note: valid Loss of torch with seed 2 is nan in the end: it is in no mean",
        "note: valid Loss of jax with seed 2 is nan in the end: it is in no mean",
        "note: valid Loss of torch with seed 3 is inf in the end: it is in no mean",
        "note: valid Loss of torch with seed 4 is 1e+200 in the end: it is in no mean",
    ]
    assert found.finals[0].spreads["torch"].mean == pytest.approx(0.6)
    assert (found.differences[0].spread.count, found.differences[0].spread.mean) == (2, 0.0)
    # NaN equals NaN, and nothing else
    assert [comparison.same for _, comparison in found.compared] == [True, True, False, False, True]
    for name in ("a", "b"):
        texts = [write_run(f"{name}{n}", {"train/1/Word": ["x", f"x{n},final"]}, name, seed=n) for n in (1, 2)]
    found = study([*texts, *(path.parent / path.name.replace("b", "a") for path in texts)])
    assert found.same and found.finals == ()
    assert "note: train Word of b with seed 1 is a text: it is in no mean" in text(found)


def test_metrics_that_only_some_runs_have_are_obstacles_of_their_seed(seeds: Seeds, write_run: Write) -> None:
    directories = [*seeds("torch", TORCH), *seeds("jax", TORCH)]
    for epoch in (1, 2):
        (directories[4] / f"valid/epoch-{epoch}/Accuracy.log").write_text("0.5,4\n0.5,final\n")
    found = study(directories)
    assert f"but: seed 2: {directories[1]} has no valid Accuracy in epochs 1-2" in text(found)
    assert {final.metric: dict.fromkeys(final.spreads) for final in found.finals}["Accuracy"] == {"jax": None}


def test_different_numbers_of_epochs_are_said(seeds: Seeds) -> None:
    directories = seeds("torch", TORCH)
    longer = directories[0] / "valid/epoch-3/Loss.log"
    longer.parent.mkdir()
    longer.write_text("0.1,4\n0.1,final\n")
    told = "note: the runs do not end in the same epoch (torch 1 3, torch 2 2, torch 3 2): each is taken as it ended"
    assert told in text(study(directories))


def test_every_two_of_three_backends_are_told_apart_in_every_epoch(seeds: Seeds) -> None:
    found = study([*seeds("torch", (0.5, 0.5)), *seeds("jax", (0.5, 0.6)), *seeds("tensorflow", (0.7, 0.5))])
    furthest = {(each.first, each.second, each.row.epoch): (each.seed, each.row.absolute) for each in found.epochs()}
    assert furthest["torch", "jax", 2] == (2, pytest.approx(0.1))
    assert furthest["torch", "tensorflow", 2] == (1, pytest.approx(0.2))
    assert furthest["jax", "tensorflow", 2] == (1, pytest.approx(0.2))
    assert {absolute for (_, _, epoch), (_, absolute) in furthest.items() if epoch == 1} == {0.0}
    assert ["epoch", "torch / jax", "torch / tensorflow", "jax / tensorflow"] in [cells(line) for line in text(found)]


def test_runs_of_two_experiments_are_told_apart_by_the_directory_of_their_builder(write_run: Write) -> None:
    directories = []
    for name, value in (("wide", 0.5), ("deep", 0.6)):
        for seed in (1, 2):
            declared = {"builder": {"directory": f"runs/{name}-{{seed}}"}, "seed": seed}
            directories.append(write_run(f"{name}-{seed}", {"train/1/Loss": [f"{value},final"]}, **declared))
    assert study(directories).backends == ("torch runs/wide-{seed}", "torch runs/deep-{seed}")
    for path in directories:
        path.joinpath("experiment.json").write_text(
            path.joinpath("experiment.json").read_text().replace("{seed}", path.name)
        )
    with pytest.raises(ConfigurationError, match=r"both on torch with seed 1\. Compare one"):
        compare_grouped(directories)


def test_runs_of_different_configurations_share_no_mean(write_run: Write) -> None:
    def declared(seed: int, rate: float) -> dict[str, object]:
        return {
            "builder": {"directory": f"runs/{rate}-{seed}"},
            "optimizer": {"class": "Adam", "rate": rate},
            "seed": seed,
        }

    runs = [
        write_run(f"{rate}-{seed}", {"train/1/Loss": [f"{seed},final"]}, **declared(seed, rate))
        for rate in (0.1, 0.2)
        for seed in (1, 2)
    ]
    assert isinstance(compare_grouped([runs[0], runs[3]]), Comparison)
    found = study([runs[0], runs[1], runs[3], write_run("0.2-3", {"train/1/Loss": ["3,final"]}, **declared(3, 0.2))])
    assert found.backends == ("torch 0.1-1", "torch 0.2-2")


def test_one_run_on_each_backend_is_compared_as_if_there_were_no_seeds(seeds: Seeds) -> None:
    one, other = seeds("torch", TORCH)[0], seeds("jax", TORCH)[1]
    assert isinstance(compare_grouped([one, other]), Comparison)


def test_without_scipy_everything_else_is_told(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    found = study([*seeds("torch", TORCH), *seeds("jax", JAX)])
    assert "note: no confidence intervals: SciPy is not installed (pip install 'multilearn-keras[stats]')" in text(
        found
    )
    (line,) = [line for line in text(found) if "jax - torch" in line]
    assert cells(line) == ["valid", "Loss", "jax - torch", "+0.2", "-", "-", "3"]
    assert found.differences[0].spread.deviation == pytest.approx(0.1)
    assert "95 %" not in text(found)[-1]


def test_nothing_at_all_to_compare_is_refused(write_run: Write) -> None:
    runs = [write_run(f"run-{seed}", {}, seed=seed) for seed in (1, 2)]
    with pytest.raises(DirectoryError, match="has no finished epoch"):
        compare_grouped(runs)


def test_the_json_has_all_of_it(seeds: Seeds, command: Command) -> None:
    directories = [*seeds("torch", TORCH), *seeds("jax", JAX)]
    done = command("compare", *directories, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["same"], told["backends"]) == (1, False, ["torch", "jax"])
    assert [each["seed"] for each in told["seeds"]] == [1, 2, 3]
    assert told["seeds"][0]["comparison"]["first_past"]["relative"] == pytest.approx(0.1 / 0.6)
    assert told["seeds"][2]["directories"] == [str(directories[2]), str(directories[5])]
    assert told["differences"][0]["spread"]["low"] == pytest.approx(-0.0484138, abs=1e-7)
    assert [(each["row"]["epoch"], each["seed"]) for each in told["epochs"]] == [(1, 1), (2, 3)]
    assert {each["name"]: each["held"] for each in told["seeds"][0]["comparison"]["preconditions"]}["seed"] is True
    assert told["verdict"].startswith("different: 3 of 6 values of 3 seeds")


def test_markdown_has_the_same_tables_and_the_verdict_in_bold(seeds: Seeds, command: Command) -> None:
    directories = [*seeds("torch", TORCH), *seeds("jax", TORCH)]
    done = command("compare", *directories, "--markdown")
    told = done.stdout.splitlines()
    assert told[:5] == [
        "### for each seed",
        "",
        "| seed | pair | epochs | largest difference | first past |",
        "| ---: | --- | ---: | --- | --- |",
        "| 1 | torch / jax | 2 | 0 valid Loss, epoch 1 | - |",
    ]
    assert told[-1] == (
        "**same: 6 values of 3 seeds on torch, jax within the tolerance (relative 0.0001, shares one item)**"
    )
    flat = command("compare", directories[0], directories[3], "--markdown").stdout.splitlines()
    assert flat[:4] == ["|  | run |", "| --- | --- |", "| A | torch-1 (torch) |", "| B | jax-1 (jax) |"]
    assert flat[5] == "| split | metric | epoch | A | B | absolute | relative |  |"
    assert flat[-1] == "**same: 2 values within the tolerance (relative 0.0001, shares one item)**"
    both = command("compare", *directories, "--markdown", "--json")
    assert (done.returncode, both.returncode) == (0, 2) and "printed in one form" in both.stderr


def test_markdown_escapes_what_names_could_break(seeds: Seeds, write_run: Write) -> None:
    files = {"train/1/Loss": ["1.0,final"]}
    result = compare_grouped([write_run("a|b_c", files), write_run("d<br>", files)])
    assert isinstance(result, Comparison)
    told = blocks.as_markdown(comparison_report.blocks(result)).splitlines()
    assert told[2:4] == [r"| A | a\|b\_c (torch) |", r"| B | d\<br> (torch) |"]


def test_preconditions_are_stated_and_the_first_difference_only_of_different_runs(write_run: Write) -> None:
    files: Mapping[str, list[str]] = {"train/1/Loss": ["1.0,final"]}
    a = write_run("a", files)
    b = write_run("b", files, "jax", seed=7)
    same = compare_grouped([a, b])
    assert isinstance(same, Comparison) and same.same
    lines = blocks.as_text(comparison_report.blocks(same)).splitlines()
    assert "differs: seed (42 / 7)" in lines
    assert not any(line.startswith("first difference") for line in lines)
    c = write_run("c", {"train/1/Loss": ["2.0,final"]}, "jax", seed=7)
    different = compare_grouped([a, c])
    assert isinstance(different, Comparison)
    lines = blocks.as_text(comparison_report.blocks(different)).splitlines()
    assert lines[-2].startswith("first difference: The seed differs: 42")
    told = json.loads(document(comparison_report.plain(different)))
    assert f"first difference: {told['first_difference']}" == lines[-2]
    assert told["preconditions"][0] == {"name": "seed", "held": False, "values": ["42", "7"], "needed": True}


@given(
    values=st.lists(st.tuples(*[st.floats() | st.just(1.0)] * 3), min_size=1, max_size=4),
    tolerance=st.sampled_from([0.0, 1e-4, 0.5]),
    items=st.none() | st.integers(1, 100),
)
def test_the_pairs_agree_with_the_whole(values: list[tuple[float, ...]], tolerance: float, items: int | None) -> None:
    from multilearn.commands.compare.values import ComparedRun
    from multilearn.events import Split

    rows = tuple(
        Row.of((Split.TRAIN, "Loss"), "", epoch, each, items, tolerance) for epoch, each in enumerate(values, start=1)
    )
    column = ComparedRun("x", "x", (), None, ())
    pairs = Comparison((column,) * 3, rows, tolerance, (), ()).pairs()
    assert [pair.runs for pair in pairs] == [(0, 1), (0, 2), (1, 2)]
    for at, row in enumerate(rows):
        of_pairs = [pair.epochs[at] for pair in pairs]
        assert row.within == all(each.within for each in of_pairs)
        assert row.relative == max(each.relative for each in of_pairs)
        assert row.within == (row.used(tolerance) <= 1 + 1e-6)
