"""Run as `trained.py DIRECTORY`: train each of the models that are compared, in a folder of its own."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from families import COMPARED, learned

for name in COMPARED:
    learned(name, Path(sys.argv[1], name), 2)
