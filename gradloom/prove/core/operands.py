"""An operand of a product: its addresses at the banks, its words, and how far lanes are ahead."""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Mux, Value

from golden.core.operands import OperandStreamConfig
from gradloom.prove.bench import AnyState, Bench
from gradloom.prove.integers import chosen, every, implies, some


def specify(bench: Bench, config: OperandStreamConfig) -> None:
    """Add the properties of an operand's stream."""
    streamed(bench, config)
    tabled(bench, config)


def streamed(bench: Bench, config: OperandStreamConfig) -> None:
    """Add the properties of addresses and words, with whatever offsets the table holds."""
    banks, lanes = config.banks, config.lanes
    low = bench["low"] if "low" in bench else C(0)
    source = bench["source"] if "source" in bench else C(0)
    first = banks * bench["high"] + low
    flat = [
        bench.wire(first + banks * ahead + j) for j, ahead in enumerate(_table(bench, config)[1])
    ]
    bank = [bench.wire(index % banks) for index in flat]
    address = [bench.wire((index // banks)[: config.address_bits]) for index in flat]
    wraps = some((low + j == banks) & (address[j] != 0) for j in range(lanes))
    last = (low == banks - 1) & (address[0] != 0)

    memory = config.address_latency
    holds = []
    for b in range(banks):
        expected: Value = C(0, config.address_bits)
        for j in range(lanes):
            expected = Mux(bank[j] == b, address[j], expected)
        holds.append(bench["address"][b] == bench.past(bench.wire(expected), memory))
    bench.prove(
        "address",
        "lane j's index is the first lane's, plus its offset: at bank `index mod banks`, 3 clocks "
        "later, is the address `index div banks`; at the other banks, 0",
        implies(bench.since(low < banks, memory), every(holds)),
        AnyState(memory),
        {"the last bank": bench.since(last, memory)}
        | ({"the first bank behind the last one": bench.since(wraps, memory)} if lanes > 1 else {}),
    )
    bench.prove(
        "reads",
        "the store that is read is the index's source",
        implies(
            bench.since(C(1), memory),
            every(
                reads == bench.past(source == store, memory)
                for store, reads in enumerate(bench["reads"])
            ),
        ),
        AnyState(memory),
        {"the last store": bench["reads"][-1]},
    )
    there = [bench.wire(~bench["gap"] & (bench["there"] >= j)) for j in range(lanes)]
    clocks, data = config.latency, bench["data"]
    since_memory = config.latency - config.data_latency
    holds, shown = [], []
    for j, word in enumerate(bench["words"]):
        place = bench.past(bench.wire(source * banks + bank[j]), config.data_latency)
        inside = bench.past(bench.wire(there[j] & (source < config.stores)), config.data_latency)
        found = bench.wire(Mux(inside, chosen(place, data), 0))
        holds.append(word == bench.past(found, since_memory))
        shown.append(word != 0)
    missing = {}
    if lanes > 1:
        missing["a lane that is not there"] = bench.since(~there[-1] & ~bench["gap"], clocks)
    bench.prove(
        "words",
        "a lane's word is what its bank of the source gives 5 clocks after the index; it is 0 if "
        "the lane is not there",
        implies(bench.since(low < banks, clocks), every(holds)),
        AnyState(clocks),
        {
            "a word in every lane": every(shown),
            "a gap": bench.since(bench["gap"], clocks),
            **missing,
        },
    )


def tabled(bench: Bench, config: OperandStreamConfig) -> None:
    """Add the properties of the table of offsets."""
    lanes = config.lanes
    found, used = _table(bench, config)
    expected, beyond = _offsets(bench, config)
    clocks = lanes + 1
    loops = bench.whole(["loops_count", "loops_high"])
    runs = bench.since(bench["start"], clocks)
    for k in range(1, clocks):
        runs = runs & ~bench.past(bench["start"], k)
        if k > 1:
            runs = runs & (bench.past(loops, k) == bench.past(loops, clocks))
    runs = bench.wire(runs)
    behind = {}
    if lanes > 1:
        behind["a lane behind the last iteration"] = runs & bench.past(bench.wire(beyond), clocks)
    bench.prove(
        "offsets",
        "`lanes` + 1 clocks after `start`, the offset of each lane is the sum of its iterations "
        "times the loops' strides; lanes behind the last iteration follow it as a run",
        implies(
            runs,
            every(
                ahead == bench.past(bench.wire(value), clocks)
                for ahead, value in zip(found, expected, strict=True)
            ),
        ),
        AnyState(clocks),
        {
            "offsets that are not 0": runs & every(ahead != 0 for ahead in found[1:]),
            **behind,
        },
    )
    quiet: Value = bench.since(C(1), clocks)
    for k in range(1, clocks + 1):
        quiet = quiet & ~bench.past(bench["start"], k)
    whole = Cat(*found)
    bench.prove(
        "kept",
        "what is found stays until the next `start`",
        implies(quiet, whole == bench.past(whole)),
        AnyState(clocks),
        {"offsets": quiet & (whole != 0)} if lanes > 1 else {"quiet": quiet},
        within=2 * clocks + 2,
    )
    takes = bench.past(bench["takes"])
    inside = Cat(*used)
    bench.prove(
        "taken",
        "offsets in use are those that were found by the latest `takes`",
        inside == Mux(takes, bench.past(whole), bench.past(inside)),
        AnyState(1),
        {"others": takes & (inside != bench.past(inside))} if lanes > 1 else {"taken": takes},
        within=clocks + 3,
    )


def _table(bench: Bench, config: OperandStreamConfig) -> tuple[list[Value], list[Value]]:
    """Return how many addresses each lane is ahead: as found, and as used."""
    bits, lanes = config.address_bits, config.lanes
    names = "lane_table.found", "lane_table.highs"
    whole = [bench.probe(name, lanes * bits) for name in names]
    found, used = ([each[j * bits : (j + 1) * bits] for j in range(lanes)] for each in whole)
    return found, used


def _offsets(bench: Bench, config: OperandStreamConfig) -> tuple[list[Value], Value]:
    """Return how many addresses each lane is ahead by the loops that the ports show, and whether
    there are lanes behind their last iteration.
    """
    counts, highs = bench["loops_count"], bench["loops_high"]
    found: list[Value] = []
    beyond: Value = C(0)
    for j in range(config.lanes):
        iterations = _iterations(j, counts)
        behind = iterations[0] > counts[0]
        total = sum((i * high for i, high in zip(iterations, highs, strict=True)), C(0))
        # Addresses are modulo 2^bits.
        ahead = total[: config.address_bits]
        found.append(bench.wire(Mux(behind, found[-1], ahead) if found else ahead))
        beyond = beyond | behind
    return found, beyond


def _iterations(lane: int, counts: Sequence[Value]) -> list[Value]:
    """Return the iteration of each loop at a lane, as if the outermost loop had no end.

    Parameters
    ----------
    lane
        Number of the lane.
    counts
        Iterations of the loops, less one; the last one is the innermost.
    """
    found: list[Value] = []
    number: Value = C(lane)
    for count in reversed(counts[1:]):
        found.insert(
            0,
            chosen(number, [_divided(n, count)[1] for n in range(lane + 1)]),
        )
        number = chosen(number, [_divided(n, count)[0] for n in range(lane + 1)])
    return [number, *found]


def _divided(number: int, less_one: Value) -> tuple[Value, Value]:
    """Return quotient and remainder of a number and a count that is stored less one."""
    parts = [divmod(number, count + 1) for count in range(number + 1)]
    return (
        chosen(less_one, [C(quotient) for quotient, _ in parts]),
        chosen(less_one, [C(remainder) for _, remainder in parts]),
    )
