"""BNN's activation: the sign of a word, and whether its magnitude is 1.0 or less. Two pipeline
stages: what the bits above and below 1.0 are, and the mask.
"""

from amaranth.hdl import C, Cat, Module, Value, signed
from amaranth.lib import data

from golden import check
from golden.quantize import SignQuantizerConfig
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed


class SignPipeline(Pipeline):
    """Signs without streams, two pipeline stages. Ports as in `SignQuantizer`."""

    kind = "Pipeline"

    def __init__(self, config: SignQuantizerConfig):
        code = signed(2) if config.bits == 2 else 1
        super().__init__(
            config,
            operand={"data": data.ArrayLayout(signed(config.width), config.lanes)},
            result={
                "data": data.ArrayLayout(code, config.lanes),
                "passes": data.ArrayLayout(1, config.lanes),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, result = self.config, self.result.payload
        m.d.comb += self.result.valid.eq(
            registered(m, self.operand.valid, "valid", 2, reset_less=False)
        )
        for lane in range(config.lanes):
            word = self.operand.payload.data[lane]
            low, high = word[: config.fraction], word[config.fraction :]
            negative = registered(m, word[-1], f"negative_{lane}")
            # From -1.0 up to just below 1.0, the bits from that of 1.0 on are copies of the sign.
            ones = registered(m, high.all(), f"ones_{lane}")
            zeros = registered(m, ~high.any(), f"zeros_{lane}")
            # 1.0 itself. Without a bit above that of 1.0 it is no word; -1.0 then passes twice.
            one = registered(m, high == 1, f"one_{lane}")
            whole = registered(m, ~low.any(), f"whole_{lane}")

            passes = ones | zeros | (one & whole)
            code: Value = Cat(C(1, 1), negative) if config.bits == 2 else ~negative
            m.d.comb += [
                result.data[lane].eq(registered(m, code, f"sign_{lane}")),
                result.passes[lane].eq(registered(m, passes, f"passes_{lane}")),
            ]
        return m


class SignQuantizer(Streamed):
    """Quantizes words to their signs, and returns the mask of the straight-through gradient.

    Parameters
    ----------
    config
        Widths, fraction bits and lanes.

    Members
    -------
    i : In(stream of {data: lanes words of `width` bits})
        Words with `fraction` fraction bits.
    o : Out(stream of {data: lanes codes of `bits` bits; passes: lanes bits})
        Signs, `config.latency` clocks later: 1 for a word of 0 or more, and for others -1 or, in
        codes of 1 bit, 0. `passes`: the word's magnitude is 1.0 or less.

    Examples
    --------
    >>> from golden import SignQuantizerConfig
    >>> quantizer = SignQuantizer(SignQuantizerConfig(lanes=4))
    >>> print(quantizer.o.payload.shape())
    StructLayout({'data': ArrayLayout(signed(2), 4), 'passes': ArrayLayout(1, 4)})
    """

    def __init__(self, config: SignQuantizerConfig):
        check.instance("config", config, SignQuantizerConfig)
        super().__init__(SignPipeline, config)
