"""What is trained: a Keras model, and what a batch means to it.

A custom task is any object with a `model` and a `step(batch, training)`, which returns an `Output`: the loss, what it
is a mean over, and whatever metrics are to measure (docs/extending.md has an autoencoder).

* `step` is traced by the framework's compiler: pure in the batch, `training` and Keras variables, without Python side
  effects and without branches on values. A counter is a `keras.Variable` in an attribute of the task; what a step
  assigns in training is kept and recorded, what it assigns in evaluation is dropped. So are `SeedGenerator`s and
  `keras.metrics`, also in lists, dicts and plain objects; only the step itself resets a metric. What is assigned and
  cannot be recorded, such as a global variable, is refused.
* A batch is whatever the loader yields, with its arrays as tensors: a task reads it as it likes.
* `loss` must be a mean over `count`, or accumulated gradients and the epoch's mean are not what they are said to be.
  Layer losses (`model.losses`) are the task's to add.
* What is trained are the trainable variables of `model`; other layers in attributes of the task are recorded.
* In the place of `step` there may be `turns`: several losses, each with its variables and its optimizer (see `Turn`).

Three more methods may be there:

* `inputs(batch)`: what of a batch goes into `model`, which is then built before the first step, and predicts from it;
* `predict(batch)`: what is predicted, where that is not what `model` says of the inputs;
* `check(batch, shape)`: a look at a batch of numpy arrays before it goes to the device, which raises `DataError`;
  `shape` is that of the model's output, (None, ...), nested as the model nests it, or `(None,)` without `inputs`.
"""

from multilearn_keras.tasks.compiled import CompiledModel
from multilearn_keras.tasks.derivative import gradient
from multilearn_keras.tasks.labelled import Classification, MultiLabelClassification, Regression
from multilearn_keras.tasks.sequences import LanguageModel, SequenceClassification
from multilearn_keras.tasks.supervised import unpack
from multilearn_keras.tasks.turns import Turn

__all__ = [
    "Classification",
    "CompiledModel",
    "LanguageModel",
    "MultiLabelClassification",
    "Regression",
    "SequenceClassification",
    "Turn",
    "gradient",
    "unpack",
]
