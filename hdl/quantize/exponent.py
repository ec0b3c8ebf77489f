"""Shift: the maximum magnitude of a tensor and its exponent.

Pipeline stages: magnitudes of the lanes, a tree of comparisons with a stage for each level, the
running maximum over the vectors of the tensor, the leading one, a shift that brings it to the top,
and a comparison that rounds the exponent.
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data

from golden import check
from golden.quantize import ShiftExponentConfig
from hdl.delay import delay_line, registered
from hdl.pipeline import Pipeline, Streamed


class ExponentPipeline(Pipeline):
    """Maximum and exponent without streams, `config.latency` - 2 pipeline stages. Ports as in
    `ShiftExponent`.
    """

    kind = "Pipeline"

    def __init__(self, config: ShiftExponentConfig):
        super().__init__(
            config,
            operand={
                "data": data.ArrayLayout(signed(config.width), config.lanes),
                "keep": data.ArrayLayout(1, config.lanes),
                "last": 1,
            },
            result={
                "maximum": unsigned(config.width),
                "exponent": range(config.width),
                "zero": 1,
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, width = self.config, self.config.width

        # Magnitudes, and their maximum. A gap counts as a vector of zeros, and so does a vector
        # from before a reset: the register in front of the running maximum sees to both, so that
        # those of the lanes need no reset.
        level: list[Value] = []
        for lane in range(config.lanes):
            value = self.operand.payload.data[lane]
            magnitude = Mux(value[-1], -value, value)[:width]
            level.append(Mux(self.operand.payload.keep[lane], magnitude, 0))
        there = delay_line(m, self.operand.valid, config.levels, "there", reset_less=False)[-1]
        ends = self.operand.valid & self.operand.payload.last
        ends = registered(m, ends, "ends", 1 + config.levels, reset_less=False)
        for depth in range(config.levels):
            name = f"maximum_{depth - 1}" if depth else "magnitude"
            level = [registered(m, value, f"{name}_{k}") for k, value in enumerate(level)]
            pairs = list(zip(level[::2], level[1::2]))
            odd = [level[-1]] if len(level) % 2 else []
            level = [*(Mux(a > b, a, b) for a, b in pairs), *odd]
        vector = registered(m, Mux(there, level[0], 0), "vector", reset_less=False)

        # The running maximum over the vectors of a tensor.
        running = Signal(width)
        largest = Signal(width)
        m.d.comb += largest.eq(Mux(vector > running, vector, running))
        m.d.sync += running.eq(Mux(ends, 0, largest))
        maximum = registered(m, largest, "maximum")

        leading = Signal(range(width), reset_less=True)
        m.d.sync += leading.eq(0)
        for e in range(width):
            with m.If(maximum[e]):  # the last assignment wins: the highest one
                m.d.sync += leading.eq(e)
        found = registered(m, maximum, "found")

        # With its leading one shifted to the top, every maximum is compared with one constant.
        moved = registered(m, (found << (width - 1 - leading).as_unsigned())[:width], "moved")
        threshold = 1 << (width - 1) if config.ceil else _root(1 << (2 * width - 1))
        exponent = registered(m, leading, "leading_taken") + (moved > threshold)
        m.d.comb += [
            self.result.valid.eq(registered(m, ends, "valid", 4, reset_less=False)),
            self.result.payload.maximum.eq(registered(m, found, "maximum_out", 2)),
            self.result.payload.exponent.eq(registered(m, exponent[: len(leading)], "exponent")),
            self.result.payload.zero.eq(registered(m, moved == 0, "zero")),
        ]
        return m


class ShiftExponent(Streamed):
    """Shift: the maximum magnitude of a tensor, and its exponent, the rounded log2.

    With e the position of the leading one, the logarithm rounds up if the maximum is above
    2^(e + 1/2). Since sqrt 2 is irrational, there are no ties, and one comparison with a constant
    decides.

    Parameters
    ----------
    config
        Width, rounding of the exponent, lanes.

    Members
    -------
    i : In(stream of {data: lanes codes; keep: lanes bits; last: 1})
        The tensor, one vector per transfer. A value whose `keep` is 0 counts as zero. `ready` is
        low only on a `last` vector, while the output FIFO has no room.
    o : Out(stream of {maximum; exponent; zero: 1})
        One transfer per tensor, `config.latency` clocks after its `last` vector. `zero`: the whole
        tensor is zero; the exponent is 0 then.

    Examples
    --------
    >>> from golden import ShiftExponentConfig
    >>> shift = ShiftExponent(ShiftExponentConfig(width=24, lanes=8))
    >>> print(shift.o.payload.shape()["exponent"].shape, shift.config.latency)
    range(0, 24) 10
    """

    def __init__(self, config: ShiftExponentConfig):
        check.instance("config", config, ShiftExponentConfig)
        super().__init__(ExponentPipeline, config, claims="last")


def _root(square: int) -> int:
    """Return the largest whole number whose square is at most `square`."""
    low, high = 0, square + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle * middle <= square else (low, middle)
    return low
