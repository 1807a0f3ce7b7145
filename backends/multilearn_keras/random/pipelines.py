"""TensorFlow's global seed under every framework: what `tf.data` shuffles and draws is a function of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["seed_tensorflow"]

_NAME = "tensorflow"


def seed_tensorflow(n: int) -> None:
    """Start TensorFlow's own streams from `n`: now, if it is imported, else when the script imports it."""
    if _AT_IMPORT in sys.meta_path:
        sys.meta_path.remove(_AT_IMPORT)
    tensorflow = sys.modules.get(_NAME)
    if tensorflow is not None:
        tensorflow.random.set_seed(n)
    else:
        _AT_IMPORT.seed = n
        sys.meta_path.insert(0, _AT_IMPORT)


class _AtImport:
    """Finds TensorFlow where the other finders do, and seeds it once it is loaded."""

    seed = 0

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _NAME:
            return None
        finders = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(name, path, target) for finder in finders)
        spec = next((each for each in found if each is not None), None)
        # who only asks whether there is a TensorFlow does not load it
        if spec is not None and spec.loader is not None:
            self._seed_after(spec.loader)
        return spec

    def _seed_after(self, loader: object) -> None:
        """Have this loader, which is made for one import, seed what it has loaded."""
        load = loader.exec_module  # type: ignore[attr-defined]

        def exec_module(module: ModuleType) -> None:
            load(module)
            seed_tensorflow(self.seed)

        loader.exec_module = exec_module  # type: ignore[attr-defined]


_AT_IMPORT = _AtImport()
