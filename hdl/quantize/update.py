"""Q_G and the weight update: steps by `scaled` with stochastic rounding, then a saturating
subtraction. Six pipeline stages.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In

from golden import check
from golden.quantize import RATE_BITS, WeightUpdateConfig
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed
from hdl.quantize.scale import scaled, shift_of


class UpdatePipeline(Pipeline):
    """Q_G and the update without streams, six pipeline stages. Ports as in `WeightUpdate`.

    Parameters
    ----------
    config
        Widths, saturation, lanes and generator.
    weights_late
        Clocks by which weights come after their gradients, at most 5.
    early
        The exponent and the rate come two clocks before their gradients.
    """

    kind = "Pipeline"

    exponent: Signal
    zero: Signal
    rate: Signal

    def __init__(self, config: WeightUpdateConfig, *, weights_late: int = 0, early: bool = False):
        self.weights_late = weights_late
        self.early = early
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
        m.d.comb += self.result.valid.eq(
            registered(m, self.operand.valid, "valid", 6, reset_less=False)
        )

        # exponent - rate is at least -7, so up to 7 bits can be appended.
        exponent = Signal(range(config.width))
        m.d.comb += exponent.eq(Mux(self.exponent >= config.width, config.width - 1, self.exponent))
        most_left = (1 << (RATE_BITS - 1)) - 1
        most_dropped = config.width - 1 + (1 << (RATE_BITS - 1))
        word_bits = len(Value.cast(self.random[0]))
        shift = shift_of(
            *(m, exponent, self.rate),
            most_dropped=most_dropped,
            most_left=most_left,
            word=word_bits,
            early=self.early,
        )
        wait = 5 - self.weights_late
        wait_before = max(wait - 1, 0)
        top = config.saturation
        far = top + (1 << (config.bits - 1))  # moves any code to the opposite limit
        for lane in range(config.lanes):
            gradient = self.operand.payload.gradient[lane]
            word = Value.cast(self.random[lane])
            magnitude, negative = scaled(m, gradient, word, shift, lane)
            moves = registered(m, (gradient != 0) & ~self.zero, f"moves_{lane}", 4)
            limited = Mux(magnitude > far, far, magnitude)[: far.bit_length()]
            step = registered(m, Mux(moves, limited, 0), f"step_{lane}")
            before = registered(m, self.operand.payload.weight[lane], f"weight_{lane}", wait_before)
            # The new weight, and how far it is below and above its limits, side by side.
            weight, room_above, room_below = (
                registered(m, value, f"{name}_{lane}", wait - wait_before)
                for name, value in (
                    ("weight_there", before),
                    ("room_above", top - before),
                    ("room_below", before + top),
                )
            )
            adds = registered(m, negative, f"adds_{lane}")
            updated, above, below = (
                Signal(signed(len(step) + 3), name=f"{name}_{lane}")
                for name in ("updated", "above", "below")
            )
            m.d.comb += [
                updated.eq(_moved(weight, step, adds)),
                above.eq(_moved(room_above, step, ~adds)),
                below.eq(_moved(room_below, step, adds)),
            ]
            clipped = Mux(above < 0, top, Mux(below < 0, -top, updated))[: config.bits]
            m.d.comb += self.result.payload.weight[lane].eq(
                registered(m, clipped.as_signed(), f"weight_out_{lane}")
            )
        return m


def _moved(number: Value, step: Value, adds: Value) -> Value:
    """Return `number` + `step` if `adds` is high, else `number` - `step`, which is
    `number` + ~`step` + 1, in one adder.
    """
    term = Cat(C(1, 1), step ^ (~adds).replicate(len(step)), ~adds).as_signed()
    return (Cat(~adds, number).as_signed() + term)[1:].as_signed()


class WeightUpdate(Streamed):
    """Q_G with stochastic rounding, and the saturating update of stored weights.

    Parameters
    ----------
    config
        Widths, saturation, lanes and generator.

    Members
    -------
    i : In(stream of {weight: lanes codes of `bits` bits; gradient: lanes codes of `width` bits})
        Stored weights and their gradients.
    exponent : In
        log2 of the gradients' scale, from `ShiftExponent`; read with each operand. `width` or
        more means `width` - 1.
    zero : In(1)
        The whole gradient tensor is zero, and no weight changes; read with each operand. Random
        words are drawn all the same.
    rate : In(signed(4))
        log2 of the learning rate; read with each operand.
    o : Out(stream of {weight: lanes codes of `bits` bits})
        Updated weights, `config.latency` clocks later.

    Examples
    --------
    >>> from golden import WeightUpdateConfig
    >>> update = WeightUpdate(WeightUpdateConfig(width=24, bits=8))
    >>> update.rate.shape(), update.config.latency
    (signed(4), 8)
    """

    exponent: Signal
    zero: Signal
    rate: Signal

    def __init__(self, config: WeightUpdateConfig):
        check.instance("config", config, WeightUpdateConfig)
        super().__init__(UpdatePipeline, config)
