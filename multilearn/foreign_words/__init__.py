"""Names that are other ones here: Keras' `fit(epochs=...)` or `F1Score` is refused with what to write in its place."""

from multilearn.foreign_words.refusals import Suggesting, check_arguments, missing_name, refusing, suggesting

__all__ = ["Suggesting", "check_arguments", "missing_name", "refusing", "suggesting"]
