"""Fields of instructions: widths and meanings, from which words of a program are made and read.

An instruction is a dataclass of such fields. A field is a number or a member of an enumeration, a
dataclass of fields again, or a tuple of a fixed number of them. `hdl.core` takes the layout of its
decoders from the same dataclasses, and the listing and the documents take the meanings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, cast, get_args, get_origin, get_type_hints

#: Width of a word of a program, in bits.
WORD = 32

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Bits:
    """Metadata of a field.

    Parameters
    ----------
    width
        Bits of the number; 0 for a field with fields of its own.
    text
        Meaning, one sentence without its full stop.
    signed
        Whether the number is two's complement.
    less_one
        Whether n is stored as n - 1, so that 0 is never a number of times.
    """

    width: int
    text: str
    signed: bool = False
    less_one: bool = False

    @property
    def low(self) -> int:
        """The least number."""
        return int(self.less_one) - (1 << self.width - 1 if self.signed else 0)

    @property
    def high(self) -> int:
        """The greatest number."""
        return self.low + (1 << self.width) - 1


def bits(
    width: int, text: str, *, signed: bool = False, less_one: bool = False, default: Any = None
) -> Any:
    """Return a dataclass field for a number of `width` bits.

    Parameters
    ----------
    width, text, signed, less_one
        See `Bits`.
    default
        Default of the field; None takes 0, or 1 for a number that is stored less one.
    """
    value = int(less_one) if default is None else default
    made = Bits(width=width, text=text, signed=signed, less_one=less_one)
    return field(default=value, metadata={"bits": made})


def group(default: Any, text: str) -> Any:
    """Return a dataclass field for a dataclass of fields, or for a tuple of them."""
    return field(default=default, metadata={"bits": Bits(width=0, text=text)})


class Leaf(NamedTuple):
    """A number of an instruction, with its place.

    Parameters
    ----------
    path
        Names and positions that lead to it, as ("loops", 2, "count").
    first
        Its first bit in the instruction.
    bits
        Its width and meaning.
    kind
        Its type: int, bool or an enumeration.
    """

    path: tuple[str | int, ...]
    first: int
    bits: Bits
    kind: type

    @property
    def name(self) -> str:
        """The path as a text, as in loops2_count."""
        text = ""
        for part in self.path:
            text += str(part) if isinstance(part, int) or not text else f"_{part}"
        return text


def members(kind: type) -> Iterator[tuple[str, type, int, Bits]]:
    """Yield name, type, number and metadata of the fields of a dataclass, in order.

    The number is that of the elements of a tuple; 0 for a field that is not one.
    """
    hints = get_type_hints(kind)
    for each in fields(kind):
        hint, made = hints[each.name], each.metadata["bits"]
        if get_origin(hint) is tuple:
            element, *_ = get_args(hint)
            yield each.name, element, len(cast("tuple[Any, ...]", each.default)), made
        else:
            yield each.name, hint, 0, made


def leaves(kind: Any) -> tuple[Leaf, ...]:
    """Return the numbers of an instruction in the order of their bits, the low ones first."""
    return _leaves(kind)


@lru_cache
def _leaves(kind: Any) -> tuple[Leaf, ...]:
    found: list[Leaf] = []

    def walk(kind: type, path: tuple[str | int, ...]) -> None:
        for name, element, number, made in members(kind):
            places = [(*path, name, k) for k in range(number)] if number else [(*path, name)]
            for place in places:
                if is_dataclass(element):
                    walk(element, place)
                else:
                    first = found[-1].first + found[-1].bits.width if found else 0
                    found.append(Leaf(place, first, made, element))

    walk(kind, ())
    return tuple(found)


def words_of(kind: Any) -> int:
    """Return the number of words of an instruction."""
    last = leaves(kind)[-1]
    return -(-(last.first + last.bits.width) // WORD)


def _at(instruction: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        instruction = instruction[part] if isinstance(part, int) else getattr(instruction, part)
    return instruction


def encode(instruction: Any) -> list[int]:
    """Return the words of an instruction.

    Raises
    ------
    ValueError
        A number does not fit its field.

    Examples
    --------
    >>> from golden.core.index import Index
    >>> encode(Index.of(-3, banks=8)) == [5 << 20 | 0xFFFFF]
    True
    """
    number = 0
    for leaf in leaves(type(instruction)):
        value, made = int(_at(instruction, leaf.path)), leaf.bits
        if not made.low <= value <= made.high:
            raise ValueError(f"{leaf.name} = {value}: allowed are {made.low} to {made.high}")
        code = value - made.less_one & (1 << made.width) - 1
        number |= code << leaf.first
    return [number >> WORD * k & (1 << WORD) - 1 for k in range(words_of(type(instruction)))]


def decode(kind: type[T], words: list[int]) -> T:
    """Return the instruction of some words: the inverse of `encode`.

    Raises
    ------
    ValueError
        The number of words is wrong, or an enumeration has no such member.
    """
    if len(words) != words_of(kind):
        raise ValueError(f"{len(words)} words: {words_of(kind)} are wanted")
    number = sum(word << WORD * k for k, word in enumerate(words))
    values = {}
    for leaf in leaves(kind):
        made = leaf.bits
        code = number >> leaf.first & (1 << made.width) - 1
        if made.signed and code >> made.width - 1:
            code -= 1 << made.width
        value: Any = code + made.less_one
        if issubclass(leaf.kind, (bool, IntEnum)):
            value = leaf.kind(value)
        values[leaf.path] = value

    def build(kind: type, path: tuple[str | int, ...]) -> Any:
        made = {}
        for name, element, number, _ in members(kind):

            def one(place: tuple[str | int, ...], element: type = element) -> Any:
                return build(element, place) if is_dataclass(element) else values[place]

            if number:
                made[name] = tuple(one((*path, name, k)) for k in range(number))
            else:
                made[name] = one((*path, name))
        return kind(**made)

    found: T = build(kind, ())
    return found


def changed(instruction: Any) -> dict[str, int]:
    """Return the numbers of an instruction that differ from their defaults, by name."""
    plain = type(instruction)()
    return {
        leaf.name: value
        for leaf in leaves(type(instruction))
        if (value := _at(instruction, leaf.path)) != _at(plain, leaf.path)
    }
