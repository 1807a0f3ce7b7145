"""Images in files, as items of a dataset: read by Pillow, so that they are the same on every framework."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multilearn.arguments import choice, whole
from multilearn.errors import ConfigurationError, DataError, pip_install

__all__ = ["ImageFolder"]

Array = np.ndarray[Any, Any]

_FORMATS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})
_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


class ImageFolder:
    """The images below `directory`, which has a folder for each class: a dataset for a `DataLoader`.

        images = ml.ImageFolder("photos", image_size=(64, 64))
        train = ml.DataLoader(images, 32, shuffle=True, num_workers=2)

    An item is `(image, class id)`: float32 from 0 to 255, (height, width, channels), and the place of its folder in
    `class_names`, which are sorted unless they are given. Folders in the folder of a class belong to it. Files are in
    the order of their paths, the same on every system; those that are no images by their ending (.bmp, .gif, .jpeg,
    .jpg, .png, .webp) or begin with a dot are ignored. Nothing is read before it is asked for.

    `image_size`: what every image is resized to, (height, width), its proportions not kept. `color_mode`: `"rgb"`,
    `"rgba"` or `"grayscale"`, of one channel. `interpolation`: `"bilinear"`, `"nearest"`, `"bicubic"`, `"lanczos"`,
    `"box"` or `"hamming"`, as Pillow resizes: antialiased if the image becomes smaller, which Keras'
    `image_dataset_from_directory`, whose arguments these are, is not.

    `files` are the paths, and `labels` the class ids, (items,), of all items, as for
    `train_valid_split(images, 0.2, stratify=images.labels)`.

    Raises `DataError` for a directory without folders of images, and `ConfigurationError` for bad arguments, and if
    Pillow is not installed. An image that cannot be read raises when it is loaded.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        image_size: tuple[int, int] = (256, 256),
        *,
        color_mode: str = "rgb",
        interpolation: str = "bilinear",
        class_names: Sequence[str] | None = None,
    ) -> None:
        _require_pillow()
        sizes = list(image_size) if isinstance(image_size, (tuple, list)) else []
        if len(sizes) != 2:
            raise ConfigurationError(
                "image_size is (height, width).", received=repr(image_size), remedy="Write for instance (64, 64)."
            )
        self._size = tuple(whole("Each side of image_size", side, 1, "Write for instance (64, 64).") for side in sizes)
        self._mode = _MODES[choice('color_mode is "rgb", "rgba" or "grayscale"', color_mode, tuple(_MODES))]
        self._interpolation = choice("interpolation is one of Pillow's", interpolation, _INTERPOLATIONS)
        root = Path(directory).expanduser()
        folders = _folders(root)
        self.class_names = tuple(sorted(folders)) if class_names is None else _chosen(class_names, folders, root)
        found = [(file, number) for number, name in enumerate(self.class_names) for file in _images(folders[name])]
        if not found:
            raise DataError(
                "An ImageFolder has images in the folders of its directory.",
                received=f"none in {len(folders)} folders of {root}",
                remedy=f"Their names end in {', '.join(sorted(_FORMATS))}.",
            )
        self.files = tuple(file for file, _ in found)
        self.labels: Array = np.array([number for _, number in found], np.int32)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Array, np.int32]:
        from PIL import Image

        height, width = self._size
        with Image.open(self.files[index]) as image:
            eight_bits = _in_eight_bits(image).convert(self._mode)
        resized = eight_bits.resize((width, height), Image.Resampling[self._interpolation.upper()])
        pixels = np.asarray(resized, np.float32)
        return pixels if pixels.ndim == 3 else pixels[..., None], self.labels[index]


def _in_eight_bits(image: Any) -> Any:
    """Of 16 bits for each pixel the upper 8, as Keras' reader has them: Pillow would cut off what is above 255."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return image


def _require_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "Images are read by Pillow.", received="no Pillow", remedy=f"Run: {pip_install('images')}"
        ) from error


def _folders(root: Path) -> dict[str, Path]:
    if not root.is_dir():
        raise DataError(
            "An ImageFolder is of a directory that is there.",
            received=str(root),
            remedy="A relative one is relative to the current directory.",
        )
    folders = {path.name: path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
    if not folders:
        raise DataError(
            "The directory of an ImageFolder has a folder for each class.",
            received=f"none in {root}",
            remedy="Move the images of a class into a folder with its name: cats/1.png, dogs/1.png.",
        )
    return folders


def _chosen(class_names: Sequence[str], folders: dict[str, Path], root: Path) -> tuple[str, ...]:
    names = tuple(class_names)
    if sorted(names) != sorted(folders):
        raise DataError(
            "class_names are the names of the folders, each once, in the order of their class ids.",
            received=f"{list(names)}, and {sorted(folders)} in {root}",
            remedy="Leave it out to have them sorted.",
        )
    return names


def _images(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in _FORMATS and not path.name.startswith("."))
    return sorted((path for path in found if path.is_file()), key=lambda path: path.relative_to(folder).parts)
