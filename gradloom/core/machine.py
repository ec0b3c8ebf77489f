"""A core in a simulator, which carries out one program after another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.core.field import WORD, words_of
from golden.core.isa import INSTRUCTIONS, Engine
from golden.core.layout import Words
from golden.core.lower import Compiled
from golden.core.program import Program
from golden.core.registers import READ_LATENCY, Registers
from golden.core.twin import MASKS, STORES, SUMS
from golden.fixed import Codes
from golden.training.step.ops import OutputError, Product
from golden.training.step.record import Record
from golden.training.systems.wage.trainer import WageTrainer
from gradloom.sim import Environment, Sink, Source, Watch
from gradloom.sim.environment import Part
from gradloom.sim.play import Played
from gradloom.sim.simulators import SimulatorName, prepare
from hdl.core.core import Core
from hdl.core.engine import CoreEngine

#: Clocks that are simulated at a time.
_BATCH = 2048
#: Clocks after which a program must be done.
MOST = 100_000_000


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
    clocks
        Clocks until everything was done.
    events
        Events by name: the writes of the stores, `in` and `out` for the beats of the streams,
        with clocks of the schedule.
    done
        Clock of every chunk's last write, by engine.
    wrong
        Wrong classes of the program.
    """

    start: int
    clocks: int
    events: dict[str, NDArray[np.void]]
    done: dict[Engine, Codes]
    wrong: int


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
    """

    def __init__(
        self,
        compiled: Compiled,
        *,
        simulator: SimulatorName = "cxxrtl",
        gaps: Sequence[int] = (0,),
        stalls: Sequence[int] = (0,),
    ):
        self.compiled = compiled
        self.registers = Registers(compiled.config)
        component = Core(compiled.config)
        # All that anybody wants to see of a core is recorded, so that it is compiled once.
        probes = {}
        watches: list[Part] = []
        for store in STORES:
            rows = store in (SUMS, MASKS)
            unit = component.products if store == SUMS else component.passes
            names = []
            for part in ("write", "to" if rows else "address", "value"):
                names.append(f"{store}_{part}")
                probes[names[-1]] = getattr(unit, names[-1])
            watches.append(Watch(name=store, when=names[:1], data=names))
        engines: dict[Engine, CoreEngine] = {
            Engine.ARRAY: component.products,
            Engine.VECTOR: component.passes,
            Engine.IN: component.move_in,
            Engine.OUT: component.move_out,
        }
        for engine, unit_of_engine in engines.items():
            name = _done(engine)
            probes[name] = unit_of_engine.chunk_done
            watches.append(Watch(name=name, when=(name,)))
        banks = compiled.config.banks
        self._environment = Environment(
            prepare(component, simulator, probes=probes),
            Source(stream="i", beats={"words": np.zeros((0, banks), np.int64)}, gaps=gaps),
            Sink(stream="o", stalls=stalls),
            Watch(name="in", when=("i_valid", "i_ready"), data=("i_words",)),
            Watch(name="out", when=("o_valid", "o_ready"), data=("o_words", "o_last")),
            Watch(name="done", when=("done",), data=("wrong",)),
            *watches,
        )
        self._state = self._environment.initial()
        self._loaded: Program | None = None
        #: Clocks that a program took the last time, by its name and the number of steps.
        self._took: dict[tuple[str, int], int] = {}
        self.clock = 0

    def send(self, beats: Codes) -> None:
        """Give the input stream further beats, (beats, banks)."""
        self._environment.send(self._state, "i", {"words": beats})

    def _advance(self, clocks: int, inputs: dict[str, Codes], trace: bool = False) -> Played:
        """Simulate some clocks; returns their events and, if wanted, the traces of all ports."""
        self._state, played = self._environment.advance(
            self._state, clocks, inputs=inputs, trace=trace
        )
        self.clock += clocks
        return played

    def _load(self, program: Program) -> None:
        """Write the lists of a program."""
        if self._loaded is program:
            return
        for engine in Engine:
            if words := program.words(engine):
                given = {
                    "list_write": np.full(len(words), 1 << engine),
                    "list_to": np.arange(len(words)),
                    "list_value": np.array(words),
                }
                self._advance(len(words), given)
        self._loaded = program

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
        self._advance(len(accesses), given)

    def read(self, *names: str) -> list[int]:
        """Return the words of registers, read one in each clock."""
        clocks = len(names) + READ_LATENCY
        given = {
            "bus_address": np.zeros(clocks, np.int64),
            "bus_read": np.zeros(clocks, np.int64),
        }
        given["bus_address"][: len(names)] = [self.registers.named(name).address for name in names]
        given["bus_read"][: len(names)] = 1
        words = self._advance(clocks, given, trace=True).outputs["bus_data"][READ_LATENCY:]
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
        self._load(program)
        last = [
            max(0, len(program.words(engine)) - words_of(INSTRUCTIONS[engine])) for engine in Engine
        ]
        constant = {
            "first": np.zeros((1, len(Engine)), np.int64),
            "last": np.array([last]),
            "totals": np.array([[program.chunks(engine) for engine in Engine]]),
            "used": np.array([sum(bool(program[engine]) << engine for engine in Engine)]),
            "steps": np.array([steps]),
            "rate": np.array([rate]),
        }
        self._advance(1, constant | {"start": np.array([1])})
        start = self.clock
        clocks = self._took.get((program.name, steps), _BATCH)
        parts: list[dict[str, NDArray[np.void]]] = []
        while self.clock - start < most:
            inputs = {name: np.repeat(value, clocks, axis=0) for name, value in constant.items()}
            parts.append(self._advance(clocks, inputs).events)
            if len(idle := parts[-1]["done"]):
                took = int(idle["clock"][0]) - start + 1
                self._took[program.name, steps] = took
                return _joined(start, took, parts, int(idle["wrong"][-1]))
            clocks = _BATCH
        raise RuntimeError(f"{program.name}: not done after {most} clocks")


def _done(engine: Engine) -> str:
    """Return the name of the events of an engine's chunks that are done."""
    return f"done_{engine.name.lower()}"


def _joined(
    start: int, clocks: int, parts: Sequence[Mapping[str, NDArray[np.void]]], wrong: int
) -> Ran:
    """Return the events of some batches as a whole."""
    events = {}
    for name in parts[0]:
        events[name] = np.concatenate([part[name] for part in parts])
        events[name]["clock"] -= start
    del events["done"]
    done = {engine: events.pop(_done(engine))["clock"].astype(np.int64) for engine in Engine}
    return Ran(start=start, clocks=clocks, events=events, done=done, wrong=wrong)


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


def elementwise_states(trainer: WageTrainer) -> list[int]:
    """Return the states of the elementwise lanes after a trainer's draws so far."""
    columns, generator = trainer.recipe.columns, trainer.recipe.generator
    seed = generator.advance(generator.seed, trainer.draws.elementwise * generator.leap)
    moved = replace(generator, seed=seed)
    return [moved.lane_seed(columns + lane) for lane in range(columns)]


def count_wrong(
    machine: Machine, trainer: WageTrainer, images: ArrayLike, labels: ArrayLike
) -> int:
    """Return the number of images in a wrong class, as the core counts it.

    Images of zeros fill the last batch; they are given the class that the trainer puts them in.

    Parameters
    ----------
    machine
        A core with the trainer's weights in it.
    trainer
        The trainer.
    images, labels
        As of `Trainer.evaluate`.
    """
    core, batch = machine.compiled, trainer.recipe.batch
    classes = np.asarray(labels, np.int64)
    (empty,) = trainer.predict(np.zeros((1, *trainer.shape), np.uint8))
    wrong = 0
    for pixels, part in trainer.batches(images):
        given = np.full(batch, empty)
        given[: part.stop - part.start] = classes[part]
        machine.send(sample_beats(core, pixels.reshape(batch, -1).astype(np.int64), given))
        wrong += machine.run(core.test, 1).wrong
    return wrong
