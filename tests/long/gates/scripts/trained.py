"""Trains one of `models.py`: `trained.py MODEL DIRECTORY UPDATES`, and options."""

import argparse

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from models import SUBJECTS, arrays

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("directory")
parser.add_argument("updates", type=int)
parser.add_argument("--optimizer", default="Adam")
parser.add_argument("--rate", type=float, default=1e-3)
parser.add_argument("--nudge", type=int, help="move each weight to one of its neighbours, drawn with this seed")
parser.add_argument("--policy", help="of the numbers, instead of the model's own")
parser.add_argument("--batch", type=int, help="items of a batch, the last of an epoch having what is left")
parser.add_argument("--accumulate", type=int, default=1)
parser.add_argument("--clip", type=float, help="gradients to this global norm")
options = parser.parse_args()

subject = SUBJECTS[options.model]
policy = options.policy or subject.policy
keras.config.set_dtype_policy(policy)
if policy == "float64":
    keras.config.set_floatx(policy)  # losses are computed in it
train, valid = arrays()
train, valid = ((subject.shaped(pixels), labels) for pixels, labels in (train, valid))
batch = options.batch or subject.batch
if options.batch is None:
    train = tuple(array[: options.updates * batch] for array in train)
    train = tuple(array[: len(array) // batch * batch] for array in train)
batches = -(-len(train[0]) // batch)
per_epoch = -(-batches // options.accumulate)
ml.set_seed(42)
model = subject.make()
if options.nudge is not None:
    random = np.random.default_rng(options.nudge)
    for variable in model.trainable_variables:
        value = keras.ops.convert_to_numpy(variable)
        towards = random.choice(np.array([-np.inf, np.inf], "float32"), value.shape)
        variable.assign(np.nextafter(value, towards))
learner = (
    ml.LearnerBuilder(options.directory)
    .metrics(ml.metrics.Loss(), *([ml.metrics.Accuracy()] if subject.classifies else []))
    .with_file_checkpointer()
    .num_epochs(-(-options.updates // per_epoch))
    .grads_accumulation(options.accumulate)
    .renderer(ml.renderers.SilentRenderer())
    .build(
        subject.task(model), getattr(keras.optimizers, options.optimizer)(global_clipnorm=options.clip), options.rate
    )
)
learner.fit(ml.DataLoader(train, batch, shuffle=True), ml.DataLoader(valid, 256))
