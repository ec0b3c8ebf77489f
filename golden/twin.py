"""Cycle twins: models of hardware units that return the value of every output port at every clock
edge.

Inputs and outputs are mappings from port name to an array with one entry per clock edge, and a
second axis if the port has lanes, lane 0 first. The names are those of the ports in Verilog. An
entry is the value just before the edge, for inputs and outputs. The first entry of a run is the
reset state. An edge with `rst` high still belongs to the old state; the next entry is the reset
state again, with what is in memories (`Twin.restarted`).

A run can be cut into batches: `advance` takes the state before the first clock of a batch and
returns the state after its last clock. A state is immutable: it may be advanced several times,
stored, or sent to another process. Its size does not depend on the number of clocks. The outputs do
not depend on how a run is cut.

A twin does not copy the registers of the hardware: its values come from whole-tensor arithmetic,
its times from the documented schedule.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.fixed import Codes
from golden.port import RESET, Port, checked, clocks_of, inputs_of

#: Port name to int64 array: one entry per clock edge, and a second axis if the port has lanes.
Trace = dict[str, Codes]

#: State of a twin between two clocks.
State = TypeVar("State")


def frozen(values: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only copy, for a state; unlike a view, it keeps no larger array in memory."""
    copy = values.copy()
    copy.flags.writeable = False
    return copy


class Twin(ABC, Generic[State]):
    """Base of the twins: checks inputs, and cuts them at resets.

    A subclass defines `initial` and `stretch`.

    Examples
    --------
    >>> import numpy as np
    >>> from golden import Lfsr, LfsrConfig
    >>> twin = Lfsr(LfsrConfig())
    >>> whole = twin.run({"o_ready": np.ones(100, int)})
    >>> state = twin.initial()
    >>> state, first = twin.advance(state, {"o_ready": np.ones(60, int)})
    >>> state, second = twin.advance(state, {"o_ready": np.ones(40, int)})
    >>> np.array_equal(np.concatenate([first["o_data"], second["o_data"]]), whole["o_data"])
    True
    """

    #: The unit's ports, for the check of the inputs; None if they are not checked.
    ports: Sequence[Port] | None = None
    #: Whether `rst` restarts the unit.
    has_reset = True

    def run(self, inputs: Mapping[str, ArrayLike]) -> Trace:
        """Return the outputs of a run that begins in the reset state.

        It changes nothing in the twin: equal inputs have equal outputs.

        Parameters
        ----------
        inputs
            As in `advance`.

        Returns
        -------
        Trace
            As in `advance`.

        Raises
        ------
        ValueError, TypeError
            As in `advance`.
        """
        return self.advance(self.initial(), inputs)[1]

    def advance(self, state: State, inputs: Mapping[str, ArrayLike]) -> tuple[State, Trace]:
        """Return the next state and the outputs of the clocks after `state`, which does not change.

        Parameters
        ----------
        state
            From `initial` or an earlier `advance` of a twin with the same configuration.
        inputs
            Integers of any type for every input port, (clocks,) or (clocks, lanes), at least one
            clock; `rst` is optional.

        Returns
        -------
        state
            The state after the last clock.
        outputs : Trace
            Values of every output port, int64, (clocks,) or (clocks, lanes).

        Raises
        ------
        ValueError
            A port is missing or unknown, arrays differ in length or have a wrong shape, there is no
            clock, or a value is out of its port's range.
        TypeError
            Values are not integers.
        """
        clocks, given = self._checked(inputs)
        rst = given.pop("rst", None)
        if rst is None or not self.has_reset or not rst.any():
            return self.stretch(state, given)
        parts: list[Trace] = []
        start = 0
        for stop in (*(np.flatnonzero(rst) + 1).tolist(), clocks):
            if stop > start:
                span = {name: values[start:stop] for name, values in given.items()}
                state, part = self.stretch(state, span)
                parts.append(part)
            if stop < clocks or rst[-1]:
                state = self.restarted(state)
            start = stop
        return state, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _checked(self, inputs: Mapping[str, ArrayLike]) -> tuple[int, Trace]:
        if self.ports is None:
            check.table("inputs", inputs, "port names to integers")
            arrays = {
                name: check.integers(f"port {name}", values, bools=True)
                for name, values in inputs.items()
            }
            clocks = clocks_of(arrays)
            return clocks, {name: values.astype(np.int64) for name, values in arrays.items()}
        ports = inputs_of(self.ports)
        clocks, given = checked(ports, inputs, narrow=True)
        names = [port.name for port in ports if port is not RESET]
        if missing := [name for name in names if name not in given]:
            raise ValueError(f"inputs have no values for the port {', '.join(missing)}")
        return clocks, given

    @abstractmethod
    def initial(self) -> State:
        """Return the reset state."""

    def restarted(self, state: State) -> State:
        """Return the state after a reset: the reset state, and what a reset leaves alone.

        Parameters
        ----------
        state
            The state after the clock of the reset, if it had been none.
        """
        return self.initial()

    @abstractmethod
    def stretch(self, state: State, inputs: Trace) -> tuple[State, Trace]:
        """Advance by clocks without a reset, with inputs that are checked already.

        Parameters
        ----------
        state
            The state before the first clock.
        inputs
            Values of the input ports without `rst`, (clocks,) or (clocks, lanes).

        Returns
        -------
        state
            The state after the last clock.
        outputs : Trace
            Values of every output port, int64, (clocks,) or (clocks, lanes).
        """

    def legal(self, rng: np.random.Generator, clocks: int) -> Trace | None:
        """Return random inputs that the unit allows, with resets; None if it allows all.

        Parameters
        ----------
        rng
            Where their numbers come from.
        clocks
            Number of clocks. The first one is in the reset state.
        """
        return None
