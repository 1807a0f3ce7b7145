"""A vision transformer: scikit-learn's digits, cut into patches of 2 x 2 pixels that attend to each other.

    MULTILEARN_BACKEND=torch python examples/ports/vision_transformer.py

After "Image classification with Vision Transformer" of keras.io by Khalid Salama, in small.
"""

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
from keras import layers, ops
from sklearn.datasets import load_digits

from multilearn_keras import Classification

SIZE, PATCH, WIDTH, HEADS, BLOCKS = 8, 2, 32, 4, 2
PATCHES = (SIZE // PATCH) ** 2


class PatchEncoder(layers.Layer):
    """Each patch as a vector, to which a trained one for its place is added: (batch, patches, width)."""

    def __init__(self):
        super().__init__()
        self.projection = layers.Dense(WIDTH)
        self.places = layers.Embedding(PATCHES, WIDTH)

    def call(self, images):
        patches = ops.image.extract_patches(images, PATCH)  # (batch, rows, columns, pixels of a patch)
        patches = ops.reshape(patches, (-1, PATCHES, PATCH * PATCH))
        return self.projection(patches) + self.places(ops.arange(PATCHES))


def perceptron(x, units):
    for size in units:
        x = layers.Dropout(0.1)(layers.Dense(size, activation="gelu")(x))
    return x


def network():
    images = keras.Input((SIZE, SIZE, 1))
    x = PatchEncoder()(images)
    for _ in range(BLOCKS):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS, dropout=0.1)(y, y)
        x = x + perceptron(layers.LayerNormalization(epsilon=1e-6)(x), [2 * WIDTH, WIDTH])
    x = layers.Flatten()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(images, layers.Dense(10)(perceptron(x, [64])))


ml.set_seed(42)
x, y = load_digits(return_X_y=True)
x, y = (x / 16).astype("float32").reshape(-1, SIZE, SIZE, 1), y.astype("int32")
train, valid = (x[:1500], y[:1500]), (x[1500:], y[1500:])

learner = (
    ml.LearnerBuilder("runs/vision-transformer-{backend}", overwrite=True)
    .metrics(ml.metrics.Accuracy(), ml.metrics.TopKAccuracy(k=3))
    .num_epochs(20)
    .summary()
    .build(Classification(network()), keras.optimizers.AdamW(weight_decay=1e-4), ml.schedulers.Cosine(3e-3))
)
learner.fit(ml.DataLoader(train, batch_size=64, shuffle=True), ml.DataLoader(valid, batch_size=99))
