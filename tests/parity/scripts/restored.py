"""What a learner holds right after it has gone on from epoch 2 of another run: `restored.py DIGITS SOURCE FILE`."""

import runpy
import sys

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import ops

from multilearn_keras import Classification

digits, source, file = sys.argv[1:]
example = runpy.run_path(digits)
ml.set_seed(1)
train, _ = example["data"](quick=False)
optimizer = keras.optimizers.Adam()
learner = (
    ml.LearnerBuilder(f"{file}-run")
    .checkpoint(2, directory=source)
    .num_epochs(2)
    .build(Classification(example["network"]()), optimizer, 1e-3)
)
model = learner.fit(ml.DataLoader(train, batch_size=64))
held = {"iterations": ops.convert_to_numpy(optimizer.iterations)}
for k, variable in enumerate(model.trainable_variables):
    held[f"weights/{k}"] = ops.convert_to_numpy(variable)
    held[f"momentums/{k}"] = ops.convert_to_numpy(optimizer._momentums[k])
    held[f"velocities/{k}"] = ops.convert_to_numpy(optimizer._velocities[k])
np.savez(file, **held)
