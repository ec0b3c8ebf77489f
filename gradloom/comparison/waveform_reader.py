"""Reads waveform files (VCD, FST, GHW) of any simulator, and compares them with a unit's twin.

The files are read with pywellen. The values of a clock are those just before the time of its rising
edge, so the order in which a simulator lists the changes at one time does not matter.
"""

import os
import sys
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.port import RESET, Port
from gradloom.comparison.check import TwinLike
from gradloom.comparison.recording import (
    Recording,
    Word,
    codes_of_words,
    compare_recording,
    mark_used,
)
from gradloom.comparison.report import Comparison
from gradloom.comparison.waveform_scopes import (
    Part,
    Scope,
    bit_count,
    listed,
    prefix,
    scopes_of,
)
from gradloom.sim.toplevel import flatten, leaves

#: Number of value changes that are read at once.
_CHANGES = 1 << 16
Times = NDArray[np.int64]

#: Units of time, by their power of ten in seconds.
_UNITS = {0: "s", -3: "ms", -6: "us", -9: "ns", -12: "ps", -15: "fs", -18: "as", -21: "zs"}


def compare_waveform(
    component: wiring.Component,
    twin: TwinLike,
    path: str | PathLike[str],
    clock: str = "clk",
    scope: str | None = None,
    from_start: bool = False,
) -> Comparison:
    """Compare the values of a unit in a waveform file with the unit's twin.

    Parameters
    ----------
    component
        The unit; its ports are looked for in the file.
    twin
        The unit's twin.
    path
        A VCD, FST or GHW file.
    clock
        Name of the clock in the unit's scope, or its whole path.
    scope
        Path of the unit in the design. If None, the unit is searched for.
    from_start
        Registers have their initial values when the file begins: compare from the first clock
        edge on, without waiting for a reset.

    Returns
    -------
    Comparison
        Its truth value is whether file and twin agree.

    Raises
    ------
    ModuleNotFoundError
        pywellen is not installed.
    FileNotFoundError
        There is no such file.
    ValueError
        The file cannot be read, does not have the clock, the scope or the ports, or an input that
        matters is unknown.
    """
    mark_used(component)
    ports = flatten(component)
    waveform = Waveform(component, path, clock, scope)
    return compare_recording(type(component).__name__, ports, twin, waveform, from_start)


class Waveform(Recording):
    """The values of a unit's ports in a waveform file.

    Parameters
    ----------
    component, path, clock, scope
        See `compare_waveform`.
    """

    def __init__(
        self,
        component: wiring.Component,
        path: str | PathLike[str],
        clock: str = "clk",
        scope: str | None = None,
    ):
        self.name = Path(path).name
        with _opened(Path(path)) as file:
            scopes = {scope.path: scope for scope in scopes_of(file)}
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
        self, component: wiring.Component, scopes: dict[str, Scope], path: str | None
    ) -> tuple[str, dict[str, list[Part]]]:
        """Return the scope of the unit, and the parts of its ports by name."""
        unit = type(component).__name__
        if path is not None:
            if path not in scopes:
                raise ValueError(f"{self.name} has no scope {path}; it has {listed(scopes)}")
            scopes = {path: scopes[path]}
        wanted = leaves(component)
        found: dict[str, dict[str, list[Part]]] = {}
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
                f"Its scopes are {listed(scopes)}"
            )
        raise ValueError(
            f"{self.name} is no dump of {unit} with these parameters: "
            f"in scope {name or 'at the top'}, {listed(wrong[name])}"
        )

    def _one_of(
        self, found: dict[str, dict[str, list[Part]]], unit: str
    ) -> tuple[str, dict[str, list[Part]]]:
        """Return the scope of the unit, of those that have all its ports, and the parts."""
        # A testbench often gives its own signals the names of the unit's ports: the inner one of
        # nested scopes is the unit. Scopes with the same signals count as one.
        different = {
            tuple(str(part.variable.signal_id) for parts in ports.values() for part in parts): name
            for name, ports in found.items()
            if not any(other != name and other.startswith(prefix(name)) for other in found)
        }
        names = list(different.values())
        if len(names) > 1:
            raise ValueError(
                f"{self.name} has {len(names)} scopes with all ports of {unit}, "
                f"choose one with --scope: {listed(names)}"
            )
        return names[0], found[names[0]]

    def _find_clock(self, scopes: dict[str, Scope], clock: str) -> Any:
        """Return the clock's variable: by its path, or in, around or inside the unit's scope."""
        here = scopes[self.scope].variables
        path, _, name = clock.rpartition(".")
        around = [at for at in scopes if self.scope.startswith(prefix(at))]
        inside = [at for at in scopes if at.startswith(prefix(self.scope))]
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
            single = [name for name, variable in here.items() if bit_count(variable) == 1]
            raise ValueError(
                f"{self.name} has no clock {clock} in scope {self.scope}, name it with --clock; "
                f"there are {listed(single)}"
            )
        if bit_count(variable) != 1:
            raise ValueError(
                f"{self.name}: the clock {clock} has {bit_count(variable) or 'no'} bits, not 1"
            )
        return variable

    def _sampled(self, part: Part, edges: Times) -> tuple[Codes, Codes]:
        """Return a part's values just before the times `edges`, and masks of unknown bits."""
        port, signal = part.port, self._signals[str(part.variable.signal_id)]
        values = np.zeros(port.shape(len(edges)), np.int64)
        # A signal is unknown before its first change.
        unknown = np.full(values.shape, (1 << port.width) - 1)
        count = len(signal)
        at = bisect_left(range(count), int(edges[0]), key=lambda k: signal[k][0]) - 1
        at = max(at, 0)
        while at < count:
            changes = signal[at : min(at + _CHANGES, count)]
            at += len(changes)
            times = np.fromiter((time for time, _ in changes), np.int64, len(changes))
            until = signal[at][0] if at < count else np.iinfo(np.int64).max
            # Edges whose last change before them is one of these changes.
            first, last = np.searchsorted(edges, [times[0], until], "right")
            if first < last:
                before = np.searchsorted(times, edges[first:last], "left") - 1
                taken, which = np.unique(before, return_inverse=True)
                words = [changes[k][1] for k in taken.tolist()]
                if part.variable.bitwidth != port.bits:
                    words = [_cut(word, part.low, port.bits) for word in words]
                codes, masks = codes_of_words(port, words)
                values[first:last], unknown[first:last] = codes[which], masks[which]
            if last == len(edges):
                break
        return values, unknown


def _rising(signal: Any) -> Times:
    """Return the times at which a one-bit signal rises. An initial 1 is not a rising edge."""
    times = np.empty(len(signal), np.int64)
    high = np.empty(len(signal), np.bool_)
    for at in range(0, len(signal), _CHANGES):
        span = slice(at, min(at + _CHANGES, len(signal)))
        changes = signal[span]
        times[span] = [time for time, _ in changes]
        high[span] = [value in (1, "h", "H") for _, value in changes]
    # The last of several changes at one time counts.
    last = np.flatnonzero(np.diff(times, append=np.iinfo(np.int64).max))
    times, high = times[last], high[last]
    return times[1:][high[1:] & ~high[:-1]]


def _cut(word: Word, low: int, bits: int) -> Word:
    """Return `bits` bits of a word, from bit `low` on."""
    if isinstance(word, int):
        return word >> low & ((1 << bits) - 1)
    return word[len(word) - low - bits : len(word) - low]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file. Any failure of the reader raises an error of one line."""
    try:
        import pywellen
    except ImportError as error:
        raise ModuleNotFoundError(
            "reading waveforms needs pywellen: pip install 'gradloom[waveform]'"
        ) from error
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with _silenced():
            yield pywellen.Waveform(str(path))
    except ValueError:
        raise
    except BaseException as error:
        # A panic of the reader (in Rust) is not an Exception.
        if not isinstance(error, RuntimeError) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())
        raise ValueError(f"{path.name} is not a whole VCD, FST or GHW file: {reason}") from error


@contextmanager
def _silenced() -> Iterator[None]:
    """Suppress what the reader prints to standard output and standard error."""
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
