"""A table of numbers and words, with Keras' preprocessing layers in the model: it takes the raw values.

    MULTILEARN_BACKEND=torch python examples/ports/tabular_preprocessing.py

After "Structured data classification from scratch" of keras.io by François Chollet, on a census that is made up here.
`Normalization`, `Discretization` and `CategoryEncoding` run on every framework; `StringLookup`, `Hashing` and
`IntegerLookup` need TensorFlow, so words become numbers in the line with `numpy.unique`.
"""

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers

from multilearn_keras import MultiLabelClassification

WORDS = {"work": ["private", "public", "own"], "school": ["none", "primary", "secondary", "college", "doctorate"]}
EDGES = [25.0, 35.0, 45.0, 55.0, 65.0]


def census(count, seed):
    """A column for each feature, and who earns much, (count, 1): by age, hours, school and work, and by chance."""
    random = np.random.default_rng(seed)
    table = {name: random.choice(words, count) for name, words in WORDS.items()}
    table |= {
        "age": random.integers(18, 80, count),
        "hours": random.normal(40, 10, count),
        "gain": random.exponential(500, count),
    }
    school = np.array([WORDS["school"].index(word) for word in table["school"]])
    score = 1.2 * school + 0.08 * (table["hours"] - 40) - ((table["age"] - 50) / 12) ** 2 + 0.002 * table["gain"]
    score += np.where(table["work"] == "own", 1.0, 0.0) + random.logistic(0, 0.5, count) - 2
    return table, (score > 0).astype("int32")[:, None]


def numbered(table):
    """The columns as the model takes them: words as their numbers in the alphabet."""
    columns = {name: np.searchsorted(np.unique(words), table[name]).astype("int32") for name, words in WORDS.items()}
    return columns | {name: table[name].astype("float32")[:, None] for name in ("age", "hours", "gain")}


def network(x):
    """The layers learn means, variances and edges from the training data, and have them from then on."""
    inputs = {name: keras.Input(values.shape[1:], name=name, dtype=values.dtype.name) for name, values in x.items()}
    encoded = [
        layers.CategoryEncoding(len(words), output_mode="one_hot")(inputs[name]) for name, words in WORDS.items()
    ]
    for name in ("hours", "gain"):
        normalization = layers.Normalization()
        normalization.adapt(x[name])
        encoded.append(normalization(inputs[name]))
    encoded.append(layers.Discretization(bin_boundaries=EDGES, output_mode="one_hot")(inputs["age"]))
    hidden = layers.Dense(32, activation="relu")(layers.Concatenate()(encoded))
    return keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.3)(hidden)))


ml.set_seed(42)
(train, rich), (valid, valid_rich) = census(3000, seed=1), census(1000, seed=2)
model = network(numbered(train))
learner = (
    ml.LearnerBuilder("runs/tabular-preprocessing-{backend}", overwrite=True)
    .metrics(ml.metrics.HammingScore(), ml.metrics.AUROC.binary())
    .num_epochs(20)
    .summary()
    .build(MultiLabelClassification(model), keras.optimizers.Adam(), ml.schedulers.Cosine(5e-3))
)
learner.fit(
    ml.DataLoader((numbered(train), rich), batch_size=64, shuffle=True),
    ml.DataLoader((numbered(valid), valid_rich), batch_size=250),
)

one = {"age": 48, "work": "own", "school": "doctorate", "hours": 50.0, "gain": 0.0}
(logit,) = model.predict_on_batch(numbered({name: np.array([value]) for name, value in one.items()}))
print(f"{one}: earns much with a probability of {float(keras.ops.sigmoid(logit[0])):.0%}")
