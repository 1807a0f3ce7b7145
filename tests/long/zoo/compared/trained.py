"""Run as `trained.py DIRECTORY`: train each of the models that are compared, and write their losses to losses.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from support.families import COMPARED, learned

directory = Path(sys.argv[1])
losses = {}
for name in COMPARED:
    history = learned(name, directory / name, 2)[0].history
    losses[name] = [value for split in ("train", "valid") for value in history[split]["Loss"]]
(directory / "losses.json").write_text(json.dumps(losses), encoding="utf-8")
