"""Arithmetic of flat indices in gates: steps, lanes, and the way of words to banks and back."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value

from hdl.delay import registered


class Pair(NamedTuple):
    """A flat index as address and bank."""

    high: Any
    low: Any

    def eq(self, other: Any) -> list[Any]:
        """Return the assignments of another index, or of one of an instruction."""
        return [self.high.eq(other.high), self.low.eq(other.low)]


def pair(address: int, banks: int, name: str, *, reset_less: bool = True) -> Pair:
    """Return registers for an index, with an `address` of so many bits."""
    return Pair(
        Signal(address, name=f"{name}_high", reset_less=reset_less),
        Signal(range(banks), name=f"{name}_low", reset_less=reset_less),
    )


def chosen(choice: Value, one: Any, other: Any) -> Pair:
    """Return the first index if `choice` is 1, else the second one."""
    return Pair(Mux(choice, one.high, other.high), Mux(choice, one.low, other.low))


def stepped(index: Any, stride: Any, banks: int) -> Pair:
    """Return an index plus a stride; addresses are modulo the range of the index's own.

    A stride may be one of an instruction, with more bits.
    """
    width, bits = len(index.high), len(index.low)
    if banks == 1 << bits:
        # One binary number, and one adder.
        whole = Cat(index.low, index.high) + Cat(stride.low[:bits], stride.high[:width])
        return Pair(whole[bits : bits + width], whole[:bits])
    low = index.low + stride.low[:bits]
    wraps = low >= banks
    return Pair(
        carried(index.high, stride.high[:width], wraps), Mux(wraps, low - banks, low)[:bits]
    )


def carried(one: Value, other: Value, carry: Value) -> Value:
    """Return a sum with a carry into it, of the first operand's width, by one adder."""
    return (Cat(C(1, 1), one) + Cat(carry, other))[1 : 1 + len(one)]


def rotated(
    m: Module, values: Sequence[Value], amount: Value, name: str, *, back: bool = False
) -> tuple[list[Value], Value]:
    """Rotate values in two clocks.

    Parameters
    ----------
    m
        Module that gets the registers.
    values
        The values.
    amount
        By how many places, less than the number of values.
    name
        Name of the registers.
    back
        False: value j goes to place (j + amount) modulo their number. True: the way back, value
        (j + amount) goes to place j.

    Returns
    -------
    rotated, amount : list of Value, Value
        The values, and the amount at the same clock.
    """
    count, bits = len(values), len(amount)
    half = (bits + 1) // 2
    for stage, (first, end) in enumerate(((0, half), (half, bits))):
        part = amount[first:end]
        made = []
        for place in range(count):
            choices = []
            for turn in range(1 << (end - first)):
                moved = turn << first
                choices.append(values[(place + moved if back else place - moved) % count])
            made.append(_chosen(part, choices))
        values = [
            registered(m, value, f"{name}_{stage}_{place}") for place, value in enumerate(made)
        ]
        amount = registered(m, amount, f"{name}_{stage}_amount")
    return list(values), amount


def _chosen(number: Value, choices: list[Value]) -> Value:
    """Return the choice with a number."""
    if len(choices) == 1:
        return choices[0]
    half = len(choices) // 2
    return Mux(
        number[-1], _chosen(number[:-1], choices[half:]), _chosen(number[:-1], choices[:half])
    )


def lane_addresses(
    m: Module, index: Pair, highs: Sequence[Value] | None, lanes: int, banks: int, name: str
) -> tuple[list[Value], Value]:
    """Return the addresses of the lanes' words one clock later, and the first lane's bank.

    Lane j reads in bank (low + j) modulo the number of banks.

    Parameters
    ----------
    m, name
        Module and name of the registers.
    index
        Index of lane 0.
    highs
        Addresses by which each lane is ahead; None if the lanes are a run.
    lanes, banks
        Numbers of lanes and of banks.
    """
    width = len(index.high)
    found = []
    for lane in range(lanes):
        wraps = index.low >= banks - lane if lane else C(0, 1)
        ahead = highs[lane] if highs is not None else C(0, width)
        address = carried(index.high, ahead, wraps)
        found.append(registered(m, address, f"{name}_{lane}"))
    return found, registered(m, index.low, f"{name}_bank")


def mask(count: Value, lanes: int) -> Value:
    """Return a bit for each lane that is below a count, which is stored less one."""
    return Cat(count >= lane for lane in range(lanes))
