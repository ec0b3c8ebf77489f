"""Which instructions a core refuses, and why."""

from golden.core.config import CoreConfig
from golden.core.isa import (
    ArrayInstruction,
    Engine,
    Function,
    Instruction,
    Move,
    MoveInstruction,
    Opcode,
    Store,
    Target,
    VectorInstruction,
)
from golden.core.register import Fault
from golden.core.registers import layers

#: Where the results of each function go.
TARGETS: dict[Function, Target] = {
    Function.COPY: Target.OUT,
    Function.ACTIVATE: Target.X,
    Function.MAXIMUM: Target.NONE,
    Function.ERROR: Target.E,
    Function.UPDATE: Target.W,
    Function.CLASSIFY: Target.NONE,
}
#: What each mover carries.
MOVES: dict[Engine, tuple[Move, ...]] = {
    Engine.IN: (Move.SAMPLES, Move.WEIGHTS),
    Engine.OUT: (Move.WEIGHTS, Move.SCORES),
}


def refused(config: CoreConfig, engine: Engine, instruction: Instruction) -> Fault:
    """Return why a core refuses an instruction; `Fault.NONE` if it carries it out.

    Parameters
    ----------
    config
        The core.
    engine
        The engine in whose list it is.
    instruction
        The instruction.

    Examples
    --------
    >>> refused(CoreConfig(), Engine.ARRAY, ArrayInstruction(a_end=1025)).name
    'BOUND'
    """
    if instruction.opcode is not Opcode.RUN:
        return Fault.OPCODE
    if isinstance(instruction, ArrayInstruction):
        wrong, beyond = _product(config, instruction)
    elif isinstance(instruction, VectorInstruction):
        wrong, beyond = _pass(config, instruction)
    else:
        wrong, beyond = _move(config, engine, instruction)
    return Fault.FIELD if wrong else Fault.BOUND if beyond else Fault.NONE


def _product(config: CoreConfig, made: ArrayInstruction) -> tuple[bool, bool]:
    """Return whether a number is wrong, and whether a bound is beyond its store."""
    beyond = (
        made.a_end > config.words(made.a_from)
        or made.b_end > config.words(made.b_from)
        or made.s_end > config.s_rows
    )
    return not config.clips and any(clip.on for clip in made.clips), beyond


def _pass(config: CoreConfig, made: VectorInstruction) -> tuple[bool, bool]:
    wrong = (
        TARGETS[made.function] is not made.target
        or made.scalar >= config.scalars
        or (made.function is Function.UPDATE and not made.settle)
        or (made.target is Target.W and not 1 <= made.layer <= layers(config))
    )
    stores = {Target.X: Store.X, Target.E: Store.E, Target.W: Store.W}
    beyond = (
        made.s_end > config.s_rows
        or made.k_end > config.k_rows
        or (made.target in stores and made.to_end > config.words(stores[made.target]))
    )
    return wrong, beyond


def _move(config: CoreConfig, engine: Engine, made: MoveInstruction) -> tuple[bool, bool]:
    weights = made.move is Move.WEIGHTS
    wrong = (
        made.move not in MOVES[engine]
        or made.loops[1].count != 1
        or (weights and not 1 <= made.layer <= layers(config))
    )
    beyond = (weights and made.end > config.w_words) or (
        made.move is Move.SAMPLES
        and (made.end > config.x_words or made.loops[0].count > config.labels)
    )
    return wrong, beyond
