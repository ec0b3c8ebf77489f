"""Finds the outputs that unknown bits (x, z) of recorded inputs leave undefined.

Unknown inputs are common and mostly harmless: a payload is x while its valid is 0. So the twin runs
a second time, with other bits in place of the unknown ones. There are three cases:

- The outputs are the same: the unknown bits do not matter.
- An output differs at the clock of the unknown bits: it is combinational in that input (the array's
  `i_ready` depends on `i_last`). Its value is undefined there and is not compared.
- Outputs differ at later clocks: the unit's state is unknown, which is an error.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.port import Port
from golden.twin import Trace

#: Number of runs of the twin that look for unknown bits with effects at later clocks.
_ROUNDS = 8

#: Selected output values: by port, a flag for each value.
Flags = dict[str, NDArray[np.bool_]]


class _Advances(Protocol):
    def advance(self, state: Any, stimulus: Trace) -> tuple[Any, Trace]:
        """Return the state after the clocks of `stimulus`, and the outputs during them."""


class UnknownInputs:
    """Effects of unknown input bits on a unit, batch by batch.

    From the first unknown bit on, a second run of the twin has other values in place of all unknown
    bits. Its outputs must not differ from those of the first run. The second run ends at a reset,
    or when the states of both runs are equal.

    Parameters
    ----------
    model
        The twin.
    inputs
        The input ports.
    when
        Returns the time of an edge, given its number.
    """

    def __init__(self, model: _Advances, inputs: Sequence[Port], when: Callable[[int], str | None]):
        self._model = model
        self._inputs = inputs
        self._when = when
        self._second_state: Any = None
        self._names: set[str] = set()
        self._last = ""

    def undefined_outputs(
        self,
        start: int,
        before: Any,
        after: Any,
        stimulus: Trace,
        unknown: Mapping[str, Codes],
        expected: Trace,
    ) -> Flags:
        """Find the output values of a batch that unknown bits leave undefined.

        Parameters
        ----------
        start
            Number of the batch's first edge.
        before, after
            The twin's states before and after the batch.
        stimulus, unknown
            Inputs, and masks of their unknown bits, which are 0 in the inputs: one row per clock.
        expected
            The twin's outputs, one row per clock.

        Returns
        -------
        dict of str to ndarray of bool
            For each port with undefined values: a flag for each value.

        Raises
        ------
        ValueError
            Outputs of later clocks depend on unknown bits.
        """
        if self._second_state is None and not unknown:
            return {}
        clocks = len(stimulus["rst"])
        resets = np.flatnonzero(stimulus["rst"])
        begin = before
        if self._second_state is not None:
            self._check_earlier_batches(
                stimulus, expected, int(resets[0]) + 1 if len(resets) else clocks
            )
            begin = self._second_state
        batch = _Batch(self._model, before, stimulus, unknown, expected, self._inputs)
        state, flags = batch.changes(batch.has_unknown, begin)
        if unknown and flags:
            flags = self._undefined(batch, flags, start)
        has_unknown = np.flatnonzero(batch.has_unknown)
        if len(resets):
            has_unknown = has_unknown[has_unknown > resets[-1]]
            self._second_state, self._names = None, set()
        if len(has_unknown):
            self._names |= {name for name, masks in unknown.items() if masks.any()}
            self._last = self._at(start + int(has_unknown[-1]))
        if len(has_unknown) or self._second_state is not None:
            # States are values: equal states have the same pickle.
            same = pickle.dumps(state) == pickle.dumps(after)
            self._second_state = None if same else state
        return flags

    def _check_earlier_batches(self, stimulus: Trace, expected: Trace, stop: int) -> None:
        """Raise ValueError if unknown bits of earlier batches affect outputs before edge `stop`."""
        part = {name: values[:stop] for name, values in stimulus.items()}
        _, trace = self._model.advance(self._second_state, part)
        if any((trace[name] != expected[name][:stop]).any() for name in expected):
            raise ValueError(
                f"input {', '.join(sorted(self._names))} has unknown bits (x or z) until "
                f"{self._last}, and later outputs depend on them"
            )

    def _undefined(self, batch: "_Batch", flags: Flags, start: int) -> Flags:
        """Return all undefined outputs of a batch, given those that one run of the twin showed."""
        rng = np.random.default_rng(0)
        undefined = dict(flags)
        # Unknown bits of some clocks may affect outputs of the same clocks only.
        later = _clocks(undefined, batch.clocks) & ~batch.has_unknown
        for _ in range(_ROUNDS):
            if later.any():
                self._raise_for(batch, int(later.argmax()), start)
            some = batch.has_unknown & (rng.random(batch.clocks) < 0.5)
            flags = batch.changes(some)[1]
            later = _clocks(flags, batch.clocks) & ~some
            for name, wrong in flags.items():
                undefined[name] = undefined.get(name, np.False_) | wrong
        return undefined

    def _raise_for(self, batch: "_Batch", at: int, start: int) -> NoReturn:
        """Raise ValueError for the unknown bits that affect outputs at clock `at` of a batch."""
        # Bisection.
        low, high = 0, max(at, 1)
        while high - low > 1:
            middle = (low + high) // 2
            chosen = batch.has_unknown[: at + 1].copy()
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
        """Return the number of an edge, and its time, as text."""
        time = self._when(clock)
        return f"cycle {clock}" + ("" if time is None else f" ({time})")


class _Batch:
    """A batch, and the same batch with other bits in place of the unknown ones.

    Attributes
    ----------
    clocks : int
        Number of clock edges.
    has_unknown : ndarray of bool, shape (clocks,)
        Clocks at which any input has unknown bits.
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
        self._replaced = {
            port.name: _filled(port, stimulus[port.name], unknown[port.name], rng)
            for port in inputs
            if port.name in unknown
        }
        self.clocks = len(stimulus["rst"])
        self.has_unknown = np.zeros(self.clocks, np.bool_)
        for masks in unknown.values():
            self.has_unknown |= _any(masks != 0)

    def changes(self, chosen: NDArray[np.bool_], before: Any = None) -> tuple[Any, Flags]:
        """Run the twin for the clocks of `chosen`, with other bits at those where it is set.

        Returns
        -------
        state
            The twin's state after these clocks.
        flags : dict of str to ndarray of bool
            The output values that this changes, for the ports that have any.
        """
        clocks = len(chosen)
        changed = {name: values[:clocks] for name, values in self._stimulus.items()}
        for name, values in self._replaced.items():
            there = chosen.reshape(-1, *[1] * (values.ndim - 1))
            changed[name] = np.where(there, values[:clocks], changed[name])
        state, trace = self._model.advance(self._before if before is None else before, changed)
        flags = {name: trace[name] != self._expected[name][:clocks] for name in self._expected}
        return state, {name: wrong for name, wrong in flags.items() if wrong.any()}


def _any(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return for every clock whether a flag is set. Shape (clocks,)."""
    return np.logical_or.reduce(flags.reshape(len(flags), -1), axis=1)


def _clocks(flags: Flags, clocks: int) -> NDArray[np.bool_]:
    """Return for every clock whether any port has a flag set. Shape (clocks,)."""
    every = np.zeros(clocks, np.bool_)
    for some in flags.values():
        every |= _any(some)
    return every


def _filled(port: Port, values: Codes, unknown: Codes, rng: np.random.Generator) -> Codes:
    """Return `values` with other bits than 0 where they are unknown."""
    sign = 1 << (port.width - 1)
    # Random bits with the highest bit set. Never 0 again: an unknown control input becomes 1.
    every = (rng.integers(0, 1 << port.width, values.shape) | sign) & unknown
    codes = values | np.where(every == 0, unknown, every)
    if port.signed:
        codes = np.where((values >= 0) & (codes & sign != 0), codes - 2 * sign, codes)
    return codes
