"""Instructions that are refused: the gates beside the description, for words of any kind."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator
from small_cores import small

from golden.core.field import WORD, decode, encode, leaves
from golden.core.isa import INSTRUCTIONS, Engine, Function, Opcode
from golden.core.legal import refused
from golden.core.lower import compiled
from golden.core.register import Fault
from hdl.core.legal import Legal


def core():
    return compiled(small(), (2, 3, 1), 5)


def test_what_the_compiler_makes_is_legal():
    made = core()
    for program in made.programs:
        for task in program:
            assert refused(made.config, task.engine, task.instruction) is Fault.NONE


def test_what_the_gates_rely_on_is_a_field():
    """An update settles; a move has rows of beats, and no loop between them."""
    made = core()
    for task in made.train[Engine.VECTOR]:
        if task.instruction.function is Function.UPDATE:
            alone = replace(task.instruction, settle=False)
            assert refused(made.config, Engine.VECTOR, alone) is Fault.FIELD
    for program, engine in (
        (made.train, Engine.IN),
        (made.load, Engine.IN),
        (made.dump, Engine.OUT),
    ):
        for task in program[engine]:
            first, second, third = task.instruction.loops
            more = replace(task.instruction, loops=(first, replace(second, count=2), third))
            assert refused(made.config, engine, more) is Fault.FIELD


def wanted(config, engine, number):
    """The fault of an instruction's bits; an enumeration may have no such member."""
    kind = INSTRUCTIONS[engine]
    if number & 15 != Opcode.RUN:
        return Fault.OPCODE
    words = [number >> WORD * k & (1 << WORD) - 1 for k in range(len(encode(kind())))]
    try:
        made = decode(kind, words)
    except ValueError:
        return Fault.FIELD
    return refused(config, engine, made)


def drawn(rng, made, config, engine):
    """Bits of an instruction with some numbers changed: to anything, or to near a bound."""
    sizes = [config.x_words, config.e_words, config.w_words, config.s_rows, config.k_rows]
    sizes += [config.scalars, config.labels, 1, 2, 3]
    bits = sum(word << WORD * k for k, word in enumerate(encode(made)))
    found = leaves(INSTRUCTIONS[engine])
    named = [leaf for leaf in found if leaf.name.endswith(("end", "_on")) or leaf.first < 32]
    for _ in range(rng.integers(0, 3)):
        among = named if rng.random() < 0.8 else found
        leaf = among[rng.integers(len(among))]
        near = int(rng.choice(sizes)) + int(rng.integers(-1, 2))
        code = near if rng.random() < 0.6 else int(rng.integers(1 << min(leaf.bits.width, 30)))
        mask = (1 << leaf.bits.width) - 1
        bits = bits & ~(mask << leaf.first) | (code & mask) << leaf.first
    return bits


@pytest.mark.parametrize("clips", [False, True])
@pytest.mark.parametrize("engine", Engine)
def test_gates_refuse_the_same(engine, clips):
    made = core()
    config = replace(made.config, clips=clips)
    rng = np.random.default_rng(engine)
    tasks = [task for program in made.programs for task in program if task.engine is engine]
    cases = [drawn(rng, tasks[k % len(tasks)].instruction, config, engine) for k in range(600)]
    cases += [
        sum(w << WORD * k for k, w in enumerate(encode(replace(task.instruction, opcode=opcode))))
        for task in tasks
        for opcode in Opcode
    ]
    dut = Legal(config, engine)

    async def bench(ctx):
        for bits in cases:
            ctx.set(Value.cast(dut.instruction), bits)
            got.append(ctx.get(dut.fault))

    got = []
    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    expected = [wanted(config, engine, bits) for bits in cases]
    assert got == expected
    seen = Counter(expected)
    assert all(seen[k] for k in (Fault.NONE, Fault.OPCODE, Fault.FIELD, Fault.BOUND)), seen
