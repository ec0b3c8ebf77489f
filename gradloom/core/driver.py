"""What drives a core, in a simulator or on a board: programs, weights, lanes, counters."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.core.beats import batch_of, sample_beats, weight_beats
from golden.core.field import WORD
from golden.core.isa import Engine
from golden.core.lower import Compiled
from golden.core.program import Program
from golden.core.register import Fault, State
from golden.core.registers import Registers
from golden.fixed import Codes
from golden.training.step.record import Record
from golden.training.systems.wage.trainer import WageTrainer
from gradloom.core.errors import FaultError
from gradloom.core.ran import Ran

#: Clocks after which a program must be done.
MOST = 100_000_000


class Driver(ABC):
    """Drives a core through its registers and its streams.

    Parameters
    ----------
    compiled
        The network on the core.
    """

    def __init__(self, compiled: Compiled):
        self.compiled = compiled
        self.registers = Registers(compiled.config)
        self._loaded: Program | None = None

    @abstractmethod
    def send(self, beats: Codes) -> None:
        """Give the input stream further beats, (beats, banks + 1): words, and `last`."""

    @abstractmethod
    def write(self, *accesses: tuple[str, int]) -> None:
        """Write registers, each a name and a word."""

    @abstractmethod
    def read(self, *names: str) -> list[int]:
        """Return the words of registers."""

    @abstractmethod
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
            It is not done in time.
        """

    @abstractmethod
    def reset(self) -> None:
        """Reset the core softly: whatever runs is dropped, and a fault is cleared.

        The generators of the lanes are as after power-up; weights and programs stay. Beats that
        were not taken are dropped too.
        """

    def send_batches(self, records: Iterable[Record]) -> None:
        """Give the input stream the samples of recorded steps."""
        for record in records:
            self.send(sample_beats(self.compiled, *batch_of(record)))

    def place(self, weights: Iterable[Codes], states: Sequence[int]) -> None:
        """Write weights, and the states of the elementwise lanes' generators, into the core."""
        self.send(weight_beats(self.compiled, weights))
        self.run(self.compiled.load, 1)
        self.load_lanes(states)

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

    def checked(self, program: Program) -> tuple[int, int]:
        """Return the wrong classes and the whole steps of a program that has ended.

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
        return wrong, steps


def count_wrong(machine: Driver, trainer: WageTrainer, images: ArrayLike, labels: ArrayLike) -> int:
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


def wrong_of_batch(machine: Driver, pixels: ArrayLike, labels: Codes, empty: ArrayLike) -> int:
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
