"""Updates of weights on a grid in gates: the step, a difference, and its place on the grid.

The product of gradient and rate is shifted to the right at run time, in two clocks: by multiples of
eight, then by up to seven. The highest of the bits that leave stays beside the result, and the
others leave one bit behind, whether any of them was a 1: the two decide the rounding to nearest
even. Before it is applied, the result is limited to one bit more than a step has.

The difference of weight and step goes to `RoundingPipeline`; that of a buffer is clipped first. A
weight that is drawn compares its random word with the buffer's probability. Without a grid, the
clipped difference is the result.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Member

from golden import check
from golden.quantize.grid_config import DRAWN_STAGES, STEP_STAGES, GridUpdateConfig
from golden.rounder import PIPELINE_LATENCY
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed
from hdl.quantize.momentum import products, tree
from hdl.rounder import RoundingPipeline
from hdl.saturate import saturated

#: Bits of a shift in its second clock.
FINE = 3


def clipped(value: Value, low: int, high: int) -> Value:
    """Return a signed value within the limits, as wide as they are."""
    width = max(low.bit_length(), high.bit_length()) + 1
    return Mux(value > high, high, Mux(value < low, low, value))[:width].as_signed()


class GridPipeline(Pipeline):
    """Updates of weights on a grid without streams. Ports as in `GridUpdate`.

    Parameters
    ----------
    config
        Rule, formats, grid, lanes and generator.
    """

    kind = "Pipeline"

    rate: Signal
    shift: Signal

    def __init__(self, config: GridUpdateConfig):
        stored = data.ArrayLayout(signed(config.stored_width), config.lanes)
        weight = data.ArrayLayout(signed(config.grid + 2), config.lanes)
        operand = {"gradient": data.ArrayLayout(signed(config.width), config.lanes)}
        ports: dict[str, Member] = {}
        if config.rate_bits:
            ports["rate"] = In(unsigned(config.rate_bits))
        ports["shift"] = In(unsigned(config.shift_bits))
        operand["buffer" if config.buffered else "weight"] = stored
        result = {"buffer": stored} if config.buffered else {}
        if config.quantized:
            result["weight"] = weight
        super().__init__(
            config, operand=operand, result=result, draws=config.stochastic, ports=ports
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        # Clocks to the quantizer or, without a grid, to the result.
        until = config.product_stages + STEP_STAGES + config.buffered
        valid = registered(m, self.operand.valid, "valid", until, reset_less=False)
        rounds = config.quantized and not config.drawn
        late = DRAWN_STAGES if config.drawn else int(rounds)
        if rounds:
            m.submodules.rounder = rounder = RoundingPipeline(config.rounder)
            m.d.comb += rounder.operand.valid.eq(valid)
            valid = rounder.result.valid
        m.d.comb += self.result.valid.eq(registered(m, valid, "valid_out", late, reset_less=False))
        most = config.most_shift
        shift = Mux(self.shift > most, most, self.shift)[: config.shift_bits]
        shift = registered(m, shift, "shift", config.product_stages)
        for lane in range(config.lanes):
            fine = self._difference(m, lane, shift)
            if not config.quantized:
                clip = saturated(fine, config.fine.width)
                m.d.comb += self.result.payload.buffer[lane].eq(
                    registered(m, clip, f"clipped_{lane}")
                )
                continue
            if config.buffered:
                clip = clipped(fine, -config.one, config.one)
                fine = registered(m, clip, f"clipped_{lane}")
                buffer = registered(
                    m, fine, f"buffer_out_{lane}", late + (0 if config.drawn else PIPELINE_LATENCY)
                )
                m.d.comb += self.result.payload.buffer[lane].eq(buffer)
            z = fine + config.one if config.binary else fine
            word: Value = C(0, 1)
            if config.stochastic:
                word = registered(m, Value.cast(self.random[lane]), f"random_{lane}", until)
            weight = self.result.payload.weight[lane]
            if config.drawn:
                m.d.comb += weight.eq(self._drawn(m, lane, z, word))
                continue
            m.d.comb += rounder.operand.payload.data[lane].eq(z)
            if config.stochastic:
                m.d.comb += Value.cast(rounder.random[lane]).eq(word)
            code = rounder.result.payload.data[lane]
            if config.binary:  # 0 and below becomes -1, 1 and above becomes 1
                place = Cat(C(1, 1), code <= 0).as_signed()
            else:
                place = clipped(code, -(1 << config.grid), 1 << config.grid)
            m.d.comb += weight.eq(registered(m, place, f"weight_out_{lane}"))
        return m

    def _difference(self, m: Module, lane: int, shift: Value) -> Value:
        """Return the stored weight minus its step, as a fine code."""
        config, operand = self.config, self.operand.payload
        gradient = operand.gradient[lane]
        if config.rate_bits:
            terms = products(m, gradient, self.rate, 0, "gradient", lane)
            product = tree(m, terms, config.product_stages - 3, f"product_{lane}").value
        else:
            product = registered(m, gradient, f"gradient_{lane}")

        # The shift. The lowest bit of `above` is the highest one that has left.
        low, high = shift[:FINE], shift[FINE:]
        doubled = Cat(C(0, 1), product).as_signed()
        coarse = Signal.like(doubled, name=f"coarse_{lane}", reset_less=True)
        places = Cat(C(0, FINE), high)
        left = doubled & ~(C(-1, signed(len(doubled))) << places)[: len(doubled)]
        m.d.sync += coarse.eq(doubled >> places)
        some = registered(m, left.any(), f"some_{lane}")
        low = registered(m, low, f"shift_low_{lane}")
        above = registered(m, coarse >> low, f"above_{lane}")
        rest = some | (coarse[: (1 << FINE) - 1] & ~(C(-1, 8) << low)[: (1 << FINE) - 1]).any()
        rest = registered(m, rest, f"rest_{lane}")

        # The rounding and the saturation.
        floor = above[1:].as_signed()
        up = registered(m, above[0] & (rest | above[1]), f"up_{lane}")
        within = registered(m, saturated(floor, config.fine.width + 1), f"within_{lane}")
        rounded = registered(m, within + Cat(up, C(0, 1)).as_signed(), f"rounded_{lane}")
        step = registered(m, saturated(rounded, config.fine.width), f"step_{lane}")

        before = operand.buffer[lane] if config.buffered else operand.weight[lane]
        apart = 0 if config.buffered else config.fine.fl - config.grid
        clocks = config.product_stages + STEP_STAGES - 1
        stored = registered(m, before, f"stored_{lane}", clocks)
        return registered(m, (stored << apart) - step, f"difference_{lane}")

    def _drawn(self, m: Module, lane: int, doubled: Value, word: Value) -> Value:
        """Return -1 or 1 for a probability with `fine.fl` + 1 fraction bits."""
        config = self.config
        spare = config.fine.fl + 1 - config.generator.draw
        doubled = doubled[: config.fine.fl + 2]  # 0 to 2
        if spare > 0:
            half = (1 << (spare - 1)) - 1
            chance = (doubled + (half + doubled[spare])) >> spare
        else:
            chance = Cat(C(0, -spare), doubled)
        chance = registered(m, chance, f"chance_{lane}")
        word = registered(m, word, f"word_{lane}")
        place = Cat(C(1, 1), word >= chance).as_signed()
        return registered(m, place, f"weight_out_{lane}")


class GridUpdate(Streamed):
    """Update of weights on a grid: R, SR, and BinaryConnect with its buffer; and of fine values
    without a grid, as biases are.

    Parameters
    ----------
    config
        Rule, formats, grid, lanes and generator.

    Members
    -------
    i : In(stream of {gradient: lanes codes of `width` bits; weight or buffer: lanes codes})
        Gradient sums, and weights of the grid or, for BinaryConnect and without a grid, buffers.
    rate : In, if `rate_bits` is not 0
        Learning rate, times 2^shift; read with each operand.
    shift : In
        Number of bits that a step drops; read with each operand. More than `most_shift` means
        `most_shift`.
    o : Out(stream of {buffer, weight: lanes codes})
        Updated weights, for BinaryConnect also buffers, and without a grid buffers alone,
        `config.latency` clocks later.

    Examples
    --------
    >>> from golden import GridUpdateConfig
    >>> update = GridUpdate(GridUpdateConfig(rule="bc", binary=True, grid=0))
    >>> print(update.o.payload.shape())
    StructLayout({'buffer': ArrayLayout(signed(22), 1), 'weight': ArrayLayout(signed(2), 1)})
    """

    rate: Signal
    shift: Signal

    def __init__(self, config: GridUpdateConfig):
        check.instance("config", config, GridUpdateConfig)
        super().__init__(GridPipeline, config)
