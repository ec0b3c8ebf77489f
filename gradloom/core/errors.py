"""What a core may do wrong: errors that a command tells in one line."""

from golden.core.field import words_of
from golden.core.isa import INSTRUCTIONS, Engine
from golden.core.program import Program
from golden.core.register import Fault


class CoreError(RuntimeError):
    """A core has not done what its program says."""


class FaultError(CoreError):
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
