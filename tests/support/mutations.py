"""What may have happened to a file: strategies that give bytes and trees which nobody has written."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

__all__ = ["NAMES", "bytes_of", "nested", "trees"]

LIES = [  # a tag that promises more than there is, or what is never written
    *(b"\xc6\xff\xff\xff\xff", b"\xc5\xff\xff", b"\xc4\xff", b"\xdb\xff\xff\xff\xff", b"\xda\xff\xff", b"\xd9\xff"),
    *(b"\xdd\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xde\xff\xff", b"\xc1"),
    *(b"\xc7\x08\x01abcdefgh", b"\xd4\x01a", b"\xd6\xff\x00\x00\x00\x01", b"\xc9\xff\xff\xff\xff\x01"),
    *(b"\xca\x7f\xc0\x00\x00", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", b"\xcf" + b"\xff" * 8, b"\xd3\x80" + b"\0" * 7),
    *(b"\x91" * 2000, b"\x81\xa1a" * 2000, b"[" * 3000, b'{"a":' * 3000, b"]" * 50, b"9" * 5000, b"1e999", b"NaN"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\0", b"\n", b"\r\n", b'"', b"\\ud800", b",", b"-", b"\xff" * 8),
    *(b"\x00" * 8, b"\x1f\x8b\x08\x1f" + b"\0" * 6, b"\xa5bytes", b"\xa5shape", b"\xa5dtype", b"\xa4BOOL", b"\xa2F16"),
]

NAMES = [
    *(
        "",
        ".",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "a\\..\\b",
        "C:\\x",
        "CON",
        "nul.log",
        "a\0b",
        "a\nb",
        "\x1b[2J",
    ),
    *("\u202e", "é", "e\u0301", "a" * 5000, "a/b", "$tensor", "$", "%", "%00", "%FF", "__metadata__", "bytes", "shape"),
    *("model-1.mpk.gz", "model-99.mpk.gz", "model-1." + "a" * 300, "../model-1.mpk.gz", "manifest.json"),
]

NUMBERS = [
    *(0, 1, -1, 2, 255, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 10**18, 1e308, -0.0, 0.5),
    *(float("inf"), float("-inf"), float("nan"), True, False),
]


@st.composite
def bytes_of(draw: st.DrawFn, sources: Sequence[bytes]) -> bytes:
    """One of the sources after a few flips, insertions, deletions, repetitions, and lies about lengths."""
    data = bytearray(draw(st.sampled_from(sources)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["flip", "insert", "delete", "replace", "lie", "overlie", "cut", "repeat"]))
        if kind == "flip" and at < len(data):
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "delete":
            del data[at : at + draw(st.integers(1, 16))]
        elif kind == "replace":
            data[at : at + draw(st.integers(1, 4))] = draw(st.binary(max_size=8))
        elif kind == "lie":
            data[at:at] = draw(st.sampled_from(LIES))
        elif kind == "overlie":
            data[at : at + draw(st.integers(1, 6))] = draw(st.sampled_from(LIES))
        elif kind == "cut":
            del data[at:]
        elif kind == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
    return bytes(data)


def nested(depth: int, inner: Any = 1, maps: bool = False) -> Any:
    """A list of lists, or a map of maps."""
    for _ in range(depth):
        inner = {"a": inner} if maps else [inner]
    return inner


def values(extra: Sequence[Any] = ()) -> st.SearchStrategy[Any]:
    """What may stand where something else should."""
    plain = st.one_of(
        st.none(),
        st.sampled_from(NUMBERS),
        st.sampled_from(NAMES),
        st.integers(-(2**63), 2**64 - 1),
        st.text(max_size=5),
    )
    shapes = st.sampled_from(
        [
            [],
            {},
            [[]],
            [{}],
            {"a": {}},
            [-1],
            [2**62, 4],
            [2**32] * 2,
            [0, 2**63],
            [1] * 65,
            nested(90),
            nested(90, maps=True),
        ]
    )
    return st.one_of(plain, shapes, st.lists(plain, max_size=4), st.sampled_from([*extra, None]))


@st.composite
def trees(draw: st.DrawFn, source: Any, extra: Sequence[Any] = ()) -> Any:
    """The tree after some of its values were replaced, taken out, renamed, doubled or exchanged."""
    tree = {"root": copy.deepcopy(source)}
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(tree))
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename", "swap", "wrap"]))
        if kind == "replace":
            holder[key] = copy.deepcopy(draw(values(extra)))  # what is drawn belongs to all examples
        elif kind == "remove" and holder is not tree:
            del holder[key]
        elif kind == "rename" and isinstance(holder, dict) and holder is not tree:
            name = draw(st.sampled_from(NAMES) | st.text(max_size=4))
            renamed = {name if each == key else each: value for each, value in holder.items()}
            holder.clear()
            holder.update(renamed)
        elif kind == "swap":
            other, place = draw(st.sampled_from(places))
            if not _holds(holder[key], other) and not _holds(other[place], holder):
                holder[key], other[place] = other[place], holder[key]
        elif kind == "wrap":
            holder[key] = draw(st.sampled_from([[holder[key]], {"a": holder[key]}, [holder[key]] * 3]))
    return tree["root"]


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Where there is a value: what holds it, and under which key or index; of long lists some."""
    keys = list(tree) if isinstance(tree, dict) else range(min(len(tree), 20))
    for key in keys:
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from _places(tree[key])


def _holds(value: Any, inner: Any) -> bool:
    if value is inner:
        return True
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_holds(each, inner) for each in parts)
