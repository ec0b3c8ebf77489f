"""ReLU and Q_A: activations, by a shift, rounding to nearest and clipping. Three pipeline stages:
registers, shift, rounding.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In

from golden import check
from golden.quantize import ActivationQuantizerConfig
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed
from hdl.quantize.scale import largest_code


class ActivationPipeline(Pipeline):
    """ReLU and Q_A without streams, three pipeline stages. Ports as in `ActivationQuantizer`."""

    kind = "Pipeline"

    shift: Signal

    def __init__(self, config: ActivationQuantizerConfig):
        super().__init__(
            config,
            operand={"data": data.ArrayLayout(signed(config.width), config.lanes)},
            result={
                "data": data.ArrayLayout(signed(config.bits), config.lanes),
                "active": data.ArrayLayout(1, config.lanes),
                "unclipped": data.ArrayLayout(1, config.lanes),
            },
            ports={"shift": In(range(config.most_shift + 1))},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.d.comb += self.result.valid.eq(
            registered(m, self.operand.valid, "valid", 3, reset_less=False)
        )
        most, top = config.most_shift, largest_code(config.bits)
        shift = Mux(self.shift > most, most, self.shift)[: len(self.shift)]
        for lane in range(config.lanes):
            acc = registered(m, self.operand.payload.data[lane], f"acc_{lane}")

            # The positive part, with `most` fraction bits below it, so that no shift loses bits.
            positive = Signal(config.width - 1, name=f"positive_{lane}")
            m.d.comb += positive.eq(Mux(acc[-1], 0, acc[:-1]))
            # Each lane has a register of its own for the shift, as it drives many multiplexers.
            taken = registered(m, shift, f"shift_{lane}", keep=True)
            shifted = registered(m, Cat(C(0, most), positive) >> taken, f"shifted_{lane}")
            active = registered(m, positive != 0, f"active_{lane}")

            kept, half, rest = shifted[most:], shifted[most - 1], shifted[: most - 1]
            up = Signal(name=f"up_{lane}")
            over = Signal(name=f"over_{lane}")
            # The limit is all ones. A narrow sum may not reach it.
            above = kept[config.bits - 1 :].any()
            full = kept[: config.bits - 1].all() if len(kept) >= config.bits - 1 else C(0, 1)
            m.d.comb += [
                up.eq(half & (rest.any() | kept[0])),
                over.eq(above | (full & shifted[:most].any())),
            ]
            # The next code is found beside the decision to round up.
            low = kept[: config.bits - 1]
            code = Mux(above | full, top, Mux(up, low + 1, low))[: config.bits]
            result = self.result.payload
            m.d.comb += [
                result.data[lane].eq(registered(m, code, f"activation_{lane}")),
                result.active[lane].eq(registered(m, active, f"active_out_{lane}")),
                result.unclipped[lane].eq(registered(m, ~over, f"unclipped_{lane}")),
            ]
        return m


class ActivationQuantizer(Streamed):
    """ReLU and Q_A: rounds sums to activations, and returns the masks of the backward pass.

    Parameters
    ----------
    config
        Widths, largest shift, lanes.

    Members
    -------
    i : In(stream of {data: lanes codes of `width` bits})
        Sums.
    shift : In
        Number of bits to drop, k_W - 1 + log2 alpha of the layer; read with each operand.
        `config.most_shift` or more means `config.most_shift`.
    o : Out(stream of {data: lanes codes of `bits` bits; active: lanes bits; unclipped: lanes bits})
        Activations, `config.latency` clocks later. `active`: the sum was above zero, the mask of
        ReLU. `unclipped`: the sum was not above the activations' range, the mask of clipping.

    Examples
    --------
    >>> from golden import ActivationQuantizerConfig
    >>> quantizer = ActivationQuantizer(ActivationQuantizerConfig(width=21, most_shift=8))
    >>> quantizer.shift.shape(), quantizer.config.latency
    (unsigned(4), 5)
    """

    shift: Signal

    def __init__(self, config: ActivationQuantizerConfig):
        check.instance("config", config, ActivationQuantizerConfig)
        super().__init__(ActivationPipeline, config)
