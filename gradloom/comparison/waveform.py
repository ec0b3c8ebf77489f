"""A waveform file against a twin: what a unit did in any simulator, at every rising clock edge.

Reads VCD, FST and GHW with pywellen. A clock's values are those in force just before the time of
its rising edge, so it does not matter in which order a simulator lists the changes of one time.

A port is looked for under the name that it has in generated Verilog, as one vector, as lanes
(`name[0]`, `name[1]`, ...) or as single bits; or as the signals of the Amaranth component itself
(`i__payload` and so on), for a design that was simulated in Amaranth.
"""

import os
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Signal, Value
from amaranth.hdl._ast import Slice  # amaranth.hdl hands out all kinds of values but this one
from amaranth.lib import wiring
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.port import RESET, Port
from gradloom.comparison.check import Runs
from gradloom.comparison.recorded import Recording, Word, compare_recording, ports_alone, to_codes
from gradloom.comparison.report import Comparison
from gradloom.sim.toplevel import flatten, leaves

#: Value changes that are taken from the reader in one go.
_CHANGES = 1 << 16
#: Names that an error lists.
_LISTED = 12
Times = NDArray[np.int64]

#: Powers of ten of a second, with their names.
_UNITS = {0: "s", -3: "ms", -6: "us", -9: "ns", -12: "ps", -15: "fs", -18: "as", -21: "zs"}


def compare_waveform(
    component: wiring.Component,
    twin: Runs,
    path: str | PathLike[str],
    clock: str = "clk",
    scope: str | None = None,
    from_start: bool = False,
) -> Comparison:
    """Hold what a waveform file says of a unit against the unit's twin.

    Parameters
    ----------
    component
        The unit; its ports are looked for in the file.
    twin
        Its twin.
    path
        A VCD, FST or GHW file.
    clock
        Name of the clock in the unit's scope, or its whole path.
    scope
        Path of the unit in the design; it is looked for if this is None.
    from_start
        Registers hold their initial values when the file begins: compare from the first clock
        edge, without waiting for a reset.

    Raises
    ------
    ModuleNotFoundError
        pywellen is not installed.
    FileNotFoundError
        There is no such file.
    ValueError
        The file cannot be read, does not have the clock, the scope or the ports, or inputs are not
        known where they must be.
    """
    ports_alone(component)
    ports = flatten(component)
    waveform = Waveform(component, path, clock, scope)
    return compare_recording(type(component).__name__, ports, twin, waveform, from_start)


@dataclass(frozen=True)
class _Part:
    """Where some bits of a port are in the file.

    Parameters
    ----------
    variable
        The variable, of pywellen.
    low
        Its lowest bit that belongs to the port.
    port
        The port, or a scalar for one lane of it.
    """

    variable: Any
    low: int
    port: Port


@dataclass(frozen=True)
class _Scope:
    """A scope of the file: its variables, and the elements of its arrays."""

    path: str
    variables: dict[str, Any]
    arrays: dict[str, list[Any]]

    def find(self, port: Port) -> list[_Part] | str:
        """The parts of a port under its own name, or what is wrong."""
        if variable := self.variables.get(port.name):
            bits = _bits(variable)
            if bits == port.bits:
                return [_Part(variable, 0, port)]
            return f"{port.name} has {bits or 'no'} bits, not {port.bits}"
        if elements := self.arrays.get(port.name):
            lanes = port.lanes or port.width
            width = port.width if port.lanes else 1
            if [_bits(element) for element in elements] == [width] * lanes:
                lane = replace(port, lanes=None, signed=port.signed and bool(port.lanes))
                return [_Part(element, 0, replace(lane, width=width)) for element in elements]
            widths = f"{len(elements)} elements of {_bits(elements[0])} bits"
            return f"{port.name} has {widths}, not {lanes} of {width}"
        return f"{port.name} is missing"

    def find_signals(self, port: Port, values: Sequence[Value]) -> list[_Part] | str:
        """The parts of a port in the signals of the Amaranth component, or what is wrong."""
        parts = []
        for value in values:
            signal, low = _origin(value)
            variable = None if signal is None else self.variables.get(signal.name)
            if variable is None or _bits(variable) != len(signal):  # type: ignore[arg-type]
                return f"{port.name} is missing"
            parts.append(_Part(variable, low, replace(port, lanes=None)))
        first = parts[0]
        if all(
            part.variable is first.variable and part.low == first.low + lane * port.width
            for lane, part in enumerate(parts)
        ):
            return [replace(first, port=port)]
        return parts


def _bits(variable: Any) -> int | None:
    """Bits of a variable; None of one that is no vector of bits."""
    return variable.bitwidth if variable.is_1bit or variable.is_bit_vector else None


def _origin(value: Value) -> tuple[Signal | None, int]:
    """The signal that a value is a slice of, and the slice's lowest bit."""
    if isinstance(value, Signal):
        return value, 0
    if isinstance(value, Slice):
        signal, low = _origin(value.value)
        return signal, low + value.start
    return None, 0


class Waveform(Recording):
    """A unit's ports in a waveform file.

    Parameters
    ----------
    component, path, clock, scope
        As `compare_waveform` takes them.
    """

    def __init__(
        self,
        component: wiring.Component,
        path: str | PathLike[str],
        clock: str = "clk",
        scope: str | None = None,
    ):
        self.name = Path(path).name
        with _readable(Path(path)) as file:
            scopes = {scope.path: scope for scope in _scopes(file)}
            self.scope, self._parts = self._find(component, scopes, scope)
            variable = self._find_clock(scopes, clock)
            self._signals = {
                str(part.variable.signal_id): part.variable.signal
                for parts in self._parts.values()
                for part in parts
            }
            self._edges = _rising(variable.signal)
            self._timescale = file.timescale
        self.clocks = len(self._edges)
        if not self.clocks:
            raise ValueError(f"{self.name}: the clock {clock} never rises")

    def read(self, port: Port, clocks: slice) -> tuple[Codes, Codes]:
        edges = self._edges[clocks]
        parts = [self._sampled(part, edges) for part in self._parts[port.name]]
        if len(parts) == 1 and parts[0][0].shape == port.shape(len(edges)):
            return parts[0]
        values, unknown = (np.stack(columns, axis=1) for columns in zip(*parts))
        if port.lanes is None:  # single bits
            weights = np.int64(1) << np.arange(port.width)
            values, unknown = values @ weights, unknown @ weights
            if port.signed:
                values = np.where(values > port.maximum, values + 2 * port.minimum, values)
        return values, unknown

    def when(self, clock: int) -> str | None:
        time, scale = int(self._edges[clock]), self._timescale
        exponent = None if scale is None else scale.unit.to_exponent()
        if scale is None or exponent is None:
            return f"time {time}"
        time *= scale.factor
        while time and time % 1000 == 0 and exponent < 0:
            time, exponent = time // 1000, exponent + 3
        return f"{time:,} {_UNITS[exponent]}"

    def _find(
        self, component: wiring.Component, scopes: dict[str, _Scope], path: str | None
    ) -> tuple[str, dict[str, list[_Part]]]:
        """The scope of the unit and the parts of its ports."""
        unit = type(component).__name__
        if path is not None:
            if path not in scopes:
                raise ValueError(f"{self.name} has no scope {path}; it has {_listed(scopes)}")
            scopes = {path: scopes[path]}
        wanted = leaves(component)
        found: dict[str, dict[str, list[_Part]]] = {}
        wrong: dict[str, list[str]] = {}
        for amaranth in False, True:
            for name, scope in scopes.items():
                parts = {RESET.name: scope.find(RESET)}
                for port, values in wanted:
                    parts[port.name] = (
                        scope.find_signals(port, values) if amaranth else scope.find(port)
                    )
                complete = {key: part for key, part in parts.items() if not isinstance(part, str)}
                if len(complete) == len(parts):
                    found[name] = complete
                elif not amaranth:
                    wrong[name] = [part for part in parts.values() if isinstance(part, str)]
            if found:
                return self._one_of(found, unit)
        name = min(wrong, key=lambda name: len(wrong[name]), default="")
        if path is None and len(wrong.get(name, ())) > len(wanted):
            raise ValueError(
                f"{self.name} has no port of {unit} in any scope: a dump of another design? "
                f"Its scopes are {_listed(scopes)}"
            )
        raise ValueError(
            f"{self.name} is no dump of {unit} with these parameters: "
            f"in scope {name or 'at the top'}, {_listed(wrong[name])}"
        )

    def _one_of(
        self, found: dict[str, dict[str, list[_Part]]], unit: str
    ) -> tuple[str, dict[str, list[_Part]]]:
        """The scope of the unit among those that have all its ports."""
        # A testbench often gives its own signals the names of the unit's ports: of nested scopes it
        # is the inner one. Scopes that show the same signals are one.
        different = {
            tuple(str(part.variable.signal_id) for parts in ports.values() for part in parts): name
            for name, ports in found.items()
            if not any(other != name and other.startswith(_inside(name)) for other in found)
        }
        names = list(different.values())
        if len(names) > 1:
            raise ValueError(
                f"{self.name} has {len(names)} scopes with all ports of {unit}, "
                f"choose one with --scope: {_listed(names)}"
            )
        return names[0], found[names[0]]

    def _find_clock(self, scopes: dict[str, _Scope], clock: str) -> Any:
        """The variable of the clock: in the unit's scope, around it, inside it, or by its path."""
        here = scopes[self.scope].variables
        path, _, name = clock.rpartition(".")
        around = [at for at in scopes if self.scope.startswith(_inside(at))]
        inside = [at for at in scopes if at.startswith(_inside(self.scope))]
        candidates = [self.scope, *around[::-1], *inside] if not path else [path]
        variable = next(
            (
                scopes[at].variables[name]
                for at in candidates
                if at in scopes and name in scopes[at].variables
            ),
            None,
        )
        if variable is None:
            single = [name for name, variable in here.items() if _bits(variable) == 1]
            raise ValueError(
                f"{self.name} has no clock {clock} in scope {self.scope}, name it with --clock; "
                f"there are {_listed(single)}"
            )
        if _bits(variable) != 1:
            raise ValueError(
                f"{self.name}: the clock {clock} has {_bits(variable) or 'no'} bits, not 1"
            )
        return variable

    def _sampled(self, part: _Part, edges: Times) -> tuple[Codes, Codes]:
        """A part's values just before the times `edges`, and masks of unknown bits."""
        port, signal = part.port, self._signals[str(part.variable.signal_id)]
        values = np.zeros(port.shape(len(edges)), np.int64)
        # Before its first change a signal is not known.
        unknown = np.full(values.shape, (1 << port.width) - 1)
        count = len(signal)
        at = bisect_left(range(count), int(edges[0]), key=lambda k: signal[k][0]) - 1
        at = max(at, 0)
        while at < count:
            changes = signal[at : min(at + _CHANGES, count)]
            at += len(changes)
            times = np.fromiter((time for time, _ in changes), np.int64, len(changes))
            until = signal[at][0] if at < count else np.iinfo(np.int64).max
            # The edges whose last change before them is one of these.
            first, last = np.searchsorted(edges, [times[0], until], "right")
            if first < last:
                before = np.searchsorted(times, edges[first:last], "left") - 1
                taken, which = np.unique(before, return_inverse=True)
                words = [changes[k][1] for k in taken.tolist()]
                if part.variable.bitwidth != port.bits:
                    words = [_cut(word, part.low, port.bits) for word in words]
                codes, masks = to_codes(port, words)
                values[first:last], unknown[first:last] = codes[which], masks[which]
            if last == len(edges):
                break
        return values, unknown


def _rising(signal: Any) -> Times:
    """Times at which a signal of one bit rises; one that begins high does not rise there."""
    times = np.empty(len(signal), np.int64)
    high = np.empty(len(signal), np.bool_)
    for at in range(0, len(signal), _CHANGES):
        span = slice(at, min(at + _CHANGES, len(signal)))
        changes = signal[span]
        times[span] = [time for time, _ in changes]
        high[span] = [value in (1, "h", "H") for _, value in changes]
    # Of several changes at one time, the last is what counts.
    last = np.flatnonzero(np.diff(times, append=np.iinfo(np.int64).max))
    times, high = times[last], high[last]
    return times[1:][high[1:] & ~high[:-1]]


def _cut(word: Word, low: int, bits: int) -> Word:
    """Some bits of a word."""
    if isinstance(word, int):
        return word >> low & ((1 << bits) - 1)
    return word[len(word) - low - bits : len(word) - low]


@contextmanager
def _readable(path: Path) -> Iterator[Any]:
    """The file opened; what goes wrong in the reader is an error of one line."""
    try:
        import pywellen
    except ImportError as error:
        raise ModuleNotFoundError(
            "reading waveforms needs pywellen: pip install 'gradloom[waveform]'"
        ) from error
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with _hushed():
            yield pywellen.Waveform(str(path))
    except ValueError:
        raise
    except BaseException as error:
        # A panic of the reader (in Rust) is no Exception.
        if not isinstance(error, RuntimeError) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())
        raise ValueError(f"{path.name} is not a whole VCD, FST or GHW file: {reason}") from error


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep off the standard output and errors what the reader writes there of a broken file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in 1, 2:
            os.dup2(nowhere, number)
        yield
    finally:
        for number, before in zip((1, 2), kept):
            os.dup2(before, number)
            os.close(before)
        os.close(nowhere)


def _scopes(file: Any) -> Iterator[_Scope]:
    """Every scope of a file, outer ones first."""
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
        yield _Scope(path, named, arrays.get(path, {}))


def _plain(name: str) -> str:
    """A name without the backslash of an escaped one."""
    return name.removeprefix("\\").strip()


def _inside(path: str) -> str:
    """What the paths of scopes inside `path` begin with."""
    return f"{path}." if path else ""


def _listed(names: Iterable[str]) -> str:
    """Some of the names."""
    listed = [name for name in names if name]
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return (", ".join(listed[:_LISTED]) or "none") + more
