"""WAGE's Shift (docs/numerics.md, section 4) on its pipeline."""

from math import isqrt

from amaranth.hdl import C, Mux, Value

from golden.buffer import BUFFER_LATENCY
from golden.quantize import ShiftExponentConfig
from gradloom.prove.bench import AnyState, Bench, Induction
from gradloom.prove.integers import implies, largest, magnitude

#: Port that is 1 for operands with a result.
BRINGS = "i_last"


def exponent(maximum: Value, width: int, ceil: bool) -> Value:
    """Return log2 of the maximum, rounded or rounded up: the number of thresholds reached."""
    if ceil:
        thresholds = [(1 << e) + 1 for e in range(width - 1)]
    else:
        thresholds = [isqrt(1 << (2 * e + 1)) + 1 for e in range(width - 1)]
    count: Value = C(0)
    for threshold in thresholds:
        count = count + (maximum >= threshold)
    return count


def specify(bench: Bench, config: ShiftExponentConfig) -> None:
    """Add the properties of the maximum and its exponent."""
    clocks = config.latency - BUFFER_LATENCY
    ends = bench["operand_valid"] & bench["operand_last"]
    maximum, width = bench["result_maximum"], config.width
    bench.prove(
        "latency",
        f"an exponent comes {clocks} clocks after each tensor's last vector, unless there is a "
        "reset in between, and at no other clock",
        bench["result_valid"] == bench.since(ends, clocks),
        AnyState(clocks),
        {"an exponent": bench["result_valid"], "none": ~bench["result_valid"]},
    )

    # The largest magnitude of the tensor so far, including the vector of this clock.
    before = bench.register("before", width)
    so_far: Value = before
    for value, keep in zip(bench["operand_data"], bench["operand_keep"], strict=True):
        counts = bench["operand_valid"] & keep
        so_far = largest(so_far, Mux(counts, magnitude(value), 0))
    bench.update(before, Mux(ends, 0, so_far))
    # Both depend on the same vectors; the unit's register is later.
    same = bench.probe("running", width) == bench.since(before, clocks - 4)
    bench.prove(
        "maximum",
        "the maximum is the largest magnitude of the tensor's values with `keep`",
        same & implies(bench["result_valid"], maximum == bench.since(so_far, clocks)),
        Induction(clocks + 1),
        {
            "not the last vector's": bench["result_valid"]
            & (bench.past(bench["operand_data"][0], clocks) == 0)
            & (maximum > 5),
            "the lowest code's": bench["result_valid"] & (maximum == 1 << (width - 1)),
        },
        within=clocks + 3,
    )
    bench.prove(
        "exponent",
        "the exponent is the number of thresholds that the maximum has reached: "
        + (
            "2^e + 1, for every e"
            if config.ceil
            else "the first whole number above 2^(e + 1/2), for every e"
        ),
        implies(
            bench["result_valid"] & (maximum <= 1 << (width - 1)),
            bench["result_exponent"] == exponent(maximum, width, config.ceil),
        ),
        AnyState(3),
        {
            f"exponent {e}": bench["result_valid"] & (bench["result_exponent"] == e)
            for e in sorted({0, 1, width // 2, width - 1})
        },
        within=clocks + 2,
    )
    bench.prove(
        "zero",
        "`zero` is 1 if and only if the maximum is 0",
        implies(bench["result_valid"], bench["result_zero"] == (maximum == 0)),
        AnyState(3),
        {"a zero tensor": bench["result_valid"] & bench["result_zero"]},
        within=clocks + 2,
    )
