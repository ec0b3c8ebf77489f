"""Reads waveform files (VCD, FST, GHW) of any simulator, and compares them with a unit's twin.

The files are read with pywellen. The values of a clock are those just before the time of its rising
edge, so the order in which a simulator lists the changes at one time does not matter.

There are two other readings. In a file without a clock, of a logic analyser, each time is a sample.
And in the usual loop in C++ around a verilated unit, inputs change together with the clock and are
those of this edge. Such a file differs if it is read like the others, so this reading is tried
before anything is said of the hardware.
"""

import copy
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.port import Port
from gradloom.comparison.check import TwinLike
from gradloom.comparison.recording import (
    Gap,
    Recording,
    Word,
    codes_of_words,
    compare_recording,
    mark_used,
)
from gradloom.comparison.report import Comparison
from gradloom.comparison.waveform_file import WaveformFile, opened, time_text
from gradloom.comparison.waveform_scopes import Names, Part, Scopes, bit_count, listed
from gradloom.sim.toplevel import flatten, leaves

#: Number of value changes that are read at once.
_CHANGES = 1 << 16
#: A longer interval between clock edges, in units of the median, is a gap in the dump.
_LONGEST_INTERVAL = 10
#: Largest number of samples in a file without a clock.
_MOST_SAMPLES = 1 << 26
Times = NDArray[np.int64]

#: Powers of ten of units of time in seconds.
_EXPONENTS = {"s": 0, "ms": -3, "us": -6, "ns": -9, "ps": -12, "fs": -15}
_PERIOD = re.compile(r"(\d+) ?(s|ms|us|ns|ps|fs)")
#: Variables of Vivado's logic analyser: changes from window to window; 1 where a sample is missing.
_WINDOW, _GAP = "_WINDOW", "_GAP"


def compare_waveform(
    component: wiring.Component,
    twin: TwinLike,
    path: str | PathLike[str],
    clock: str | None = "clk",
    scope: str | None = None,
    from_start: bool = False,
    *,
    reset: str | None = "rst",
    prefix: str = "",
    ports: Mapping[str, str] | None = None,
    inputs_at_edge: bool = False,
) -> Comparison:
    """Compare the values of a unit in a waveform file with the unit's twin.

    Parameters
    ----------
    component
        The unit; its ports are looked for in the file.
    twin
        The unit's twin.
    path
        A VCD, FST or GHW file, also a compressed one or a pipe.
    clock
        Name of the clock in the unit's scope, or its whole path. None: the file has no clock, but a
        sample for each time unit, as logic analysers write it. A time such as "10 ns": no clock,
        and a sample each 10 ns.
    scope
        Path of the unit in the design. If None, the unit is searched for.
    from_start
        Registers have their initial values when the file begins: compare from the first clock
        edge on, without waiting for a reset.
    reset
        Name of the reset, like that of the clock. None: the file has none, it is 0 throughout.
    prefix
        Beginning of the names of all ports in the file, for example "top_i/array_0/inst/".
    ports
        Port to its name in the file, for ports that are called otherwise.
    inputs_at_edge
        Inputs that change at the time of a clock edge are those of this edge, not of the next one.

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
        The file cannot be read, does not have the clock, the scope or the ports; an input that
        matters is unknown; or file and twin agree, but on too little, or differ in a way that the
        file may be the cause of.
    """
    mark_used(component)
    flat = flatten(component)
    names = Names(clock=clock, reset=reset, scope=scope, prefix=prefix, ports=ports or {})
    waveform = Waveform(component, path, names)
    if inputs_at_edge and waveform.samples:
        raise ValueError("--inputs-at-edge: not without a clock, where each time is a sample")

    def compared(recording: Recording) -> Comparison:
        return compare_recording(type(component).__name__, flat, twin, recording, from_start)

    if waveform.samples:
        result = compared(waveform)
    elif inputs_at_edge:
        result = compared(waveform.with_inputs_at_edge())
    else:
        result = _read_either_way(waveform, compared)
    if result.difference is not None:
        _require_verdict(waveform, result, from_start)
    return result


def _read_either_way(
    waveform: "Waveform", compared: Callable[[Recording], Comparison]
) -> Comparison:
    """Compare a waveform with a clock. Inputs are those before its edges, but if that differs, the
    other reading is tried, too.

    Raises
    ------
    ValueError
        As in `compare_recording`, or the other reading agrees.
    """
    result = compared(waveform)
    if result:
        return result
    try:
        other = compared(waveform.with_inputs_at_edge())
    except ValueError:
        return result
    if other:
        raise ValueError(
            f"{waveform.name} differs from the twin at {result.difference}; but it agrees if "
            "inputs that change together with the clock are those of this edge: if the testbench "
            "sets them before it evaluates the edge, give --inputs-at-edge"
        )
    if other.mismatches < result.mismatches:
        where = f"{other.mismatches:,} values differ, the first at {other.difference}"
        result = replace(result, remarks=(*result.remarks, f"with --inputs-at-edge, {where}"))
    return result


def _require_verdict(waveform: "Waveform", result: Comparison, from_start: bool) -> None:
    """Raise ValueError if the recording itself may be the cause of a difference."""
    assert result.recorded is not None and result.difference is not None
    if waveform.step > waveform.period:
        raise ValueError(
            f"{waveform.name} differs from the twin at {result.difference}; but all its changes "
            f"are multiples of {waveform.text_of(waveform.step)} apart: if this is the time "
            "between samples, give it to --clock"
        )
    started = result.recorded.reset or from_start
    if not started and isinstance(result.difference.got, int):  # x is no state of a run
        raise ValueError(
            f"{waveform.name} has no reset, and differs at {result.difference} from a unit that "
            "is in the reset state when it begins: a recording that begins in the middle of a run "
            "cannot be compared, record a reset too; if it does begin with the registers' initial "
            "values, give --from-start"
        )


class Waveform(Recording):
    """The values of a unit's ports in a waveform file.

    Parameters
    ----------
    component
        The unit.
    path
        The file.
    names
        Names in the file.

    Attributes
    ----------
    samples : bool
        The file has no clock: each time is a sample.
    period, step : int
        Without a clock: time between samples, and what all times between changes are multiples of.
    """

    def __init__(
        self, component: wiring.Component, path: str | PathLike[str], names: Names | None = None
    ):
        names = names or Names()
        self.name = Path(path).name
        self.samples = names.clock is None or _PERIOD.fullmatch(names.clock) is not None
        self.period = self.step = 1
        self._late_inputs = False
        with opened(Path(path)) as file:
            scopes = Scopes(self.name, file.content)
            self.scope, self._parts = scopes.unit(
                type(component).__name__, leaves(component), names
            )
            self._signals = {
                str(part.variable.signal_id): part.variable.signal
                for parts in self._parts.values()
                for part in parts
            }
            self._timescale = file.content.timescale
            self.remarks = file.remarks
            if self.samples:
                self._edges, self.gaps = self._find_samples(file, scopes, names)
            else:
                assert names.clock is not None
                variable = self._find_clock(scopes, names.clock)
                self._edges, self.gaps = self._find_edges(file, variable.signal, names.clock)
        self.clocks = len(self._edges)

    def with_inputs_at_edge(self) -> "Waveform":
        """Return this waveform, with inputs that change at the time of an edge read after it."""
        other = copy.copy(self)
        other._late_inputs = True
        other.early = self
        return other

    def read(self, port: Port, clocks: slice) -> tuple[Codes, Codes]:
        edges = self._edges[clocks]
        shape = port.shape(len(edges))
        if port.name not in self._parts:  # there is no reset
            return np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        after = self.samples or (self._late_inputs and port.direction == "in")
        parts = [self._sampled(part, edges, after) for part in self._parts[port.name]]
        if len(parts) == 1 and parts[0][0].shape == shape:
            return parts[0]
        # Lanes, or pieces of them, lowest first.
        width = self._parts[port.name][0].port.width
        weights = np.int64(1) << np.arange(0, port.width, width)
        values, unknown = (
            np.stack(columns, axis=-1).reshape(*shape, -1) @ weights for columns in zip(*parts)
        )
        if port.signed and width < port.width:
            values = np.where(values > port.maximum, values + 2 * port.minimum, values)
        return values, unknown

    def when(self, clock: int) -> str | None:
        return self.text_of(int(self._edges[clock]))

    def text_of(self, time: int) -> str:
        """Return a time of the file with its unit."""
        return time_text(time, self._timescale)

    def _find_clock(self, scopes: Scopes, clock: str) -> Any:
        """Return the clock's variable: by its path, or in, around or inside the unit's scope."""
        variable = scopes.single(self.scope, clock)
        if variable is None:
            single = scopes.by_path[self.scope].single_bits()
            raise ValueError(
                f"{self.name} has no clock {clock} in scope {self.scope}, name it with --clock, or "
                f"give --clock none if each time is a sample; there are {listed(single)}"
            )
        if bit_count(variable) != 1:
            raise ValueError(
                f"{self.name}: the clock {clock} has {bit_count(variable) or 'no'} bits, not 1"
            )
        return variable

    def _find_edges(self, file: WaveformFile, signal: Any, clock: str) -> tuple[Times, list[Gap]]:
        """Return the times of the rising edges, and the gaps between them."""
        edges = _rising(signal)
        for off, on in file.pauses:
            edges = edges[(edges <= off) | (edges > on)]
        if not len(edges):
            raise ValueError(
                f"{self.name}: the clock {clock} never rises: are both of its halves dumped?"
            )
        gaps = {}
        steps = np.diff(edges)
        median = int(np.median(steps)) if len(steps) else 0
        for k in np.flatnonzero(steps > _LONGEST_INTERVAL * median).tolist():
            before, after = self.text_of(int(edges[k])), self.text_of(int(edges[k + 1]))
            text = (
                f"{clock} does not rise from {before} to {after}, where its edges are mostly "
                f"{self.text_of(median)} apart"
            )
            gaps[k + 1] = Gap(k + 1, text, explained=False)
        for off, on in file.pauses:
            k = int(np.searchsorted(edges, on, "right"))
            text = f"the dump was switched off from {self.text_of(off)} to {self.text_of(on)}"
            gaps[k] = Gap(k, text)
        return edges, [gaps[k] for k in sorted(gaps) if 0 < k < len(edges)]

    def _find_samples(
        self, file: WaveformFile, scopes: Scopes, names: Names
    ) -> tuple[Times, list[Gap]]:
        """Return the times of the samples of a file without a clock, and the gaps between them."""
        changes = [_times(signal) for signal in self._signals.values()]
        every = np.unique(np.concatenate(changes)) if changes else np.empty(0, np.int64)
        if not len(every):
            raise ValueError(f"{self.name}: the unit's ports have no values")
        last = max(int(every[-1]), -1 if file.last is None else file.last)
        self.period = 1 if names.clock is None else self._period(names.clock)
        self.step = int(np.gcd.reduce(np.diff(every))) if len(every) > 1 else self.period
        if (between := every[(every - every[0]) % self.period != 0]).size:
            raise ValueError(
                f"{self.name}: values change at {self.text_of(int(between[0]))}, "
                f"between samples that are {names.clock} apart"
            )
        if (last - int(every[0])) // self.period > _MOST_SAMPLES:
            raise ValueError(
                f"{self.name} has too many time units for a sample in each: name its clock with "
                "--clock, or give it the time between samples"
            )
        samples = np.arange(int(every[0]), last + 1, self.period, dtype=np.int64)
        breaks: dict[int, str] = {}  # by the time of the sample after it
        for off, on in file.pauses:
            samples = samples[(samples < off) | (samples >= on)]
            breaks[on] = f"the dump was switched off from {self.text_of(off)} to {self.text_of(on)}"
        variables = scopes.by_path[self.scope].variables
        if (window := variables.get(_WINDOW)) is not None:
            for number, time in enumerate(_times(window.signal)[1:].tolist(), 2):
                breaks[time] = f"window {number} begins at {self.text_of(time)}"
        if (missing := variables.get(_GAP)) is not None:
            for begin, end in _spans(missing.signal):
                samples = samples[(samples < begin) | (samples >= end)]
                breaks[end] = f"no samples from {self.text_of(begin)} to {self.text_of(end)}"
        gaps = {int(np.searchsorted(samples, time)): text for time, text in sorted(breaks.items())}
        return samples, [Gap(k, text) for k, text in gaps.items() if 0 < k < len(samples)]

    def _period(self, text: str) -> int:
        """Return a time such as "10 ns" in time units of the file."""
        match = _PERIOD.fullmatch(text)
        scale = self._timescale
        exponent = None if scale is None else scale.unit.to_exponent()
        if match is None or scale is None or exponent is None:
            raise ValueError(f"{self.name} has no unit of time: {text} cannot be counted in it")
        factor = 10 ** (_EXPONENTS[match[2]] - exponent) if _EXPONENTS[match[2]] >= exponent else 0
        period, rest = divmod(int(match[1]) * factor, scale.factor)
        if not period or rest:
            raise ValueError(
                f"{self.name}: {text} is no whole number of its time units of {self.text_of(1)}"
            )
        return int(period)

    def _sampled(self, part: Part, edges: Times, after: bool) -> tuple[Codes, Codes]:
        """Return a part's values just before the times `edges`, or just after them, and masks of
        unknown bits.
        """
        port, signal = part.port, self._signals[str(part.variable.signal_id)]
        values = np.zeros(port.shape(len(edges)), np.int64)
        # A signal is unknown before its first change.
        unknown = np.full(values.shape, (1 << port.width) - 1)
        count = len(signal)
        bisect = bisect_right if after else bisect_left
        at = bisect(range(count), int(edges[0]), key=lambda k: signal[k][0]) - 1
        at = max(at, 0)
        while at < count:
            changes = signal[at : min(at + _CHANGES, count)]
            at += len(changes)
            try:
                times = np.fromiter((time for time, _ in changes), np.int64, len(changes))
            except OverflowError:
                raise ValueError("a time in the file is beyond 2^63") from None
            until = signal[at][0] if at < count else np.iinfo(np.int64).max
            # Edges whose last change before them is one of these changes.
            first, last = np.searchsorted(edges, [times[0], until], "left" if after else "right")
            if first < last:
                before = np.searchsorted(times, edges[first:last], "right" if after else "left") - 1
                taken, which = np.unique(before, return_inverse=True)
                words = [changes[k][1] for k in taken.tolist()]
                if part.variable.bitwidth != port.bits:
                    words = [_cut(word, part.low, port.bits) for word in words]
                codes, masks = codes_of_words(port, words)
                values[first:last], unknown[first:last] = codes[which], masks[which]
            if last == len(edges):
                break
        return values, unknown


def _times(signal: Any) -> Times:
    """Return the times at which a signal changes, each once."""
    times = [
        np.fromiter((time for time, _ in signal[at : at + _CHANGES]), np.int64)
        for at in range(0, len(signal), _CHANGES)
    ]
    return np.unique(np.concatenate(times)) if times else np.empty(0, np.int64)


def _spans(signal: Any) -> list[tuple[int, int]]:
    """Return the times from which and until which a one-bit signal is 1."""
    spans: list[tuple[int, int]] = []
    begin = None
    for time, value in signal[0 : len(signal)] if len(signal) else []:
        if begin is not None and value != 1:
            spans.append((begin, time))
            begin = None
        elif begin is None and value == 1:
            begin = time
    if begin is not None:
        spans.append((begin, 1 << 62))
    return spans


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
