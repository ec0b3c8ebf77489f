"""A scoreboard for cocotb benches: compares a unit with its twin at every rising clock edge.

    from gradloom.cocotb import Scoreboard

    @cocotb.test()
    async def products(dut):
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        with Scoreboard(dut, golden.Array(config)):
            ...  # reset and stimulus as in any bench; the outputs need no checks

Clocks are compared in batches while the bench runs, so that a faulty run ends early and memory does
not grow. The first difference raises AssertionError; the last batch is compared at the end of the
block. A twin that has `run` only, without `advance`, runs once, at the end.

A difference fails the test however the block ends: by an error of the bench, by `pass_test`, or by
a cancellation, also that of the end of the test. A scoreboard that nobody finishes compares at the
end of the test. What cannot be compared at all fails the test as well.
"""

import atexit
import os
from asyncio import CancelledError
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from amaranth.lib import wiring

from golden.fixed import Codes
from golden.port import Port, inputs_of, outputs_of
from gradloom.comparison.check import Check, TwinLike, has_advance, require_twin
from gradloom.comparison.recording import (
    Recording,
    codes_of_words,
    first_after_reset,
    mark_used,
    read_resets,
    take,
)
from gradloom.comparison.report import Comparison, Recorded
from gradloom.sim.toplevel import flatten
from gradloom.units import UNITS

try:
    import cocotb
except ImportError as error:
    raise ModuleNotFoundError(
        "gradloom.cocotb needs cocotb 2: pip install 'gradloom[cocotb]'"
    ) from error
# Version 1 has all of these names, but other handles of signals.
if int(cocotb.__version__.partition(".")[0]) < 2:
    raise ImportError(
        f"gradloom.cocotb needs cocotb 2, {cocotb.__version__} is installed: "
        "pip install 'gradloom[cocotb]'"
    )
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time, get_time_from_sim_steps

#: Number of clocks in a batch.
_BATCH = 4096
#: cocotb 2.0 drops an error at the end of a test that expects an error of its own. There the run
#: itself ends with an exit status other than 0.
_DROPS_ERRORS = cocotb.__version__.startswith("2.0.")


class Scoreboard:
    """Samples a unit's ports from now on, and compares them with its twin.

    The samples are the values just before each rising edge of the clock. The comparison begins at
    the first edge with `rst` low after one with `rst` high or, if there is no reset at all, at the
    first edge.

    Parameters
    ----------
    dut
        Handle of the unit, with the ports of the generated Verilog.
    twin
        The unit's twin.
    ports
        The ports, or the Amaranth component that has them. Not needed for gradloom's own units.
    clock
        Handle of the clock; `dut.clk` if this is None.
    from_start
        Registers have their initial values now: do not wait for a reset.

    Attributes
    ----------
    comparison : Comparison or None
        The result, after `finish` or after the first difference.

    Raises
    ------
    TypeError
        `twin` is not a twin, or the ports are not known.
    ValueError
        `dut` lacks a port, or one has another width.
    """

    def __init__(
        self,
        dut: Any,
        twin: TwinLike,
        *,
        ports: wiring.Component | Sequence[Port] | None = None,
        clock: Any = None,
        from_start: bool = False,
    ):
        require_twin(twin, ())
        if ports is None:
            ports = _ports_of(twin)
        elif isinstance(ports, wiring.Component):
            mark_used(ports)
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
        self._has_advance = has_advance(twin)
        self._check: Check | None = None
        self._recorded: Recorded | None = None
        self._failure: Exception | None = None
        self._closed = False  # no more samples
        self._finished = False  # by `finish`, which has returned or raised the result
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
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            return
        elif isinstance(error, CancelledError | GeneratorExit):
            # The end of the test, or whoever waits for this task, may drop what is raised here. So
            # the task that samples goes on, and raises it once more when the test ends.
            self._closed = True
            if isinstance(error, CancelledError) and not self._task.done():
                self._conclude()
        elif isinstance(error, Exception):
            try:
                self.finish()
            except ValueError as found:  # the bench ended before there was anything to compare
                self._dut._log.error("%s", found)
        else:  # pass_test and the like, which let a test pass
            self.finish()

    def finish(self) -> Comparison:
        """Stop sampling and compare.

        Returns
        -------
        Comparison
            The result, without a difference.

        Raises
        ------
        AssertionError
            There is a difference; the message is the report.
        ValueError
            There is no clock to compare, no output was valid, or an input that matters is unknown.
        """
        self._closed = self._finished = True
        if not self._task.done():
            self._task.cancel()
        return self._conclude()

    def _conclude(self) -> Comparison:
        """Compare what is left, once, and return the result or raise the failure."""
        if self._failure is not None:
            raise self._failure
        if self.comparison is None:
            try:
                self._compare(last=True)
                self.comparison = self._result()
                self._require_agreement(self.comparison)
            except Exception as failure:
                self._failure = failure
                raise
            self._dut._log.info("%s", self.comparison.report())
        return self.comparison

    def _require_agreement(self, comparison: Comparison) -> None:
        if not comparison:
            raise AssertionError(comparison.report())
        assert self._check is not None
        if not self._check.has_output:
            raise ValueError(
                f"{self._samples.scope}: no output is valid or changes in {comparison.clocks:,} "
                "clocks: there is nothing to compare"
            )

    async def _sample(self) -> None:
        """Sample all ports at every rising edge, and compare when a batch is full."""
        edge, samples = RisingEdge(self._clock), self._samples
        due = _BATCH
        try:
            while True:
                await edge
                if self._closed:
                    continue
                for handle, words in self._handles:
                    words.append(str(handle.value))
                samples.times.append(int(get_sim_time("step")))
                if samples.clocks >= due and self._has_advance:
                    self._compare(last=False)
                    if self._check is not None and self._check.difference is not None:
                        self.comparison = self._result()
                        self._require_agreement(self.comparison)
                    due = samples.clocks + _BATCH
        except CancelledError:
            if not self._finished:  # the test ends
                self._closed = True
                try:
                    self._conclude()
                except Exception as failure:
                    self._dut._log.error("%s", failure)
                    if _DROPS_ERRORS:
                        atexit.register(os._exit, 1)
                    raise
            raise
        except Exception as failure:
            self._failure = failure
            raise

    def _compare(self, last: bool) -> None:
        """Compare the samples of a batch and remove them."""
        samples = self._samples
        resets = read_resets(samples)
        if self._recorded is None:
            start, reset = (0, False) if self._from_start else first_after_reset(resets)
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
        """Return the result for all clocks so far."""
        assert self._recorded is not None and self._check is not None
        name = f"cocotb on {cocotb.SIM_NAME}"
        return self._check.result(self._unit, name, 0.0, recorded=self._recorded)


class _Samples(Recording):
    """Samples that are not compared yet."""

    name = "cocotb"

    def __init__(self, scope: str, ports: Sequence[Port]):
        self.scope = scope
        self.words: dict[str, list[str]] = {port.name: [] for port in ports}
        self.times: list[int] = []

    @property
    def clocks(self) -> int:  # type: ignore[override]
        """Number of clock edges."""
        return len(self.times)

    def read(self, port: Port, clocks: slice) -> tuple[Codes, Codes]:
        return codes_of_words(port, self.words[port.name][clocks])

    def when(self, clock: int) -> str:
        nanoseconds = get_time_from_sim_steps(self.times[clock], "ns")
        return f"{nanoseconds:,.6f}".rstrip("0").rstrip(".") + " ns"

    def forget(self, clocks: int) -> None:
        """Remove the first clocks."""
        for words in self.words.values():
            del words[:clocks]
        del self.times[:clocks]
        self.first += clocks


def _ports_of(twin: TwinLike) -> list[Port]:
    """Return the ports of the unit whose twin is `twin`."""
    for unit in UNITS.values():
        if unit.twin is type(twin):
            component = unit.component(twin.config)  # type: ignore[attr-defined]
            mark_used(component)
            return flatten(component)
    raise TypeError(
        f"the ports of {type(twin).__name__} are not known: give ports=, the component or its ports"
    )


def _handle(dut: Any, port: Port) -> Any:
    """Return the handle of a port."""
    handle = dut._get(port.name)
    if handle is None:
        raise ValueError(f"{dut._path} has no port {port.name}: is it the unit, with this twin?")
    if len(handle) != port.bits:
        raise ValueError(
            f"{dut._path}.{port.name} has {len(handle)} bits, not {port.bits}: "
            "has the twin the same configuration?"
        )
    return handle
