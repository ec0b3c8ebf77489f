"""Scopes of a waveform file, and where the ports of a unit are in them.

A port is looked for under the name that it has in generated Verilog, as one vector, as lanes
(`name[0]`, `name[1]`, ...) or as single bits; or as the signals of the Amaranth component itself
(`i__payload` and so on), for a design that was simulated in Amaranth.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from amaranth.hdl import Signal, Value
from amaranth.hdl._ast import Slice  # amaranth.hdl hands out all kinds of values but this one

from golden.port import Port

#: Number of names that an error lists.
_MOST_LISTED = 12


@dataclass(frozen=True)
class Part:
    """A variable in the file with bits of a port.

    Parameters
    ----------
    variable
        The variable, an object of pywellen.
    low
        The variable's lowest bit that belongs to the port.
    port
        The port, or a scalar port for one lane of it.
    """

    variable: Any
    low: int
    port: Port


@dataclass(frozen=True)
class Scope:
    """A scope of the file: its variables by name, and the elements of its arrays by name."""

    path: str
    variables: dict[str, Any]
    arrays: dict[str, list[Any]]

    def find(self, port: Port) -> list[Part] | str:
        """Return the parts of a port under its own name, or a description of the problem."""
        if variable := self.variables.get(port.name):
            bits = bit_count(variable)
            if bits == port.bits:
                return [Part(variable, 0, port)]
            return f"{port.name} has {bits or 'no'} bits, not {port.bits}"
        if elements := self.arrays.get(port.name):
            lanes = port.lanes or port.width
            width = port.width if port.lanes else 1
            if [bit_count(element) for element in elements] == [width] * lanes:
                lane = replace(port, lanes=None, signed=port.signed and bool(port.lanes))
                return [Part(element, 0, replace(lane, width=width)) for element in elements]
            widths = f"{len(elements)} elements of {bit_count(elements[0])} bits"
            return f"{port.name} has {widths}, not {lanes} of {width}"
        return f"{port.name} is missing"

    def find_signals(self, port: Port, values: Sequence[Value]) -> list[Part] | str:
        """Return the parts of a port as signals of the Amaranth component, or the problem."""
        parts = []
        for value in values:
            signal, low = _origin(value)
            variable = None if signal is None else self.variables.get(signal.name)
            if variable is None or bit_count(variable) != len(signal):  # type: ignore[arg-type]
                return f"{port.name} is missing"
            parts.append(Part(variable, low, replace(port, lanes=None)))
        first = parts[0]
        if all(
            part.variable is first.variable and part.low == first.low + lane * port.width
            for lane, part in enumerate(parts)
        ):
            return [replace(first, port=port)]
        return parts


def bit_count(variable: Any) -> int | None:
    """Return the number of bits of a variable; None if it is not a vector of bits."""
    return variable.bitwidth if variable.is_1bit or variable.is_bit_vector else None


def _origin(value: Value) -> tuple[Signal | None, int]:
    """Return the signal that a value is a slice of, or None, and the slice's lowest bit."""
    if isinstance(value, Signal):
        return value, 0
    if isinstance(value, Slice):
        signal, low = _origin(value.value)
        return signal, low + value.start
    return None, 0


def scopes_of(file: Any) -> Iterator[Scope]:
    """Yield every scope of a file, outer ones first."""
    arrays: dict[str, dict[str, list[Any]]] = {}
    scopes = []
    for scope in file.all_scopes():
        if scope.scope_type == "vhdl_array":
            path, _, name = scope.full_name.rpartition(".")
            elements = {
                int(element.name.strip("[]")): element
                for element in scope.vars()
                if element.name.strip("[]").isdecimal()
            }
            if elements:
                arrays.setdefault(path, {})[_plain(name)] = [
                    elements[index] for index in sorted(elements)
                ]
        else:
            scopes.append((scope.full_name, scope.vars()))
    scopes.append(("", file.vars()))
    for path, variables in sorted(scopes, key=lambda scope: (scope[0].count("."), scope[0])):
        named = {_plain(variable.name): variable for variable in variables}
        yield Scope(path, named, arrays.get(path, {}))


def _plain(name: str) -> str:
    """Return a name without the backslash of an escaped name."""
    return name.removeprefix("\\").strip()


def prefix(path: str) -> str:
    """Return the beginning of the paths of all scopes inside `path`."""
    return f"{path}." if path else ""


def listed(names: Iterable[str]) -> str:
    """Return the first names as text, and the number of the others."""
    listed = [name for name in names if name]
    more = f" and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    return (", ".join(listed[:_MOST_LISTED]) or "none") + more
