"""Runs a script that waits before one of its batches while a file is there: `pausing.py "train 2 5" FILE SCRIPT`.

The batch is named by split, epoch and number, from 1 on; the script's own arguments follow.
"""

import runpy
import sys
import time
from pathlib import Path

import multilearn as ml

WHERE, FILE, SCRIPT = sys.argv[1], Path(sys.argv[2]), sys.argv[3]


class PausingLoader(ml.DataLoader):
    """Touches the file before the batch, and waits until somebody has removed it."""

    def __init__(self, data, batch_size, *, shuffle=False, **options):
        super().__init__(data, batch_size, shuffle=shuffle, **options)
        self.split = "train" if shuffle else "valid"

    def iterate(self, seed, epoch, start=0):
        for number, batch in enumerate(super().iterate(seed, epoch, start), start + 1):
            if f"{self.split} {epoch} {number}" == WHERE:
                FILE.touch()
                while FILE.exists():
                    time.sleep(0.01)
            yield batch


ml.DataLoader = PausingLoader
sys.argv = sys.argv[3:]
runpy.run_path(SCRIPT, run_name="__main__")
