"""Convert in gates: add what the dropped bits call for, cut them off, saturate.

Every rounding is one addition in front of a shift: random bits (stochastic), a constant (half up,
half down), or a constant and one bit of the value (half to even, half away from zero). So all of
them share an adder, and the choice between them costs a multiplexer. The addition is cut in two,
and saturation looks at the sum.
"""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Mux, ShapeLike, Signal, Value, ValueLike, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.fixed import Conversion, Rounding
from golden.rounder import RounderConfig
from hdl.buffer import serve
from hdl.cells import CELLS, SUM_LATENCY, Cells
from hdl.delay import late
from hdl.lfsr import words


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


class RoundingPipeline(wiring.Component):
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
    i_valid : In(1)
        A vector is there; every lane's generator leaps.
    i_data : In(lanes codes of `width` bits)
        Wide codes.
    i_choice : In
        Number of the conversion, where there is more than one.
    o_valid, o_data : Out
        Five clocks later, the rounded codes; not specified while `o_valid` is low.
    """

    i_valid: Signal
    i_data: data.View
    i_choice: Signal  # where there is more than one conversion
    o_valid: Signal
    o_data: data.View

    def __init__(self, config: RounderConfig, *, cells: Cells = CELLS["generic"]):
        self.config = config
        self.cells = cells
        members = {
            "i_valid": In(1),
            "i_data": In(data.ArrayLayout(signed(config.width), config.lanes)),
            "o_valid": Out(1),
            "o_data": Out(data.ArrayLayout(signed(config.result_width), config.lanes)),
        }
        if len(config.conversions) > 1:
            members["i_choice"] = In(range(len(config.conversions)))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        valid = [self.i_valid]
        choice: list[Value] = [C(0)] * 5
        if len(config.conversions) > 1:
            choice[0] = self.i_choice
        for number, stage in enumerate(("addend", "low", "sum", "field", "saturated")):
            valid.append(Signal(name=f"valid_{stage}"))
            m.d.sync += valid[-1].eq(valid[-2])
            if len(config.conversions) > 1 and number < 4:
                choice[number + 1] = Signal.like(
                    self.i_choice, name=f"choice_{stage}", reset_less=True
                )
                m.d.sync += choice[number + 1].eq(choice[number])
        m.d.comb += self.o_valid.eq(valid[-1])

        random: list[Value] = [C(0, 1)] * config.lanes
        if config.stochastic:
            random = words(m, config.generator, config.lanes, config.first_lane, self.i_valid)

        for lane in range(config.lanes):
            self._lane(m, lane, random[lane], choice)
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
        z, result = self.i_data[lane], self.o_data[lane]

        # The addend that the rounding calls for.
        addends = [self._addend(conversion, z, word) for conversion in conversions]
        addend = Signal(max(len(Value.cast(addend)) for addend in addends))
        select(m, choice[0], addend, addends)

        # The sum. A block that makes it may say whether the bits above the result equal the sign,
        # if they are the same ones for all conversions.
        signs = {conversion.dropped + conversion.target.width - 1 for conversion in conversions}
        block = self.cells.rounding_sum(m, z, addend, max(signs), f"sum_{lane}")
        total, equal = block or (self._sum(m, z, addend), None)
        later = choice[SUM_LATENCY if block else 3 :]

        # A stage more: the kept bits, and what those above them and the sign are: some of them
        # ones, or all.
        kept = [self._kept(m, conversion, total) for conversion in conversions]
        if equal is not None and len(signs) == 1:
            kept = [(field, ~equal, C(0)) for field, _, _ in kept]
        registers = []
        for position, name in enumerate(("field", "some", "every")):
            chosen_part = Signal(signed(len(result)) if name == "field" else 1, name=f"{name}_kept")
            select(m, later[0], chosen_part, [parts[position] for parts in kept])
            register = Signal.like(chosen_part, name=name, reset_less=True)
            m.d.sync += register.eq(chosen_part)
            registers.append(register)
        field, some, every = registers
        negative = Signal(reset_less=True)
        m.d.sync += negative.eq(total[-1])

        # The last stage: saturate where they say more than the sign.
        highest = Signal(signed(len(result)))
        select(m, later[1], highest, [conversion.target.maximum for conversion in conversions])
        limit = Mux(negative, ~highest, highest)
        saturated = Signal(signed(len(result)), reset_less=True)
        m.d.sync += saturated.eq(Mux(some & ~every, limit, field))
        m.d.comb += result.eq(late(m, saturated, "rounded", len(later) - 2))

    def _sum(self, m: Module, z: Value, addend: Value) -> Value:
        """The sum in fabric, three clocks later: registers for both, then its low half first."""
        wide = Signal(z.shape(), reset_less=True)
        taken = Signal(addend.shape(), reset_less=True, name="addend")
        m.d.sync += [wide.eq(z), taken.eq(addend)]
        total_width = max(len(wide), len(taken) + 1) + 1
        cut = total_width // 2
        low = Signal(cut + 1, reset_less=True)
        high, high_addend = (
            Signal(signed(total_width - cut), reset_less=True, name=name)
            for name in ("high", "high_addend")
        )
        extended, positive = (
            Signal(signed(total_width), name=name) for name in ("extended", "positive")
        )
        m.d.comb += [extended.eq(wide), positive.eq(taken)]
        m.d.sync += [
            low.eq(extended[:cut] + positive[:cut]),
            high.eq(extended[cut:]),
            high_addend.eq(positive[cut:]),
        ]
        total = Signal(signed(total_width), reset_less=True)
        # The carry comes in below both operands, where another one makes it a carry again.
        upper = Cat(low[cut], high) + Cat(low[cut], high_addend)
        m.d.sync += total.eq(Cat(low[:cut], upper[1:]))

        return total

    def _kept(self, m: Module, conversion: Conversion, total: Value) -> tuple[Value, Value, Value]:
        """The bits of `total` that a conversion keeps; whether some, and whether all, of the bits
        above them and of their sign are ones.
        """
        dropped, width = conversion.dropped, conversion.target.width
        shifted = total >> dropped if dropped >= 0 else total << -dropped
        if len(shifted) <= width:
            return shifted, C(0), C(0)
        above = Signal(len(shifted) - width + 1)
        m.d.comb += above.eq(shifted[width - 1 :])
        return shifted[:width].as_signed(), above.any(), above.all()


class Rounder(wiring.Component):
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

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: RounderConfig, *, cells: Cells = CELLS["generic"]):
        self.config = config
        self.cells = cells
        operand: dict[str, ShapeLike] = {
            "data": data.ArrayLayout(signed(config.width), config.lanes)
        }
        if len(config.conversions) > 1:
            operand["choice"] = range(len(config.conversions))
        result = {"data": data.ArrayLayout(signed(config.result_width), config.lanes)}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(operand))),
                "o": Out(stream.Signature(data.StructLayout(result))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.pipeline = pipeline = RoundingPipeline(self.config, cells=self.cells)
        accepted, buffer = serve(m, self.i, self.o, depth=self.config.latency + 1)
        m.d.comb += [
            pipeline.i_valid.eq(accepted),
            pipeline.i_data.eq(self.i.payload.data),
            buffer.i_valid.eq(pipeline.o_valid),
            buffer.i_payload.data.eq(pipeline.o_data),
        ]
        if len(self.config.conversions) > 1:
            m.d.comb += pipeline.i_choice.eq(self.i.payload.choice)
        return m
