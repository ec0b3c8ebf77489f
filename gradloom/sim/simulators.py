"""The choice between two simulators, with the same interface and the same results.

`pysim` is Amaranth's own simulator. It compiles nothing, and runs some hundred to some ten thousand
clocks per second. `cxxrtl` compiles the component first, which takes seconds (the result is
cached), and runs some hundred thousand clocks per second.

An entry of a stimulus or of a trace is the value just before a clock edge; entry 0 is in the reset
state. An output that is combinational in an input depends on the same entry of it.

The simulators differ in two cases that Amaranth does not define. A reset sets the register of a
memory's read port to its initial value in `pysim`, but not in RTLIL, and so neither in `cxxrtl` nor
in Verilog. And a memory may be addressed beyond its last word. No unit depends on either.
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
    """Build a simulation of `component` for several runs.

    For `cxxrtl`, this compiles the component; several components may be built at once, in threads
    or processes. A design of several modules is a component that connects them.

    Parameters
    ----------
    component
        The component.
    simulator
        "pysim" or "cxxrtl".
    probes
        Signals inside the unit that are recorded like outputs: port name to a value of the
        component; or to the path of a signal, as in `fifo.storage.w_port__en`; or to such a path
        and the shape that the bits have.

    Returns
    -------
    Simulation
        See `gradloom.sim.simulation.Simulation`.

    Raises
    ------
    ValueError
        The simulator is unknown.

    Examples
    --------
    >>> import golden, hdl
    >>> simulation = prepare(hdl.Lfsr(golden.LfsrConfig(lanes=3)))
    >>> simulation.run({"o_ready": [1, 1]})["o_data"].shape
    (2, 3)
    """
    match simulator:
        case "pysim":
            return Pysim(component, probes=probes)
        case "cxxrtl":
            from gradloom.sim.cxxrtl import Cxxrtl

            return Cxxrtl(component, probes)
    raise ValueError(f"simulator = {simulator!r}: pysim and cxxrtl are known")


def ready(component: wiring.Component, simulator: SimulatorName | Simulation) -> Simulation:
    """Return a simulation of `component`: `simulator` itself, or one that is built now."""
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
        Port name to integers, one entry per clock edge, with a second axis if the port has lanes. A
        port without an entry (`rst`, for example) is 0.
    simulator
        "pysim", "cxxrtl", or the simulation that `prepare` returned for this component.
    progress
        Called now and then with the number of simulated clocks and the number of all clocks.

    Returns
    -------
    dict of str to ndarray
        Output port to its values just before every edge: shape (clocks,), or (clocks, lanes) if the
        port has lanes.

    Raises
    ------
    ValueError
        A name is unknown, lengths do not match, or a value is out of its port's range.

    Examples
    --------
    >>> import golden, hdl
    >>> quantizer = hdl.WeightQuantizer(golden.WeightQuantizerConfig())
    >>> inputs = {"i_valid": [1, 0, 0, 0], "i_data": [[100], [0], [0], [0]], "o_ready": [1] * 4}
    >>> outputs = simulate(quantizer, inputs)
    >>> outputs["o_valid"], outputs["o_data"].shape
    (array([0, 0, 0, 1]), (4, 1))
    """
    return ready(component, simulator).run(inputs, progress)
