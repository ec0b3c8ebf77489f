"""Random bits (docs/numerics.md, section 2): steps, leaps and the lanes' seeds."""

from amaranth.hdl import C, Mux, Signal, Value

from golden.lfsr import Generator, LfsrConfig
from gradloom.prove.bench import Bench, Induction
from gradloom.prove.integers import every


def step(state: Value, mask: int) -> Value:
    """Return the state after one step: x -> (x >> 1) ^ (mask if x & 1 else 0)."""
    return (state >> 1) ^ Mux(state[0], mask, 0)


def advanced(state: int, steps: int, generator: Generator) -> int:
    """Return the state after `steps` steps, by repeated squaring of the map of one step."""

    def image(rows: list[int], state: int) -> int:
        result = 0
        for bit, row in enumerate(rows):
            result ^= row if state >> bit & 1 else 0
        return result

    rows = [generator.taps, *(1 << bit for bit in range(generator.bits - 1))]
    while steps:
        if steps & 1:
            state = image(rows, state)
        rows = [image(rows, row) for row in rows]
        steps >>= 1
    return state


def model(
    bench: Bench,
    generator: Generator,
    lane: int,
    draws: Value,
    load: tuple[Value, Value] | None = None,
) -> Signal:
    """Return a register with the specified state of a lane.

    The lane leaps, step by step, at the clocks where `draws` is 1. Where the first value of `load`
    is 1, the state becomes the second value instead.
    """
    seed = advanced(generator.seed, lane << (generator.bits - 8), generator)
    state = bench.register(f"model_{lane}", generator.bits, seed)
    after: Value = state
    for _ in range(generator.leap):
        after = step(bench.wire(after), generator.taps)
    after = Mux(draws, after, state)
    bench.update(state, Mux(*load, after) if load else after)
    return state


def specify(bench: Bench, config: LfsrConfig) -> None:
    """Add the properties of the lanes, which are a unit or a part of one."""
    generator, unit = config.generator, "o_valid" in bench
    draws, words = (bench[name] for name in (("o_ready", "o_data") if unit else ("draw", "word")))
    lanes, follows, starts = [], [], []
    for lane in range(config.first_lane, config.first_lane + config.lanes):
        state = bench.probe(f"state_{lane}", generator.bits)
        expected = model(bench, generator, lane, draws)
        lanes.append(state)
        follows.append(state == expected)
        starts.append(expected != expected.init)
    bench.prove(
        "leap",
        f"a draw advances every lane by {generator.leap} single steps; without a draw the states "
        f"stay; lane c starts at the seed advanced by c 2^{generator.bits - 8} steps",
        every(follows),
        Induction(1),
        {"after a leap": every(starts), "at the seed": ~every(starts)},
        within=2,
    )
    bench.prove(
        "never 0",
        "no state is ever 0",
        every(state != 0 for state in lanes),
        Induction(1),
        {"the top bit alone": every(state[-1] for state in lanes[:1])},
        within=generator.bits + 2,
    )
    bench.prove(
        "word",
        "the words are the low bits of the states, and always valid",
        (bench["o_valid"] if unit else C(1))
        & every(word == state[: generator.draw] for word, state in zip(words, lanes, strict=True)),
        Induction(1),
        {"a word that is not 0": every(word != 0 for word in words)},
        within=4,
    )
