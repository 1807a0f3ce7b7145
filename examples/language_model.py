"""A small causal transformer that learns to write like Python's own documentation, letter by letter.

MULTILEARN_BACKEND=jax python examples/language_model.py
"""

import argparse
import builtins

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops

from multilearn_keras import LanguageModel

EPOCHS = 20
CONTEXT, WIDTH, HEADS, BLOCKS = 48, 64, 4, 2
PADDING = 0


def texts():
    """The docstrings of Python's built-in functions and types, and of their methods, line by line."""
    things = [thing for name, thing in sorted(vars(builtins).items()) if not name.startswith("_")]
    things += [member for thing in things if isinstance(thing, type) for _, member in sorted(vars(thing).items())]
    found = {text for thing in things if isinstance(text := getattr(thing, "__doc__", None), str)}
    lines = {line.strip() for text in found for line in text.splitlines()}
    return sorted(line for line in lines if len(line) > 10 and line.isascii())


def rows(lines, alphabet):
    """Letters as ids, (lines, CONTEXT + 1): a line ends with a line break, and is filled up with padding."""
    ids = np.full((len(lines), CONTEXT + 1), PADDING, "int32")
    for row, line in zip(ids, lines, strict=True):
        cut = f"{line}\n"[: CONTEXT + 1]
        row[: len(cut)] = [alphabet.index(letter) for letter in cut]
    return ids


class Positions(layers.Layer):
    """Adds a trained vector for each position."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="random_normal")

    def call(self, x):
        return x + self.table


def network(letters):
    """Logits of the next letter, (batch, CONTEXT, letters), for each letter."""
    ids = keras.Input((CONTEXT,), dtype="int32")
    x = Positions()(layers.Embedding(letters, WIDTH)(ids))
    for _ in range(BLOCKS):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y, use_causal_mask=True)
        y = layers.LayerNormalization()(x)
        x = x + layers.Dense(WIDTH)(layers.Dense(2 * WIDTH, activation="gelu")(y))
    return keras.Model(ids, layers.Dense(letters)(layers.LayerNormalization()(x)))


def write(model, alphabet, begin):
    """The most probable line that begins so."""
    line = begin
    while len(line) < CONTEXT and not line.endswith("\n"):
        ids = rows([line], alphabet)[:, :-1]
        ids[0, len(line) :] = PADDING
        logits = ops.convert_to_numpy(model.predict_on_batch(ids))[0, len(line) - 1]
        line += alphabet[int(logits[1:].argmax()) + 1]
    return line.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help=f"how many (default {EPOCHS}; quick: 2)")
    parser.add_argument("--directory", default="runs/language-model-{backend}", help="where everything is written")
    parser.add_argument("--quick", action="store_true", help="a few lines and epochs, to see that it runs")
    options = parser.parse_args()
    epochs = options.epochs or (2 if options.quick else EPOCHS)

    ml.set_seed(42)
    lines = texts()[::8] if options.quick else texts()
    alphabet = ["", *sorted(set("".join(lines)) | {"\n"})]
    ids = rows(lines, alphabet)
    held_back = np.arange(len(ids)) % 10 == 0
    model = network(len(alphabet))

    learner = (
        ml.LearnerBuilder(options.directory, overwrite=True)
        .metrics(ml.metrics.Loss(), ml.metrics.Perplexity())
        .with_file_checkpointer()
        .num_epochs(epochs)
        .summary()
        # token ids alone are a batch: the task cuts them into inputs and targets
        .build(LanguageModel(model, padding=PADDING), keras.optimizers.Adam(), ml.schedulers.Cosine(3e-3))
    )
    learner.fit(
        ml.DataLoader(ids[~held_back], batch_size=32, shuffle=True), ml.DataLoader(ids[held_back], batch_size=128)
    )
    for begin in ("Return the ",) if options.quick else ("Return the ", "If the ", "Raise"):
        print(write(model, alphabet, begin))


if __name__ == "__main__":
    main()
