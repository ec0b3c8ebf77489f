"""Max-pooling (docs/numerics.md, section 3) on its pipeline, for windows of any number of places up
to the largest one.

The maximum of a window is defined by any one of its places, which a free input picks: no value is
above it, an equal one has no lower number, and the place whose number comes out has this value.
"""

from collections.abc import Mapping

from amaranth.hdl import C, Mux, Value

from golden.pool import PoolConfig
from gradloom.prove.bench import AnyState, Bench, Induction
from gradloom.prove.integers import every, implies, some

#: Port that is 1 for operands with a result.
BRINGS = "i_last"
#: Pipeline stages.
_CLOCKS = 2
#: Places of the windows that are compared with their definition value by value.
_SHORT = 3


def specify(bench: Bench, config: PoolConfig) -> None:
    """Add the properties of the maximum and its place."""
    ends = bench["operand_valid"] & bench["operand_last"]
    bench.prove(
        "latency",
        f"a maximum comes {_CLOCKS} clocks after each window's last place, unless there is a reset "
        "in between, and at no other clock",
        bench["result_valid"] == bench.since(ends, _CLOCKS),
        AnyState(_CLOCKS),
        {"a maximum": bench["result_valid"], "none": ~bench["result_valid"]},
    )
    _any_place(bench, config)
    _short_windows(bench, config)


def _any_place(bench: Bench, config: PoolConfig) -> None:
    """Add the properties of any place of any window."""
    bits = config.index_bits
    # The place one clock after it is taken, and what its window had before.
    valid = bench.since(bench["operand_valid"])
    there, last = bench.past(bench["operand_there"]), bench.past(bench["operand_last"])
    values = [bench.past(value) for value in bench["operand_data"]]
    count = bench.register("count", bits + 1)  # places before, at most 2^bits
    any_there = bench.register("any_there", 1)
    picked = bench.register("picked", 1)
    its_there = bench.register("its_there", 1)
    its_number = bench.register("its_number", bits)
    its_values = [bench.register(f"its_{k}", value.shape()) for k, value in enumerate(values)]

    picks = valid & bench.free("pick", 1) & ~picked
    counted = bench.wire(count + ~count[bits])
    now = {
        "count": bench.wire(Mux(valid, counted, count)),
        "any": bench.wire(any_there | (valid & there)),
        "picked": bench.wire(picked | picks),
        "there": bench.wire(Mux(picks, there, its_there)),
        "number": bench.wire(Mux(picks, count[:bits], its_number)),
    }
    now_values = [bench.wire(Mux(picks, v, its)) for v, its in zip(values, its_values, strict=True)]
    over = valid & last
    bench.update(count, Mux(over, 0, now["count"]))
    bench.update(any_there, ~over & now["any"])
    bench.update(picked, ~over & now["picked"])
    bench.update(its_there, now["there"])
    bench.update(its_number, now["number"])
    for its, value in zip(its_values, now_values, strict=True):
        bench.update(its, value)

    def agrees(
        best: Value, index: Value, found: Value, of: Mapping[str, Value], its: Value
    ) -> Value:
        """Return whether maximum and number agree with the picked place of a window."""
        is_it = index == of["number"]
        place = implies(of["there"], found & (its <= best) & implies(is_it, its == best))
        first = implies(of["there"] & (its == best), index <= of["number"])
        one = implies(found & is_it, of["there"])
        return implies(of["picked"], place & first & one)

    # The registers, which the result shows, as long as the window goes on; a place beyond the
    # largest window has the number of another one.
    before = {
        "count": count,
        "any": any_there,
        "picked": picked,
        "there": its_there,
        "number": its_number,
    }
    fits = count < 1 << bits
    running = (
        (bench.probe("begun", 1) == any_there)
        & implies(fits, bench.probe("number", bits) == count)
        & implies(picked & fits, its_number < count)
        & implies(picked & its_there, any_there)
        & every(
            implies(fits, agrees(b, i, any_there, before, its))
            & implies(fits & any_there, i < count)
            for b, i, its in zip(
                bench["result_data"], bench["result_index"], its_values, strict=True
            )
        )
    )

    # The result, a clock later.
    final = {name: bench.since(value) for name, value in now.items()}
    whole = bench["result_valid"] & (final["count"] <= 1 << bits)
    short = bench.since(fits)  # before the last place; the largest window has 2^bits
    found = bench["result_there"]
    lanes = [
        agrees(b, i, found, final, bench.past(its))
        & implies(found, i < final["count"])
        & implies(~found, (b == 0) & (i == 0))
        for b, i, its in zip(bench["result_data"], bench["result_index"], now_values, strict=True)
    ]
    result = implies(whole & short, every(lanes)) & implies(
        bench["result_valid"], found == final["any"]
    )
    it = [i == final["number"] for i in bench["result_index"]]
    ended = [bench.past(value) for value in now_values]
    is_there = whole & final["picked"] & final["there"]
    bench.prove(
        "any place",
        "a window's maximum is not below any place that is there, its number is that of a place "
        "that is there and has this value, and no place with a lower number has it: for every "
        "place of a window of any size, padding between them, and the numbers of at most "
        f"{1 << bits} places",
        running & result,
        Induction(3),
        {
            "its own": is_there & some(it),
            "a lower one": is_there & some(a < b for a, b in zip(ended, bench["result_data"])),
            "padding, not the maximum": whole & final["picked"] & ~final["there"] & found,
            "an equal one behind it": is_there
            & some((a == b) & ~i for a, b, i in zip(ended, bench["result_data"], it, strict=True)),
            "the lowest code": is_there
            & some(b == -1 << (config.width - 1) for b in bench["result_data"]),
            "nothing there": whole & ~found,
        },
        within=8,
    )


def _short_windows(bench: Bench, config: PoolConfig) -> None:
    """Add the property of windows whose places all come in successive clocks."""
    longest = min(_SHORT, config.most_places)
    holds: list[Value] = []
    covers: dict[str, Value] = {}
    for size in range(1, longest + 1):
        ago = range(size + _CLOCKS - 1, _CLOCKS - 1, -1)  # clocks since each place, the first first
        valid = [bench.since(bench["operand_valid"], k) for k in ago]
        last = [bench.past(bench["operand_last"], k) for k in ago]
        there = [bench.past(bench["operand_there"], k) for k in ago]
        after = size + _CLOCKS
        window = bench.since(bench["operand_valid"] & bench["operand_last"], after)
        window = window & every(valid) & ~some(last[:-1]) & last[-1]
        for lane in range(config.lanes):
            best: Value = C(0)
            index: Value = C(0)
            found: Value = C(0)
            for n, (k, is_there) in enumerate(zip(ago, there, strict=True)):
                value = bench.past(bench["operand_data"][lane], k)
                higher = is_there & (~found | (value > best))
                best, index = Mux(higher, value, best), Mux(higher, n, index)
                found = found | is_there
            same = (bench["result_data"][lane] == best) & (bench["result_index"][lane] == index)
            holds.append(implies(window, same & (bench["result_there"] == found)))
            covers[f"{size} places, the last of lane {lane}"] = window & (
                bench["result_index"][lane] == size - 1
            )
    bench.prove(
        "short windows",
        f"of windows of 1 to {longest} places without gaps: the maximum of the places that are "
        "there, taken one after the other, and where it was above all before",
        every(holds),
        AnyState(longest + _CLOCKS),
        covers,
    )
