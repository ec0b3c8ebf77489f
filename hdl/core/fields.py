"""Instructions as layouts of bits, taken from the dataclasses that describe them."""

from dataclasses import is_dataclass
from typing import Any

from amaranth.hdl import Cat, Module, ShapeLike, Signal, Value, signed, unsigned
from amaranth.lib import data

from golden.core.field import WORD, members


def layout(kind: Any) -> data.StructLayout:
    """Return the layout of an instruction, or of a part of one.

    A number that is stored less one stays so: a count of n is n - 1 here.

    Examples
    --------
    >>> from golden.core.index import Index
    >>> print(layout(Index))
    StructLayout({'high': signed(20), 'low': unsigned(8)})
    """
    found: dict[str, ShapeLike] = {}
    for name, element, number, made in members(kind):
        shape: ShapeLike
        if is_dataclass(element):
            shape = layout(element)
        elif made.signed:
            shape = signed(made.width)
        else:
            shape = unsigned(made.width)
        found[name] = data.ArrayLayout(shape, number) if number else shape
    return data.StructLayout(found)


def held(m: Module, coming: data.View, takes: Value, now: data.View) -> None:
    """Keep an instruction from the clock on in which it is taken.

    It is kept in words: simulators handle registers of hundreds of bits badly.

    Parameters
    ----------
    m
        Module that gets the registers.
    coming
        The instruction.
    takes
        It is taken.
    now
        Gets the instruction that is kept.
    """
    bits = Value.cast(coming)
    words = []
    for first in range(0, len(bits), WORD):
        given = bits[first : first + WORD]
        word = Signal(len(given), name=f"now_{first // WORD}", reset_less=True)
        with m.If(takes):
            m.d.sync += word.eq(given)
        words.append(word)
    m.d.comb += Value.cast(now).eq(Cat(words))
