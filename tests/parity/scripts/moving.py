"""Trains every cell and writes checkpoints, or goes on from those of every framework.

`moving.py write FOLDER`: UPDATES updates of each cell, a checkpoint, and UPDATES more.
`moving.py resume FOLDER`: for each cell and each framework that wrote it, UPDATES updates from its checkpoint on.

Both leave in FOLDER/<backend>.<action>.json what the variables held at the checkpoint, read without multilearn, and the
losses that followed.
"""

import sys

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import hashlib
import json
import traceback
from pathlib import Path

import keras
import numpy as np
from cells import CELLS

from multilearn import backend
from multilearn.checkpoint import MpkGzRecorder, read_file
from multilearn.metrics import Loss
from multilearn.protocols import EngineOptions, Example
from multilearn_keras import Classification
from multilearn_keras.state.keys import variables
from multilearn_keras.state.optimizer_keys import optimizer_variables

UPDATES, RATE = 3, 1e-2


def raw(variable):
    """A variable's shape, type and bytes as the framework itself hands them out; of whole numbers, the numbers."""
    value, shape = variable.value, list(variable.shape)
    if keras.backend.backend() == "torch":
        import torch

        flat = value.detach().reshape(-1)
        kind, whole = str(flat.dtype).removeprefix("torch."), not flat.is_floating_point()
        held = flat.tolist() if whole else flat.view(torch.uint8).numpy().tobytes()
    else:
        flat = np.asarray(value).reshape(-1)
        kind, whole = flat.dtype.name, flat.dtype.kind in "iub"
        held = flat.tolist() if whole else flat.tobytes()
    if whole:
        # int32, int64 or uint32, as the framework likes it: the numbers are what moves, those of seeds modulo 2^32
        modulus = 2**32 if "seed_generator" in variable.path else 2**63
        return [shape, "integer", [number % modulus for number in held]]
    return [shape, kind, hashlib.sha256(held).hexdigest()]


class Trained:
    """A cell in an engine."""

    def __init__(self, cell, seed):
        ml.set_seed(seed)
        self.model, optimizer = cell.made()
        adopting = backend.load()
        self.task = Classification(self.model)
        subject = adopting.adopt(self.task, optimizer, None)
        self.optimizer = subject.optimizer
        self.batches = cell.batches(2 * UPDATES)
        example = Example(self.batches[0])
        self.engine = adopting.engine(subject, (example, example), EngineOptions((Loss(),), (Loss(),)))

    def held(self):
        """Every variable of model and optimizer, by key."""
        self.engine.release()
        state = variables(self.task)
        slots = optimizer_variables(self.optimizer, state)
        # what Keras lists must be in a record, whatever keys it has there
        listed = {id(variable) for variable in (*self.model.variables, *self.optimizer.variables)}
        assert listed <= {id(variable) for variable in (*state.values(), *slots.values())}
        found = {f"model/{key}": raw(variable) for key, variable in state.items()}
        return found | {f"optim/{key}": raw(variable) for key, variable in slots.items()}

    def losses(self, batches):
        outputs = [self.engine.train_step(batch, RATE / (1 + k), True) for k, batch in enumerate(batches)]
        return [float(output.measures["Loss"]["loss"]) for output in self.engine.fetch(outputs)]


def write(cell, folder):
    trained = Trained(cell, seed=1)
    first = trained.losses(trained.batches[:UPDATES])
    record = trained.engine.record()
    folder.mkdir(parents=True)
    for part in ("model", "optim"):
        with (folder / f"{part}-1.mpk.gz").open("wb") as file:
            MpkGzRecorder().write(file, record[part], {})
    return {"first": first, "held": trained.held(), "next": trained.losses(trained.batches[UPDATES:])}


def resume(cell, folders):
    # another seed: nothing is right by chance
    trained = Trained(cell, seed=2)
    random = trained.engine.record()["random"]
    found = {}
    for source, folder in folders.items():
        read = {part: read_file(folder / f"{part}-1.mpk.gz").item for part in ("model", "optim")}
        trained.engine.restore({**read, "random": random})
        found[source] = {"held": trained.held(), "next": trained.losses(trained.batches[UPDATES:])}
    return found


def main(action, folder, *chosen):
    here = keras.backend.backend()
    told = {}
    for name in chosen or CELLS:
        written = {source.name: source / name for source in sorted(folder.iterdir()) if (source / name).is_dir()}
        try:
            cell = CELLS[name]
            told[name] = write(cell, folder / here / name) if action == "write" else resume(cell, written)
        except Exception:
            told[name] = {"failed": traceback.format_exc()}
    (folder / f"{here}.{action}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
