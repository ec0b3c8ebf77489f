"""HWGQ's quantizer: sums to codes by thresholds, one set per channel from a memory.

Batch normalisation and scales are in the thresholds, so the unit has adders to compare and no
multiplier. Each lane has a memory with one word per block of channels: all thresholds of the lane's
channel, and a bit that negates its sums. A channel is loaded in one clock, so no operand ever meets
a half of its thresholds.

-acc > T is T + acc < 0, and acc > T is T - acc < 0: a comparison is the carry chain of one adder,
and the negation is a row of XORs before it.

Pipeline stages: table (1 or 2 clocks), passed, counted.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Member

from golden import check
from golden.quantize.threshold import ThresholdQuantizerConfig
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed


class ThresholdPipeline(Pipeline):
    """Sums to codes without streams. Ports as in `ThresholdQuantizer`."""

    kind = "Pipeline"

    load: Signal
    load_block: Signal
    load_lane: Signal
    load_thresholds: data.View
    load_negative: Signal

    def __init__(self, config: ThresholdQuantizerConfig):
        lane: dict[str, Member] = {}
        if config.lanes > 1:
            lane = {"load_lane": In(range(config.lanes))}
        super().__init__(
            config,
            operand={
                "data": data.ArrayLayout(signed(config.width), config.lanes),
                "block": config.block_bits,
            },
            result={
                "data": data.ArrayLayout(config.code_bits, config.lanes),
                "passes": data.ArrayLayout(1, config.lanes),
            },
            ports={
                "load": In(1),
                "load_block": In(config.block_bits),
                **lane,
                "load_thresholds": In(data.ArrayLayout(signed(config.width + 1), config.levels)),
                "load_negative": In(1),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        operand, result = self.operand.payload, self.result.payload
        m.d.comb += self.result.valid.eq(
            registered(m, self.operand.valid, "valid", config.read_clocks + 2, reset_less=False)
        )
        for lane in range(config.lanes):
            thresholds, negative = self._table(m, lane)
            acc = registered(m, operand.data[lane], f"acc_{lane}", config.read_clocks)

            # -acc is ~acc + 1: the 1 enters as a carry, from a bit below the sum.
            turned = Signal(config.width, name=f"turned_{lane}")
            m.d.comb += turned.eq(Mux(negative, acc, ~acc))
            addend = Cat(~negative, turned).as_signed()
            passed = []
            for step in range(config.levels):
                difference = Signal(signed(config.width + 3), name=f"difference_{lane}_{step}")
                m.d.comb += difference.eq(Cat(1, thresholds[step]).as_signed() + addend)
                passed.append(registered(m, difference[-1], f"passed_{lane}_{step}"))

            code = sum(passed[:-1], Value.cast(0))[: config.code_bits]
            m.d.comb += [
                result.data[lane].eq(registered(m, code, f"code_{lane}")),
                result.passes[lane].eq(registered(m, passed[0] & ~passed[-1], f"passes_{lane}")),
            ]
        return m

    def _table(self, m: Module, lane: int) -> tuple[data.View, Value]:
        """Return the thresholds and the sign of the operand's channel in a lane, as registers."""
        config = self.config
        given = Cat(Value.cast(self.load_thresholds), self.load_negative)
        memory: Memory[Any, Any] = Memory(shape=len(given), depth=1 << config.block_bits, init=[])
        m.submodules[f"table_{lane}"] = memory
        # A read is of the word before a write of the same clock.
        read, written = memory.read_port(), memory.write_port()
        here: Value = self.load
        if config.lanes > 1:
            here = self.load & (self.load_lane == lane)
        m.d.comb += [
            read.addr.eq(self.operand.payload.block),
            written.addr.eq(self.load_block),
            written.data.eq(given),
            written.en.eq(here),
        ]
        word = registered(m, read.data, f"word_{lane}", config.read_clocks - 1)
        return data.View(self.load_thresholds.shape(), word[:-1]), word[-1]


class ThresholdQuantizer(Streamed):
    """Quantizes sums by the thresholds of their channels, and returns the mask of the backward
    pass.

    Parameters
    ----------
    config
        Width, levels, channels, lanes and the clocks of a read.

    Members
    -------
    i : In(stream of {data: lanes sums of `width` bits; block: number of a block})
        Sums of the channels block * lanes and following, one per lane. Lanes beyond the last
        channel have results like all others.
    load : In(1)
        The thresholds of a channel are stored. Operands that are accepted in later clocks use them,
        and those accepted in this clock or before do not. A reset does not change what is stored.
    load_block, load_lane : In
        The channel: its block and, if there are several, its lane. A lane that there is not stores
        nothing.
    load_thresholds : In(`levels` codes of `width` + 1 bits)
        The thresholds, and last that of the top level, which only the mask uses.
    load_negative : In(1)
        Sums of the channel are negated before they are compared.
    o : Out(stream of {data: lanes codes of `code_bits` bits; passes: lanes bits})
        Number of thresholds below each sum, `config.latency` clocks later. `passes`: the first
        threshold is below the sum and the last one is not, the mask of the clipped ReLU.

    Examples
    --------
    >>> from golden import ThresholdQuantizerConfig
    >>> quantizer = ThresholdQuantizer(ThresholdQuantizerConfig(channels=20, lanes=8))
    >>> quantizer.load_block.shape(), quantizer.load_lane.shape(), quantizer.config.latency
    (unsigned(2), unsigned(3), 6)
    """

    load: Signal
    load_block: Signal
    load_lane: Signal
    load_thresholds: data.View
    load_negative: Signal

    def __init__(self, config: ThresholdQuantizerConfig):
        check.instance("config", config, ThresholdQuantizerConfig)
        super().__init__(ThresholdPipeline, config)
