"""Models of keras-hub train as Keras' own `fit` trains them, with random weights: `nox -s zoo`.

Their own `fit` applies the `preprocessor` of a task, its real tokenizer among them, and so does ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from support.families import BATCH, ENCODER, IMAGE, MODELS, TEXT, TOKENS, VISION, hub, learned, made

from multilearn_keras.state.keys import variables

DECODER = {
    **{"vocabulary_size": 24, "num_layers": 1, "num_query_heads": 2, "num_key_value_heads": 1, "hidden_dim": 8},
    "intermediate_dim": 16,
}
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
        **{"vocabulary_size": 24, "num_layers": 1, "num_attention_heads": 2, "hidden_dim": 8},
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


def weights(model: Any) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(each) for each in model.weights]


@pytest.mark.parametrize(("name", "wrapped"), [*((name, False) for name in MODELS), ("vit", True)])
def test_twenty_updates_equal_those_of_keras_and_are_resumed(tmp_path: Path, name: str, wrapped: bool) -> None:
    theirs, x, y = made(name)
    theirs.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    whole, ours = learned(name, tmp_path / "whole", 2, wrapped=wrapped)
    for mine, its in zip(weights(ours), weights(theirs), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-6)
    learned(name, tmp_path / "parts", 1, wrapped=wrapped)
    again, resumed = learned(name, tmp_path / "parts", 2, wrapped=wrapped, resume=True)
    for split in ("train", "valid"):
        assert again.history[split]["Loss"] == whole.history[split]["Loss"]
    assert all(map(np.array_equal, weights(ours), weights(resumed)))
    if name in ("bert", "vit"):
        predicted = np.concatenate(list(ml.predict(ours, ml.DataLoader(x, BATCH, shuffle=False))))
        np.testing.assert_allclose(predicted, theirs.predict(x, batch_size=BATCH, verbose=0), atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_variable_of_a_backbone_has_a_key(name: str) -> None:
    model = getattr(hub, f"{name}Backbone")(**BACKBONES[name])
    assert {id(each) for each in variables(model).values()} >= {id(each) for each in model.variables}
