# amaranth: UnusedElaboratable=no
# (a component is made only for its ports)
"""Specification of the array's node: sums of products, and the shadow register that drains them.

Segment k of the node's accumulator is k clocks later than the lowest one. The properties are about
the clock at which the last segment is complete.
"""

from typing import Any

from amaranth.hdl import Cat, Mux, Value, signed

from golden.macc import MaccConfig
from gradloom.prove.bench import AnyState, Bench, Induction
from gradloom.prove.integers import every, implies, magnitude

#: Largest number of bits of both operands for a proof with the multiplier. With more bits, the
#: product may be any number.
MOST_MULTIPLIED = 10


def multiplied(config: MaccConfig) -> bool:
    """Return whether the multiplier is part of the proof."""
    return config.ternary or config.a.width + config.b.width <= MOST_MULTIPLIED


def term(config: MaccConfig, a: Value, b: Value) -> Value:
    """Return the term that a node adds for two operands."""
    return Mux(b == 1, a, Mux(b == -1, -a, 0)) if config.ternary else a * b


def product(bench: Bench, config: MaccConfig) -> Value:
    """Return the product of the operands to which `first` of this clock belongs."""
    ago = config.first_delay
    if multiplied(config):
        return term(config, bench.past(bench["a"], ago), bench.past(bench["b"], ago))
    # The multiplier's output is free. Its register is three clocks later than the ports.
    found = bench.probe("product_0", config.a.width + config.b.width)
    return bench.past(found, ago - 3).as_signed()


def benches(module: str, config: MaccConfig, component: Any) -> list[Bench]:
    """Return the bench of the unit."""
    return [bench(module, config)]


def bench(module: str, config: MaccConfig) -> Bench:
    """Return the bench of a node, with its properties."""
    free = not multiplied(config)
    ports = config.ports
    cut, assumed = ((f"{module}/t:$mul",), "product") if free else ((), "")
    made = Bench(module, ports, cut=cut, assumed=assumed)
    specify(made, config)
    return made


def specify(bench: Bench, config: MaccConfig) -> None:
    """Add the properties of a node."""
    segments, width = config.segments, config.width

    hops = ("a", "b", "first", "load", "hold")
    bench.prove(
        "hops",
        "operands and markers leave one clock later",
        every(bench[f"{name}_out"] == bench.past(bench[name]) for name in hops),
        AnyState(1),
        {"operands that are not 0": every(bench[f"{name}_out"] != 0 for name in hops)},
        within=3,
    )

    def seen(value: Value) -> Value:
        return bench.past(value, segments)

    def aligned(value: Value) -> Value:
        """Return a value in segments, delayed to the clock of the last segment."""
        return Cat(
            bench.past(value[low:high], segments - 1 - number)
            for number, (low, high) in enumerate(config.cuts)
        )

    first, load, hold = seen(bench["first"]), seen(bench["load"]), seen(bench["hold"])
    largest = 1 << (config.a.width + config.b.width - 2)
    if config.ternary:
        largest = (1 << (config.a.width - 1)) - 1
        bench.assume(bench["a"] != -1 << (config.a.width - 1))
    added = bench.wire(seen(bench.wire(product(bench, config))))
    # State of the node that is known since the last reset of the bench: the node has no reset.
    begun = bench.since(bench.past(first | 1), segments + config.first_delay + 2)
    summed, shown = bench.register("summed", 1), bench.register("shown", 1)
    bench.update(summed, begun & (first | summed))
    bench.update(shown, begun & Mux(load, summed, Mux(hold, shown, 1)))

    # The exact sum, with enough bits for any depth, and the number of its terms.
    room = width + 4
    exact = bench.register("exact", signed(room))
    terms = bench.register("terms", range(config.depth + 2))
    bench.update(exact, (Mux(first, 0, exact) + added)[:room].as_signed())
    bench.update(terms, Mux(first, 1, Mux(terms > config.depth, terms, terms + 1)))
    shadow = bench.register("shadow_model", width)
    above = aligned(bench["above"])
    bench.update(shadow, Mux(load, exact[:width], Mux(hold, shadow, above)))

    accumulators = Cat(
        bench.past(bench.probe(f"accumulator_{number}", high - low), segments - 1 - number)
        for number, (low, high) in enumerate(config.cuts)
    )
    right = implies(summed, accumulators == exact[:width]) & implies(
        shown, aligned(bench["drain"]) == shadow
    )
    method = Induction(segments + config.first_delay + 2)
    within = 2 * segments + 2 * config.first_delay + 8
    bench.prove(
        "sum and drain",
        "the accumulator is the sum of the products since `first`, modulo 2^width; the shadow "
        "takes it at `load`, keeps its value at `hold`, and else takes the shadow above",
        right,
        method,
        {
            "a sum of two": summed & (terms == 2) & (exact > 1) if config.depth > 1 else summed,
            "drained": shown & (shadow != 0),
        },
        within=within,
    )
    bound = terms << (config.a.width + config.b.width - 2)
    if config.ternary:
        bound = (terms << (config.a.width - 1)) - terms
    if not multiplied(config):
        bench.assume(magnitude(added) <= largest)
    bench.prove(
        "no overflow",
        f"a sum of at most {config.depth} terms is exact: it stays within {width} bits",
        implies(
            summed & (terms <= config.depth),
            (magnitude(exact) <= bound) & (exact == exact[:width].as_signed()) & (terms > 0),
        ),
        method,
        {"a negative sum": summed & (terms <= config.depth) & (exact < 0)},
        within=within,
    )
