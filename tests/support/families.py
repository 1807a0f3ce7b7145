"""Small models of keras-hub with random weights, with the preprocessors that theirs have, and what they are trained on.

The optimizer is SGD: the gradient of the bias of an attention's keys is zero but for rounding, which Adam would make
steps of.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import keras_hub
import numpy as np

from multilearn.renderers import SilentRenderer
from multilearn_keras import Classification

hub: Any = keras_hub.models
ITEMS, BATCH, TOKENS, RATE = 20, 2, 8, 0.1
TEXT = {"vocabulary_size": 24, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
ENCODER = {**TEXT, "max_sequence_length": TOKENS}
IMAGE = (32, 32, 3)
VISION = {"image_shape": IMAGE, "patch_size": 16, "num_layers": 1, "num_heads": 2, "hidden_dim": 8}
WORDS = ["a", "cat", "dog", "sat", "sits", "and", "the"]
LABELS = (np.arange(ITEMS) % 3).astype("int32")
RANDOM = np.random.default_rng(0)
TEXTS = np.array([" ".join(RANDOM.choice(WORDS, length)) for length in RANDOM.integers(1, 5, ITEMS)])
IMAGES = RANDOM.integers(0, 256, (ITEMS, 40, 48, 3)).astype("uint8")


def bert() -> tuple[Any, Any, Any]:
    """Pieces of words."""
    tokenizer = hub.BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "do", "##g", "sat", "and"])
    preprocessor = hub.BertTextClassifierPreprocessor(tokenizer, sequence_length=TOKENS)
    backbone = hub.BertBackbone(**ENCODER, dropout=0.1)
    return hub.BertTextClassifier(backbone, num_classes=3, preprocessor=preprocessor), TEXTS, LABELS


def bert_of_tokens() -> tuple[Any, Any, Any]:
    """No preprocessor."""
    model, texts, labels = bert()
    tokens = {name: keras.ops.convert_to_numpy(each) for name, each in model.preprocessor(texts.tolist()).items()}
    model.preprocessor = None
    return model, tokens, labels


def gpt2_with_lora() -> tuple[Any, Any, Any]:
    """Pairs of bytes; the preprocessor makes labels and weights of the texts."""
    characters = sorted({*"".join(TEXTS).replace(" ", "Ġ")})
    pieces = {piece: number for number, piece in enumerate(["<|endoftext|>", *characters, "ca", "cat"])}
    preprocessor = hub.GPT2CausalLMPreprocessor(
        hub.GPT2Tokenizer(vocabulary=pieces, merges=["c a", "ca t"]), sequence_length=TOKENS
    )
    backbone = hub.GPT2Backbone(**ENCODER, dropout=0.1)
    backbone.enable_lora(rank=2)
    return hub.GPT2CausalLM(backbone, preprocessor=preprocessor), TEXTS, None


def vit() -> tuple[Any, Any, Any]:
    """Images of another size, as bytes."""
    converter = keras_hub.layers.ViTImageConverter(image_size=IMAGE[:2], scale=1 / 127.5, offset=-1)
    backbone = hub.ViTBackbone(**VISION, mlp_dim=16, dropout_rate=0.1)
    preprocessor = hub.ViTImageClassifierPreprocessor(converter)
    return hub.ViTImageClassifier(backbone, num_classes=3, preprocessor=preprocessor), IMAGES, LABELS


def albert() -> tuple[Any, Any, Any]:
    """SentencePiece."""
    import sentencepiece

    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS.tolist()),
        model_writer=trained,
        model_type="WORD",
        vocab_size=TEXT["vocabulary_size"],
        hard_vocab_limit=False,
        **{"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, "user_defined_symbols": "[MASK]", "minloglevel": 2},
        **{"pad_piece": "<pad>", "unk_piece": "<unk>", "bos_piece": "[CLS]", "eos_piece": "[SEP]"},
    )
    tokenizer = hub.AlbertTokenizer(trained.getvalue())
    preprocessor = hub.AlbertTextClassifierPreprocessor(tokenizer, sequence_length=TOKENS)
    backbone = hub.AlbertBackbone(**ENCODER, embedding_dim=4, dropout=0.1)
    return hub.AlbertTextClassifier(backbone, num_classes=3, preprocessor=preprocessor), TEXTS, LABELS


def bart() -> tuple[Any, Any, Any]:
    """A dict of texts."""
    characters = sorted({*"".join(TEXTS).replace(" ", "Ġ")})
    pieces = {piece: number for number, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *characters])}
    preprocessor = hub.BartSeq2SeqLMPreprocessor(
        hub.BartTokenizer(vocabulary=pieces, merges=[]), encoder_sequence_length=TOKENS, decoder_sequence_length=6
    )
    texts = {"encoder_text": TEXTS, "decoder_text": TEXTS[::-1].copy()}
    return hub.BartSeq2SeqLM(hub.BartBackbone(**ENCODER, dropout=0.1), preprocessor=preprocessor), texts, None


COMPARED: dict[str, Callable[[], tuple[Any, Any, Any]]] = {"bert": bert, "gpt2 with lora": gpt2_with_lora, "vit": vit}
MODELS = {**COMPARED, "bert of tokens": bert_of_tokens, "albert": albert, "bart": bart}


def made(name: str) -> tuple[Any, Any, Any]:
    """The model, x and y; the same weights and the same random streams at every call."""
    keras.backend.clear_session()
    ml.set_seed(1)
    model, x, y = MODELS[name]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss, jit_compile=keras.backend.backend() == "jax")
    return model, x, y


def learned(name: str, directory: Path, epochs: int, *, wrapped: bool = False, resume: bool = False) -> Any:
    """The learner and its model after these epochs."""
    model, x, y = made(name)
    builder = ml.LearnerBuilder(directory).num_epochs(epochs).with_file_checkpointer().renderer(SilentRenderer())
    task, optimizer = (Classification(model), keras.optimizers.SGD(RATE)) if wrapped else (model, None)
    learner = (builder.checkpoint("latest") if resume else builder).build(task, optimizer)
    data = ml.DataLoader(x if y is None else (x, y), BATCH, shuffle=False)
    learner.fit(data, data)
    return learner, model
