"""The class of the largest score, and how often it is not the label."""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed

from hdl.delay import registered


def classify(
    m: Module,
    values: Sequence[Value],
    lanes: Value,
    valid: Value,
    begins: Value,
    ends: Value,
    first: Value,
    label: Value,
    wrong: Signal,
) -> None:
    """Find the class of the largest score, the lowest of equal ones; count the wrong ones.

    Parameters
    ----------
    m
        Module that gets the gates.
    values
        Scores of a block of classes, lane by lane.
    lanes
        Lanes that are there, one bit for each.
    valid
        The block is here.
    begins, ends
        It is the first one of its sample; the last one.
    first
        The class of its first lane.
    label
        The sample's class.
    wrong
        Number of the wrong ones, which it adds to.
    """
    width = len(values[0])
    least = -(1 << width - 1)
    number = len(first) + 1
    level: list[tuple[Value, Value]] = [
        (Mux(lanes[k], value, least).as_signed()[:width].as_signed(), C(k, number))
        for k, value in enumerate(values)
    ]
    controls: Value = Cat(valid, begins, ends, first, label)
    depth = 0
    while True:
        level = [
            (
                registered(m, value, f"score_{depth}_{k}"),
                registered(m, at, f"class_{depth}_{k}"),
            )
            for k, (value, at) in enumerate(level)
        ]
        controls = registered(m, controls, f"controls_{depth}", reset_less=False)
        if len(level) == 1:
            break
        pairs = list(zip(level[::2], level[1::2]))
        odd = [level[-1]] if len(level) % 2 else []
        level = [
            *(
                (
                    Mux(left[0] >= right[0], left[0], right[0]),
                    Mux(left[0] >= right[0], left[1], right[1]),
                )
                for left, right in pairs
            ),
            *odd,
        ]
        depth += 1
    ((score, lane),) = level
    valid, begins, ends = controls[0], controls[1], controls[2]
    first = controls[3 : 3 + number - 1]
    label = controls[3 + number - 1 :]
    best = Signal(signed(width), reset_less=True)
    better = Signal()
    m.d.comb += better.eq(begins | (score.as_signed() > best))
    with m.If(valid & better):
        m.d.sync += best.eq(score.as_signed())
    # Its class a clock later, as the comparison takes long.
    found = Signal(number, reset_less=True)
    leads = registered(m, valid & better, "leads", reset_less=False)
    at = registered(m, first + lane, "at")
    with m.If(leads):
        m.d.sync += found.eq(at)
    label = registered(m, label, "label_found", 2)
    with m.If(registered(m, valid & ends, "row_found", 2, reset_less=False) & (found != label)):
        m.d.sync += wrong.eq(wrong + 1)
