"""A core in a simulator, which carries out one program after another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.core.field import WORD, words_of
from golden.core.isa import INSTRUCTIONS, Engine
from golden.core.layout import Words
from golden.core.lower import Compiled
from golden.core.program import Program
from golden.core.register import Fault, State
from golden.core.registers import READ_LATENCY, Registers
from golden.fixed import Codes
from golden.training.step.ops import OutputError, Product
from golden.training.step.record import Record
from golden.twin import Trace
from gradloom.sim import Environment, Sink, Source, Watch
from gradloom.sim.environment import Part
from gradloom.sim.simulators import SimulatorName, prepare
from hdl.core.core import Core

#: Clocks that are simulated at a time.
_BATCH = 2048
#: Clocks after which a program must be done.
MOST = 100_000_000
#: Names of the stores with banks, and of the row stores.
_BANKED, _ROWS = ("x", "e", "w"), ("s", "k")


def batch_of(record: Record) -> tuple[Codes, Codes]:
    """Return inputs and classes of a recorded step."""
    codes = next(e.tensors["a"] for e in record if isinstance(e.operation, Product))
    labels = next(e.tensors["label"] for e in record if isinstance(e.operation, OutputError))
    return codes, labels.ravel()


def sample_beats(compiled: Compiled, codes: Codes, labels: ArrayLike) -> Codes:
    """Return a batch as the input stream carries it: of each sample its words, then its label.

    Parameters
    ----------
    compiled
        The network.
    codes
        Inputs of the first layer, (batch, inputs).
    labels
        Classes, (batch,).

    Returns
    -------
    Codes
        Beats, (beats, banks + 1): words, and `last`, which is 1 in the last one.
    """
    rows = padded_rows(codes, compiled.config.banks)
    label = np.broadcast_to(
        np.asarray(labels, np.int64)[:, None, None], (len(rows), 1, rows.shape[2])
    )
    return _stream(np.concatenate([rows, label], axis=1))


def weight_beats(compiled: Compiled, weights: Iterable[Codes]) -> Codes:
    """Return stored weights as the input stream carries them, row by row.

    Shape (beats, banks + 1): words, and `last`, which is 1 in the last beat of each layer.
    """
    banks = compiled.config.banks
    return np.concatenate([_stream(padded_rows(each, banks)) for each in weights])


def _stream(rows: Codes) -> Codes:
    """Return rows of beats as beats with `last`."""
    beats = rows.reshape(-1, rows.shape[2])
    last = np.zeros((len(beats), 1), np.int64)
    last[-1] = 1
    return np.concatenate([beats, last], axis=1)


def padded_rows(matrix: ArrayLike, beat: int) -> Codes:
    """Return rows cut into beats, the last one padded. Shape (rows, beats, words)."""
    rows = np.asarray(matrix, np.int64)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % beat))).reshape(len(rows), -1, beat)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ran:
    """What a program did.

    Parameters
    ----------
    start
        The simulation's clock that is clock 0 of the program's schedule.
    events
        Events by name: the writes of the stores, `in` and `out` for the beats of the streams,
        with clocks of the schedule.
    done
        Clock of every chunk's last write, by engine.
    wrong
        Wrong classes so far.
    steps
        Whole steps.
    """

    start: int
    events: dict[str, NDArray[np.void]]
    done: dict[Engine, Codes]
    wrong: int
    steps: int


class CoreError(RuntimeError):
    """A core has ended a program with a fault.

    Parameters
    ----------
    program
        The program.
    kind
        The fault.
    engine, instruction, chunk, step
        Where it was: engine, first word of the instruction in its list, chunk, and step.
    """

    def __init__(
        self, program: Program, kind: Fault, engine: Engine, instruction: int, chunk: int, step: int
    ):
        self.kind = kind
        self.engine = engine
        self.instruction = instruction
        self.chunk = chunk
        self.step = step
        tasks = program[engine]
        number = instruction // words_of(INSTRUCTIONS[engine])
        name = tasks[number].name if number < len(tasks) else f"word {instruction}"
        super().__init__(
            f"{program.name}: {kind.text}: {name} (engine {engine.name.lower()}), chunk {chunk}, "
            f"step {step}"
        )


@dataclass(eq=False, kw_only=True)
class _Recording:
    """What is recorded of a program, batch by batch."""

    start: int
    events: dict[str, list[NDArray[np.void]]] = field(default_factory=dict)
    counts: list[Codes] = field(default_factory=list)

    def ran(self, wrong: int, steps: int) -> Ran:
        """Return it as a whole."""
        events = {}
        for name, parts in self.events.items():
            joined = np.concatenate(parts)
            joined["clock"] -= self.start
            events[name] = joined
        counts = np.concatenate(self.counts)
        grown = np.diff(counts, axis=0, prepend=0) % (1 << 16)
        done = {engine: np.flatnonzero(grown[:, engine]) - 1 for engine in Engine}
        return Ran(start=self.start, events=events, done=done, wrong=wrong, steps=steps)


class Machine:
    """A core in a simulator.

    Parameters
    ----------
    compiled
        The network on a core.
    beats
        All beats of the input stream, (beats, banks + 1), in the order in which programs take
        them: words, and `last`.
    simulator
        Name of the simulator.
    gaps, stalls
        Idle clocks before beats of the input and of the output stream; they are repeated.
    writes
        Whether all writes are recorded.
    """

    def __init__(
        self,
        compiled: Compiled,
        beats: Codes,
        *,
        simulator: SimulatorName = "cxxrtl",
        gaps: Sequence[int] = (),
        stalls: Sequence[int] = (),
        writes: bool = False,
    ):
        self.compiled = compiled
        self.registers = Registers(compiled.config)
        component = Core(compiled.config)
        probes = {f"count_{engine}": unit.count for engine, unit in component.engines.items()}
        watches: list[Part] = []
        if writes:
            passes, products = component.passes, component.products
            for store in _BANKED:
                for part in ("write", "address", "value"):
                    probes[f"{store}_{part}"] = getattr(passes, f"{store}_{part}")
            for store, unit in (("s", products), ("k", passes)):
                for part in ("write", "to", "value"):
                    probes[f"{store}_{part}"] = getattr(unit, f"{store}_{part}")
            for store in (*_BANKED, *_ROWS):
                names = [name for name in probes if name.startswith(f"{store}_")]
                watches.append(Watch(name=store, when=(f"{store}_write",), data=tuple(names)))
        simulation = prepare(component, simulator, probes=probes)
        source = Source(
            stream="i",
            beats={"words": beats[:, :-1], "last": beats[:, -1]},
            gaps=tuple(gaps) or (0,),
        )
        self._environment = Environment(
            simulation,
            source,
            Sink(stream="o", stalls=tuple(stalls) or (0,)),
            Watch(name="in", when=("i_valid", "i_ready"), data=("i_words",)),
            Watch(name="out", when=("o_valid", "o_ready"), data=("o_words", "o_last")),
            *watches,
        )
        self._state = self._environment.initial()
        self.clock = 0

    def _advance(self, clocks: int, inputs: dict[str, Codes], into: _Recording | None) -> Trace:
        """Simulate some clocks, and return the traces of all outputs."""
        self._state, played = self._environment.advance(self._state, clocks, inputs=inputs)
        if into is not None:
            for name, events in played.events.items():
                into.events.setdefault(name, []).append(events)
            counts = [played.outputs[f"count_{engine}"] for engine in Engine]
            into.counts.append(np.stack(counts, axis=1).astype(np.int64))
        self.clock += clocks
        return played.outputs

    def write(self, *accesses: tuple[str, int]) -> None:
        """Write registers, one in each clock.

        Parameters
        ----------
        accesses
            Names of registers, and words.
        """
        self._advance(len(accesses), self._accesses(writes=accesses), None)

    def read(self, *names: str, into: _Recording | None = None) -> list[int]:
        """Return the words of registers, read one in each clock.

        Parameters
        ----------
        names
            Names of the registers.
        into
            Where the clocks are recorded.
        """
        clocks = len(names) + READ_LATENCY
        outputs = self._advance(clocks, self._accesses(reads=names), into)
        return [int(word) for word in outputs["bus_data"][READ_LATENCY:]]

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

        The generators of the lanes are as after power-up; weights and programs stay.
        """
        self.write(("control", self.registers.named("control")["reset"].mask))
        self._advance(1, {}, None)

    def prepare(self, program: Program, steps: int, rate: int = 0) -> None:
        """Write a program and its numbers; see `run`."""
        for engine in Engine:
            words = program.words(engine)
            name = engine.name.lower()
            last = max(0, len(words) - words_of(INSTRUCTIONS[engine]))
            self.write(
                ("program_at", self.registers.named("program_at")["list"].within(engine)),
                *(("program", word) for word in words),
                (f"first_{name}", 0),
                (f"last_{name}", last),
                (f"total_{name}", program.chunks(engine)),
            )
        self.write(
            ("engines", sum(bool(program[engine]) << engine for engine in Engine)),
            ("steps", steps),
            ("rate_step", 0),
            ("rate", self.registers.named("rate")["value"].within(rate)),
        )

    def start(self) -> _Recording:
        """Begin the program; the next clock is clock 0 of its schedule."""
        self.write(("control", self.registers.named("control")["start"].mask))
        self._advance(1, {}, None)
        return _Recording(start=self.clock)

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
        CoreError
            The core has found a fault.
        RuntimeError
            It is not done after `most` clocks.
        """
        self.prepare(program, steps, rate)
        recording = self.start()
        while self.clock - recording.start < most:
            self._advance(_BATCH, {}, recording)
            if not self.running(recording):
                return self.ended(program, recording)
        raise RuntimeError(f"{program.name}: not done after {most} clocks")

    def running(self, into: _Recording | None = None) -> bool:
        """Return whether a program runs."""
        (status,) = self.read("status", into=into)
        return bool(self.registers.named("status")["running"].of(status))

    def ended(self, program: Program, recording: _Recording) -> Ran:
        """Return what a program did that has ended.

        Raises
        ------
        CoreError
            It has ended with a fault.
        """
        names = ("fault", "fault_instruction", "fault_chunk", "fault_step", "wrong", "steps_done")
        fault, instruction, chunk, step, wrong, steps = self.read(*names)
        register = self.registers.named("fault")
        kind = tuple(Fault)[register["kind"].of(fault)]
        if kind is not Fault.NONE:
            engine = Engine(register["engine"].of(fault))
            raise CoreError(program, kind, engine, instruction, chunk, step)
        return recording.ran(wrong, steps)


def matrices(words: Sequence[Words], beats: NDArray[np.void], beat: int) -> list[Codes]:
    """Return the matrices that a dump has carried out.

    Parameters
    ----------
    words
        The matrices' places, in order.
    beats
        Events of the output stream.
    beat
        Words of a beat.
    """
    found, first = [], 0
    values = beats["o_words"][:, :beat]
    for each in words:
        count = each.rows * -(-each.columns // beat)
        part = values[first : first + count].reshape(each.rows, -1)[:, : each.columns]
        found.append(part.astype(np.int64))
        first += count
    return found
