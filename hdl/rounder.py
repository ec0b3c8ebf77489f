"""Convert in gates: add the rounding's addend, drop the low bits, saturate.

Each rounding is one addition in front of a shift. The addend is random bits (stochastic), a
constant (half up, half down), or a constant and one bit of the value (half to even, half away from
zero). So all roundings share one adder, and choosing between them at run time costs a multiplexer.

The adder is cut into two pipeline stages and stops at the highest bit that is kept. Whether the
result saturates follows from the value's bits above that, before the addition, and from the sum's
highest bit. Where this is asked for, it leaves beside the result.
"""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Mux, ShapeLike, Signal, Value, ValueLike, signed
from amaranth.lib import data

from golden import check
from golden.fixed import Conversion, Rounding
from golden.rounder import PIPELINE_LATENCY, RounderConfig
from hdl.cells import CELLS, SUM_LATENCY, Cells
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed


def dither(word: Value, dropped: int) -> Value:
    """Return the random addend for `dropped` bits: the low bits of the random word or, where the
    word has fewer bits, the word with a one and then zeros below it.

    Returns
    -------
    Value
        Unsigned, `dropped` bits.
    """
    missing = dropped - len(word)
    if missing <= 0:
        return word[: max(dropped, 0)]
    return Cat(C(1 << (missing - 1), missing), word)


def select(m: Module, choice: Value, target: Value, values: Sequence[ValueLike]) -> None:
    """Assign `values[choice]` to `target`, and the last of `values` where `choice` is past the end.
    Combinational.
    """
    with m.Switch(choice):
        for number, value in enumerate(values[:-1]):
            with m.Case(number):
                m.d.comb += target.eq(value)
        with m.Default():
            m.d.comb += target.eq(values[-1])


class RoundingPipeline(Pipeline):
    """Rounders without streams: one vector per clock, five pipeline stages, no back-pressure.
    The array has one for each column.

    Parameters
    ----------
    config
        See `Rounder`.
    cells
        Technology: its DSP blocks add where they can.

    Members
    -------
    operand : In(stream of {data: lanes codes of `width` bits; choice, if there are several})
        Wide codes, and the number of the conversion for them.
    random : In(lanes words of `draw` bits), if a conversion is stochastic
        A random word for each lane, read together with `operand`.
    result : Out(stream of {data: lanes codes; saturated: lanes bits, with that setting})
        The rounded codes, five clocks later, and whether they were clipped; not specified while
        `valid` is low.
    """

    def __init__(self, config: RounderConfig, *, cells: Cells = CELLS["generic"]):
        self.cells = cells
        operand: dict[str, ShapeLike] = {
            "data": data.ArrayLayout(signed(config.width), config.lanes)
        }
        if len(config.conversions) > 1:
            operand["choice"] = range(len(config.conversions))
        result: dict[str, ShapeLike] = {
            "data": data.ArrayLayout(signed(config.result_width), config.lanes)
        }
        if config.saturated:
            result["saturated"] = data.ArrayLayout(1, config.lanes)
        super().__init__(config, operand=operand, result=result, draws=config.stochastic)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        valid = [self.operand.valid]
        choice: list[Value] = [C(0)] * 5
        if len(config.conversions) > 1:
            choice[0] = self.operand.payload.choice
        for number, stage in enumerate(("addend", "low", "sum", "field", "saturated")):
            valid.append(Signal(name=f"valid_{stage}"))
            m.d.sync += valid[-1].eq(valid[-2])
            if len(config.conversions) > 1 and number < 4:
                choice[number + 1] = Signal.like(choice[0], name=f"choice_{stage}", reset_less=True)
                m.d.sync += choice[number + 1].eq(choice[number])
        m.d.comb += self.result.valid.eq(valid[-1])

        for lane in range(config.lanes):
            self._lane(m, lane, Value.cast(self.random[lane]) if self.draws else C(0, 1), choice)
        return m

    def _addend(self, conversion: Conversion, z: Value, word: Value) -> Value:
        """Return what a conversion adds to `z` in front of the shift, unsigned."""
        dropped = conversion.dropped
        if dropped <= 0:
            return C(0)
        half = 1 << (dropped - 1)
        match conversion.rounding:
            case Rounding.STOCHASTIC:
                return dither(word, dropped)
            case Rounding.NEAREST_UP:
                return C(half)
            case Rounding.NEAREST_DOWN:
                return C(half - 1)
            case Rounding.NEAREST_EVEN:
                lowest_kept = z[dropped] if dropped < len(z) else z[-1]
                return C(half - 1) + lowest_kept
            case Rounding.NEAREST_AWAY:
                return Mux(z[-1], half - 1, half)
        raise AssertionError(conversion.rounding)

    def _lane(self, m: Module, lane: int, word: Value, choice: list[Value]) -> None:
        """Make a rounder. `choice[k]` is the number of the conversion, k clocks delayed."""
        conversions = self.config.conversions
        z, result = self.operand.payload.data[lane], self.result.payload.data[lane]

        # Addend.
        addends = [self._addend(conversion, z, word) for conversion in conversions]
        addend = Signal(max(len(Value.cast(addend)) for addend in addends))
        select(m, choice[0], addend, addends)

        # Sum, and the bits that are kept. `signs`: the result's sign bit within the sum, for each
        # conversion.
        signs = [conversion.dropped + conversion.target.width - 1 for conversion in conversions]
        block = self.cells.rounding_sum(m, z, addend, max(signs), f"sum_{lane}")
        if block:
            stages = SUM_LATENCY + 1
            field, overflow, negative = self._from_block(m, *block, signs, choice[SUM_LATENCY])
        else:
            stages = 4
            field, overflow, negative = self._from_fabric(m, z, addend, choice)

        # Saturation.
        highest = Signal(signed(len(result)))
        select(
            m, choice[stages], highest, [conversion.target.maximum for conversion in conversions]
        )
        limit = Mux(negative, ~highest, highest)
        saturated = Signal(signed(len(result)), reset_less=True)
        m.d.sync += saturated.eq(Mux(overflow, limit, field))
        m.d.comb += result.eq(registered(m, saturated, "rounded", PIPELINE_LATENCY - stages - 1))
        if self.config.saturated:
            clipped = registered(m, overflow, "clipped", PIPELINE_LATENCY - stages)
            m.d.comb += self.result.payload.saturated[lane].eq(clipped)

    def _from_block(
        self, m: Module, total: Value, equal: Value, signs: Sequence[int], choice: Value
    ) -> tuple[Value, Value, Value]:
        """Take the result from the sum of a DSP block, one pipeline stage.

        Parameters
        ----------
        m
            The pipeline's module.
        total
            The block's sum.
        equal
            Whether the sum's bits above the result all equal its sign. It holds for the highest of
            `signs`.
        signs
            Position of the result's sign bit in the sum, for each conversion.
        choice
            Number of the conversion.

        Returns
        -------
        tuple of Value
            See `_from_fabric`.
        """
        fields = [self._kept(conversion, total) for conversion in self.config.conversions]
        overflows: list[Value] = [~equal]
        if len(set(signs)) > 1:
            uppers = [total >> sign for sign in signs]
            overflows = [upper.any() & ~upper.all() for upper in uppers]
        field = Signal(signed(self.config.result_width), name="kept")
        overflow = Signal()
        select(m, choice, field, fields)
        select(m, choice, overflow, overflows)
        return (
            registered(m, field, "field"),
            registered(m, overflow, "overflow"),
            registered(m, total[-1], "negative"),
        )

    def _from_fabric(
        self, m: Module, z: Value, operand: Value, choice: list[Value]
    ) -> tuple[Value, Value, Value]:
        """Add with inferred adders, four pipeline stages.

        Parameters
        ----------
        m
            The pipeline's module.
        z, operand
            Signed code, and unsigned addend.
        choice
            Number of the conversion, delayed by 0 to 4 clocks.

        Returns
        -------
        field : Value
            Bits of z + operand that are kept, signed.
        overflow : Value
            Whether the exact result does not fit into these bits.
        negative : Value
            Whether the exact result is negative, where it does not fit.
        """
        conversions = self.config.conversions
        # Stage 1: registers of the operands.
        wide = Signal(z.shape(), reset_less=True)
        addend = Signal(operand.shape(), reset_less=True)
        m.d.sync += [wide.eq(z), addend.eq(operand)]

        # Stages 2 and 3: the sum up to the highest bit that is kept, low half first.
        exact_width = max(len(wide), len(addend) + 1) + 1
        kept_end = max(conversion.dropped + conversion.target.width for conversion in conversions)
        total_width = max(min(exact_width, kept_end), 2)
        cut = total_width // 2
        low = Signal(cut + 1, reset_less=True)
        high, high_addend = (
            Signal(signed(total_width - cut), reset_less=True, name=name)
            for name in ("high", "high_addend")
        )
        extended, positive = (
            Signal(signed(total_width), name=name) for name in ("extended", "positive")
        )
        m.d.comb += [extended.eq(wide), positive.eq(addend)]
        m.d.sync += [
            low.eq(extended[:cut] + positive[:cut]),
            high.eq(extended[cut:]),
            high_addend.eq(positive[cut:]),
        ]
        total = Signal(signed(total_width), reset_less=True)
        if len(addend) <= cut:
            upper = Value.cast(high + low[cut])
        else:
            # The carry enters below both operands, beside a constant 1 that turns it into a carry
            # again: one adder with three operands would take two carry chains.
            upper = (Cat(low[cut], high) + Cat(C(1, 1), high_addend))[1:]
        m.d.sync += total.eq(Cat(low[:cut], upper))

        # In parallel: the state of the bits above the kept ones, before the addition.
        states = [
            self._above(m, conversion, wide, exact_width, number)
            for number, conversion in enumerate(conversions)
        ]
        above = []
        for position, name in enumerate(("clear", "full", "ones")):
            chosen_state = Signal(name=f"{name}_chosen")
            select(m, choice[2], chosen_state, [state[position] for state in states])
            above.append(registered(m, chosen_state, name))
        clear, full, ones = above
        negative = registered(m, wide[-1], "negative", 3)

        # Stage 4: the kept bits, and overflow. The addition carries at most a 1 into the bits from
        # the result's sign bit up. So the exact sum fits in three cases: these bits were all zeros
        # (`clear`) and the sum's sign bit is 0; the bits above the sign bit were all ones (`full`)
        # and the sum's sign bit is 1; or all of these bits were ones (`ones`), which a carry turns
        # into zeros.
        kept = Signal(signed(self.config.result_width), name="kept")
        select(m, choice[3], kept, [self._kept(conversion, total) for conversion in conversions])
        field = Signal.like(kept, name="field", reset_less=True)
        overflow = Signal(reset_less=True)
        sign = kept[-1]
        m.d.sync += [field.eq(kept), overflow.eq(~(Mux(sign, full, clear) | ones))]
        return field, overflow, negative

    def _kept(self, conversion: Conversion, total: Value) -> Value:
        """Return the bits of `total` that a conversion keeps, signed."""
        dropped, width = conversion.dropped, conversion.target.width
        shifted = total >> dropped if dropped >= 0 else total << -dropped
        return shifted if len(shifted) <= width else shifted[:width].as_signed()

    def _above(
        self, m: Module, conversion: Conversion, wide: Value, exact_width: int, number: int
    ) -> tuple[Value, Value, Value]:
        """Test the bits of `wide` from the result's sign bit up, one pipeline stage.

        Parameters
        ----------
        m
            The pipeline's module.
        conversion
            The conversion, which determines the result's sign bit.
        wide
            The signed code, before the addition.
        exact_width
            Width of the exact sum. If the result has all of its bits, it always fits, and all ones
            are returned.
        number
            Number of the conversion, for names.

        Returns
        -------
        clear : Value
            All of these bits are zeros.
        full : Value
            All bits above the sign bit are ones.
        ones : Value
            All of these bits are ones.
        """
        dropped, width = conversion.dropped, conversion.target.width
        if exact_width - dropped <= width:
            return C(0), C(0), C(1)
        shifted = wide >> dropped if dropped >= 0 else wide << -dropped
        bits = shifted[min(width, len(shifted)) - 1 :]
        sign, upper = bits[0], bits[1:] if len(bits) > 1 else bits
        # Groups of four bits, one look-up table each.
        groups = [upper[bit : bit + 4] for bit in range(0, len(upper), 4)]
        any_one = registered(m, Cat(group.any() for group in groups), f"any_one_{number}")
        all_ones = registered(m, Cat(group.all() for group in groups), f"all_ones_{number}")
        sign = registered(m, sign, f"sign_{number}")
        full = all_ones.all()
        return ~(any_one.any() | sign), full, full & sign


class Rounder(Streamed):
    """Convert on streams: one vector of wide codes per clock, rounded and saturated.

    Parameters
    ----------
    config
        Widths, conversions, lanes and generator.
    cells
        See `RoundingPipeline`.

    Members
    -------
    i : In(stream of {data: lanes codes of `width` bits; choice, if there are several conversions})
        Wide codes, and the number of the conversion for them. `ready` is low only while the output
        FIFO has no room.
    o : Out(stream of {data: lanes codes; saturated: lanes bits, with `config.saturated`})
        Rounded codes, `config.latency` clocks later; narrower targets are sign-extended.
        `saturated`: the code was beyond the limits and is clipped.

    Examples
    --------
    >>> from golden import Conversion, Fixed, RounderConfig
    >>> conversion = Conversion(fraction=12, target=Fixed(2, 6))
    >>> rounder = Rounder(RounderConfig(width=20, conversions=(conversion,), lanes=4))
    >>> print(rounder.o.payload.shape())
    StructLayout({'data': ArrayLayout(signed(8), 4)})
    >>> rounder.config.latency
    7
    """

    def __init__(self, config: RounderConfig, *, cells: Cells = CELLS["generic"]):
        check.instance("config", config, RounderConfig)
        super().__init__(RoundingPipeline, config, cells=cells)
