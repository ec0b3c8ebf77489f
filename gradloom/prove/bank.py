"""The bank of LFSRs: leaps and seeds (docs/numerics.md, section 2), states set and read."""

from amaranth.hdl import C, Mux, Value

from golden.bank import BankConfig
from gradloom.prove import lfsr
from gradloom.prove.bench import AnyState, Bench, Induction
from gradloom.prove.integers import every, some


def specify(bench: Bench, config: BankConfig) -> None:
    """Add the properties of the bank."""
    generator = config.generator
    number = bench["lane"] if "lane" in bench else C(0)
    given = bench.whole(["load_state"])
    loads, loaded = bench["load"] & (given != 0), bench.past(given)
    leaps = [bench["leap"][group] for group, size in enumerate(config.groups) for _ in range(size)]
    lanes, follows, moved, replaced, both = [], [], [], [], []
    for lane, leap in enumerate(leaps):
        state = bench.probe(f"state_{config.first_lane + lane}", generator.bits)
        load = bench.since(loads & (number == lane))
        expected = lfsr.model(bench, generator, config.first_lane + lane, leap, (load, loaded))
        lanes.append(state)
        follows.append(state == expected)
        moved.append(expected != expected.init)
        replaced.append(load)
        both.append(load & leap)
    bench.prove(
        "states",
        f"a leap advances every lane of its group by {generator.leap} single steps, and no other; "
        "a load with a state other than 0 sets the addressed lane 2 clocks later, also if the lane "
        f"leaps in between; lane c starts at the seed advanced by c 2^{generator.bits - 8} steps",
        every(follows),
        Induction(2),
        {
            "after leaps": every(moved),
            "at the seeds": ~every(moved),
            "a load": some(replaced),
            "a load and a leap": some(both),
            "a state of 0 is offered": bench["load"] & (given == 0),
        },
        within=3,
    )
    bench.prove(
        "never 0",
        "no state is ever 0",
        every(state != 0 for state in lanes),
        Induction(2),
        {"the top bit alone": every(state == 1 << (generator.bits - 1) for state in lanes[:1])},
        within=4,
    )
    bench.prove(
        "word",
        "the words are the low bits of the states",
        every(
            word == state[: generator.draw]
            for word, state in zip(bench["word"], lanes, strict=True)
        ),
        Induction(1),
        {"a word that is not 0": every(word != 0 for word in bench["word"])},
        within=4,
    )
    addressed = bench.register("addressed", max(len(number), 1))
    bench.update(addressed, number)
    read: Value = C(0, generator.bits)
    for lane, state in enumerate(lanes):
        read = Mux(addressed == lane, state, read)
    shown = bench.since(read)
    beyond = {}
    if "lane" in bench and config.lanes < 1 << len(number):
        beyond = {"no such lane": bench.past(addressed >= config.lanes)}
    bench.prove(
        "read",
        "`state` is the state, 1 clock before, of the lane that was addressed 2 clocks before; 0 "
        "if there is no such lane",
        bench.whole(["state"]) == shown,
        AnyState(2),
        {"the last lane": bench.past(addressed == config.lanes - 1) & (shown != 0), **beyond},
        within=6,
    )
