"""The way back through max-pooling (docs/numerics.md, sections 3 to 5) on its pipeline, for places
in any number of windows.
"""

from amaranth.hdl import C, Mux, Value

from golden.buffer import BUFFER_LATENCY
from golden.unpool import UnpoolConfig
from gradloom.prove.bench import AnyState, Bench, Induction
from gradloom.prove.integers import clip, every, implies, some

#: Port that is 1 for operands with a result.
BRINGS = "i_last"
#: Windows of the places that are compared with their definition error by error.
_FEW = 3


def specify(bench: Bench, config: UnpoolConfig) -> None:
    """Add the properties of the sum of errors."""
    clocks = config.latency - BUFFER_LATENCY
    ends = bench["operand_valid"] & bench["operand_last"]
    bench.prove(
        "latency",
        f"a sum comes {clocks} clocks after each place's last window, unless there is a reset in "
        "between, and at no other clock",
        bench["result_valid"] == bench.since(ends, clocks),
        AnyState(clocks),
        {"a sum": bench["result_valid"], "none": ~bench["result_valid"]},
    )
    _any_number(bench, config, clocks)
    _few_windows(bench, config, clocks)


def _limited(config: UnpoolConfig, value: Value) -> Value:
    """Return a sum in the range of the results."""
    if not config.saturate:
        return value
    top = (1 << (config.width - 1)) - 1
    return clip(value, -top - 1, top)


def _term(bench: Bench, lane: int) -> tuple[Value, Value]:
    """Return whether the lane's maximum of the present window is at the place, and its error."""
    here = bench["operand_there"] & (bench["operand_index"][lane] == bench["operand_number"])
    return here, bench["operand_data"][lane]


def _any_number(bench: Bench, config: UnpoolConfig, clocks: int) -> None:
    """Add the property of places in any number of windows."""
    most, low = config.most_windows, 1 << (config.width - 1)
    bits = (most + 1).bit_length()
    # The window one clock after it is taken, and what its place had before.
    valid, last = bench.since(bench["operand_valid"]), bench.past(bench["operand_last"])
    first = bench.register("first", 1, init=1)
    bench.update(first, Mux(valid, last, first))
    running: Value = bench.probe("begins", 1) == first
    results: list[Value] = []
    covers: dict[str, list[Value]] = {}
    for lane in range(config.lanes):
        here, error = (bench.past(value) for value in _term(bench, lane))
        # Far wider than the unit's, so that a sum that wraps is another one.
        total = bench.register(f"total_{lane}", range(-low << (bits + 1), low << (bits + 1)))
        met = bench.register(f"met_{lane}", bits)  # errors so far, at most one more than allowed
        so_far = bench.wire(Mux(first, 0, met))
        total_now = bench.wire(Mux(first, 0, total) + Mux(here, error, 0))
        met_now = bench.wire(so_far + (here & (so_far <= most)))
        bench.update(total, Mux(valid, total_now[: len(total)].as_signed(), total))
        bench.update(met, Mux(valid, met_now, met))
        inside = (total >= -low * met) & (total <= (low - 1) * met)
        held = bench["result_data"][lane]  # without saturation, the sum's register itself
        if config.saturate:
            held = bench.probe(f"sum_{lane}", config.sum_width).as_signed()
        running &= implies(~first & (met <= most), inside & (held == total))

        whole = bench.since(valid & last & (met_now <= most), clocks - 1)
        sums, number = (bench.since(value, clocks - 1) for value in (total_now, met_now))
        results.append(implies(whole, bench["result_data"][lane] == _limited(config, sums)))
        for case, happens in {
            "none at the place": number == 0,
            "as many as allowed": number == most,
            **({"above an error": sums >= low, "below": sums < -low} if most > 1 else {}),
        }.items():
            covers.setdefault(case, []).append(whole & happens)
    bench.prove(
        "sum",
        "the result is the exact sum of the errors of the windows whose maximum is at the place, "
        + (f"saturated to {config.width} bits, " if config.saturate else "")
        + f"in any number of windows, if it is that of at most {most}",
        running & every(results),
        Induction(clocks + 1),
        {case: some(lanes) for case, lanes in covers.items()},
        within=clocks + most + 2,
    )


def _few_windows(bench: Bench, config: UnpoolConfig, clocks: int) -> None:
    """Add the property of places whose windows all come in successive clocks."""
    holds: list[Value] = []
    covers: dict[str, Value] = {}
    for count in range(1, min(_FEW, config.most_windows) + 1):
        ago = range(count + clocks - 1, clocks - 1, -1)  # clocks since each window
        valid = [bench.since(bench["operand_valid"], k) for k in ago]
        last = [bench.past(bench["operand_last"], k) for k in ago]
        place = bench.since(bench["operand_valid"] & bench["operand_last"], count + clocks)
        place = place & every(valid) & ~some(last[:-1]) & last[-1]
        for lane in range(config.lanes):
            here, error = _term(bench, lane)
            total: Value = C(0)
            for k in ago:
                total = total + Mux(bench.past(here, k), bench.past(error, k), 0)
            same = bench["result_data"][lane] == _limited(config, total)
            holds.append(implies(place, same))
            covers[f"{count} windows, one error in lane {lane}"] = (
                place & (total != 0) & bench.past(here, clocks)
            )
    bench.prove(
        "few windows",
        f"of 1 to {min(_FEW, config.most_windows)} windows without gaps: the sum of those of their "
        "errors whose maximum is at the place",
        every(holds),
        AnyState(_FEW + clocks),
        covers,
    )
