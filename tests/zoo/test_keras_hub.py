"""Models of keras-hub train as Keras' own `fit` trains them, with random weights: `nox -s zoo`.

Their own `fit` applies the `preprocessor` of a task, and so does ours. The optimizer is SGD: the gradient of the bias
of an attention's keys is zero but for rounding, which Adam would make steps of.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import keras_hub
import numpy as np
import pytest

from multilearn.renderers import SilentRenderer
from multilearn_keras import Classification
from multilearn_keras.variables import variables_of

hub: Any = keras_hub.models
ITEMS, BATCH, TOKENS, RATE = 12, 4, 8, 0.1
TEXT = {"vocabulary_size": 20, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
ENCODER = {**TEXT, "max_sequence_length": TOKENS}
DECODER = {
    **{"vocabulary_size": 20, "num_layers": 1, "num_query_heads": 2, "num_key_value_heads": 1, "hidden_dim": 8},
    "intermediate_dim": 16,
}
IMAGE = (32, 32, 3)
VISION = {"image_shape": IMAGE, "patch_size": 16, "num_layers": 1, "num_heads": 2, "hidden_dim": 8}
BACKBONES: dict[str, dict[str, Any]] = {
    "Albert": {**ENCODER, "embedding_dim": 4},
    "Bart": ENCODER,
    "Bert": ENCODER,
    "Bloom": TEXT,
    "DebertaV3": {**ENCODER, "bucket_size": 4},
    "DenseNet": {"stackwise_num_repeats": [1, 1], "image_shape": IMAGE},
    "DistilBert": ENCODER,
    "FNet": {name: each for name, each in ENCODER.items() if name != "num_heads"},
    "Falcon": {
        **{"vocabulary_size": 20, "num_layers": 1, "num_attention_heads": 2, "hidden_dim": 8},
        "intermediate_dim": 16,
    },
    "GPT2": ENCODER,
    "GPTNeoX": ENCODER,
    "Gemma": {**DECODER, "head_dim": 4},
    "Llama": DECODER,
    "Llama3": DECODER,
    "Mistral": DECODER,
    "Mixtral": {**DECODER, "num_experts": 2, "top_k": 1},
    "OPT": ENCODER,
    "Phi3": DECODER,
    "Qwen": DECODER,
    "Qwen3": {**DECODER, "head_dim": 4},
    "Roberta": ENCODER,
    "T5": TEXT,
    "VGG": {"stackwise_num_repeats": [1, 1], "stackwise_num_filters": [4, 8], "image_shape": IMAGE},
    "ViT": {**VISION, "mlp_dim": 16},
    "Whisper": {**TEXT, "max_encoder_sequence_length": TOKENS, "max_decoder_sequence_length": TOKENS},
    "XLMRoberta": ENCODER,
    "XLNet": TEXT,
    "Xception": {
        **{"stackwise_conv_filters": [[8, 8], [8, 8]], "stackwise_pooling": [True, False]},
        "image_shape": IMAGE,
    },
}


class Halved(keras.layers.Layer):
    """A preprocessor without a vocabulary: half of each number, on the host."""

    def call(self, x: Any) -> Any:
        return x / 2


def tokens() -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(0)
    ids = random.integers(0, 20, (ITEMS, TOKENS)).astype("int32")
    mask = np.arange(TOKENS) < random.integers(2, TOKENS + 1, (ITEMS, 1))
    return {"token_ids": ids, "padding_mask": mask.astype("int32")}, ids


def bert() -> tuple[Any, Any, Any]:
    x, ids = tokens()
    model = hub.BertTextClassifier(hub.BertBackbone(**ENCODER, dropout=0.1), num_classes=3)
    return model, {**x, "segment_ids": np.zeros_like(ids)}, (ids[:, 0] % 3).astype("int32")


def gpt2_with_lora() -> tuple[Any, Any, Any]:
    x, ids = tokens()
    backbone = hub.GPT2Backbone(**ENCODER, dropout=0.1)
    backbone.enable_lora(rank=2)
    return hub.GPT2CausalLM(backbone, preprocessor=None), x, np.roll(ids, -1, axis=1)


def vit() -> tuple[Any, Any, Any]:
    random = np.random.default_rng(0)
    backbone = hub.ViTBackbone(**VISION, mlp_dim=16, dropout_rate=0.1)
    model = hub.ViTImageClassifier(backbone, num_classes=3, preprocessor=Halved())
    return model, random.normal(size=(ITEMS, *IMAGE)).astype("float32"), random.integers(0, 3, ITEMS).astype("int32")


MODELS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {"bert": bert, "gpt2 with lora": gpt2_with_lora, "vit": vit}


def made(name: str) -> tuple[Any, Any, Any]:
    """The same weights and the same random streams at every call."""
    keras.backend.clear_session()
    ml.set_seed(1)
    model, x, y = MODELS[name]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss, jit_compile=keras.backend.backend() == "jax")
    return model, x, y


def learned(name: str, directory: Path, epochs: int, *, wrapped: bool = False, resume: bool = False) -> Any:
    model, x, y = made(name)
    builder = ml.LearnerBuilder(directory).num_epochs(epochs).with_file_checkpointer().renderer(SilentRenderer())
    task, optimizer = (Classification(model), keras.optimizers.SGD(RATE)) if wrapped else (model, None)
    learner = (builder.checkpoint("latest") if resume else builder).build(task, optimizer)
    data = ml.DataLoader((x, y), BATCH, shuffle=False)
    learner.fit(data, data)
    return learner, model


def weights(model: Any) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(each) for each in model.weights]


@pytest.mark.parametrize(("name", "wrapped"), [*((name, False) for name in MODELS), ("vit", True)])
def test_an_epoch_equals_that_of_keras_and_is_resumed(tmp_path: Path, name: str, wrapped: bool) -> None:
    theirs, x, y = made(name)
    for at in range(0, ITEMS, BATCH):
        part = keras.tree.map_structure(lambda array, at=at: array[at : at + BATCH], x)
        if theirs.preprocessor is not None:
            part = keras.ops.convert_to_numpy(theirs.preprocessor(part))
        keras.Model.train_on_batch(theirs, part, y[at : at + BATCH])
    _, ours = learned(name, tmp_path / "parts", 1, wrapped=wrapped)
    for mine, its in zip(weights(ours), weights(theirs), strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-6)
    whole, model = learned(name, tmp_path / "whole", 2, wrapped=wrapped)
    again, resumed = learned(name, tmp_path / "parts", 2, wrapped=wrapped, resume=True)
    assert again.history["train"]["Loss"] == whole.history["train"]["Loss"]
    assert all(map(np.array_equal, weights(model), weights(resumed)))
    if name == "vit":
        predicted = np.concatenate(list(ml.predict(ours, ml.DataLoader(x, BATCH, shuffle=False))))
        np.testing.assert_allclose(predicted, keras.ops.convert_to_numpy(ours(x / 2, training=False)), atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_variable_of_a_backbone_has_a_key(name: str) -> None:
    model = getattr(hub, f"{name}Backbone")(**BACKBONES[name])
    assert {id(each) for each in variables_of(model).values()} >= {id(each) for each in model.variables}
