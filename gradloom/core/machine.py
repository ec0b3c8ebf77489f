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
        Beats, (beats, banks).
    """
    rows = padded_rows(codes, compiled.config.banks)
    label = np.broadcast_to(
        np.asarray(labels, np.int64)[:, None, None], (len(rows), 1, rows.shape[2])
    )
    return np.concatenate([rows, label], axis=1).reshape(-1, rows.shape[2])


def weight_beats(compiled: Compiled, weights: Iterable[Codes]) -> Codes:
    """Return stored weights as the input stream carries them, row by row. Shape (beats, banks)."""
    banks = compiled.config.banks
    return np.concatenate([padded_rows(each, banks).reshape(-1, banks) for each in weights])


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
    """

    start: int
    events: dict[str, NDArray[np.void]]
    done: dict[Engine, Codes]
    wrong: int


@dataclass(eq=False, kw_only=True)
class _Recording:
    """What is recorded of a program, batch by batch."""

    start: int
    events: dict[str, list[NDArray[np.void]]] = field(default_factory=dict)
    counts: list[Codes] = field(default_factory=list)

    def ran(self, wrong: int) -> Ran:
        """Return it as a whole."""
        events = {}
        for name, parts in self.events.items():
            joined = np.concatenate(parts)
            joined["clock"] -= self.start
            events[name] = joined
        counts = np.concatenate(self.counts)
        grown = np.diff(counts, axis=0, prepend=0) % (1 << 16)
        done = {engine: np.flatnonzero(grown[:, engine]) - 1 for engine in Engine}
        return Ran(start=self.start, events=events, done=done, wrong=wrong)


class Machine:
    """A core in a simulator.

    Parameters
    ----------
    compiled
        The network on a core.
    beats
        All beats of the input stream, (beats, banks), in the order in which programs take them.
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
        probes = {}
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
            beats={"words": beats},
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
            into.counts.append(np.asarray(played.outputs["counts"], np.int64))
        self.clock += clocks
        return played.outputs

    def write(self, *accesses: tuple[str, int]) -> None:
        """Write registers, one in each clock.

        Parameters
        ----------
        accesses
            Names of registers, and words.
        """
        table = self.registers
        given = {
            "bus_address": np.array([table.named(name).address for name, _ in accesses]),
            "bus_write": np.ones(len(accesses), np.int64),
            "bus_value": np.array([value for _, value in accesses]),
        }
        self._advance(len(accesses), given, None)

    def read(self, *names: str) -> list[int]:
        """Return the words of registers, read one in each clock."""
        clocks = len(names) + READ_LATENCY
        given = {
            "bus_address": np.zeros(clocks, np.int64),
            "bus_read": np.zeros(clocks, np.int64),
        }
        given["bus_address"][: len(names)] = [self.registers.named(name).address for name in names]
        given["bus_read"][: len(names)] = 1
        words = self._advance(clocks, given, None)["bus_data"][READ_LATENCY:]
        return [int(word) for word in words]

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
        RuntimeError
            It is not done after `most` clocks.
        """
        last = []
        for engine in Engine:
            words = program.words(engine)
            last.append(max(0, len(words) - words_of(INSTRUCTIONS[engine])))
            if words:
                one = np.ones(len(words), np.int64)
                given = {
                    "list_write": one << engine,
                    "list_to": np.arange(len(words)),
                    "list_value": np.array(words),
                }
                self._advance(len(words), given, None)
        constant = {
            "first": np.zeros((1, len(Engine)), np.int64),
            "last": np.array([last]),
            "totals": np.array([[program.chunks(engine) for engine in Engine]]),
            "used": np.array([sum(bool(program[engine]) << engine for engine in Engine)]),
            "steps": np.array([steps]),
            "rate": np.array([rate]),
        }
        self._advance(1, constant | {"start": np.array([1])}, None)
        recording = _Recording(start=self.clock)
        batch = {name: np.repeat(value, _BATCH, axis=0) for name, value in constant.items()}
        while self.clock - recording.start < most:
            outputs = self._advance(_BATCH, batch, recording)
            if outputs["done"][-1]:
                return recording.ran(int(outputs["wrong"][-1]))
        raise RuntimeError(f"{program.name}: not done after {most} clocks")


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
