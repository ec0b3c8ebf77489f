"""Convert in gates: add what the dropped bits call for, cut them off, saturate.

Every rounding is one addition in front of a shift: random bits (stochastic), a constant (half up,
half down), or a constant and one bit of the value (half to even, half away from zero). So all of
them share an adder, and the choice between them costs a multiplexer. The addition is cut in two and
ends with the bits that are kept: what those above them will be is known from the value, as it was,
and from the sum's highest bit.
"""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Mux, ShapeLike, Signal, Value, ValueLike, signed
from amaranth.lib import data

from golden.fixed import Conversion, Rounding
from golden.rounder import PIPELINE_LATENCY, RounderConfig
from hdl.cells import CELLS, SUM_LATENCY, Cells
from hdl.delay import late
from hdl.pipeline import Pipeline, Streamed


def dither(word: Value, dropped: int) -> Value:
    """The random addend of `dropped` bits that a draw gives:
    its low bits, or the word on top of a constant one.
    """
    missing = dropped - len(word)
    if missing <= 0:
        return word[: max(dropped, 0)]
    return Cat(C(1 << (missing - 1), missing), word)


def select(m: Module, choice: Value, target: Value, values: Sequence[ValueLike]) -> None:
    """Set `target` to the one of `values` that `choice` names; past the end, to the last."""
    with m.Switch(choice):
        for number, value in enumerate(values[:-1]):
            with m.Case(number):
                m.d.comb += target.eq(value)
        with m.Default():
            m.d.comb += target.eq(values[-1])


class RoundingPipeline(Pipeline):
    """The rounders alone: a vector a clock, five clocks through, no back-pressure.
    The array has one a column.

    Parameters
    ----------
    config
        As of `Rounder`.
    cells
        Whose blocks make the sums, where they have some for that.

    Members
    -------
    operand : In(stream of {data: lanes codes of `width` bits; choice, if there are several})
        Wide codes, and the number of the conversion for them.
    random : In(lanes words of `draw` bits), where a conversion is stochastic
        A draw of every lane.
    result : Out(stream of {data: lanes codes})
        Five clocks later, the rounded codes; not specified while `valid` is low.
    """

    def __init__(self, config: RounderConfig, *, cells: Cells = CELLS["generic"]):
        self.cells = cells
        operand: dict[str, ShapeLike] = {
            "data": data.ArrayLayout(signed(config.width), config.lanes)
        }
        if len(config.conversions) > 1:
            operand["choice"] = range(len(config.conversions))
        result = {"data": data.ArrayLayout(signed(config.result_width), config.lanes)}
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
        conversions = self.config.conversions
        z, result = self.operand.payload.data[lane], self.result.payload.data[lane]

        # The addend that the rounding calls for.
        addends = [self._addend(conversion, z, word) for conversion in conversions]
        addend = Signal(max(len(Value.cast(addend)) for addend in addends))
        select(m, choice[0], addend, addends)

        # The highest bit that has to equal the sign for a result to be right, in each conversion.
        signs = [conversion.dropped + conversion.target.width - 1 for conversion in conversions]
        block = self.cells.rounding_sum(m, z, addend, max(signs), f"sum_{lane}")
        if block:
            taken, kept = SUM_LATENCY + 1, self._of_block(m, *block, signs, choice[SUM_LATENCY])
        else:
            taken, kept = 4, self._in_fabric(m, z, addend, choice)
        field, overflow, negative = kept

        # The last stage: saturate.
        highest = Signal(signed(len(result)))
        select(m, choice[taken], highest, [conversion.target.maximum for conversion in conversions])
        limit = Mux(negative, ~highest, highest)
        saturated = Signal(signed(len(result)), reset_less=True)
        m.d.sync += saturated.eq(Mux(overflow, limit, field))
        m.d.comb += result.eq(late(m, saturated, "rounded", PIPELINE_LATENCY - taken - 1))

    def _of_block(
        self, m: Module, total: Value, equal: Value, signs: Sequence[int], choice: Value
    ) -> tuple[Value, Value, Value]:
        """What `_in_fabric` gives, a clock after the sum that a block has made.

        The block says whether the bits above the result equal the sign, if they are the same ones
        in all conversions.
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
            late(m, field, "field"),
            late(m, overflow, "overflow"),
            late(m, total[-1], "negative"),
        )

    def _in_fabric(
        self, m: Module, z: Value, operand: Value, choice: list[Value]
    ) -> tuple[Value, Value, Value]:
        """The bits of z + operand that are kept, whether they say too little, and the sign of what
        they shall say: four clocks later, of inferred adders.
        """
        conversions = self.config.conversions
        # Stage 1.
        wide = Signal(z.shape(), reset_less=True)
        addend = Signal(operand.shape(), reset_less=True)
        m.d.sync += [wide.eq(z), addend.eq(operand)]

        # Stages 2 and 3: the sum up to the highest bit that is kept, its low half first.
        whole = max(len(wide), len(addend) + 1) + 1
        most = max(conversion.dropped + conversion.target.width for conversion in conversions)
        total_width = max(min(whole, most), 2)
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
            # The carry comes in below both operands, where a constant 1 makes it a carry again.
            upper = (Cat(low[cut], high) + Cat(C(1, 1), high_addend))[1:]
        m.d.sync += total.eq(Cat(low[:cut], upper))

        # Beside them, what stands above the kept bits, as it is before the addition.
        states = [
            self._above(m, conversion, wide, whole, number)
            for number, conversion in enumerate(conversions)
        ]
        above = []
        for position, name in enumerate(("clear", "full", "ones")):
            chosen_state = Signal(name=f"{name}_chosen")
            select(m, choice[2], chosen_state, [state[position] for state in states])
            above.append(late(m, chosen_state, name))
        clear, full, ones = above
        negative = late(m, wide[-1], "negative", 3)

        # Stage 4: the kept bits, and whether they say too little. The addition brings at most a one
        # to what is above their sign: seen from the sum's sign bit, zeros stay as they are where it
        # is clear, and ones, or all but the lowest of them, become right where it is set.
        kept = Signal(signed(self.config.result_width), name="kept")
        select(m, choice[3], kept, [self._kept(conversion, total) for conversion in conversions])
        field = Signal.like(kept, name="field", reset_less=True)
        overflow = Signal(reset_less=True)
        sign = kept[-1]
        m.d.sync += [field.eq(kept), overflow.eq(~(Mux(sign, full, clear) | ones))]
        return field, overflow, negative

    def _kept(self, conversion: Conversion, total: Value) -> Value:
        """The bits of `total` that a conversion keeps."""
        dropped, width = conversion.dropped, conversion.target.width
        shifted = total >> dropped if dropped >= 0 else total << -dropped
        return shifted if len(shifted) <= width else shifted[:width].as_signed()

    def _above(
        self, m: Module, conversion: Conversion, wide: Value, whole: int, number: int
    ) -> tuple[Value, Value, Value]:
        """Of the bits of `wide` from a conversion's sign bit up, a clock later: whether all are
        zeros, whether all above the sign bit are ones, and whether all are.

        Where the whole sum, of `whole` bits, is kept, they are told to be ones: always right.
        """
        dropped, width = conversion.dropped, conversion.target.width
        if whole - dropped <= width:
            return C(0), C(0), C(1)
        shifted = wide >> dropped if dropped >= 0 else wide << -dropped
        bits = shifted[min(width, len(shifted)) - 1 :]
        sign, upper = bits[0], bits[1:] if len(bits) > 1 else bits
        # By fours, a look-up table each.
        fours = [upper[bit : bit + 4] for bit in range(0, len(upper), 4)]
        some = late(m, Cat(four.any() for four in fours), f"some_{number}")
        every = late(m, Cat(four.all() for four in fours), f"every_{number}")
        sign = late(m, sign, f"sign_{number}")
        full = every.all()
        return ~(some.any() | sign), full, full & sign


class Rounder(Streamed):
    """Convert on streams: a vector of wide codes a clock, rounded and saturated.

    Parameters
    ----------
    config
        Widths, conversions, lanes and generator.
    cells
        As of `RoundingPipeline`.

    Members
    -------
    i : In(stream of {data: lanes codes of `width` bits; choice, if there are several conversions})
        Wide codes, and the number of the conversion for them. Low `ready` means that results wait
        to be taken.
    o : Out(stream of {data: lanes codes})
        Rounded codes, `config.latency` clocks later; narrower targets are sign-extended.
    """

    def __init__(self, config: RounderConfig, *, cells: Cells = CELLS["generic"]):
        super().__init__(RoundingPipeline, config, cells=cells)
