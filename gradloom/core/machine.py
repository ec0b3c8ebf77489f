"""A core in a simulator, which carries out one program after another."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Signal

from golden.core.isa import Engine
from golden.core.lower import Compiled
from golden.core.program import Program
from golden.core.registers import READ_LATENCY
from golden.core.twin import MASKS, STORES, SUMS
from golden.fixed import Codes
from golden.twin import Trace
from gradloom.core.driver import MOST, Driver
from gradloom.core.errors import CoreError
from gradloom.core.ran import Ran, Recording, done_event
from gradloom.sim import Environment, Sink, Source, Watch
from gradloom.sim.environment import Part
from gradloom.sim.play import Played
from gradloom.sim.simulation import Simulation
from gradloom.sim.simulators import SimulatorName, prepare
from hdl.core.core import Core

#: Clocks that are simulated at a time.
_BATCH = 2048
#: Clocks from the last write of a program, at the most, until its end is in the status.
_ENDING = 16


class Machine(Driver):
    """A core in a simulator.

    Parameters
    ----------
    compiled
        The network on a core.
    simulator
        Name of the simulator.
    gaps, stalls
        Idle clocks before beats of the input and of the output stream; they are repeated.
    batch
        Clocks after which it is seen whether a program is done.
    """

    def __init__(
        self,
        compiled: Compiled,
        *,
        simulator: SimulatorName = "cxxrtl",
        gaps: Sequence[int] = (0,),
        stalls: Sequence[int] = (0,),
        batch: int = _BATCH,
    ):
        super().__init__(compiled)
        self._batch = batch
        component = Core(compiled.config)
        # All that anybody wants to see of a core is recorded, so that it is compiled once.
        probes: dict[str, Signal] = {
            f"count_{engine}": unit.count for engine, unit in component.engines.items()
        }
        probes |= {name: getattr(component.control, name) for name in ("running", "fault")}
        probes["undefined"] = component.undefined.layers
        watches: list[Part] = []
        for store in STORES:
            rows = store in (SUMS, MASKS)
            unit = component.products if store == SUMS else component.passes
            names = []
            for part in ("write", "to" if rows else "address", "value"):
                names.append(f"{store}_{part}")
                probes[names[-1]] = getattr(unit, names[-1])
            watches.append(Watch(name=store, when=names[:1], data=names))
        for engine in Engine:
            name = done_event(engine)
            probes[name] = component.engines[engine].ended
            watches.append(Watch(name=name, when=(name,)))
        nothing = np.zeros((0, compiled.config.banks), np.int64)
        self._environment = Environment(
            prepare(component, simulator, probes=probes),
            Source(stream="i", beats={"words": nothing, "last": nothing[:, 0]}, gaps=gaps),
            Sink(stream="o", stalls=stalls),
            Watch(name="in", when=("i_valid", "i_ready"), data=("i_words",)),
            Watch(name="out", when=("o_valid", "o_ready"), data=("o_words", "o_last")),
            *watches,
        )
        self._state = self._environment.initial()
        #: Clocks that a program took the last time, by its name and the number of steps.
        self._took: dict[tuple[str, int], int] = {}
        self.clock = 0

    def send(self, beats: Codes) -> None:
        self._environment.send(self._state, "i", {"words": beats[:, :-1], "last": beats[:, -1]})

    def _advance(
        self,
        clocks: int,
        inputs: dict[str, Codes],
        into: Recording | None = None,
        trace: bool = False,
    ) -> Played:
        """Simulate some clocks; returns their events and, if wanted, the traces of all ports."""
        self._state, played = self._environment.advance(
            self._state, clocks, inputs=inputs, trace=trace
        )
        if into is not None:
            into.parts.append(played.events)
        self.clock += clocks
        return played

    def advance(self, clocks: int, into: Recording | None = None) -> Trace:
        """Simulate some clocks, and return the traces of all outputs.

        Beside the ports there are `running`, `fault` and `undefined`, as the registers have them,
        and the engines' counts of chunks.
        """
        return self._advance(clocks, {}, into, trace=True).outputs

    def write(self, *accesses: tuple[str, int], into: Recording | None = None) -> None:
        """Write registers, one in each clock.

        Parameters
        ----------
        accesses
            Names of registers, and words.
        into
            Where the clocks are recorded.
        """
        self._advance(len(accesses), self._accesses(writes=accesses), into)

    def read(self, *names: str, into: Recording | None = None) -> list[int]:
        """Return the words of registers, read one in each clock.

        Parameters
        ----------
        names
            Names of the registers.
        into
            Where the clocks are recorded.
        """
        clocks = len(names) + READ_LATENCY
        played = self._advance(clocks, self._accesses(reads=names), into, trace=True)
        return [int(word) for word in played.outputs["bus_data"][READ_LATENCY:]]

    def _accesses(
        self, writes: Sequence[tuple[str, int]] = (), reads: Sequence[str] = ()
    ) -> dict[str, Codes]:
        """Return the bus's inputs for writes, one in each clock, and for reads after these."""
        names = [*(name for name, _ in writes), *reads]
        rest = [0] * READ_LATENCY if reads else []
        addresses = [self.registers.named(name).address for name in names]
        values = [value for _, value in writes]
        return {
            "bus_address": np.array([*addresses, *rest]),
            "bus_write": np.array([*(1 for _ in writes), *(0 for _ in reads), *rest]),
            "bus_value": np.array([*values, *(0 for _ in reads), *rest]),
            "bus_read": np.array([*(0 for _ in writes), *(1 for _ in reads), *rest]),
        }

    def reset(self) -> None:
        # Gaps and stalls of the streams begin again.
        self.write(("control", self.registers.named("control")["reset"].mask))
        self._advance(1, {})
        self._state, self.clock = self._environment.begun_again(self._state), 0

    def interrupt(self, program: Program, steps: int, rate: int, clocks: int) -> None:
        """Begin a program, and reset the core after some clocks."""
        self.prepare(program, steps, rate)
        self.start()
        self._advance(clocks, {})
        self.reset()

    def traced(
        self, program: Program, steps: int, rate: int, first: int, last: int
    ) -> tuple[Simulation, Played]:
        """Carry out the beginning of a program, and return all ports and probes of some clocks.

        Parameters
        ----------
        program, steps, rate
            See `run`.
        first, last
            Clocks of the schedule.

        Returns
        -------
        simulation : Simulation
            The core in its simulator, for its ports.
        played : Played
            Their traces.
        """
        self.prepare(program, steps, rate)
        self.start()
        if first > 0:
            self._advance(first, {})
        return self._environment.simulation, self._advance(last - first + 1, {}, trace=True)

    def start(self) -> Recording:
        """Begin the program; the next clock is clock 0 of its schedule."""
        self.write(("control", self.registers.named("control")["start"].mask))
        self._advance(1, {})
        return Recording(start=self.clock)

    def run(self, program: Program, steps: int, rate: int = 0, most: int = MOST) -> Ran:
        self.prepare(program, steps, rate)
        recording = self.start()
        clocks = self._took.get((program.name, steps), self._batch)
        while self.clock - recording.start < most:
            self._advance(clocks, {}, recording)
            if not self.running(recording):
                ran = self.ended(program, recording)
                self._took[program.name, steps] = ran.clocks + _ENDING
                return ran
            clocks = self._batch
        raise CoreError(f"{program.name}: not done after {most} clocks")

    def running(self, into: Recording | None = None) -> bool:
        """Return whether a program runs."""
        (status,) = self.read("status", into=into)
        return bool(self.registers.named("status")["running"].of(status))

    def ended(self, program: Program, recording: Recording) -> Ran:
        """Return what a program did that has ended.

        Raises
        ------
        FaultError
            It has ended with a fault.
        """
        return recording.ran(*self.checked(program))
