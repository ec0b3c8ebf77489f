"""Small damage to files, drawn by hypothesis: bytes changed, removed, doubled, put in."""

import re

from hypothesis import strategies as st

#: Bytes that mean something somewhere: ends of ranges, lengths, delimiters, digits.
_TELLING = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\n",
    b'"',
    b"[",
    b"{",
    b"9",
    b"-",
    b"e9",
    b"\xff" * 8,
]


@st.composite
def mutated(draw, content, most=4):
    """`content` after one to `most` changes."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 1, 1, 2, 4, 8, 100]))
        kind = draw(st.sampled_from(["put", "put", "remove", "double", "cut", "flip"]))
        if kind == "put":
            put = draw(st.one_of(st.sampled_from(_TELLING), st.binary(min_size=1, max_size=8)))
            data[at : at + min(length, len(put))] = put
        elif kind == "remove":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length] * draw(st.sampled_from([1, 2, 50]))
        elif kind == "cut":
            del data[at:]
        elif at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


#: Values that texts do not expect.
_ODD = [
    "",
    "0",
    "-1",
    "1e999999999",
    "nan",
    "9" * 5000,
    "1.5",
    "true",
    "none",
    "\u0661",
    "'",
    '""',
    "[[1, 2]]",
    "[" * 3000,
    "{}",
    "0x" + "f" * 6000,
    "2024-01-01",
]


@st.composite
def respelled(draw, text):
    """`text` with some of its numbers and words replaced by odd ones."""
    words = list(re.finditer(r"[\w.+-]+", text))
    for word in sorted(
        draw(st.lists(st.sampled_from(words), min_size=1, max_size=3, unique=True)),
        key=lambda word: -word.start(),
    ):
        odd = draw(st.one_of(st.sampled_from(_ODD), st.text(max_size=6)))
        text = text[: word.start()] + odd + text[word.end() :]
    return text
