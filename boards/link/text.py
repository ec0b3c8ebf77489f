"""Messages in a ROM: text, with the places where numbers and words are put in.

A message is a sequence of bytes. A byte from 1 to 127 is a character. A byte above names something
that is known only when the message is printed: a number, which is printed in decimal, or a word,
which is printed from another place of the same ROM.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Number k is the byte NUMBER + k, word k is WORD + k; END ends a message and a word.
END, NUMBER, WORD = 0, 0x80, 0xC0


@dataclass(frozen=True)
class Text:
    """The ROM of a printer.

    Parameters
    ----------
    rom
        The bytes.
    at
        Position of each message's or word's first byte, by the text it was made from.
    """

    rom: bytes
    at: Mapping[str, int]


def check_word(name: str, word: str) -> None:
    """Check that a word can be part of a line of text that is taken apart at its spaces.

    Parameters
    ----------
    name
        What it is, for the error.
    word
        The word.

    Raises
    ------
    ValueError
        It is empty, not printable ASCII, or has a brace or a space.

    Examples
    --------
    >>> check_word("board", "ulx3s-85f")
    """
    if not word or not (word.isascii() and word.isprintable()) or set(word) & set("{} "):
        raise ValueError(f"{name} = {word!r}: printable ASCII without braces and spaces is wanted")


def assemble(texts: Sequence[str], numbers: Sequence[str], words: Sequence[str]) -> Text:
    r"""Return a ROM of messages and words.

    Parameters
    ----------
    texts
        ASCII texts, in which {name} stands for a number or a word of that name.
    numbers, words
        The names, in the order of the printer's ports.

    Examples
    --------
    >>> assemble(["a{x}", "b"], ["x"], []).rom
    b'a\x80\x00b\x00'
    """
    names = {name: NUMBER + k for k, name in enumerate(numbers)}
    names |= {name: WORD + k for k, name in enumerate(words)}
    rom, at = bytearray(), {}
    for text in dict.fromkeys(texts):
        at[text] = len(rom)
        plain, *rest = text.split("{")
        rom += plain.encode("ascii")
        for part in rest:
            name, plain = part.split("}")
            rom += bytes([names[name]]) + plain.encode("ascii")
        rom.append(END)
    return Text(bytes(rom), at)
