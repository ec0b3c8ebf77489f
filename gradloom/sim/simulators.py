"""Two simulators behind one call: the same stimulus gives the same trace.

`pysim` is Amaranth's own: nothing to compile, some hundred to some ten thousand clocks a second.
`cxxrtl` compiles the unit to a library first (seconds, then cached) and runs some hundred thousand
clocks a second.

An entry of a stimulus or of a trace is the value just before a clock edge; entry 0 is the reset
state. An output that depends on an input without a register shows in the same entry.

Two things are left open by Amaranth, and the simulators differ there: the register of a memory's
read port goes back to its first value with the reset in `pysim` and keeps its value in RTLIL (so in
`cxxrtl` and in Verilog), and a memory that is addressed beyond its last word. A unit shows neither.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from amaranth.lib import wiring
from numpy.typing import ArrayLike

from golden.twin import Trace

if TYPE_CHECKING:
    from gradloom.sim.probes import Probes

from gradloom.sim.pysim import Pysim
from gradloom.sim.simulation import Progress, Simulation

SimulatorName = Literal["pysim", "cxxrtl"]


def prepare(
    component: wiring.Component,
    simulator: SimulatorName = "pysim",
    probes: "Probes | None" = None,
) -> Simulation:
    """Make `component` ready for several runs.

    This is where `cxxrtl` compiles; several components may be built at once, in threads or
    processes. A design of several modules is a component that connects them.

    Parameters
    ----------
    component
        The unit.
    simulator
        "pysim" or "cxxrtl".
    probes
        Signals inside the unit that are recorded like outputs: port name to a value of the
        component; or to the path of a signal, as in `fifo.storage.w_port__en`; or to such a path
        and the shape that the bits have.
    """
    match simulator:
        case "pysim":
            return Pysim(component, probes=probes)
        case "cxxrtl":
            from gradloom.sim.cxxrtl import Cxxrtl

            return Cxxrtl(component, probes)
    raise ValueError(f"simulator = {simulator!r}: pysim and cxxrtl are known")


def ready(component: wiring.Component, simulator: SimulatorName | Simulation) -> Simulation:
    """What runs `component`: `simulator` itself if it was built for it, or else built now."""
    if not isinstance(simulator, Simulation):
        return prepare(component, simulator)
    if simulator.component is not component:
        raise ValueError(f"the simulation was built for another {type(component).__name__}")
    return simulator


def simulate(
    component: wiring.Component,
    inputs: Mapping[str, ArrayLike],
    simulator: SimulatorName | Simulation = "pysim",
    progress: Progress | None = None,
) -> Trace:
    """Run a unit on a stimulus.

    Parameters
    ----------
    component
        The unit.
    inputs
        Port name to integers, one entry a clock edge, and a second axis where the port carries
        lanes. `rst` can be among them; a port that is missing is 0.
    simulator
        "pysim", "cxxrtl", or what `prepare` gave for this component.
    progress
        Called now and then with the clocks that are done and the clocks that there are.

    Returns
    -------
    Every output port's values just before every edge.

    Raises
    ------
    ValueError
        A name is unknown, lengths do not match, or a value is out of its port's range.
    """
    return ready(component, simulator).run(inputs, progress)
