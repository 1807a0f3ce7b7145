"""Named entities: which words of a sentence are people, places and companies, by a transformer.

    MULTILEARN_BACKEND=tensorflow python examples/ports/named_entities.py

After "Named Entity Recognition using Transformers" of keras.io by Varun Singh, on sentences that are made up here. A
third of the names occurs in validation only: there it is the words around them that tell.
"""

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops

from multilearn_keras import SequenceClassification

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "B-ORG", "I-ORG"]
NAMES = {
    "PER": ["Ada Byron", "Emmy Noether", "Alan Turing", "Kurt", "Grace Hopper", "Hedy"],
    "LOC": ["Paris", "Lagos", "Lima", "Oslo", "Kyoto", "Quito"],
    "ORG": ["Acme Bank", "Blue Motors", "Nimbus", "Delta Foods", "Orbit", "Pine Press"],
}
SENTENCES = [
    "PER works for ORG in LOC .", "yesterday PER flew from LOC to LOC .", "ORG has hired PER .",
    "the shares of ORG fell , said PER .", "PER was born in LOC and lives in LOC .", "in LOC it rained all day .",
]  # fmt: skip
LENGTH, WIDTH, HEADS, PADDING, UNKNOWN = 12, 32, 4, 0, 1


def sentences(count, seed, names):
    """Words and their tags, both as lists of texts."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        words, tags = [], []
        for word in random.choice(SENTENCES).split():
            parts = random.choice(names[word]).split() if word in names else [word]
            words += parts
            tags += [f"{'IB'[at == 0]}-{word}" for at in range(len(parts))] if word in names else ["O"]
        yield words, tags


def ids(texts, known, rest):
    """As numbers, (texts, LENGTH), filled up with PADDING."""
    rows = [[known.get(word, rest) for word in words] for words in texts]
    return np.array([row + [PADDING] * (LENGTH - len(row)) for row in rows], "int32")


def network(vocabulary):
    words = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(vocabulary, WIDTH)(words) + layers.Embedding(LENGTH, WIDTH)(ops.arange(LENGTH))
    x = layers.LayerNormalization()(x + layers.Dropout(0.1)(layers.MultiHeadAttention(HEADS, WIDTH)(x, x)))
    forward = layers.Dense(WIDTH)(layers.Dense(64, activation="relu")(x))
    x = layers.LayerNormalization()(x + layers.Dropout(0.1)(forward))
    return keras.Model(words, layers.Dense(len(TAGS) + 1)(layers.Dropout(0.1)(x)))


ml.set_seed(42)
train = list(sentences(800, 1, {kind: names[:4] for kind, names in NAMES.items()}))
valid = list(sentences(200, 2, NAMES))
# now and then a name is left out, so that names that were never seen are learned, too
vocabulary = {word: at + 2 for at, word in enumerate(sorted({word for words, _ in train for word in words}))}
numbers, random = {tag: at + 1 for at, tag in enumerate(TAGS)}, np.random.default_rng(3)
x, y = ids([words for words, _ in train], vocabulary, UNKNOWN), ids([tags for _, tags in train], numbers, PADDING)
x[(random.uniform(size=x.shape) < 0.5) & (y > 1)] = UNKNOWN
seen = ids([words for words, _ in valid], vocabulary, UNKNOWN), ids([tags for _, tags in valid], numbers, PADDING)

model = network(len(vocabulary) + 2)
learner = (
    ml.LearnerBuilder("runs/named-entities-{backend}", overwrite=True)
    .metrics(ml.metrics.Accuracy(), ml.metrics.FBetaScore.multiclass(beta=1))
    .num_epochs(10)
    .summary()
    .build(SequenceClassification(model, padding=PADDING), keras.optimizers.Adam(), ml.schedulers.Cosine(3e-3))
)
learner.fit(ml.DataLoader((x, y), batch_size=32, shuffle=True), ml.DataLoader(seen, batch_size=50))

words = ["Mary", "Shelley", "works", "for", "Frankenstein", "in", "Geneva", "."]
best = model.predict_on_batch(ids([words], vocabulary, UNKNOWN))[0].argmax(axis=-1)
print(" ".join(word if tag < 2 else f"{word}[{TAGS[tag - 1]}]" for word, tag in zip(words, best, strict=False)))
