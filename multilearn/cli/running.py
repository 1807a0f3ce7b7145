"""`multilearn run` and `diff-step`: a script in processes of its own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from multilearn.cli.app import Arguments, AsJson, Backends, Script, Seed
from multilearn.errors import ConfigurationError

__all__ = ["diff_step", "run"]


def run(
    script: Script,
    arguments: Arguments = None,
    backend: Backends = None,
    seed: Seed = None,
    seeds: Annotated[
        list[str] | None,
        typer.Option("--seeds", metavar="N,M|N..M", help="A grid: every seed on every backend, finished ones skipped."),
    ] = None,
    devices: Annotated[
        int | None, typer.Option("--devices", min=1, metavar="N", help="Train on N devices, which share every batch.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help='Run it as a job of Ray Train: "local", "auto", or host:port.'),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option("--workers", metavar="N|N..M", help="With --ray: the workers, which share every batch."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Try it: a batch of each epoch, in a directory that is thrown away.")
    ] = False,
    screen: Annotated[
        bool, typer.Option("--screen", help="Show it on the whole screen of the terminal: one backend, one seed.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what came out as one JSON document; the script's output to stderr.")
    ] = False,
) -> None:
    """Run a script on each backend, one fresh process after the other.

    The output has the backend in front of every line. A failure does not stop the others; the exit code is the
    first that is not zero. Ctrl-C is passed on to the running script, and the rest is not started.

    With --seeds it is a grid, each cell with its own directory: LearnerBuilder("runs/x-{backend}-{seed}"). Run
    again, it resumes what is unfinished and skips what is finished. The script needs no change for it.

    With --quick every fit is two epochs of one batch each, with a checkpoint, a resume and an evaluation; what is
    written is thrown away, and no directory of a run is touched.
    """
    from multilearn.commands.grid import grid
    from multilearn.commands.grid.on_screen import run_on_screen
    from multilearn.commands.grid.plan import GridPlan
    from multilearn.launch.ray_job import RayCluster

    if seeds and arguments and "--" not in sys.argv:
        raise ConfigurationError(
            "The script's own arguments come after a --.",
            received=" ".join(arguments),
            remedy="Seeds are separated by commas: --seeds 1,2,3.",
        )
    if quick and ray is not None:
        raise ConfigurationError(
            "A script is tried on this machine.", received="--quick with --ray", remedy="Leave out --ray."
        )
    cluster = RayCluster.checked(ray, workers, devices, seeds or ())
    plan = GridPlan.checked(script, arguments or (), backend or (), seed, seeds or (), devices, cluster, quick)
    if screen:
        run_on_screen(plan, as_json)
    outcome = grid.run(plan, sys.stderr.buffer if as_json else None)
    if as_json:
        print(outcome.as_json())
    elif outcome.grid or quick or len(outcome.ended) > 1:
        print(outcome.as_text())
    raise typer.Exit(outcome.code)


def diff_step(
    script: Script,
    arguments: Arguments = None,
    backend: Backends = None,
    tolerance: Annotated[float, typer.Option(metavar="T", help="Relative to the largest value at each place.")] = 1e-4,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Walk the first batch through a script's model on two backends, and name what differs first.

    The script runs up to its first fit, and writes nothing. Exit 0 if every layer's output, every gradient and the
    update agree, else 1.
    """
    from multilearn.commands.diff_step import report as steps_report
    from multilearn.commands.diff_step import steps

    compared = steps.diff_step(script, backend or (), arguments or (), tolerance, seed)
    print(steps_report.as_json(compared) if as_json else steps_report.as_text(compared))
    raise typer.Exit(0 if all(each.same for each in compared) else 1)
