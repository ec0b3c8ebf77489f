"""The plain ports of a unit: those of its Verilog, of a stimulus and of a trace.

A configuration lists the ports of its unit. Twin, hardware, stimulus, testbenches and documents
read this list. A stream `i` has the ports `i_valid`, `i_ready` and one port `i_<field>` for each
field of its payload. A vector of lanes is one port, lane 0 in the least significant bits. Every
unit has `clk` and `rst`, which are not in the lists.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.fixed import WIDEST, Codes

#: The widest element, in bits: int64 holds it with room for a sum of two.
WIDEST_ELEMENT = WIDEST
#: The largest number of lanes of a port.
_MOST_LANES = 1 << 20


@dataclass(frozen=True)
class Port:
    """One plain port.

    Parameters
    ----------
    name
        Name in Verilog, in a stimulus and in a trace.
    direction
        "in" or "out", seen from the unit.
    width
        Bits of one element, 1 or more. Stimuli and traces have ports of at most 62.
    signed
        Whether an element is in two's complement.
    lanes
        Elements of a vector; None for a scalar.
    meaning
        Meaning of the values, one line. Comparisons of ports ignore it.

    Examples
    --------
    >>> port = Port("i_data", "in", 8, signed=True, lanes=4)
    >>> print(port)
    i_data: in signed(8) x 4
    >>> port.bits, port.minimum, port.maximum, port.shape(100)
    (32, -128, 127, (100, 4))
    """

    name: str
    direction: Literal["in", "out"]
    width: int
    signed: bool = False
    lanes: int | None = None
    meaning: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check.instance("name", self.name, str)
        check.one_of(f"port {self.name}: direction", self.direction, ("in", "out"))
        width = check.whole(f"port {self.name}: width", self.width, 1)
        signed = check.truth(f"port {self.name}: signed", self.signed)
        lanes = self.lanes
        if lanes is not None:
            lanes = check.whole(f"port {self.name}: lanes", lanes, 1, _MOST_LANES)
        for name, value in (("width", width), ("signed", signed), ("lanes", lanes)):
            object.__setattr__(self, name, value)

    @property
    def bits(self) -> int:
        """Bits of the whole port."""
        return self.width * (1 if self.lanes is None else self.lanes)

    @property
    def minimum(self) -> int:
        """The lowest value of an element."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """The highest value of an element."""
        return (1 << (self.width - self.signed)) - 1

    def shape(self, clocks: int) -> tuple[int, ...]:
        """Return the shape of the port's array in a trace of `clocks` edges."""
        return (clocks,) if self.lanes is None else (clocks, self.lanes)

    @property
    def layout(self) -> str:
        """Position of the elements in the port's bits, in words; empty for an unsigned scalar."""
        sign = "signed" if self.signed else ""
        if self.lanes is None:
            return sign
        width = self.width
        bits = f"s [{width}k+{width - 1}:{width}k]" if width > 1 else " k"
        where = f"element k of {self.lanes} in bit{bits}"
        return f"{sign}, {where}" if sign else where

    @property
    def text(self) -> str:
        """Meaning and layout, in words."""
        return "; ".join(part for part in (self.meaning, self.layout) if part)

    def __str__(self) -> str:
        kind = f"{'signed' if self.signed else 'unsigned'}({self.width})"
        return f"{self.name}: {self.direction} {kind}" + (
            "" if self.lanes is None else f" x {self.lanes}"
        )


#: The clock of every unit.
CLOCK = Port("clk", "in", 1, meaning="everything happens at its rising edge")
#: The reset of every unit, as a port of a stimulus.
RESET = Port("rst", "in", 1, meaning="synchronous, active high")

#: Handshake of the stream of operands.
OPERAND = (
    Port("i_valid", "in", 1, meaning="an operand is offered"),
    Port("i_ready", "out", 1, meaning="the operand is taken at this clock edge, if one is offered"),
)
#: Handshake of the stream of results.
RESULT = (
    Port("o_valid", "out", 1, meaning="a result is there; it stays, unchanged, until it is taken"),
    Port("o_ready", "in", 1, meaning="the result is taken at this clock edge, if one is there"),
)


def inputs_of(ports: Iterable[Port]) -> list[Port]:
    """Return the ports that drive a unit: its reset and its input ports."""
    return [RESET, *(port for port in ports if port.direction == "in")]


def outputs_of(ports: Iterable[Port]) -> list[Port]:
    """Return the output ports."""
    return [port for port in ports if port.direction == "out"]


def checked(
    ports: Sequence[Port], inputs: Mapping[str, ArrayLike], *, narrow: bool = False
) -> tuple[int, dict[str, Codes]]:
    """Check inputs by their ports.

    Parameters
    ----------
    ports
        Ports that may be among the inputs.
    inputs
        Values at every clock edge, by port name.
    narrow
        Do not convert vectors of lanes to int64, except uint64 and another byte order. They take
        most of the memory of a long stimulus.

    Returns
    -------
    clocks : int
        Number of clocks.
    inputs : dict
        The inputs as int64 arrays, (clocks,) or (clocks, lanes). An array that is int64 already is
        not copied.

    Raises
    ------
    ValueError
        A name is unknown, lengths or shapes do not match, there is no clock, or a value is out of
        its port's range.
    TypeError
        Values are not integers. Bools are allowed for ports of one unsigned bit.

    Examples
    --------
    >>> clocks, arrays = checked([Port("i_data", "in", 8)], {"i_data": [1, 2, 255]})
    >>> clocks, arrays["i_data"].dtype
    (3, dtype('int64'))
    """
    check.table("inputs", inputs, "port names to integers")
    known = {port.name: port for port in ports}
    if unknown := [str(name) for name in inputs if name not in known]:
        raise ValueError(
            f"no input port is called {', '.join(unknown)}; there are {', '.join(known)}"
        )
    arrays = {
        name: check.integers(
            f"port {name}", values, bools=(known[name].minimum, known[name].maximum) == (0, 1)
        )
        for name, values in inputs.items()
    }
    clocks = clocks_of(arrays)
    for name, values in arrays.items():
        _check(known[name], values, clocks)
    return clocks, {
        name: values
        if narrow and values.ndim > 1 and _is_plain(values)
        else values.astype(np.int64, copy=False)
        for name, values in arrays.items()
    }


def _is_plain(values: NDArray[Any]) -> bool:
    """Return whether sums and products with int64 are int64; with uint64 they would be floats."""
    return values.dtype.isnative and np.can_cast(values.dtype, np.int64)


def clocks_of(inputs: Mapping[str, NDArray[Any]]) -> int:
    """Return the number of clocks of inputs: the length of every array.

    Raises
    ------
    ValueError
        There is no clock, or lengths differ.
    """
    if not inputs:
        raise ValueError("inputs = {}: values of one port or more are wanted")
    lengths = {name: len(values) if values.ndim else -1 for name, values in inputs.items()}
    if len(set(lengths.values())) != 1 or -1 in lengths.values():
        raise ValueError(
            f"inputs need one entry per clock, all the same number; they have {lengths}"
        )
    clocks = next(iter(lengths.values()))
    if not clocks:
        raise ValueError(f"inputs of no clocks: {', '.join(inputs)} need one entry or more")
    return clocks


def _check(port: Port, values: NDArray[Any], clocks: int) -> None:
    if values.shape != port.shape(clocks):
        raise ValueError(
            f"port {port.name} has the shape {values.shape}: {port.shape(clocks)} is wanted"
        )
    kind = np.iinfo(values.dtype)
    # If the type has no values outside the port's range, the values need no check.
    whole = port.minimum <= kind.min and kind.max <= port.maximum
    if not whole and (int(values.min()) < port.minimum or int(values.max()) > port.maximum):
        wrong = (values < port.minimum) | (values > port.maximum)
        clock, *lane = np.unravel_index(int(wrong.argmax()), wrong.shape)
        where = f"clock {clock}" + "".join(f", lane {i}" for i in lane)
        raise ValueError(
            f"port {port.name}, {where}: {values[clock, *lane]} is out of range, "
            f"{port.minimum} to {port.maximum} are allowed"
        )


def completed(ports: Sequence[Port], inputs: Mapping[str, Codes], clocks: int) -> dict[str, Codes]:
    """Return `inputs` in the order of `ports`, with zeros for missing ports.

    Returns
    -------
    dict
        An array for each port, (clocks,) or (clocks, lanes).
    """
    return {
        port.name: inputs[port.name]
        if port.name in inputs
        else np.zeros(port.shape(clocks), np.int64)
        for port in ports
    }
