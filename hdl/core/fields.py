"""Instructions as layouts of bits, taken from the dataclasses that describe them."""

from dataclasses import is_dataclass
from typing import Any

from amaranth.hdl import ShapeLike, signed, unsigned
from amaranth.lib import data

from golden.core.field import members


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
