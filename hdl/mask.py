"""Masks of words: ReLU forward, and the masks of the errors on their way back. One pipeline stage.

ReLU masks a word by its own sign, so that one gate for each bit serves both ways.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In

from golden import check
from golden.mask import MaskConfig
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed


class MaskPipeline(Pipeline):
    """Masks without streams, one pipeline stage. Ports as in `Mask`."""

    kind = "Pipeline"

    relu: Signal
    use_active: Signal
    use_unclipped: Signal

    def __init__(self, config: MaskConfig):
        words, bits = (
            data.ArrayLayout(signed(config.width), config.lanes),
            data.ArrayLayout(1, config.lanes),
        )
        super().__init__(
            config,
            operand={"data": words, "active": bits, "unclipped": bits},
            result={"data": words, "active": bits},
            ports={"relu": In(1), "use_active": In(1), "use_unclipped": In(1)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operand, result = self.operand.payload, self.result.payload
        m.d.comb += self.result.valid.eq(
            registered(m, self.operand.valid, "valid", reset_less=False)
        )
        for lane in range(self.config.lanes):
            word = operand.data[lane]
            masked = Signal(name=f"masked_{lane}")
            m.d.comb += masked.eq(
                (self.relu & word[-1])
                | (self.use_active & ~operand.active[lane])
                | (self.use_unclipped & ~operand.unclipped[lane])
            )
            above = ~word[-1] & word[:-1].any()
            m.d.comb += [
                result.data[lane].eq(registered(m, Mux(masked, 0, word), f"word_{lane}")),
                result.active[lane].eq(registered(m, above, f"active_{lane}")),
            ]
        return m


class Mask(Streamed):
    """Sets words to 0 by masks: ReLU of words, or the masks of errors.

    Parameters
    ----------
    config
        Width and lanes.

    Members
    -------
    i : In(stream of {data: lanes codes of `width` bits; active: lanes bits; unclipped: lanes bits})
        Words, and their bits of both masks.
    relu : In
        Words below zero become 0.
    use_active : In
        Words whose bit `active` is 0 become 0.
    use_unclipped : In
        Words whose bit `unclipped` is 0 become 0. All three are read with each operand.
    o : Out(stream of {data: lanes codes of `width` bits; active: lanes bits})
        Words, `config.latency` clocks later. `active`: the operand's word was above zero, the mask
        of ReLU.

    Examples
    --------
    >>> from golden import MaskConfig
    >>> mask = Mask(MaskConfig(width=16, lanes=4))
    >>> print(mask.o.payload.shape())
    StructLayout({'data': ArrayLayout(signed(16), 4), 'active': ArrayLayout(1, 4)})
    >>> mask.config.latency
    3
    """

    relu: Signal
    use_active: Signal
    use_unclipped: Signal

    def __init__(self, config: MaskConfig):
        check.instance("config", config, MaskConfig)
        super().__init__(MaskPipeline, config)
