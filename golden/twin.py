"""What a cycle twin is: the model of a hardware unit that gives the value of every output port at
every clock edge.

Inputs and outputs are mappings from port name to an array with one entry per clock edge, and a
second axis where the port carries lanes, lane 0 first. Names are those of the generated Verilog's
ports. An entry is the value just before that edge, for inputs and outputs alike. The first entry of
a run is the reset state. An edge with `rst` high still shows the old state; at the next one the
unit starts again from the reset state.

A run can be cut into batches: `advance` takes the state before the first clock of a batch and
returns the state after its last one. A state is a value that nobody changes: it may be advanced
again, stored or sent to another process. Its size does not grow with the clocks that have passed.
However a run is cut, the outputs are the same.

A twin does not copy the registers of the hardware: values come from whole-tensor arithmetic, times
from the documented schedule.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.fixed import Codes
from golden.port import RESET, Port, checked, inputs_of

#: Port name to int64 array: one entry per clock edge, and a second axis where the port carries
#: lanes.
Trace = dict[str, Codes]

#: What a twin keeps between two clocks.
State = TypeVar("State")


def frozen(values: NDArray[Any]) -> NDArray[Any]:
    """A copy that cannot be written to and keeps no larger array in memory: part of a state."""
    copy = values.copy()
    copy.flags.writeable = False
    return copy


class Twin(ABC, Generic[State]):
    """Base of the twins: cuts what it is given at the resets.

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

    #: The unit's ports, by which `advance` checks its inputs; None where it does not.
    ports: Sequence[Port] | None = None
    #: Whether `rst` restarts the unit.
    has_reset = True

    def run(self, inputs: Mapping[str, ArrayLike]) -> Trace:
        """Outputs of a run that begins in the reset state; the same at every call.

        Parameters
        ----------
        inputs
            As in `advance`.

        Returns
        -------
        As the outputs of `advance`.
        """
        return self.advance(self.initial(), inputs)[1]

    def advance(self, state: State, inputs: Mapping[str, ArrayLike]) -> tuple[State, Trace]:
        """State and outputs of the clocks that follow on `state`, which stays as it is.

        Parameters
        ----------
        state
            From `initial` or an earlier `advance` of a twin with the same configuration.
        inputs
            Integers of any kind for every input port, (clocks,) or (clocks, lanes), at least one
            clock; `rst` may be left out.

        Returns
        -------
        The state after the last clock, and int64 arrays for every output port, (clocks,) or
        (clocks, lanes).

        Raises
        ------
        ValueError
            A port is missing or unknown, arrays differ in length or have the wrong shape, there is
            no clock, or a value is out of its port's range.
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
                state = self.initial()
            start = stop
        return state, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _checked(self, inputs: Mapping[str, ArrayLike]) -> tuple[int, Trace]:
        if self.ports is None:
            given = {name: np.asarray(values, np.int64) for name, values in inputs.items()}
            return len(next(iter(given.values()))), given
        ports = inputs_of(self.ports)
        clocks, given = checked(ports, inputs, narrow=True)
        names = [port.name for port in ports if port is not RESET]
        if missing := [name for name in names if name not in given]:
            raise ValueError(f"inputs have no values for the port {', '.join(missing)}")
        return clocks, given

    @abstractmethod
    def initial(self) -> State:
        """The reset state."""

    @abstractmethod
    def stretch(self, state: State, inputs: Trace) -> tuple[State, Trace]:
        """`advance` for clocks without a reset among them, on inputs that are known to be good."""
