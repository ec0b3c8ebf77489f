"""Scopes of a waveform file, and where the signals of a unit are in them.

A port is looked for under the name that it has in generated Verilog, or under one that the user
gives: as one vector, as lanes (`name[0]`, `name[1]`, ...) or as single bits (`name[0]`, `name(0)`,
...); or as the signals of the Amaranth component itself (`i__payload` and so on), for a design that
was simulated in Amaranth.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from amaranth.hdl import Signal, Value
from amaranth.hdl._ast import Slice  # amaranth.hdl hands out all kinds of values but this one

from golden.port import RESET, Port
from gradloom.sim.toplevel import Leaf

#: Number of names that an error lists.
_MOST_LISTED = 12
_GLOBAL = re.compile(r"(^|[^a-z])[a-z]?(clk|clock|ck|rst|reset)")
_RANGE = re.compile(r"(.+?)\s*[(\[]\d+ ?(?::|\.\.|downto|to) ?\d+[)\]]")
_ELEMENT = re.compile(r"(.+?)\s*[(\[](\d+)[)\]]")


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of a unit's signals in a waveform file.

    Parameters
    ----------
    clock
        The clock: its name in the unit's scope or in one around it, or its whole path. None: the
        file has no clock but one sample per time unit, as logic analysers write it. A time such as
        "10 ns": no clock, and one sample in each such time.
    reset
        The reset, like the clock. None: the file has no reset, it is 0 throughout.
    scope
        Path of the unit in the design. If None, the unit is searched for.
    prefix
        Beginning of the names of all ports and of the reset, but for those that have a whole name.
    ports
        Port of the unit to its name in the file: in the unit's scope, or the whole path.
    """

    clock: str | None = "clk"
    reset: str | None = RESET.name
    scope: str | None = None
    prefix: str = ""
    ports: Mapping[str, str] = field(default_factory=dict)


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
        The port, or a scalar port for one lane or one bit of it.
    """

    variable: Any
    low: int
    port: Port


#: The parts of each port, or what is wrong with it.
Found = dict[str, list[Part] | str]


@dataclass(frozen=True)
class Scope:
    """A scope of the file: its variables by name, and the elements of its arrays by name."""

    path: str
    variables: dict[str, Any]
    arrays: dict[str, list[Any]]

    def find(self, port: Port, name: str) -> list[Part] | str:
        """Return the parts of a port under a name, or a description of the problem."""
        name = _plain(name)
        if variable := self.variables.get(name):
            bits = bit_count(variable)
            if bits == port.bits:
                return [Part(variable, 0, port)]
            return f"{name} has {bits or 'no'} bits, not {port.bits}"
        if elements := self.arrays.get(name):
            width = bit_count(elements[0])
            whole = width and [bit_count(element) for element in elements] == [width] * (
                port.bits // width
            )
            if whole and width in (1, port.width):
                signed = port.signed and width == port.width
                part = replace(port, lanes=None, width=width, signed=signed)
                return [Part(element, 0, part) for element in elements]
            lanes = f"{port.lanes} of {port.width}" if port.lanes else f"{port.width} of 1"
            return f"{name} has {len(elements)} elements of {width or 'no'} bits, not {lanes}"
        return f"{name} is missing"

    def single_bits(self) -> list[str]:
        """Return the names of the variables of one bit, those first that may be clock or reset."""
        names = [name for name, variable in self.variables.items() if bit_count(variable) == 1]
        return sorted(names, key=lambda name: not _GLOBAL.search(name.lower()))

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


class Scopes:
    """The scopes of a file, outer ones first.

    Parameters
    ----------
    file
        Name of the file.
    content
        The file, an object of pywellen.
    """

    def __init__(self, file: str, content: Any):
        self.file = file
        self.by_path = {scope.path: scope for scope in _scopes_of(content)}

    def unit(
        self, unit: str, leaves: Sequence[Leaf], names: Names
    ) -> tuple[str, dict[str, list[Part]]]:
        """Return the scope of a unit, and the parts of its ports and of its reset by name.

        Parameters
        ----------
        unit
            Name of the unit.
        leaves
            Its ports and their values in the component.
        names
            Names in the file.

        Raises
        ------
        ValueError
            There is no such scope, or there are several.
        """
        scopes = self.by_path
        if names.scope is not None:
            if names.scope not in scopes:
                raise ValueError(f"{self.file} has no scope {names.scope}; it has {listed(scopes)}")
            scopes = {names.scope: scopes[names.scope]}
        if unknown := names.ports.keys() - {port.name for port, _ in leaves}:
            raise ValueError(
                f"{unit} has no port {', '.join(sorted(unknown))}; "
                f"there are {', '.join(port.name for port, _ in leaves)}"
            )
        tries = {
            (path, amaranth): self._ports(scope, leaves, names, amaranth)
            for amaranth in (False, True)
            for path, scope in scopes.items()
        }
        for wanted in False, True:
            found = {
                path: {name: parts for name, parts in ports.items() if not isinstance(parts, str)}
                for (path, amaranth), ports in tries.items()
                if amaranth is wanted and not any(isinstance(part, str) for part in ports.values())
            }
            if found:
                return self._one_of(found, unit)
        raise ValueError(self._nearest(unit, leaves, names, tries))

    def _ports(self, scope: Scope, leaves: Sequence[Leaf], names: Names, amaranth: bool) -> Found:
        """Return where the ports are, seen from a scope."""
        found: Found = {}
        if names.reset is not None:
            found[RESET.name] = self._reset(scope, names)
        for port, values in leaves:
            name = names.ports.get(port.name)
            if name is not None:
                found[port.name] = self._named(scope, port, name)
            elif amaranth:
                found[port.name] = scope.find_signals(port, values)
            else:
                found[port.name] = scope.find(port, names.prefix + port.name)
        return found

    def _reset(self, scope: Scope, names: Names) -> list[Part] | str:
        """Return where the reset is. Only a name that the user gives may be outside the scope."""
        assert names.reset is not None
        parts = scope.find(RESET, names.prefix + names.reset)
        if isinstance(parts, str) and names.reset != RESET.name:
            variable = self.single(scope.path, names.reset)
            if variable is None:
                return f"{names.reset} is missing"
            if bit_count(variable) != 1:
                return f"{names.reset} has {bit_count(variable) or 'no'} bits, not 1"
            return [Part(variable, 0, RESET)]
        return parts

    def _named(self, scope: Scope, port: Port, name: str) -> list[Part] | str:
        """Return the parts of a port under a name that the user gives: in the scope, or a path."""
        found = scope.find(port, name)
        for path, other in self.by_path.items():
            if isinstance(found, str) and path and name.startswith(inner(path)):
                parts = other.find(port, name.removeprefix(inner(path)))
                if not isinstance(parts, str) or found.endswith("is missing"):
                    found = parts
        return found

    def single(self, here: str, name: str) -> Any:
        """Return the variable of a name in, around or inside the scope `here`, or of a path; None
        if there is none.
        """
        name = _plain(name)
        around = [at for at in self.by_path if here.startswith(inner(at))]
        inside = [at for at in self.by_path if at.startswith(inner(here))]
        for at in [here, *around[::-1], *inside]:
            if name in self.by_path[at].variables:
                return self.by_path[at].variables[name]
        for at, scope in self.by_path.items():
            rest = name.removeprefix(inner(at))
            if name.startswith(inner(at)) and rest in scope.variables:
                return scope.variables[rest]
        return None

    def _one_of(
        self, found: dict[str, dict[str, list[Part]]], unit: str
    ) -> tuple[str, dict[str, list[Part]]]:
        """Return the scope of the unit, of those that have all its ports, and the parts."""
        # A testbench often gives its own signals the names of the unit's ports: the inner one of
        # nested scopes is the unit. Scopes with the same signals count as one.
        different = {
            tuple(str(part.variable.signal_id) for parts in ports.values() for part in parts): name
            for name, ports in found.items()
            if not any(other != name and other.startswith(inner(name)) for other in found)
        }
        names = list(different.values())
        if len(names) > 1:
            raise ValueError(
                f"{self.file} has {len(names)} scopes with all ports of {unit}, "
                f"choose one with --scope: {listed(names)}"
            )
        return names[0], found[names[0]]

    def _nearest(
        self, unit: str, leaves: Sequence[Leaf], names: Names, tries: dict[tuple[str, bool], Found]
    ) -> str:
        """Return the error of a unit that was not found: the scope that comes nearest to it."""
        prefix = names.prefix
        for path in {path for path, _ in tries}:
            for other in _prefixes(self.by_path[path], leaves) if not prefix else []:
                tries[f"{path}\0{other}", False] = self._ports(
                    self.by_path[path], leaves, replace(names, prefix=other), False
                )

        def rank(key: tuple[str, bool]) -> tuple[int, int, int]:
            ports = [parts for name, parts in tries[key].items() if name != RESET.name]
            missing = sum(isinstance(parts, str) for parts in ports)
            absent = sum(str(parts).endswith("is missing") for parts in ports)
            return absent, missing, "\0" in key[0]

        best = min(tries, key=rank)
        problems = [parts for parts in tries[best].values() if isinstance(parts, str)]
        if rank(best)[0] == len(leaves) and names.scope is None:
            return (
                f"{self.file} has no port of {unit} in any scope: a dump of another design? "
                f"Its scopes are {listed(self.by_path)}"
            )
        path, _, prefix = best[0].partition("\0")
        where = f"in scope {path or 'at the top'}" + (f" with --prefix {prefix}" if prefix else "")
        if not problems:
            return f"{self.file} has no ports of {unit} by their own names; {where} all are there"
        text = (
            f"{self.file} is no dump of {unit} with these parameters: {where}, {listed(problems)}"
        )
        if problems == [tries[best].get(RESET.name)]:
            scope = self.by_path[path]
            text = (
                f"{self.file}: {where} all ports of {unit} are there, but {problems[0]}: name the "
                f"reset with --reset, or give --reset none; there are {listed(scope.single_bits())}"
            )
        return text


def inner(path: str) -> str:
    """Return the beginning of the paths of all scopes inside `path`."""
    return f"{path}." if path else ""


def _prefixes(scope: Scope, leaves: Sequence[Leaf]) -> set[str]:
    """Return what stands before names of ports in a scope."""
    names = [port.name for port, _ in leaves]
    return {
        variable.removesuffix(name)
        for variable in [*scope.variables, *scope.arrays]
        for name in names
        if variable.endswith(name) and variable != name
    }


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


def _scopes_of(file: Any) -> Iterator[Scope]:
    """Yield every scope of a file, outer ones first."""
    arrays: dict[str, dict[str, dict[int, Any]]] = {}
    ranges: dict[str, list[tuple[str, Any]]] = {}
    scopes = []
    for scope in file.all_scopes():
        if scope.scope_type == "vhdl_array":
            path, _, name = scope.full_name.rpartition(".")
            for element in scope.vars():
                if element.name.strip("[]()").isdecimal():
                    elements = arrays.setdefault(path, {}).setdefault(_plain(name), {})
                    elements[int(element.name.strip("[]()"))] = element
                elif _RANGE.fullmatch(name + element.name):  # name[31..0], an index to the library
                    ranges.setdefault(path, []).append((_plain(name), element))
        else:
            scopes.append((scope.full_name, scope.vars()))
    scopes.append(("", file.vars()))
    for path, variables in sorted(scopes, key=lambda scope: (scope[0].count("."), scope[0])):
        named = dict(ranges.get(path, ()))
        for variable in variables:
            name = _plain(variable.name)
            named[name] = variable
            if whole := _RANGE.fullmatch(name):
                named.setdefault(whole[1], variable)
            if element := _ELEMENT.fullmatch(name):
                arrays.setdefault(path, {}).setdefault(element[1], {})[int(element[2])] = variable
        yield Scope(
            path,
            named,
            {
                name: [elements[index] for index in sorted(elements)]
                for name, elements in arrays.get(path, {}).items()
            },
        )


def _plain(name: str) -> str:
    """Return a name in one line, without the backslash of an escaped name."""
    return " ".join(name.removeprefix("\\").split())


def listed(names: Iterable[str]) -> str:
    """Return the first names as text, and the number of the others."""
    listed = [name for name in names if name]
    more = f" and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    return (", ".join(listed[:_MOST_LISTED]) or "none") + more
