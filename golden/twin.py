"""What every cycle twin is: a function from port values at clock edges
to port values at clock edges.

An entry is the value just before that edge. The first entry is the reset state; after an edge with
`rst` high the unit starts again from it. Names are those of the generated Verilog's ports; a port
that carries a vector of lanes is an array with a second axis, lane 0 first.
"""

from collections.abc import Mapping

import numpy as np

from golden.fixed import Codes

#: Port name to int64 array: one entry a clock edge, and a second axis where the port carries lanes.
Trace = dict[str, Codes]


class Twin:
    """Base of the twins: splits a run at its resets;
    a subclass says what one stretch between resets does.
    """

    def run(self, inputs: Mapping[str, Codes]) -> Trace:
        """Outputs at every clock edge for the inputs at every clock edge; `rst` may be left out.

        Vectors of lanes may come in a narrower integer type: most of a long run's memory.
        """
        inputs = {
            name: np.asarray(values, np.int64) if np.ndim(values) == 1 else np.asarray(values)
            for name, values in inputs.items()
        }
        clocks = len(next(iter(inputs.values())))
        rst = inputs.pop("rst", np.zeros(clocks, np.int64))
        # An edge with rst high still shows the old state: it is the last entry of its stretch.
        cuts = [0, *(np.flatnonzero(rst) + 1).tolist(), clocks]
        stretches = [
            self.stretch({name: values[start:stop] for name, values in inputs.items()})
            for start, stop in zip(cuts, cuts[1:])
            if stop > start
        ]
        if len(stretches) == 1:  # no copy of what may be millions of clocks
            return stretches[0]
        return {name: np.concatenate([part[name] for part in stretches]) for name in stretches[0]}

    def stretch(self, inputs: Trace) -> Trace:
        """Outputs of one stretch that begins in the reset state; no reset inside."""
        raise AssertionError(f"{type(self).__name__} does not say what it does")
