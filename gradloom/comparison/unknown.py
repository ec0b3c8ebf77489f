"""Unknown bits (x, z) of recorded inputs: the outputs that they leave undefined, or make wrong.

Unknown inputs are common and mostly harmless: a payload is x while its valid is 0. So the twin is
run again, with other bits in place of the unknown ones. Where its outputs are the same, the bits do
not matter. Where an output changes at the very clock, it follows its input without a register (the
array's `i_ready` looks at `i_last`); it is not defined there and is left out. Where outputs change
at another clock, the unit's state is unknown: that is an error.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.port import Port
from golden.twin import Trace

#: Runs of the twin that look for unknown bits that last.
_ROUNDS = 8

#: Output values that are meant, by port.
Flags = dict[str, NDArray[np.bool_]]


class _Advances(Protocol):
    def advance(self, state: Any, stimulus: Trace) -> tuple[Any, Trace]:
        """State and outputs after `stimulus`."""


class Doubts:
    """Effects of unknown input bits on a unit, batch by batch.

    A second state of the twin goes along from the first unknown bit on, as it would be if all
    unknown bits were others; it must never give other outputs. A reset ends that, and so does a
    state that is the twin's own again.

    Parameters
    ----------
    model
        The twin.
    inputs
        The input ports.
    when
        The time of an edge, by its number.
    """

    def __init__(self, model: _Advances, inputs: Sequence[Port], when: Callable[[int], str | None]):
        self._model = model
        self._inputs = inputs
        self._when = when
        self._other: Any = None
        self._names: set[str] = set()
        self._last = ""

    def look(
        self,
        start: int,
        before: Any,
        after: Any,
        stimulus: Trace,
        unknown: Mapping[str, Codes],
        expected: Trace,
    ) -> Flags:
        """Flags of the output values of a batch that unknown bits leave undefined.

        Parameters
        ----------
        start
            Number of the batch's first edge.
        before, after
            The twin's states.
        stimulus, unknown
            Inputs, and masks of their unknown bits, which are 0 in the inputs.
        expected
            The twin's outputs.

        Raises
        ------
        ValueError
            Unknown bits show in outputs of later clocks.
        """
        if self._other is None and not unknown:
            return {}
        clocks = len(stimulus["rst"])
        resets = np.flatnonzero(stimulus["rst"])
        begin = before
        if self._other is not None:
            self._check_earlier(stimulus, expected, int(resets[0]) + 1 if len(resets) else clocks)
            begin = self._other
        batch = _Batch(self._model, before, stimulus, unknown, expected, self._inputs)
        state, flags = batch.changes(batch.doubtful, begin)
        if unknown and flags:
            flags = self._undefined(batch, flags, start)
        doubtful = np.flatnonzero(batch.doubtful)
        if len(resets):
            doubtful = doubtful[doubtful > resets[-1]]
            self._other, self._names = None, set()
        if len(doubtful):
            self._names |= {name for name, masks in unknown.items() if masks.any()}
            self._last = self._at(start + int(doubtful[-1]))
        if len(doubtful) or self._other is not None:
            # States are values: equal ones are written alike.
            same = pickle.dumps(state) == pickle.dumps(after)
            self._other = None if same else state
        return flags

    def _check_earlier(self, stimulus: Trace, expected: Trace, stop: int) -> None:
        """Unknown bits of earlier batches must not show before edge `stop`."""
        part = {name: values[:stop] for name, values in stimulus.items()}
        _, trace = self._model.advance(self._other, part)
        if any((trace[name] != expected[name][:stop]).any() for name in expected):
            raise ValueError(
                f"input {', '.join(sorted(self._names))} has unknown bits (x or z) until "
                f"{self._last}, and later outputs depend on them"
            )

    def _undefined(self, batch: "_Batch", flags: Flags, start: int) -> Flags:
        """All undefined outputs of a batch, of which `flags` are known."""
        rng = np.random.default_rng(0)
        undefined = dict(flags)
        # Bits of some of the clocks must show nowhere but at these.
        later = _clocks(undefined, batch.clocks) & ~batch.doubtful
        for _ in range(_ROUNDS):
            if later.any():
                self._blame(batch, int(later.argmax()), start)
            some = batch.doubtful & (rng.random(batch.clocks) < 0.5)
            flags = batch.changes(some)[1]
            later = _clocks(flags, batch.clocks) & ~some
            for name, wrong in flags.items():
                undefined[name] = undefined.get(name, np.False_) | wrong
        return undefined

    def _blame(self, batch: "_Batch", at: int, start: int) -> NoReturn:
        """Say which unknown bits it is that show at the clock `at` of the batch."""
        # Half of the candidates go at a time.
        low, high = 0, max(at, 1)
        while high - low > 1:
            middle = (low + high) // 2
            chosen = batch.doubtful[: at + 1].copy()
            chosen[middle:] = False
            if _clocks(batch.changes(chosen)[1], at + 1)[at]:
                high = middle
            else:
                low = middle
        names = [name for name, masks in batch.unknown.items() if masks[low].any()]
        raise ValueError(
            f"input {', '.join(names)} has unknown bits (x or z) at "
            f"{self._at(start + low)}, and later outputs depend on them"
        )

    def _at(self, clock: int) -> str:
        time = self._when(clock)
        return f"cycle {clock}" + ("" if time is None else f" ({time})")


class _Batch:
    """A batch with other bits in place of the unknown ones.

    Attributes
    ----------
    clocks : int
        Clock edges.
    doubtful : array
        Whether any input has unknown bits, for every clock.
    """

    def __init__(
        self,
        model: _Advances,
        before: Any,
        stimulus: Trace,
        unknown: Mapping[str, Codes],
        expected: Trace,
        inputs: Sequence[Port],
    ):
        self._model, self._before = model, before
        self._stimulus, self.unknown, self._expected = stimulus, unknown, expected
        rng = np.random.default_rng(0)
        self._other = {
            port.name: _filled(port, stimulus[port.name], unknown[port.name], rng)
            for port in inputs
            if port.name in unknown
        }
        self.clocks = len(stimulus["rst"])
        self.doubtful = np.zeros(self.clocks, np.bool_)
        for masks in unknown.values():
            self.doubtful |= _any(masks != 0)

    def changes(self, chosen: NDArray[np.bool_], before: Any = None) -> tuple[Any, Flags]:
        """State after the clocks of `chosen`, with other bits where it is set, and flags of the
        output values that this changes.
        """
        clocks = len(chosen)
        changed = {name: values[:clocks] for name, values in self._stimulus.items()}
        for name, values in self._other.items():
            there = chosen.reshape(-1, *[1] * (values.ndim - 1))
            changed[name] = np.where(there, values[:clocks], changed[name])
        state, trace = self._model.advance(self._before if before is None else before, changed)
        flags = {name: trace[name] != self._expected[name][:clocks] for name in self._expected}
        return state, {name: wrong for name, wrong in flags.items() if wrong.any()}


def _any(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a flag is set, for every clock."""
    return np.logical_or.reduce(flags.reshape(len(flags), -1), axis=1)


def _clocks(flags: Flags, clocks: int) -> NDArray[np.bool_]:
    """Whether any port has a flag set, for every clock."""
    every = np.zeros(clocks, np.bool_)
    for some in flags.values():
        every |= _any(some)
    return every


def _filled(port: Port, values: Codes, unknown: Codes, rng: np.random.Generator) -> Codes:
    """`values` with other bits than 0 where they are unknown."""
    sign = 1 << (port.width - 1)
    # Random ones, large numbers, and never 0 again: an unknown control becomes 1.
    every = (rng.integers(0, 1 << port.width, values.shape) | sign) & unknown
    codes = values | np.where(every == 0, unknown, every)
    if port.signed:
        codes = np.where((values >= 0) & (codes & sign != 0), codes - 2 * sign, codes)
    return codes
