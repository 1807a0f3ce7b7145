"""Knowledge distillation: a small network that learns from a large one as well as from the labels.

    MULTILEARN_BACKEND=jax python examples/ports/distillation.py

After "Knowledge Distillation" of keras.io by Kenneth Borup, on scikit-learn's digits with few labels for the student.
"""

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
from keras import layers, ops
from sklearn.datasets import load_digits

from multilearn_keras import Classification

ALPHA, TEMPERATURE = 0.1, 5.0


def network(filters):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(filters[0], 3, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.MaxPooling2D(2, strides=1, padding="same"),
            layers.Conv2D(filters[1], 3, strides=2, padding="same"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


class Distillation:
    """The student's loss is ALPHA times that of the labels, and the rest of how far it is from the teacher."""

    def __init__(self, student, teacher):
        self.model, self.teacher = student, teacher  # `model` is trained

    def step(self, batch, training):
        images, labels = batch
        logits = self.model(images, training=training)
        soft = ops.softmax(ops.stop_gradient(self.teacher(images, training=False)) / TEMPERATURE)
        by_labels = ops.mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))
        by_teacher = ops.mean(keras.losses.kl_divergence(soft, ops.softmax(logits / TEMPERATURE))) * TEMPERATURE**2
        loss = ALPHA * by_labels + (1 - ALPHA) * by_teacher
        return ml.outputs.ClassificationOutput(loss, ops.shape(labels)[0], logits, labels)


def trained(name, task, data, epochs):
    """The best accuracy on the validation data."""
    learner = (
        ml.LearnerBuilder(f"runs/distillation-{name}-{{backend}}", overwrite=True)
        .metrics(ml.metrics.Accuracy())
        .num_epochs(epochs)
        .build(task, keras.optimizers.Adam(), ml.schedulers.Cosine(5e-3))
    )
    learner.fit(ml.DataLoader(data, batch_size=64, shuffle=True), ml.DataLoader(valid, batch_size=99))
    return learner.history["valid"]["Accuracy"][-1]


ml.set_seed(42)
x, y = load_digits(return_X_y=True)
x, y = (x / 16).astype("float32").reshape(-1, 8, 8, 1), y.astype("int32")
valid = (x[1500:], y[1500:])

teacher, student = network((64, 128)), network((4, 8))
alone = keras.models.clone_model(student)
alone.set_weights(student.get_weights())
accuracies = {
    "teacher": trained("teacher", Classification(teacher), (x[:1500], y[:1500]), 12),
    "student, from the teacher": trained("student", Distillation(student, teacher), (x[:1500], y[:1500]), 12),
    "student, from the labels": trained("alone", Classification(alone), (x[:1500], y[:1500]), 12),
}
for name, accuracy in accuracies.items():
    print(f"{name}: {accuracy:.1%}")
