"""Train a model and write its weights in every format, or load what another framework wrote.

`moved_weights.py write FOLDER` or `moved_weights.py read FOLDER...`; the latter prints the largest difference between
the predictions of the model that was written and of the one that was read, by folder and file, as JSON.
"""

import sys

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import json
from pathlib import Path

import keras
import numpy as np
from keras import layers

from multilearn.checkpoint import convert
from multilearn_keras import Classification, load_weights, save_model


@keras.saving.register_keras_serializable("parity")
class Tagger(keras.Model):
    """Embedding, statistics, a nested model, a list of layers, a dropout."""

    def __init__(self, **options):
        super().__init__(**options)
        self.embedding = layers.Embedding(9, 4)
        self.blocks = [layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(4, activation="tanh")]
        x = keras.Input((4,))
        self.head = keras.Model(x, layers.Dense(3)(layers.LayerNormalization()(x)))

    def call(self, tokens, training=False):
        x = keras.ops.mean(self.embedding(tokens), axis=1)
        for block in self.blocks:
            x = block(x) if isinstance(block, layers.Dense) else block(x, training=training)
        return self.head(x)


def made() -> keras.Model:
    model = Tagger()
    model(np.zeros((1, 5), "int32"))
    return model


tokens = np.random.default_rng(0).integers(0, 9, (24, 5)).astype("int32")


def write(folder: Path) -> None:
    folder.mkdir()
    ml.set_seed(3)
    builder = ml.LearnerBuilder(folder / "run").with_file_checkpointer().renderer(ml.renderers.SilentRenderer())
    learner = builder.build(Classification(made()), "adam", 0.05)
    model = learner.fit(ml.DataLoader((tokens, tokens[:, 0] % 3), batch_size=8), None)
    save_model(model, folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    record = folder / "run/checkpoint/model-1.mpk.gz"
    convert(record, folder / "model.mpk")
    convert(record, folder / "model.safetensors")
    np.save(folder / "expected.npy", keras.ops.convert_to_numpy(model(tokens)))


def read(folder: Path) -> dict[str, float]:
    expected, differences = np.load(folder / "expected.npy"), {}
    model = made()
    others = model.get_weights()
    for name in ("model.keras", "model.weights.h5", "model.mpk", "model.safetensors", "run"):
        model.set_weights(others)
        load_weights(model, folder / name)
        differences[name] = float(np.abs(keras.ops.convert_to_numpy(model(tokens)) - expected).max())
    model = keras.models.load_model(folder / "model.keras")
    differences["plain Keras"] = float(np.abs(keras.ops.convert_to_numpy(model(tokens)) - expected).max())
    return differences


action, *folders = sys.argv[1], *map(Path, sys.argv[2:])
if action == "write":
    write(*folders)
else:
    print(json.dumps({folder.name: read(folder) for folder in folders}))
