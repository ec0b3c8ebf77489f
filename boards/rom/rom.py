"""Block RAM that is only read, for stimulus and expected results."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Shape, ShapeLike
from amaranth.lib import memory

#: Without this attribute synthesis might make logic of a small ROM.
_ATTRIBUTES = {"rom_style": "block"}


def block_rom(m: Module, width: int, words: Sequence[int]) -> Any:
    """Add a ROM of `words`, each of `width` bits, as the submodule `rom`, and return it."""
    rom: Any = memory.Memory(shape=width, depth=len(words), init=list(words), attrs=_ATTRIBUTES)
    m.submodules.rom = rom
    return rom


def payload_shape(width: int, shape: ShapeLike | None) -> ShapeLike:
    """Return `shape`, or the unsigned shape of `width` bits without one.

    Raises
    ------
    ValueError
        The shape has another width.
    """
    if shape is None:
        return width
    if Shape.cast(shape).width != width:
        raise ValueError(f"shape = {shape!r}: a shape of {width} bits is wanted")
    return shape
