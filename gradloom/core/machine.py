"""A core in a simulator, which carries out one program after another."""

from collections.abc import Iterable, Sequence

import numpy as np
from amaranth.hdl import Signal
from numpy.typing import ArrayLike

from golden import check
from golden.core.beats import batch_of, sample_beats, weight_beats
from golden.core.field import WORD
from golden.core.isa import Engine
from golden.core.lower import Compiled
from golden.core.program import Program
from golden.core.register import Fault, State
from golden.core.registers import READ_LATENCY, Registers
from golden.core.twin import MASKS, STORES, SUMS
from golden.fixed import Codes
from golden.training.step.record import Record
from golden.training.systems.wage.trainer import WageTrainer
from golden.twin import Trace
from gradloom.core.errors import CoreError, FaultError
from gradloom.core.ran import Ran, Recording, done_event
from gradloom.sim import Environment, Sink, Source, Watch
from gradloom.sim.environment import Part
from gradloom.sim.play import Played
from gradloom.sim.simulation import Simulation
from gradloom.sim.simulators import SimulatorName, prepare
from hdl.core.core import Core

#: Clocks that are simulated at a time.
_BATCH = 2048
#: Clocks after which a program must be done.
MOST = 100_000_000
#: Clocks from the last write of a program, at the most, until its end is in the status.
_ENDING = 16


class Machine:
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
        self.compiled = compiled
        self._batch = batch
        self.registers = Registers(compiled.config)
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
        self._loaded: Program | None = None
        #: Clocks that a program took the last time, by its name and the number of steps.
        self._took: dict[tuple[str, int], int] = {}
        self.clock = 0

    def send(self, beats: Codes) -> None:
        """Give the input stream further beats, (beats, banks + 1): words, and `last`."""
        self._environment.send(self._state, "i", {"words": beats[:, :-1], "last": beats[:, -1]})

    def send_batches(self, records: Iterable[Record]) -> None:
        """Give the input stream the samples of recorded steps."""
        for record in records:
            self.send(sample_beats(self.compiled, *batch_of(record)))

    def place(self, weights: Iterable[Codes], states: Sequence[int]) -> None:
        """Write weights, and the states of the elementwise lanes' generators, into the core."""
        self.send(weight_beats(self.compiled, weights))
        self.run(self.compiled.load, 1)
        self.load_lanes(states)

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

    def load_lanes(self, states: Sequence[int]) -> None:
        """Set the states of the elementwise lanes' generators; no program runs.

        Parameters
        ----------
        states
            A state of every lane, as `golden.lfsr.Lanes.states`.

        Raises
        ------
        ValueError
            The number of states is wrong, or one is out of range.
        """
        config = self.compiled.config
        if len(states) != config.columns:
            raise ValueError(f"{len(states)} states: the core has {config.columns} lanes")
        most = (1 << config.generator.bits) - 1
        accesses = [("lane", 0)]
        for lane, state in enumerate(states):
            state = check.whole(f"state of lane {lane}", state, 1, most)
            accesses += [("lane_high", state >> WORD), ("lane_low", state & (1 << WORD) - 1)]
        self.write(*accesses)

    def lanes(self) -> list[int]:
        """Return the states of the elementwise lanes' generators; no program runs.

        They continue in golden as `golden.lfsr.Lanes.at(generator, states, first=columns)`.
        """
        found = []
        for lane in range(self.compiled.config.columns):
            self.write(("lane", lane))
            low, high = self.read("lane_low", "lane_high")
            found.append(high << WORD | low)
        return found

    def clocks(self) -> dict[Engine, dict[State, int]]:
        """Return how many clocks each engine was in each state, since the last call or start."""
        self.write(("control", self.registers.named("control")["latch"].mask))
        names = [f"{e.name.lower()}_{state.name.lower()}" for e in Engine for state in State]
        words = iter(self.read(*names))
        return {engine: {state: next(words) for state in State} for engine in Engine}

    def reset(self) -> None:
        """Reset the core softly: whatever runs is dropped, and a fault is cleared.

        The generators of the lanes are as after power-up; weights and programs stay. Beats that
        were not taken are dropped too, and gaps and stalls begin again.
        """
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

    def store(self, program: Program, at: Sequence[int] = (0, 0, 0, 0)) -> None:
        """Write a program into the engines' lists.

        Parameters
        ----------
        program
            The program.
        at
            Its first address in each list.
        """
        place = self.registers.named("program_at")
        for engine in Engine:
            address = place["list"].within(engine) | place["address"].within(at[engine])
            words = program.words(engine)
            self.write(("program_at", address), *(("program", word) for word in words))
        self._loaded = None

    def choose(
        self, program: Program, steps: int, rate: int = 0, at: Sequence[int] = (0, 0, 0, 0)
    ) -> None:
        """Choose a program that has been stored as the one that begins next.

        Parameters
        ----------
        program, steps, rate
            See `run`.
        at
            See `store`.
        """
        accesses = [
            ("engines", sum(bool(program[engine]) << engine for engine in Engine)),
            ("steps", steps),
            ("rate_step", 0),
            ("rate", self.registers.named("rate")["value"].within(rate)),
        ]
        for engine in Engine:
            name = engine.name.lower()
            # Behind a list that is full there is no place, and an engine without a list needs none.
            first = at[engine] if program[engine] else 0
            accesses += [
                (f"first_{name}", first),
                (f"last_{name}", first + program.last(engine)),
                (f"total_{name}", program.chunks(engine)),
            ]
        self.write(*accesses)

    def prepare(self, program: Program, steps: int, rate: int = 0) -> None:
        """Write a program, unless it is there, and choose it; see `run`."""
        if self._loaded is not program:
            self.store(program)
            self._loaded = program
        self.choose(program, steps, rate)

    def start(self) -> Recording:
        """Begin the program; the next clock is clock 0 of its schedule."""
        self.write(("control", self.registers.named("control")["start"].mask))
        self._advance(1, {})
        return Recording(start=self.clock)

    def run(self, program: Program, steps: int, rate: int = 0, most: int = MOST) -> Ran:
        """Carry out a program.

        Parameters
        ----------
        program
            The program.
        steps
            Number of steps.
        rate
            log2 of the learning rate.
        most
            Clocks after which it must be done.

        Raises
        ------
        FaultError
            The core has found a fault.
        CoreError
            It is not done after `most` clocks.
        """
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
        names = ("fault", "fault_instruction", "fault_chunk", "fault_step", "wrong", "steps_done")
        fault, instruction, chunk, step, wrong, steps = self.read(*names)
        register = self.registers.named("fault")
        kind = tuple(Fault)[register["kind"].of(fault)]
        if kind is not Fault.NONE:
            engine = Engine(register["engine"].of(fault))
            raise FaultError(program, kind, engine, instruction, chunk, step)
        return recording.ran(wrong, steps)


def count_wrong(
    machine: Machine, trainer: WageTrainer, images: ArrayLike, labels: ArrayLike
) -> int:
    """Return the number of images in a wrong class, as the core counts it.

    Images of zeros fill the last batch.

    Parameters
    ----------
    machine
        A core with the trainer's weights in it.
    trainer
        The trainer.
    images, labels
        As of `Trainer.evaluate`.
    """
    classes = np.asarray(labels, np.int64)
    (empty,) = trainer.predict(np.zeros((1, *trainer.shape), np.uint8))
    return sum(
        wrong_of_batch(machine, pixels, classes[part], empty)
        for pixels, part in trainer.batches(images)
    )


def wrong_of_batch(machine: Machine, pixels: ArrayLike, labels: Codes, empty: ArrayLike) -> int:
    """Return the number of images of a batch in a wrong class, as the core counts it.

    Parameters
    ----------
    machine
        A core with weights in it.
    pixels
        The images, (batch, ...). Images of zeros may fill the batch.
    labels
        Classes of those that fill nothing.
    empty
        The class that the core puts an image of zeros in, so that none of these is counted.
    """
    core = machine.compiled
    given = np.full(len(np.asarray(pixels)), empty)
    given[: len(labels)] = labels
    machine.send(sample_beats(core, pixels, given))
    return machine.run(core.test, 1).wrong
