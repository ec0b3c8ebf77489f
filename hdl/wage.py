"""WAGE's quantizers in gates (Wu et al. 2018):
shifts, adders and compares, no multiplier and no divider.

Every scale in WAGE is a power of two. A quantizer takes its exponent from a port next to the stream
and reads it with each operand; the exponent of a tensor is known only when the tensor's maximum is,
so errors and gradients pass twice: once through `ShiftExponent`, once through `ErrorQuantizer` or
`WeightUpdate`. Those two share their way from a value to its rounded, scaled magnitude (`scale`):
work on the magnitude, add what the dropped bits call for, shift.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In

from golden.fixed import Rounding
from golden.wage import (
    RATE_BITS,
    ActivationQuantizerConfig,
    ErrorQuantizerConfig,
    ShiftExponentConfig,
    WeightQuantizerConfig,
    WeightUpdateConfig,
)
from hdl.delay import late
from hdl.pipeline import Pipeline, Streamed


def highest(bits: int) -> int:
    """The largest code of a WAGE word; the range is symmetric."""
    return (1 << (bits - 1)) - 1


class WeightPipeline(Pipeline):
    """Q_W, one clock through; the ports are those of `WeightQuantizer`."""

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
        m.d.comb += self.result.valid.eq(late(m, self.operand.valid, "valid", reset_less=False))
        dropped, top = config.stored - config.bits, highest(config.bits)
        for lane in range(config.lanes):
            weight = self.operand.payload.data[lane]
            rounded = Signal(signed(config.bits + 1), name=f"rounded_{lane}")
            if dropped:
                # To nearest, ties to even: just under half,
                # and a whole half where the kept part is odd.
                m.d.comb += rounded.eq(
                    (weight + ((1 << (dropped - 1)) - 1) + weight[dropped]) >> dropped
                )
            else:
                m.d.comb += rounded.eq(weight)
            clipped = Mux(rounded > top, top, Mux(rounded < -top, -top, rounded))
            m.d.comb += self.result.payload.data[lane].eq(
                late(m, clipped[: config.bits].as_signed(), f"weight_{lane}")
            )
        return m


class WeightQuantizer(Streamed):
    """Q_W: stored weights to forward weights; at 2 bits, to -1, 0, +1.

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
    """

    def __init__(self, config: WeightQuantizerConfig):
        super().__init__(WeightPipeline, config)


class ActivationPipeline(Pipeline):
    """ReLU and Q_A, three clocks through; the ports are those of `ActivationQuantizer`."""

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
        m.d.comb += self.result.valid.eq(late(m, self.operand.valid, "valid", 3, reset_less=False))
        most, top = config.most_shift, highest(config.bits)
        shift = late(m, Mux(self.shift > most, most, self.shift)[: len(self.shift)], "shift_taken")
        for lane in range(config.lanes):
            acc = late(m, self.operand.payload.data[lane], f"acc_{lane}")

            # The positive part, with as many places below the point as the shift could need.
            positive = Signal(config.width - 1, name=f"positive_{lane}")
            m.d.comb += positive.eq(Mux(acc[-1], 0, acc[:-1]))
            shifted = late(m, Cat(C(0, most), positive) >> shift, f"shifted_{lane}")
            active = late(m, positive != 0, f"active_{lane}")

            kept, half, rest = shifted[most:], shifted[most - 1], shifted[: most - 1]
            up = Signal(name=f"up_{lane}")
            over = Signal(name=f"over_{lane}")
            m.d.comb += [
                up.eq(half & (rest.any() | kept[0])),
                over.eq((kept > top) | ((kept == top) & shifted[:most].any())),
            ]
            code = Mux(kept >= top, top, kept[: config.bits] + up)[: config.bits]
            result = self.result.payload
            m.d.comb += [
                result.data[lane].eq(late(m, code, f"activation_{lane}")),
                result.active[lane].eq(late(m, active, f"active_out_{lane}")),
                result.unclipped[lane].eq(late(m, ~over, f"unclipped_{lane}")),
            ]
        return m


class ActivationQuantizer(Streamed):
    """ReLU and Q_A: sums to activations, and where they were clipped.

    Parameters
    ----------
    config
        Widths, largest shift, lanes.

    Members
    -------
    i : In(stream of {data: lanes codes of `width` bits})
        Sums.
    shift : In
        Bits dropped, k_W - 1 + log2 alpha of the layer; read with each operand.
    o : Out(stream of {data: lanes codes of `bits` bits; active: lanes bits; unclipped: lanes bits})
        Activations, `config.latency` clocks later; whether the sum was above zero (the ReLU's
        mask); whether it was within the activations' range (the clip's mask).
    """

    shift: Signal

    def __init__(self, config: ActivationQuantizerConfig):
        super().__init__(ActivationPipeline, config)


class ExponentPipeline(Pipeline):
    """A maximum and its exponent, `config.latency` - 2 clocks through; the ports are those of
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

        # A gap counts as a vector of zeros.
        level = []
        for lane in range(config.lanes):
            value = self.operand.payload.data[lane]
            magnitude = Mux(value[-1], -value, value)[:width]
            counts = self.operand.valid & self.operand.payload.keep[lane]
            level.append(late(m, Mux(counts, magnitude, 0), f"magnitude_{lane}", reset_less=False))
        ends = self.operand.valid & self.operand.payload.last
        ends = late(m, ends, "ends", 1 + config.levels, reset_less=False)
        for depth in range(config.levels):
            pairs = list(zip(level[::2], level[1::2]))
            odd = [level[-1]] if len(level) % 2 else []
            level = [
                late(m, value, f"maximum_{depth}_{k}", reset_less=False)
                for k, value in enumerate([*(Mux(a > b, a, b) for a, b in pairs), *odd])
            ]

        # Over the vectors of a tensor.
        # What is on its way from before a reset is zeroed with the rest.
        running = Signal(width)
        largest = Signal(width)
        m.d.comb += largest.eq(Mux(level[0] > running, level[0], running))
        m.d.sync += running.eq(Mux(ends, 0, largest))
        maximum = late(m, largest, "maximum")

        leading = Signal(range(width), reset_less=True)
        m.d.sync += leading.eq(0)
        for e in range(width):
            with m.If(maximum[e]):  # the highest one has the last word
                m.d.sync += leading.eq(e)
        found = late(m, maximum, "found")

        # With its leading one moved to the top, one constant serves every maximum.
        moved = Signal(width)
        above = Signal()
        threshold = 1 << (width - 1) if config.ceil else _root(1 << (2 * width - 1))
        m.d.comb += [
            moved.eq(found << (width - 1 - leading).as_unsigned()),
            above.eq(moved > threshold),
        ]
        exponent = late(m, (leading + above)[: len(leading)], "exponent")
        m.d.comb += [
            self.result.valid.eq(late(m, ends, "valid", 3, reset_less=False)),
            self.result.payload.maximum.eq(late(m, found, "maximum_out")),
            self.result.payload.exponent.eq(exponent),
            self.result.payload.zero.eq(late(m, found == 0, "zero")),
        ]
        return m


class ShiftExponent(Streamed):
    """The maximum magnitude of a tensor and the exponent of Shift: log2 of it, rounded.

    Rounding a logarithm to nearest asks whether the maximum is above 2^(e + 1/2), e its leading
    one: since sqrt 2 is irrational there are no ties, and one constant compare answers it.

    Parameters
    ----------
    config
        Width, rounding of the exponent, lanes.

    Members
    -------
    i : In(stream of {data: lanes codes; keep: lanes bits; last: 1})
        The tensor, a vector at a time. A value whose `keep` is 0 counts as zero.
        `ready` is low only on a `last` vector, while exponents wait to be taken.
    o : Out(stream of {maximum; exponent; zero: 1})
        One a tensor, `config.latency` clocks after its `last` vector.
        Where the whole tensor is zero, `zero` says so and the exponent is 0.
    """

    def __init__(self, config: ShiftExponentConfig):
        super().__init__(ExponentPipeline, config, claims="last")


def _root(square: int) -> int:
    """The largest whole number whose square is at most `square`."""
    low, high = 0, square + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle * middle <= square else (low, middle)
    return low


def scale(
    m: Module, value: Value, word: Value | None, shift: Value, most_left: int, lane: int
) -> tuple[Value, Value]:
    """|value| / 2^(shift - most_left), rounded; four clocks through.

    `shift` is `most_left` plus the bits dropped, read two clocks in; it may say that up to
    `most_left` bits are appended. With a `word` of random bits the rounding is stochastic, without
    one to nearest, ties to even. Returns the magnitude, and the sign as of the same clock.
    """
    value = late(m, value, f"value_{lane}")
    shift = late(m, shift, f"shift_{lane}")
    most_dropped = (1 << len(shift)) - 1 - most_left
    dropped = Signal(range(most_dropped + 1), name=f"dropped_{lane}")
    m.d.comb += dropped.eq(Mux(shift > most_left, shift - most_left, 0))

    # Stage 2: the magnitude, and what to add to it.
    magnitude = Signal(len(value), name=f"magnitude_{lane}")
    m.d.comb += magnitude.eq(Mux(value[-1], -value, value))
    if word is None:
        under_half = (C(1) << dropped)[1:] - (dropped != 0)
        addend = under_half + (((magnitude >> dropped) & (dropped != 0))[0])
    else:
        word = late(m, word, f"word_{lane}")
        masked = word & ((C(1) << dropped) - 1)[: len(word)]
        missing = Signal(range(max(most_dropped - len(word), 0) + 1), name=f"missing_{lane}")
        with m.If(dropped > len(word)):
            m.d.comb += missing.eq(dropped - len(word))
        addend = (Cat(C(1, 1), masked) << missing)[1:]
    addend = late(m, addend[:most_dropped], f"addend_{lane}")

    # Stages 3 and 4: the sum, and the shift.
    total = late(m, late(m, magnitude, f"magnitude_taken_{lane}") + addend, f"total_{lane}")
    scaled = late(
        m, Cat(C(0, most_left), total) >> late(m, shift, f"shift_late_{lane}", 2), f"scaled_{lane}"
    )
    return scaled, late(m, value[-1], f"negative_{lane}", 3)


class ErrorPipeline(Pipeline):
    """Q_E, five clocks through; the ports are those of `ErrorQuantizer`."""

    kind = "Pipeline"

    exponent: Signal
    zero: Signal

    def __init__(self, config: ErrorQuantizerConfig):
        super().__init__(
            config,
            operand={
                "data": data.ArrayLayout(signed(config.width), config.lanes),
                "keep": data.ArrayLayout(1, config.lanes),
            },
            result={"data": data.ArrayLayout(signed(config.bits), config.lanes)},
            draws=config.rounding is Rounding.STOCHASTIC,
            ports={"exponent": In(range(config.width)), "zero": In(1)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.d.comb += self.result.valid.eq(late(m, self.operand.valid, "valid", 5, reset_less=False))
        exponent = Signal(range(config.width))
        m.d.comb += exponent.eq(Mux(self.exponent >= config.width, config.width - 1, self.exponent))
        top = highest(config.bits)
        for lane in range(config.lanes):
            value = self.operand.payload.data[lane]
            word = Value.cast(self.random[lane]) if self.draws else None
            scaled, negative = scale(m, value, word, exponent, config.bits - 1, lane)
            keep = late(m, self.operand.payload.keep[lane] & ~self.zero, f"keep_{lane}", 4)
            code = Mux(scaled > top, top, scaled)[: config.bits - 1]
            code = Mux(keep, Mux(negative, -code, code), 0)[: config.bits]
            m.d.comb += self.result.payload.data[lane].eq(
                late(m, code.as_signed(), f"error_{lane}")
            )
        return m


class ErrorQuantizer(Streamed):
    """Q_E: errors over the power of two of their tensor, as signed words.

    Parameters
    ----------
    config
        Widths, rounding, lanes and generator.

    Members
    -------
    i : In(stream of {data: lanes codes of `width` bits; keep: lanes bits})
        Errors; the result is 0 where `keep` is 0 (the ReLU's mask, and the clip's).
    exponent : In
        log2 of the scale, as `ShiftExponent` found it; read with each operand.
        `width` or more means width - 1.
    zero : In(1)
        The whole tensor is zero: so are the results. The lanes leap all the same.
    o : Out(stream of {data: lanes codes of `bits` bits})
        Quantized errors, `config.latency` clocks later.
    """

    exponent: Signal
    zero: Signal

    def __init__(self, config: ErrorQuantizerConfig):
        super().__init__(ErrorPipeline, config)


class UpdatePipeline(Pipeline):
    """Q_G and the update, six clocks through; the ports are those of `WeightUpdate`."""

    kind = "Pipeline"

    exponent: Signal
    zero: Signal
    rate: Signal

    def __init__(self, config: WeightUpdateConfig):
        weights = data.ArrayLayout(signed(config.bits), config.lanes)
        super().__init__(
            config,
            operand={
                "weight": weights,
                "gradient": data.ArrayLayout(signed(config.width), config.lanes),
            },
            result={"weight": weights},
            draws=True,
            ports={
                "exponent": In(range(config.width)),
                "zero": In(1),
                "rate": In(signed(RATE_BITS)),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.d.comb += self.result.valid.eq(late(m, self.operand.valid, "valid", 6, reset_less=False))

        # exponent - rate is -7 at least: so many bits can be appended.
        most_left = (1 << (RATE_BITS - 1)) - 1
        most_dropped = config.width - 1 + (1 << (RATE_BITS - 1))
        exponent = Signal(range(config.width))
        shift = Signal(range(most_dropped + most_left + 1))
        m.d.comb += [
            exponent.eq(Mux(self.exponent >= config.width, config.width - 1, self.exponent)),
            shift.eq(exponent + most_left - self.rate),
        ]
        top = config.saturation
        far = top + (1 << (config.bits - 1))  # from any code to the opposite limit
        for lane in range(config.lanes):
            gradient = self.operand.payload.gradient[lane]
            word = Value.cast(self.random[lane])
            scaled, negative = scale(m, gradient, word, shift, most_left, lane)
            moves = late(m, (gradient != 0) & ~self.zero, f"moves_{lane}", 4)
            limited = Mux(scaled > far, far, scaled)[: far.bit_length()]
            step = late(m, Mux(moves, Mux(negative, -limited, limited), 0), f"step_{lane}")
            weight = late(m, self.operand.payload.weight[lane], f"weight_{lane}", 5)
            updated = Signal(signed(len(step) + 1), name=f"updated_{lane}")
            m.d.comb += updated.eq(weight - step)
            clipped = Mux(updated > top, top, Mux(updated < -top, -top, updated))[: config.bits]
            m.d.comb += self.result.payload.weight[lane].eq(
                late(m, clipped.as_signed(), f"weight_out_{lane}")
            )
        return m


class WeightUpdate(Streamed):
    """Q_G with stochastic rounding, and the saturating update:
    stored weights and gradients to stored weights.

    Parameters
    ----------
    config
        Widths, saturation, lanes and generator.

    Members
    -------
    i : In(stream of {weight: lanes codes of `bits` bits; gradient: lanes codes of `width` bits})
        Stored weights and their gradients.
    exponent : In
        log2 of the gradients' scale, as `ShiftExponent` found it; read with each operand.
        `width` or more means width - 1.
    zero : In(1)
        The whole gradient tensor is zero: no weight moves. The lanes leap all the same.
    rate : In(signed(4))
        log2 of the learning rate, read with each operand.
    o : Out(stream of {weight: lanes codes of `bits` bits})
        Updated weights, `config.latency` clocks later.
    """

    exponent: Signal
    zero: Signal
    rate: Signal

    def __init__(self, config: WeightUpdateConfig):
        super().__init__(UpdatePipeline, config)
