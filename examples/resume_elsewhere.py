"""Begin a run on one framework, resume it on another, and compare it with one that stayed where it was.

python examples/resume_elsewhere.py --begin torch --resume-on tensorflow

A process has one framework, so each part is a process of its own, which the command line starts.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from multilearn import backend

DIGITS = Path(__file__).with_name("digits.py")


def command(*words):
    """What would be typed as `multilearn ...`."""
    print(f"$ multilearn {' '.join(map(str, words))}", flush=True)
    return subprocess.run([sys.executable, "-m", "multilearn", *map(str, words)]).returncode


def main():
    here = [name for name in backend.known() if backend.installed(name)]
    first = backend.chosen()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--begin", choices=here, default=first, help="the framework to begin on")
    other = next((name for name in here if name != first), first)
    parser.add_argument("--resume-on", choices=here, default=other, help="the framework to resume on")
    parser.add_argument("--epochs", type=int, help="how many in total (default 6; quick: 2)")
    parser.add_argument("--directory", default="runs/resume-elsewhere", help="where everything is written")
    parser.add_argument("--quick", action="store_true", help="a few images and epochs, to see that it runs")
    options = parser.parse_args()
    epochs = options.epochs or (2 if options.quick else 6)
    begun, moved, stayed = (Path(options.directory, name) for name in ("begun", "moved", "stayed"))
    quick = ["--quick"] if options.quick else []

    def train(name, *words):
        return command("run", DIGITS, "--backend", name, "--", *quick, *words)

    return (
        train(options.begin, "--directory", begun, "--epochs", epochs // 2)
        or train(options.resume_on, "--directory", moved, "--from", begun, "--epochs", epochs)
        or train(options.begin, "--directory", stayed, "--epochs", epochs)
        or command("compare", stayed, moved, "--tolerance", "1e-4")
    )


if __name__ == "__main__":
    sys.exit(main())
