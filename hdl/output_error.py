"""The error of a network's outputs: outputs minus targets, one vector per clock. Four pipeline
stages: the block's first class; the label's place in the block; the lane that has the target;
the difference.

The first class of a block is a product with a constant, a few shifted additions that all lanes
share. A lane compares the label's place with its own number, so that it needs no more than a
small constant.
"""

from amaranth.hdl import C, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In

from golden import check
from golden.output_error import OutputErrorConfig
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed


def times(value: Value, factor: int) -> Value:
    """Return `value` times a constant, as a sum of shifted values. Combinational."""
    total: Value = C(0)
    for bit in range(factor.bit_length()):
        if factor >> bit & 1:
            total = total + (value << bit)
    return total


class OutputErrorPipeline(Pipeline):
    """Outputs minus targets without streams, four pipeline stages. Ports as in `OutputError`."""

    kind = "Pipeline"

    one: Signal

    def __init__(self, config: OutputErrorConfig):
        operand: dict[str, ShapeLike] = {
            "data": data.ArrayLayout(signed(config.width), config.lanes),
            "label": config.label_bits,
        }
        if config.block_bits:
            operand["block"] = config.block_bits
        super().__init__(
            config,
            operand=operand,
            result={
                "data": data.ArrayLayout(signed(config.result_width), config.lanes),
                "keep": data.ArrayLayout(1, config.lanes),
            },
            ports={"one": In(range(config.most_one + 1))},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, operand, result = self.config, self.operand.payload, self.result.payload
        m.d.comb += self.result.valid.eq(
            registered(m, self.operand.valid, "valid", 4, reset_less=False)
        )

        most = config.most_one
        one = registered(m, Mux(self.one > most, most, self.one)[: len(self.one)], "one_taken")
        target = registered(m, (C(1) << one)[: most + 1], "target")

        # Where the label is, and how many classes are left, counted from the block's first class.
        place = registered(m, operand.label, "label")
        left: Value = C(config.classes)
        if config.block_bits:
            first = registered(m, times(operand.block, config.lanes), "first_class")
            place, left = place - first, registered(m, config.classes - first, "left")
        place = registered(m, place, "place")

        for lane in range(config.lanes):
            here = Signal(name=f"here_{lane}")
            m.d.comb += here.eq(left > lane)
            word = registered(m, operand.data[lane], f"output_{lane}", 2)
            kept = registered(m, Mux(here, word, 0), f"kept_{lane}")
            taken = registered(m, Mux(here & (place == lane), target, 0), f"taken_{lane}")
            error = (kept - taken)[: config.result_width].as_signed()
            m.d.comb += [
                result.data[lane].eq(registered(m, error, f"error_{lane}")),
                result.keep[lane].eq(registered(m, here, f"keep_{lane}", 2)),
            ]
        return m


class OutputError(Streamed):
    """Subtracts targets from the outputs of a network, sample by sample.

    Parameters
    ----------
    config
        Width, classes, lanes, largest target.

    Members
    -------
    i : In(stream of {data: lanes codes of `width` bits; label; block, if a sample has several})
        Outputs of a sample and its class. Lane j has the output of class block * lanes + j.
    one : In
        log2 of the target of the sample's class, read with each operand. `config.most_one` or more
        means `config.most_one`.
    o : Out(stream of {data: lanes codes of `result_width` bits; keep: lanes bits})
        Outputs minus targets, `config.latency` clocks later. `keep`: the lane has a class; the
        data of others is 0.

    Examples
    --------
    >>> from golden import OutputErrorConfig
    >>> unit = OutputError(OutputErrorConfig(width=21, classes=10, lanes=4))
    >>> print(unit.i.payload.shape())
    StructLayout({'data': ArrayLayout(signed(21), 4), 'label': 4, 'block': 2})
    >>> unit.config.latency
    6
    """

    one: Signal

    def __init__(self, config: OutputErrorConfig):
        check.instance("config", config, OutputErrorConfig)
        super().__init__(OutputErrorPipeline, config)
