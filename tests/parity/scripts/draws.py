"""What one framework draws: `draws.py FILE`.

Under `exact/...` is what must be equal bit for bit on all, under `near/...` are traced floats.
"""

import itertools
import sys
from importlib.util import find_spec

import keras
import numpy as np
from keras import layers, ops
from keras.src.utils.backend_utils import DynamicBackend

from multilearn_keras.random import seeds


def draw_everything():
    drawn = {}

    def keep(name, tensor):
        drawn[name] = np.asarray(ops.convert_to_numpy(tensor))

    def convolutional():
        image = layers.Input((8, 8, 1))
        x = layers.Conv2D(4, 3, kernel_initializer="he_normal")(image)
        x = layers.Dropout(0.3)(layers.ReLU()(layers.BatchNormalization()(x)))
        return keras.Model(image, layers.Dense(3, kernel_initializer="truncated_normal")(layers.Flatten()(x)))

    def recurrent():
        tokens = layers.Input((None,), dtype="int32")
        x = layers.Bidirectional(layers.LSTM(24, dropout=0.2, recurrent_dropout=0.3))(layers.Embedding(11, 9)(tokens))
        return keras.Model(tokens, layers.Dense(3)(x))

    def attention():
        x = inputs = layers.Input((6, 8))
        x = layers.MultiHeadAttention(2, 4, dropout=0.2)(x, x)
        return keras.Model(inputs, layers.Dense(2, kernel_initializer="orthogonal")(x))

    seeds.reset(42)
    for make in (convolutional, recurrent, attention):
        for k, weight in enumerate(make().weights):
            array = ops.convert_to_numpy(weight)
            drawn[f"exact/{make.__name__}/{k}"] = array.astype("int64") if "seed" in weight.path else array

    dropouts = [layers.Dropout(0.3), layers.SpatialDropout1D(0.4), layers.Dropout(0.1, seed=-7)]
    for step, (k, layer) in itertools.product(range(4), enumerate(dropouts)):
        drawn[f"exact/mask/{k}/{step}"] = ops.convert_to_numpy(layer(np.ones((4, 8, 3), "float32"), training=True)) != 0
    x = np.arange(96, dtype="float32").reshape(4, 8, 3) / 96
    for layer in (layers.GaussianNoise(1.0), layers.AlphaDropout(0.4), layers.LSTM(6, recurrent_dropout=0.3)):
        for step in range(3):
            keep(f"near/{type(layer).__name__}/{step}", layer(x, training=True))

    for step in range(3):
        keep(f"exact/uniform/{step}", keras.random.uniform((50,)))
        keep(f"exact/randint/{step}", keras.random.randint((50,), -(2**31), 2**31 - 1))
        keep(f"exact/shuffle/{step}", keras.random.shuffle(np.arange(20)))
        keep(f"exact/categorical/{step}", keras.random.categorical(np.zeros((3, 5), "float32"), 10))
        keep(f"near/normal/{step}", keras.random.normal((50,)))
        keep(f"near/truncated_normal/{step}", keras.random.truncated_normal((50,)))
    # as many as images to be mixed, for what draws them is compiled for each number of them
    n = 64
    spread = np.geomspace(0.02, 3e4, n).astype("float32")
    keep("near/gamma", keras.random.gamma((n,), spread))
    keep("near/beta", keras.random.beta((n,), spread, spread[::-1]))
    images, labels = np.arange(n * 48, dtype="float32").reshape(n, 4, 4, 3) / n, np.eye(n, dtype="float32")
    for layer in (layers.MixUp(), layers.CutMix()):
        mixed = layer({"images": images, "labels": labels}, training=True)
        keep(f"near/{type(layer).__name__}", mixed["images"])
        keep(f"near/{type(layer).__name__} labels", mixed["labels"])
    keep("near/elastic", ops.image.elastic_transform(images[:2], alpha=3.0, sigma=1.0))
    for dtype in ("float16", "bfloat16"):
        keep(f"exact/{dtype}", ops.cast(keras.random.dropout(ops.ones((50,), dtype=dtype), 0.3), "float32"))

    seeds.reset(43)
    keep("other seed", convolutional().weights[0])
    if find_spec("tensorflow"):  # as in a tf.data pipeline, whatever the framework that trains
        foreign = DynamicBackend("tensorflow")
        drawn["exact/tf.data"] = foreign.random.uniform(
            (50,), seed=keras.random.SeedGenerator(1, backend=foreign)
        ).numpy()
        drawn.update({f"exact/{name}": np.asarray(array) for name, array in draw_in_pipelines()})
    return drawn


def draw_in_pipelines():
    """What `tf.data` draws, epoch by epoch, and what is drawn before it and afterwards."""
    import tensorflow as tf

    seeds.reset(44)
    images = np.random.default_rng(1).uniform(0, 255, (6, 5, 5, 3)).astype("float32")
    generator, flip = keras.random.SeedGenerator(6), layers.RandomFlip()
    augmentations = layers.Pipeline([layers.RandomBrightness(0.2), layers.RandomTranslation(0.2, 0.2, seed=7)])
    maps = {
        "one": lambda image: flip(image, training=True),
        "pipeline": lambda image: augmentations(image, training=True),
        "generator": lambda image: image + keras.random.uniform(tf.shape(image), seed=generator),
        "no seed": lambda image: keras.random.dropout(image, 0.5),
    }
    for name, mapped in maps.items():
        single = tf.data.Dataset.from_tensor_slices(images)
        for batched, data in enumerate((single, single.batch(4))):
            data = data.map(mapped)
            yield from ((f"tf.data/{name}/{batched}/{epoch}", np.concatenate(list(data))) for epoch in range(2))
    mixed = tf.data.Dataset.from_tensors(images).map(maps["one"])
    for step in range(2):
        yield f"tf.data/outside/{step}", ops.convert_to_numpy(flip(images, training=True))
        yield f"tf.data/in turns/{step}", next(iter(mixed))
    yield "tf.data/made afterwards", ops.convert_to_numpy(layers.Dropout(0.5)(np.ones((4, 4)), training=True))


if __name__ == "__main__":
    np.savez(sys.argv[1], **draw_everything())
