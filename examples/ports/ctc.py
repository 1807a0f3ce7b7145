"""Reading without being shown where the letters are: rows of four to six digits, with gaps, by the CTC loss.

    MULTILEARN_BACKEND=tensorflow python examples/ports/ctc.py

After "OCR model for reading Captchas" of keras.io by A_K_Nain, on rows of scikit-learn's digits.
"""

from itertools import pairwise

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

HEIGHT, WIDTH, LONGEST = 8, 64, 6
BLANK = 0  # of a text that is shorter, and of a place without a digit; digit d is class d + 1


def rows(count, images, digits, random):
    """Pictures (count, HEIGHT, WIDTH, 1) of digits side by side, and what stands there, (count, LONGEST)."""
    pictures = np.zeros((count, HEIGHT, WIDTH, 1), "float32")
    texts = np.full((count, LONGEST), BLANK, "int32")
    for picture, text in zip(pictures, texts, strict=True):
        chosen = random.integers(0, len(images), random.integers(4, LONGEST + 1))
        gaps = random.multinomial(WIDTH - 8 * len(chosen), np.ones(len(chosen) + 1) / (len(chosen) + 1))
        place = 0
        for at, (index, gap) in enumerate(zip(chosen, gaps, strict=False)):
            place += gap
            picture[:, place : place + 8, 0] = images[index]
            text[at] = digits[index] + 1
            place += 8
    return pictures, texts


def network():
    """For each of 16 places, from left to right, the logits of the digits and of the blank."""
    pictures = keras.Input((HEIGHT, WIDTH, 1))
    x = layers.Conv2D(24, 3, activation="relu", padding="same")(pictures)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(48, 3, activation="relu", padding="same")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Reshape((WIDTH // 4, HEIGHT // 4 * 48))(layers.Permute((2, 1, 3))(x))
    x = layers.Dropout(0.1)(layers.Dense(64, activation="relu")(x))
    x = layers.Bidirectional(layers.LSTM(32, return_sequences=True))(x)
    return keras.Model(pictures, layers.Dense(11)(x))


def read(model, pictures):
    """The most probable text of each picture: what is repeated counts once, blanks count nothing."""
    best = model.predict_on_batch(pictures).argmax(axis=-1)
    return ["".join(str(b - 1) for a, b in pairwise([BLANK, *row]) if b not in (a, BLANK)) for row in best]


ml.set_seed(42)
images, digits = load_digits(return_X_y=True)
images, random = (images / 16).reshape(-1, 8, 8), np.random.default_rng(0)
train = rows(1536, images[:1400], digits[:1400], random)
valid = rows(256, images[1400:], digits[1400:], random)

model = network()
model.compile(keras.optimizers.Adam(), keras.losses.CTC())
learner = (
    ml.LearnerBuilder("runs/ctc-{backend}", overwrite=True)
    .num_epochs(15)
    .summary()
    .build(model, lr=ml.schedulers.Cosine(1e-2))
)
learner.fit(ml.DataLoader(train, batch_size=32, shuffle=True), ml.DataLoader(valid, batch_size=64))

texts = ["".join(str(each - 1) for each in text if each) for text in valid[1]]
found = read(model, valid[0])
print("read", *found[:6])
print("true", *texts[:6])
right = np.mean([text == other for text, other in zip(texts, found, strict=True)])
print(f"{right:.0%} of the rows are read without a mistake")
