"""Q_W: weights, by rounding to nearest and clipping. One pipeline stage."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data

from golden import check
from golden.quantize import WeightQuantizerConfig
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed
from hdl.quantize.scale import largest_code


class WeightPipeline(Pipeline):
    """Q_W without streams, one pipeline stage. Ports as in `WeightQuantizer`."""

    kind = "Pipeline"

    def __init__(self, config: WeightQuantizerConfig):
        super().__init__(
            config,
            operand={"data": data.ArrayLayout(signed(config.stored), config.lanes)},
            result={"data": data.ArrayLayout(signed(config.bits), config.lanes)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.d.comb += self.result.valid.eq(
            registered(m, self.operand.valid, "valid", reset_less=False)
        )
        dropped, top = config.stored - config.bits, largest_code(config.bits)
        for lane in range(config.lanes):
            weight = self.operand.payload.data[lane]
            rounded = Signal(signed(config.bits + 1), name=f"rounded_{lane}")
            if dropped:
                # To nearest, ties to even: add just under half, or a whole half where the kept part
                # is odd.
                m.d.comb += rounded.eq(
                    (weight + ((1 << (dropped - 1)) - 1) + weight[dropped]) >> dropped
                )
            else:
                m.d.comb += rounded.eq(weight)
            clipped = Mux(rounded > top, top, Mux(rounded < -top, -top, rounded))
            m.d.comb += self.result.payload.data[lane].eq(
                registered(m, clipped[: config.bits].as_signed(), f"weight_{lane}")
            )
        return m


class WeightQuantizer(Streamed):
    """Q_W: rounds stored weights to forward weights; at 2 bits, to -1, 0 or 1.

    Parameters
    ----------
    config
        Bits and lanes.

    Members
    -------
    i : In(stream of {data: lanes codes of `stored` bits})
        Stored weights.
    o : Out(stream of {data: lanes codes of `bits` bits})
        Forward weights, `config.latency` clocks later.

    Examples
    --------
    >>> from golden import WeightQuantizerConfig
    >>> quantizer = WeightQuantizer(WeightQuantizerConfig(stored=8, bits=2, lanes=4))
    >>> print(quantizer.o.payload.shape())
    StructLayout({'data': ArrayLayout(signed(2), 4)})
    >>> quantizer.config.latency
    3
    """

    def __init__(self, config: WeightQuantizerConfig):
        check.instance("config", config, WeightQuantizerConfig)
        super().__init__(WeightPipeline, config)
