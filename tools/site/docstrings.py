"""For Griffe: docstrings, which are written to be read in an editor, as Markdown."""

from __future__ import annotations

import re
from textwrap import dedent

import griffe

__all__ = ["Docstrings", "as_markdown"]

_EXAMPLE = re.compile(r"(?:^[ ]*>>> .*\n?(?:^[ ]*(?!>>>)\S.*\n?)*)+", re.MULTILINE)
_ITEM = re.compile(r"(?<!\n)\n(?=(?:`[\w*, `]+`: |[-*] ))")


def as_markdown(docstring: str) -> str:
    """The examples of a docstring as code, and a paragraph for each parameter and before each list.

    Markdown would take `>>>` for three quotations in each other, and run lines together.
    """
    parts, end = [], 0
    for example in _EXAMPLE.finditer(docstring):
        parts += [
            _ITEM.sub("\n\n", docstring[end : example.start()]),
            f"```pycon\n{dedent(example[0]).rstrip()}\n```\n",
        ]
        end = example.end()
    return "".join([*parts, _ITEM.sub("\n\n", docstring[end:])])


class Docstrings(griffe.Extension):
    """Named in `zensical.toml`."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)

    def on_class_instance(self, *, cls: griffe.Class, **_: object) -> None:
        """Of a dataclass that has an `__init__` of its own, Griffe would show the one it does not have."""
        cls.decorators = [decorator for decorator in cls.decorators if "init=False" not in str(decorator.value)]

    def on_class_members(self, *, cls: griffe.Class, **_: object) -> None:
        """The members of an enumeration and the fields of a named tuple, which have no signature."""
        bases = {str(base).rpartition(".")[2] for base in cls.bases}
        if cls.docstring and bases & {"Enum", "IntEnum", "StrEnum", "NamedTuple"}:
            fields = (
                f"{name}: {member.annotation}" if member.annotation else f"{name} = {member.value}"
                for name, member in cls.attributes.items()
            )
            cls.docstring.value += "\n\n```python\n" + "\n".join(fields) + "\n```"
