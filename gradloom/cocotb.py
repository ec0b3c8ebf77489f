"""A scoreboard for cocotb benches: every port of a unit, at every rising clock edge, to the twin.

    from gradloom.cocotb import Scoreboard

    @cocotb.test()
    async def products(dut):
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        with Scoreboard(dut, golden.Array(config)):
            ...  # reset and stimulus, as ever; the outputs need no checks

Clocks are compared in batches as the bench runs, so that it ends soon after it went wrong and
memory does not grow. The first difference raises AssertionError, the last batch's at the end of the
block. A twin that has `run` alone, without `advance`, is run once, at the end.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from amaranth.lib import wiring

from golden.fixed import Codes
from golden.port import Port, inputs_of, outputs_of
from gradloom.comparison.check import Check, Runs, goes_on
from gradloom.comparison.recorded import (
    Recording,
    ports_alone,
    read_resets,
    reset_state,
    take,
    to_codes,
)
from gradloom.comparison.report import Comparison, Recorded
from gradloom.sim.toplevel import flatten
from gradloom.units import UNITS

try:
    import cocotb
    from cocotb.triggers import RisingEdge
    from cocotb.utils import get_sim_time, get_time_from_sim_steps
except ImportError as error:
    raise ModuleNotFoundError(
        "gradloom.cocotb needs cocotb 2: pip install 'gradloom[cocotb]'"
    ) from error

#: Clocks that are compared in one go.
_BATCH = 4096


class Scoreboard:
    """Samples a unit's ports from now on, and holds them against its twin.

    It samples where the clock rises, before registers have changed: the value just before the edge.
    The comparison begins at the first edge with `rst` low after one with `rst` high; if there is no
    reset at all, at the first edge.

    Parameters
    ----------
    dut
        Handle of the unit, with the ports of the generated Verilog.
    twin
        The unit's twin.
    ports
        The ports, or the Amaranth component that has them. Not needed for the units that
        `gradloom generate` knows.
    clock
        Handle of the clock; `dut.clk` if this is None.
    from_start
        Registers hold their initial values now: do not wait for a reset.

    Attributes
    ----------
    comparison : Comparison or None
        What was found, once `finish` has been called or a difference has been found.

    Raises
    ------
    TypeError
        The ports are not known.
    ValueError
        `dut` lacks a port, or one has another width.
    """

    def __init__(
        self,
        dut: Any,
        twin: Runs,
        *,
        ports: wiring.Component | Sequence[Port] | None = None,
        clock: Any = None,
        from_start: bool = False,
    ):
        if ports is None:
            ports = _ports_of(twin)
        elif isinstance(ports, wiring.Component):
            ports_alone(ports)
            ports = flatten(ports)
        self.comparison: Comparison | None = None
        self._dut = dut
        self._unit = type(twin).__name__
        self._from_start = from_start
        every = [*inputs_of(ports), *outputs_of(ports)]
        self._samples = _Samples(dut._path, every)
        self._handles = [(_handle(dut, port), self._samples.words[port.name]) for port in every]
        self._clock = dut.clk if clock is None else clock
        self._twin, self._ports = twin, ports
        self._goes_on = goes_on(twin)
        self._check: Check | None = None
        self._recorded: Recorded | None = None
        self._task = cocotb.start_soon(self._sample())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
            return
        # The bench's own error is what counts; a difference may tell where it comes from.
        try:
            self.finish()
        except (AssertionError, ValueError) as found:
            self._dut._log.error("%s", found)

    def finish(self) -> Comparison:
        """Stop sampling and compare.

        Returns
        -------
        What was found: everything agrees.

        Raises
        ------
        AssertionError
            Something differs; the text is the report.
        ValueError
            There is no clock to compare, or an input that matters is unknown.
        """
        if not self._task.done():
            self._task.cancel()
        if self.comparison is None:
            self._compare(last=True)
        comparison = self.comparison = self._result()
        if not comparison:
            raise AssertionError(comparison.report())
        self._dut._log.info("%s", comparison.report())
        return comparison

    async def _sample(self) -> None:
        edge, samples = RisingEdge(self._clock), self._samples
        due = _BATCH
        while True:
            await edge
            for handle, words in self._handles:
                words.append(str(handle.value))
            samples.times.append(int(get_sim_time("step")))
            if samples.clocks >= due and self._goes_on:
                self._compare(last=False)
                if self._check is not None and self._check.difference is not None:
                    self.comparison = self._result()
                    raise AssertionError(self.comparison.report())
                due = samples.clocks + _BATCH

    def _compare(self, last: bool) -> None:
        """Compare what was sampled, and forget it."""
        samples = self._samples
        resets = read_resets(samples)
        if self._recorded is None:
            start, reset = (0, False) if self._from_start else reset_state(resets)
            if start == len(resets):
                if last:
                    raise ValueError(
                        f"{samples.scope}: there is no clock after a reset to compare, "
                        f"of {samples.first + len(resets)} clocks"
                    )
                return
            if not (reset or self._from_start or last):
                return  # the reset may be yet to come
            first = samples.first + start
            self._recorded = Recorded(samples.scope, first, samples.when(start), reset)
            self._check = Check(
                self._ports,
                self._twin,
                first=first,
                when=lambda clock: samples.when(clock - samples.first),
            )
            samples.forget(start)
            resets = resets[start:]
        if (resets < 0).any():
            where = samples.at(int((resets < 0).argmax()))
            raise ValueError(f"{samples.scope}: rst is unknown (x or z) at {where}")
        if samples.clocks:
            assert self._check is not None
            take(self._check, samples, slice(0, samples.clocks))
            samples.forget(samples.clocks)

    def _result(self) -> Comparison:
        assert self._recorded is not None and self._check is not None
        name = f"cocotb on {cocotb.SIM_NAME}"
        return self._check.result(self._unit, name, 0.0, recorded=self._recorded)


class _Samples(Recording):
    """What was sampled and is still to be compared."""

    name = "cocotb"

    def __init__(self, scope: str, ports: Sequence[Port]):
        self.scope = scope
        self.words: dict[str, list[str]] = {port.name: [] for port in ports}
        self.times: list[int] = []

    @property
    def clocks(self) -> int:  # type: ignore[override]
        """Clock edges that are held."""
        return len(self.times)

    def read(self, port: Port, clocks: slice) -> tuple[Codes, Codes]:
        return to_codes(port, self.words[port.name][clocks])

    def when(self, clock: int) -> str:
        nanoseconds = get_time_from_sim_steps(self.times[clock], "ns")
        return f"{nanoseconds:,.6f}".rstrip("0").rstrip(".") + " ns"

    def forget(self, clocks: int) -> None:
        """Drop the first clocks."""
        for words in self.words.values():
            del words[:clocks]
        del self.times[:clocks]
        self.first += clocks


def _ports_of(twin: Runs) -> list[Port]:
    """The ports of the unit that `twin` is the twin of."""
    for unit in UNITS.values():
        if unit.twin is type(twin):
            component = unit.component(twin.config)  # type: ignore[attr-defined]
            ports_alone(component)
            return flatten(component)
    raise TypeError(
        f"the ports of {type(twin).__name__} are not known: give ports=, the component or its ports"
    )


def _handle(dut: Any, port: Port) -> Any:
    """The handle of a port."""
    handle = dut._get(port.name)
    if handle is None:
        raise ValueError(f"{dut._path} has no port {port.name}: is it the unit, with this twin?")
    if len(handle) != port.bits:
        raise ValueError(
            f"{dut._path}.{port.name} has {len(handle)} bits, not {port.bits}: "
            "has the twin the same configuration?"
        )
    return handle
