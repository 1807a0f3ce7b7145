"""Images in folders as items: which files, in which order, and with which pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multilearn as ml
from multilearn.errors import ConfigurationError, DataError

Image: Any = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def saved(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype("uint8")).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes; in the images of one the number of the file, and what is no image beside them."""
    for number in (10, 2, 1):
        saved(tmp_path / "owls" / f"{number}.png", np.full((4, 6, 3), number))
    saved(tmp_path / "cats" / "b.JPG", np.zeros((5, 5, 3)))
    saved(tmp_path / "cats" / "a" / "deep.bmp", np.zeros((5, 5)))
    saved(tmp_path / "cats" / ".hidden.png", np.zeros((5, 5)))
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    (tmp_path / ".cache").mkdir()
    saved(tmp_path / "beside.png", np.zeros((5, 5)))
    return tmp_path


def test_the_items_are_those_of_the_folders_in_the_order_of_their_paths(root: Path) -> None:
    images = ml.ImageFolder(root, (4, 6))
    assert images.class_names == ("cats", "owls")
    found = [file.relative_to(root).as_posix() for file in images.files]
    assert found == ["cats/a/deep.bmp", "cats/b.JPG", "owls/1.png", "owls/10.png", "owls/2.png"]
    assert len(images) == 5 and images.labels.tolist() == [0, 0, 1, 1, 1]
    batch, labels = next(iter(ml.DataLoader(images, 5)))
    assert batch.shape == (5, 4, 6, 3) and batch.dtype == np.float32
    assert batch[2:, 0, 0, 0].tolist() == [1, 10, 2] and labels.tolist() == [0, 0, 1, 1, 1]
    turned = ml.ImageFolder(root, (4, 6), class_names=["owls", "cats"])
    assert turned.labels.tolist() == [0, 0, 0, 1, 1] and turned[0][0][0, 0, 0] == 1


def test_pixels_are_resized_to_height_and_width_and_have_the_channels_of_the_mode(tmp_path: Path) -> None:
    pixels = np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 250]]])
    saved(tmp_path / "a" / "1.png", pixels)
    enlarged = ml.ImageFolder(tmp_path, (2, 6), interpolation="nearest")[0][0]
    np.testing.assert_array_equal(enlarged, pixels.repeat(3, axis=1))
    (grey, number), (all_four, _) = (ml.ImageFolder(tmp_path, (2, 2), color_mode=m)[0] for m in ("grayscale", "rgba"))
    # the luma of ITU-R 601
    np.testing.assert_allclose(grey[..., 0], pixels @ [0.299, 0.587, 0.114], atol=1)
    assert grey.shape == (2, 2, 1) and number == 0 and number.dtype == np.int32
    np.testing.assert_array_equal(all_four, np.concatenate([pixels, np.full((2, 2, 1), 255)], axis=-1))


def test_batches_of_workers_and_of_a_split_are_those_of_the_items(root: Path) -> None:
    images = ml.ImageFolder(root, (2, 2))
    train, valid = ml.train_valid_split(images, 2, stratify=images.labels)
    assert sorted(label for _, labels in ml.DataLoader(valid, 2) for label in labels.tolist()) == [0, 1]
    alone, by_workers = (
        [batch for batch, _ in ml.DataLoader(train, 2, shuffle=True, **options)] for options in ({}, {"num_workers": 1})
    )
    assert [batch.tolist() for batch in alone] == [batch.tolist() for batch in by_workers]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"image_size": 64}, ConfigurationError, "image_size is .height, width."),
        ({"image_size": (64, 0)}, ConfigurationError, "whole number of at least 1"),
        ({"color_mode": "bgr"}, ConfigurationError, "color_mode"),
        ({"interpolation": "area"}, ConfigurationError, "interpolation"),
        ({"class_names": ["cats"]}, DataError, "names of the folders"),
    ],
)
def test_bad_arguments_are_refused(root: Path, options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        ml.ImageFolder(root, **options)


def test_a_directory_without_images_and_an_image_that_is_none_are_named(root: Path) -> None:
    with pytest.raises(DataError, match="a directory that is there"):
        ml.ImageFolder(root / "nowhere")
    with pytest.raises(DataError, match="a folder for each class"):
        ml.ImageFolder(root / "owls")
    (root / "empty" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="none in 1 folders"):
        ml.ImageFolder(root / "empty")
    (root / "owls" / "1.png").write_text("no image")
    with pytest.raises(DataError, match=r"item 2, in batch 1.*owls/1\.png"):
        list(ml.DataLoader(ml.ImageFolder(root), 2))


def test_of_16_bits_the_upper_8_are_taken(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    Image.fromarray(np.array([[0, 1000], [30000, 65535]], "uint16")).save(tmp_path / "scans" / "1.png")
    for mode in ("grayscale", "rgb"):
        pixels, _ = ml.ImageFolder(tmp_path, image_size=(2, 2), color_mode=mode)[0]
        # 1000 = 3 * 256 + 232, 30000 = 117 * 256 + 48
        assert pixels[..., 0].tolist() == [[0, 3], [117, 255]]
