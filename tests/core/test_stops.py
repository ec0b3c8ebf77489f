"""What stops a core: faults, `stop`, a soft reset. Each at its documented clock, and a run
afterwards equals the first one.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from small_cores import random_images, small

from golden.core.beats import batch_of, matrices, sample_beats, weight_beats
from golden.core.clocks import ENDING, deadlock
from golden.core.config import PASS_LATENCY
from golden.core.field import words_of
from golden.core.isa import INSTRUCTIONS, Clip, Engine, Function, Opcode, Target, Wait
from golden.core.lower import compiled
from golden.core.lowering import Gradients
from golden.core.program import Program
from golden.core.register import Fault
from golden.core.schedule import schedule
from golden.training import new_trainer
from golden.training.step.ops import OutputError
from gradloom.core.check import differences
from gradloom.core.errors import FaultError
from gradloom.core.machine import Machine

#: Steps whose batches there are.
STEPS = 3


@cache
def network(**changes):
    """A core, the records of its first steps, and the weights before each of them."""
    core = compiled(small(**changes), (2, 3, 1), 5)
    data = random_images((2, 3, 1), 5)
    trainer, records, weights = new_trainer(core.recipe, data), [], []
    walk = trainer.walk(data, records.append)
    for _ in range(STEPS):
        weights.append([each.copy() for each in trainer.weights])
        next(walk)
    weights.append([each.copy() for each in trainer.weights])
    return core, records, weights


def batch(step):
    core, records, _ = network()
    return sample_beats(core, *batch_of(records[step]))


def loads(step=0):
    core, _, weights = network()
    return weight_beats(core, weights[step])


def cut(beats, count, last=1):
    """The first beats, the last of which has this `last`."""
    found = beats[:count].copy()
    found[-1, -1] = last
    return found


def new_machine(**options):
    return Machine(network()[0], simulator="pysim", batch=64, **options)


@pytest.fixture(scope="module")
def of_module():
    return new_machine()


@pytest.fixture
def machine(of_module):
    """A machine after a soft reset, whatever was there before."""
    of_module.reset()
    return of_module


def load(machine, step=0):
    """Load the weights that a step begins with."""
    machine.send(loads(step))
    machine.run(network()[0].load, 1)


def changed(program, engine, number, **changes):
    """A program with one instruction changed."""
    tasks = list(program.tasks)
    of_engine = list(tasks[engine])
    task = of_engine[number]
    of_engine[number] = replace(task, instruction=replace(task.instruction, **changes))
    tasks[engine] = tuple(of_engine)
    return Program(name=program.name, tasks=tuple(tasks))


def agrees(machine, steps=1):
    """Load, train, and compare every write: the core is as after power-up."""
    core, records, _ = network()
    load(machine)
    machine.send(np.concatenate([batch(step) for step in range(steps)]))
    ran = machine.run(core.train, steps)
    assert not list(differences(core, core.train, records[:steps], ran))
    assert ran.steps == steps


def fails(machine, program, steps=1, most=5000):
    """Run a program that has a fault: the fault, and the clock in which it is first shown.

    For a wrong `last` that is two clocks after the one that accepts its beat.
    """
    machine.prepare(program, steps)
    recording, first, running = machine.start(), None, True
    while running and machine.clock - recording.start < most:
        here = machine.clock - recording.start
        trace = machine.advance(64, recording)
        shown = np.flatnonzero(trace["fault"])
        if first is None and len(shown):
            first = here + int(shown[0])
        running = trace["running"][-1]
    with pytest.raises(FaultError) as caught:
        machine.ended(program, recording)
    taken = np.concatenate([events["in"]["clock"] for events in recording.parts])
    if caught.value.kind in (Fault.SHORT, Fault.LONG):
        assert first == taken[-1] - recording.start + 2
    return caught.value, first


def illegal(core):
    """Changes that make an instruction illegal, with engine, number and fault."""
    banks = core.config
    yield Engine.ARRAY, 1, Fault.OPCODE, {"opcode": Opcode.REPEAT}
    yield Engine.VECTOR, 0, Fault.OPCODE, {"opcode": Opcode.ILLEGAL}
    yield Engine.ARRAY, 0, Fault.FIELD, {"clips": (Clip(on=True), Clip())}
    yield Engine.VECTOR, 2, Fault.FIELD, {"function": Function.COPY, "target": Target.W}
    yield Engine.VECTOR, 1, Fault.FIELD, {"scalar": banks.scalars}
    yield Engine.ARRAY, 2, Fault.BOUND, {"a_end": banks.x_words + banks.e_words}
    yield Engine.ARRAY, 0, Fault.BOUND, {"s_end": banks.s_rows + 1}
    yield Engine.VECTOR, 0, Fault.BOUND, {"to_end": banks.x_words + 1}
    yield Engine.IN, 0, Fault.BOUND, {"end": banks.x_words + 1}


@pytest.mark.long
def test_illegal_instructions_are_refused(machine):
    """Each is found `words` + 4 clocks after the start of the instruction before, or after clock 0,
    and the other engines end without it.
    """
    core, _, _ = network()
    load(machine)
    spans = list(schedule(core.config, core.train, 1))
    for engine, number, kind, changes in illegal(core):
        machine.send(batch(0))
        error, clock = fails(machine, changed(core.train, engine, number, **changes))
        words = words_of(INSTRUCTIONS[engine])
        place = error.kind, error.engine, error.instruction, error.chunk, error.step
        assert place == (kind, engine, number * words, 0, 0)
        assert str(error) == (
            f"train: {kind.text}: {core.train[engine][number].name} (engine "
            f"{engine.name.lower()}), chunk 0, step 0"
        )
        before = [s.start for s in spans if s.engine is engine and s.number == number - 1][:1]
        assert clock == (before[0] if before else 0) + words + 4, changes
        assert machine.read("steps_done", "undefined") == [0, 0]
        machine.write(("control", 1))  # no program begins before the reset
        assert not machine.running()
        assert machine.registers.named("status")["refused"].of(machine.read("status")[0])
        machine.reset()
        assert machine.read("status", "fault") == [0, 0]
    agrees(machine)


@pytest.mark.long
def test_sums_beyond_their_bound_are_not_written(machine):
    """The chunk is never counted, so no pass reads its sums."""
    core, _, _ = network()
    load(machine)
    machine.send(batch(0))
    gradient = len(core.train[Engine.ARRAY]) - 1
    made = core.train[Engine.ARRAY][gradient].instruction
    program = changed(core.train, Engine.ARRAY, gradient, s_end=made.s_end - 1)
    error, clock = fails(machine, program)
    assert (error.kind, error.engine) == (Fault.ROWS, Engine.ARRAY)
    spans = [s for s in schedule(core.config, core.train, 1) if s.engine is Engine.ARRAY]
    last = spans[-1]
    assert (error.instruction, error.chunk) == (
        gradient * words_of(INSTRUCTIONS[Engine.ARRAY]),
        last.chunk,
    )
    # Four clocks after the first term of the tile.
    assert clock == last.end - last.task.clocks + 4
    machine.reset()
    agrees(machine)


@pytest.mark.long
def test_a_cut_batch_is_found_at_every_beat(machine):
    """`last` too early: with the beat of every place. Nothing of the step has changed a weight."""
    core, _, _ = network()
    whole = batch(0)
    load(machine)
    beats = len(whole) // core.recipe.batch
    for count in range(1, len(whole)):
        machine.send(cut(whole, count))
        error, _ = fails(machine, core.train)
        assert (error.kind, error.engine, error.step) == (Fault.SHORT, Engine.IN, 0)
        assert error.chunk == (count - 1) // beats
        assert machine.read("steps_done", "undefined") == [0, 0]
        machine.reset()
    agrees(machine)


@pytest.mark.long
def test_a_batch_that_goes_on_is_found(machine):
    """Further beats are not taken."""
    core, _, _ = network()
    whole = batch(0)
    load(machine)
    machine.send(np.concatenate([cut(whole, len(whole), last=0), whole]))
    error, _ = fails(machine, core.train, steps=2)
    assert (error.kind, error.engine) == (Fault.LONG, Engine.IN)
    assert error.chunk == core.recipe.batch - 1
    trace = machine.advance(20)
    assert trace["fault"].all() and not trace["running"].any() and not trace["i_ready"].any()
    machine.reset()
    agrees(machine)


@pytest.mark.long
def test_what_is_too_long_waits(machine):
    """After the last step of a program `ready` is low; the next program goes on from there."""
    core, records, _ = network()
    load(machine)
    machine.send(np.concatenate([batch(0), batch(1)]))
    machine.run(core.train, 1)
    ran = machine.run(core.train, 1)
    # The second step is a first one of its own: its batch was not touched.
    assert not list(differences(core, core.train, records[1:2], ran))


@pytest.mark.long
def test_weights_that_are_cut_stay_undefined(machine):
    core, _, _ = network()
    beats = loads()
    ends = np.flatnonzero(beats[:, -1]) + 1
    for count in (1, int(ends[0]) - 1, int(ends[0]) + 1):
        load(machine)
        assert machine.read("undefined") == [0]
        machine.send(cut(beats, count))
        error, _ = fails(machine, core.load)
        layer = int(count > ends[0])
        words = words_of(INSTRUCTIONS[Engine.IN])
        assert (error.kind, error.instruction) == (Fault.SHORT, layer * words)
        assert machine.read("undefined") == [1 << layer]
        machine.reset()
        assert machine.read("undefined") == [1 << layer]
    agrees(machine)


@pytest.mark.parametrize("gradients", Gradients)
@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("sizes", ["9FC", "", "5FC-7FC"])
def test_all_samples_are_there_before_an_update(sizes, inputs, gradients):
    """However late the samples come, so that a batch that is cut changes no weight."""
    recipe = small(network=sizes, batch=7)
    core = compiled(recipe, (2, 3, 1), 5, inputs=inputs, gradients=gradients)
    late = [100_000 * (1 + k) for k in range(2 * core.train.chunks(Engine.IN))]
    spans = schedule(core.config, core.train, 2, {Engine.IN: late})
    updates = [s for s in spans if s.task.name.startswith("update")]
    assert {span.step for span in updates} == {0, 1}
    for span in updates:
        assert span.start > late[(span.step + 1) * core.train.chunks(Engine.IN) - 1]


def test_a_step_is_whole_though_the_next_batch_is_cut(machine):
    """The step before is ended, with all of its updates."""
    core, _, weights = network()
    load(machine)
    machine.send(np.concatenate([batch(0), cut(batch(1), 4)]))
    error, _ = fails(machine, core.train, steps=3)
    assert (error.kind, error.step) == (Fault.SHORT, 1)
    assert machine.read("steps_done", "undefined") == [1, 0]
    machine.reset()
    dumped = machine.run(core.dump, 1).events["out"]
    found = matrices(core.layout.w, dumped, core.config.banks)
    assert all(np.array_equal(one, other) for one, other in zip(found, weights[1], strict=True))


@pytest.mark.long
def test_a_step_is_whole_though_a_batch_ahead_is_cut():
    """With two input buffers the batch comes while the step before has hardly begun."""
    one, _, weights = network()
    core = compiled(one.recipe, (2, 3, 1), 5, inputs=2)
    machine = Machine(core, simulator="pysim", batch=64)
    load(machine)
    machine.send(np.concatenate([batch(0), cut(batch(1), 2)]))
    error, clock = fails(machine, core.train, steps=3)
    assert (error.kind, error.step, error.chunk) == (Fault.SHORT, 1, 0)
    spans = schedule(core.config, core.train, 1)
    assert clock < min(span.start for span in spans if span.task.name.startswith("update"))
    assert machine.read("steps_done", "undefined") == [1, 0]
    machine.reset()
    dumped = machine.run(core.dump, 1).events["out"]
    found = matrices(core.layout.w, dumped, core.config.banks)
    assert all(np.array_equal(one, other) for one, other in zip(found, weights[1], strict=True))


def deadlocked(core):
    """Programs in which one instruction waits for what never comes."""
    for engine in (Engine.ARRAY, Engine.VECTOR, Engine.IN):
        for number, task in enumerate(core.train[engine]):
            waits = list(task.instruction.waits)
            waits[0] = Wait(on=True, count=1000)
            yield engine, number, changed(core.train, engine, number, waits=tuple(waits))


def lasts(core, program):
    """Whether each engine has ended its step in a program that ends in a deadlock."""
    counts = dict.fromkeys(Engine, 0)
    try:
        for span in schedule(core.config, program, 1):
            counts[span.engine] += 1
    except RuntimeError:
        pass
    return {engine: count == core.train.chunks(engine) for engine, count in counts.items()}


def bits(machine, *names):
    """Writes of bits of `control`, one in each clock."""
    control = machine.registers.named("control")
    machine.write(*(("control", control[name].mask) for name in names))


def test_a_stop_right_behind_a_start_is_carried_out(machine):
    core, _, _ = network()
    load(machine)
    machine.prepare(core.train, STEPS)
    bits(machine, "start", "stop")
    trace = machine.advance(60)
    assert trace["running"][0] and not trace["running"][-1]
    assert machine.read("steps_done", "status") == [0, 0]


def test_a_start_right_behind_a_reset_is_refused(machine):
    """The reset is carried out in that clock; one clock later a start begins the program."""
    core, _, _ = network()
    machine.prepare(core.load, 1)
    status = machine.registers.named("status")["refused"]
    bits(machine, "reset", "start")
    assert not machine.advance(10)["running"].any() and machine.read("status") == [status.mask]
    machine.write(("status", status.mask))
    bits(machine, "reset")
    machine.advance(1)
    bits(machine, "start")
    trace = machine.advance(10)
    assert trace["running"][1:].all() and not status.of(machine.read("status")[0])


def test_a_chunk_that_runs_is_ended_before_a_fault_ends_the_program():
    """Rows that a mover has not ended while the list's next instruction is refused."""
    core, _, _ = network()
    machine = new_machine(gaps=[40])
    first = core.load[Engine.IN][0].instruction
    row = first.loops[2].count
    assert row > 1 and first.loops[0].count > 1
    machine.send(loads())
    error, _ = fails(machine, changed(core.load, Engine.IN, 1, layer=0))
    assert (error.kind, error.engine, error.chunk) == (Fault.FIELD, Engine.IN, 0)
    trace = machine.advance(200)
    assert not trace["i_ready"].any() and not trace["running"].any()


@pytest.mark.long
def test_a_deadlock_is_found_at_once(machine):
    """Four clocks after the last write, or when the last instruction is there."""
    core, _, _ = network()
    load(machine)
    for engine, number, program in deadlocked(core):
        machine.send(batch(0))
        error, clock = fails(machine, program)
        assert error.kind is Fault.DEADLOCK
        assert clock == deadlock(core.config, program, 1), (engine, number)
        if engine is Engine.VECTOR:
            names = [task.name for task in core.train[engine][:number]]
            updates = sum(name.startswith("update") for name in names)
            status = machine.registers.named("status")["updates"]
            assert status.of(machine.read("status")[0]) == updates
        # The first engine that has not ended its steps is named, with what it waits for.
        place = core.train[error.engine][error.instruction // words_of(INSTRUCTIONS[error.engine])]
        ended = {e for e, last in lasts(core, program).items() if last}
        assert error.engine is min(e for e in Engine if core.train[e] and e not in ended)
        if error.engine is engine:
            assert place.name == core.train[engine][number].name and error.chunk == 0
        machine.reset()
    agrees(machine)


def test_a_stream_that_is_waited_for_is_no_deadlock():
    core, records, _ = network()
    gaps = [0] * len(loads()) + [0, 400] + [0] * 5 + [300] + [0] * 50
    machine = new_machine(gaps=gaps)
    load(machine)
    machine.send(batch(0))
    ran = machine.run(core.train, 1)
    assert not list(differences(core, core.train, records[:1], ran))
    states = machine.clocks()[Engine.IN]
    assert sum(n for state, n in states.items() if state.name == "STREAM") == 700


@pytest.mark.long
def test_a_full_output_is_no_deadlock():
    core, _, _ = network()
    stalls = [0] * 7 + [700] + [0] * 30
    machine = new_machine(stalls=stalls)
    load(machine)
    machine.send(batch(0))
    ran = machine.run(core.infer, 1)
    assert len(ran.events["out"]) == 2 * core.recipe.batch
    clocks = machine.clocks()
    assert all(sum(states.values()) >= 700 for states in clocks.values())
    streams = [
        sum(n for s, n in states.items() if s.name == "STREAM") for states in clocks.values()
    ]
    assert streams[Engine.OUT] >= 700


def updated_layers(core, spans, clock):
    """Bits of the layers that are updated at a clock, from the first write to the last one."""
    found = 0
    for number, task in enumerate(core.train[Engine.VECTOR]):
        instruction = task.instruction
        if instruction.target is not Target.W:
            continue
        own = [s for s in spans if s.engine is Engine.VECTOR and s.number == number]
        for step in {span.step for span in own}:
            chunks = [span for span in own if span.step == step]
            first = chunks[0].start + PASS_LATENCY
            last = chunks[-1].end - task.clocks + PASS_LATENCY
            if first <= clock <= last:
                found |= 1 << task.layer - 1
    return found


def test_the_status_says_what_is_updated_at_every_clock(machine):
    core, _, _ = network()
    load(machine)
    machine.send(np.concatenate([batch(0), batch(1)]))
    machine.prepare(core.train, 2)
    machine.start()
    spans = list(schedule(core.config, core.train, 2))
    clocks = max(span.done for span in spans) + ENDING
    trace = machine.advance(clocks + 5)
    wanted = [updated_layers(core, spans, clock) for clock in range(clocks + 5)]
    assert trace["undefined"].tolist() == wanted
    assert {0, 1, 2} == set(wanted)
    assert trace["running"].tolist() == [1] * clocks + [0] * 5


@pytest.mark.long
def test_a_reset_in_the_middle_leaves_what_the_status_says(machine):
    """At clocks all over a step; the run afterwards equals the first one."""
    core, _, _ = network()
    spans = list(schedule(core.config, core.train, 1))
    end = max(span.done for span in spans)
    updates = [span.start + PASS_LATENCY for span in spans if span.task.name.startswith("update")]
    clocks = sorted({*range(3, end, 151), *updates[::3]})
    for clock in clocks:
        load(machine)
        machine.send(batch(0))
        machine.prepare(core.train, 1)
        machine.start()
        machine.advance(clock - 1)
        machine.reset()
        # With its last write in the clock of the reset an update is complete.
        wanted = updated_layers(core, spans, clock) & updated_layers(core, spans, clock + 1)
        assert machine.read("undefined")[0] == wanted, clock
        assert machine.read("status", "steps_done") == [0, 0]
        agrees(machine)


@pytest.mark.long
def test_a_stop_ends_with_the_last_step_begun(machine):
    """At clocks around every beginning of a step: the steps are whole, and at their clocks."""
    core, records, _ = network()
    starts = {}
    for span in schedule(core.config, core.train, STEPS):
        if span.number == 0 and span.chunk == 0:
            starts.setdefault(span.step, []).append(span.start)
    first = min(starts[1])
    for clock in (0, min(starts[0]) + 1, first - 5, first - 4, first - 3, first, max(starts[1])):
        machine.reset()
        load(machine)
        machine.send(np.concatenate([batch(step) for step in range(STEPS)]))
        machine.prepare(core.train, STEPS)
        recording = machine.start()
        if clock:
            machine.advance(clock, recording)
        # A chunk that starts up to 4 clocks later has been taken before the stop is seen.
        wanted = sum(min(each) <= clock + 4 for each in starts.values())
        machine.write(("control", machine.registers.named("control")["stop"].mask))
        while machine.running():
            machine.advance(64)
        assert machine.read("steps_done") == [wanted], clock
        assert machine.read("undefined", "fault") == [0, 0]
        # It goes on from there.
        rest = STEPS - wanted
        ran = machine.run(core.train, rest)
        assert not list(differences(core, core.train, records[wanted:], ran))


def test_a_rate_holds_from_its_step_on():
    """The trainer's rate changes with its second epoch; a change that comes too late is refused."""
    recipe = small(rates=((1, 0), (2, -2)))
    core, data = compiled(recipe, (2, 3, 1), 5), random_images((2, 3, 1), 5, count=12)
    trainer, records = new_trainer(recipe, data), []
    weights = [each.copy() for each in trainer.weights]
    walk = trainer.walk(data, records.append)
    for _ in range(4):
        next(walk)
    beats = [weight_beats(core, weights)]
    beats += [sample_beats(core, *batch_of(record)) for record in records]
    machine = Machine(core, simulator="pysim", batch=64)
    machine.send(np.concatenate(beats))
    machine.run(core.load, 1)
    machine.prepare(core.train, 4, rate=0)
    value = machine.registers.named("rate")["value"]
    recording = machine.start()
    starts = (s.start for s in schedule(core.config, core.train, 1) if s.engine is Engine.VECTOR)
    trace = machine.advance(next(starts), recording)  # the first step has begun
    machine.write(("rate_step", 0), into=recording)
    machine.write(("rate", value.within(3)), into=recording)
    status, rate = machine.read("status", "rate", into=recording)
    refused = machine.registers.named("status")["refused"]
    assert trace["running"].all() and refused.of(status)
    assert value.of(rate) == 0
    machine.write(("status", refused.mask), into=recording)
    machine.write(("rate_step", 2), ("rate", value.within(-2)), into=recording)
    status, rate = machine.read("status", "rate", into=recording)
    waits = machine.registers.named("rate")["waits"]
    assert not refused.of(status) and value.of(rate) == 0 and waits.of(rate)
    while machine.running(recording):
        machine.advance(256, recording)
    ran = machine.ended(core.train, recording)
    assert not list(differences(core, core.train, records, ran))
    (rate,) = machine.read("rate")
    assert value.of(rate) == -2 and not waits.of(rate)


@pytest.mark.long
def test_one_of_several_resident_programs_is_chosen(machine):
    """Training and inference lie in the lists together, one behind the other."""
    core, records, weights = network()
    behind = [len(core.train.words(engine)) for engine in Engine]
    load(machine)
    machine.send(np.concatenate([batch(0), batch(1), batch(1)]))
    machine.store(core.train)
    machine.store(core.test, behind)
    counts = []
    for program, at in ((core.train, [0] * 4), (core.test, behind), (core.train, [0] * 4)):
        machine.choose(program, 1, at=at)
        recording = machine.start()
        while machine.running(recording):
            machine.advance(64, recording)
        counts.append(machine.ended(program, recording).wrong)
    assert machine.read("steps_done") == [1]
    outputs = next(e for e in records[1] if isinstance(e.operation, OutputError)).tensors
    classes = outputs["outputs"].argmax(axis=1)
    assert counts == [0, int((classes != outputs["label"].ravel()).sum()), 0]
    dumped = machine.run(core.dump, 1).events["out"]
    found = matrices(core.layout.w, dumped, core.config.banks)
    assert all(np.array_equal(one, other) for one, other in zip(found, weights[2], strict=True))
