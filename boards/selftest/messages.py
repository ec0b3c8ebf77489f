"""The lines of text of a self-test: one verdict per line."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from boards.link.text import Text, assemble

#: Names of the numbers and words in the messages, in the order of the printer's ports.
NUMBERS = ("run", "pass", "clocks", "values", "clock", "result", "lane", "expected", "got")
WORDS = ("head", "tail", "unit", "port")


@dataclass(frozen=True)
class Messages:
    """The texts of a self-test in a ROM, and the place of each message and fixed word in it.

    Parameters
    ----------
    text
        The ROM.
    agrees
        A run has passed.
    differs, extra, missing
        A result was wrong, came after the last expected one, or did not come.
    head, tail
        Begin and end of every line.
    """

    text: Text
    agrees: int
    differs: int
    extra: int
    missing: int
    head: int
    tail: int


def messages(board: str, names: Sequence[str]) -> Messages:
    r"""Return the messages of a board, with the `names` of units and ports as further words.

    Examples
    --------
    >>> made = messages("desk", ["array"])
    >>> made.text.rom[made.text.at["array"] :].startswith(b"array\0")
    True
    """
    head = f"gradloom {version('gradloom')} selftest "
    tail = f" board={board} run={{run}}\r\n"
    where = "{head}FAIL unit={unit} clock={clock} "
    which = " result={result} pass={pass}{tail}"
    texts = (
        "{head}PASS clocks={clocks} values={values}{tail}",
        where + "port={port} lane={lane} expected={expected} got={got}" + which,
        where + "expected=nothing" + which,
        where + "got=nothing" + which,
        head,
        tail,
    )
    text = assemble([*texts, *names], NUMBERS, WORDS)
    return Messages(text, *(text.at[t] for t in texts))
