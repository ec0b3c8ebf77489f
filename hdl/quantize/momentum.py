"""Gupta's update of a weight in gates: products, one exact sum, one rounding, one saturating
addition.

Operands wider than a multiplier are cut into limbs. Every pair of limbs has a multiplier between
registers, which DSP blocks take in. The products of gradient and decay, which a weight loses, are
added in a tree with a register behind each adder; those of the momentum, which it gains, in
another. The difference of both is saturated to 62 bits, if it can be wider, and rounded by
`RoundingPipeline`. A learning rate that is a power of two shifts the gradient in two steps, in the
clocks of the products.
"""

from typing import NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Member

from golden import check
from golden.fixed import WIDEST
from golden.quantize.momentum_config import (
    PRODUCT_STAGES,
    WEIGHT_STAGES,
    MomentumUpdateConfig,
    limbs,
)
from golden.rounder import PIPELINE_LATENCY
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed
from hdl.rounder import RoundingPipeline
from hdl.saturate import saturated


class Term(NamedTuple):
    """A term of a sum: signed `value` times 2^`shift`."""

    value: Value
    shift: int


def products(m: Module, a: Value, b: Value, shift: int, name: str, lane: int | str) -> list[Term]:
    """Multiply in limbs, three pipeline stages.

    Parameters
    ----------
    m
        Module that gets the registers.
    a, b
        Signed and unsigned operand.
    shift
        Bits by which the product is shifted to the left.
    name, lane
        Name of the registers.

    Returns
    -------
    list of Term
        Products of limbs, whose sum is a * b * 2^shift.
    """
    # Two registers in front of the multipliers and one behind them. With one and two, Yosys 0.70
    # takes both into iCE40's block of a multiplier, and leaves constants for its results.
    for stage in ("_in", ""):
        a = registered(m, a, f"{name}{stage}_{lane}")
        b = registered(m, b, f"{name}{stage}_factor_{lane}")
    found = []
    for i, (a_low, a_end) in enumerate(limbs(len(a), signed=True)):
        # Only the highest limb has a sign.
        left = a[a_low:a_end] if a_end == len(a) else Cat(a[a_low:a_end], C(0, 1))
        for j, (b_low, b_end) in enumerate(limbs(len(b), signed=False)):
            right = Cat(b[b_low:b_end], C(0, 1))
            product = Signal(
                signed(len(left) + len(right) - 1),
                name=f"{name}_out_{lane}_{i}_{j}",
                reset_less=True,
            )
            m.d.sync += product.eq(left.as_signed() * right.as_signed())
            found.append(Term(product, shift + a_low + b_low))
    return found


def shifted(m: Module, a: Value, places: Value, most: int, shift: int, lane: int) -> Term:
    """Shift to the left at run time, three pipeline stages.

    Parameters
    ----------
    m
        Module that gets the registers.
    a
        Signed operand.
    places
        Number of places; more than `most` means `most`.
    most
        The largest number of places.
    shift
        Bits by which the result is shifted further.
    lane
        Number of the lane, for names.

    Returns
    -------
    Term
        a * 2^(places + shift).
    """
    limited = Mux(places > most, most, places)[: max(most.bit_length(), 1)]
    a, places = registered(m, a, f"gradient_{lane}"), registered(m, limited, f"places_{lane}")
    fine = len(places) // 2
    coarse = registered(m, places[fine:], f"places_coarse_{lane}")
    half = registered(m, a << places[:fine] if fine else a, f"gradient_fine_{lane}")
    whole = (half << (coarse << fine))[: len(a) + most].as_signed()
    return Term(registered(m, whole, f"gradient_out_{lane}_0_0"), shift)


def added(a: Term, b: Term) -> Term:
    """Return the exact sum of two terms. Low bits that one of them lacks take no adder."""
    low, high = sorted((a, b), key=lambda term: term.shift)
    apart = high.shift - low.shift
    wide = Cat(low.value, low.value[-1].replicate(max(apart + 1 - len(low.value), 0)))
    upper = wide[apart:].as_signed() + high.value
    return Term(Cat(wide[:apart], upper).as_signed(), low.shift)


def tree(m: Module, terms: list[Term], stages: int, name: str) -> Term:
    """Add terms two by two, with a register behind each adder and `stages` pipeline stages."""
    for stage in range(stages):
        pairs = [terms[k : k + 2] for k in range(0, len(terms), 2)]
        sums = [added(*pair) if len(pair) > 1 else pair[0] for pair in pairs]
        terms = [
            Term(registered(m, value, f"{name}_sum_{stage}_{number}"), shift)
            for number, (value, shift) in enumerate(sums)
        ]
    (total,) = terms
    return total


class MomentumPipeline(Pipeline):
    """Gupta's update without streams. Ports as in `MomentumUpdate`.

    Parameters
    ----------
    config
        Formats, rounding, lanes and generator.
    """

    kind = "Pipeline"

    rate: Signal
    momentum: Signal
    decay: Signal

    def __init__(self, config: MomentumUpdateConfig):
        word = data.ArrayLayout(signed(config.word.width), config.lanes)
        operand = {
            "gradient": data.ArrayLayout(signed(config.width), config.lanes),
            "weight": word,
        }
        result = {"weight": word}
        ports: dict[str, Member] = {"rate": In(unsigned(config.rate_port_bits))}
        if config.momentum_bits:
            operand["update"] = result["update"] = word
            ports["momentum"] = In(unsigned(config.momentum_bits))
        if config.decay_bits:
            ports["decay"] = In(unsigned(config.decay_bits))
        super().__init__(
            config, operand=operand, result=result, draws=config.stochastic, ports=ports
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, operand = self.config, self.operand.payload
        sums = PRODUCT_STAGES + config.sum_stages + 1 + config.saturates
        m.submodules.rounder = rounder = RoundingPipeline(config.rounder)
        m.d.comb += rounder.operand.valid.eq(
            registered(m, self.operand.valid, "valid", sums, reset_less=False)
        )
        m.d.comb += self.result.valid.eq(
            registered(m, rounder.result.valid, "valid_out", WEIGHT_STAGES, reset_less=False)
        )
        for lane in range(config.lanes):
            if config.stochastic:
                word = registered(m, Value.cast(self.random[lane]), f"random_{lane}", sums)
                m.d.comb += Value.cast(rounder.random[lane]).eq(word)
            m.d.comb += rounder.operand.payload.data[lane].eq(self._saturated(m, lane))

            # The new weight.
            weight = registered(m, operand.weight[lane], f"weight_{lane}", sums + PIPELINE_LATENCY)
            update = rounder.result.payload.data[lane]
            moved = registered(m, weight + update, f"moved_{lane}")
            m.d.comb += self.result.payload.weight[lane].eq(
                registered(m, saturated(moved, config.word.width), f"weight_out_{lane}")
            )
            if config.momentum_bits:
                m.d.comb += self.result.payload.update[lane].eq(
                    registered(m, update, f"update_out_{lane}", WEIGHT_STAGES)
                )
        return m

    def _saturated(self, m: Module, lane: int) -> Value:
        """Return the sum of a lane, saturated to 62 bits."""
        config, operand = self.config, self.operand.payload
        gradient, weight = operand.gradient[lane], operand.weight[lane]
        if config.power:
            most = config.rate_bits - 1
            loses = [shifted(m, gradient, self.rate, most, config.rate_shift, lane)]
        else:
            loses = products(m, gradient, self.rate, config.rate_shift, "gradient", lane)
        if config.decay_bits:
            loses += products(m, weight, self.decay, config.decay_shift, "decay", lane)
        gains = [Term(C(0, signed(1)), 0)]
        if config.momentum_bits:
            shift = config.momentum_shift
            gains = products(m, operand.update[lane], self.momentum, shift, "momentum", lane)

        stages = config.sum_stages
        lost = tree(m, loses, stages, f"lost_{lane}")
        gained = gains[0]
        if config.momentum_bits:
            gained = tree(m, gains, stages, f"gained_{lane}")
        total = Signal(signed(config.sum_width), name=f"total_{lane}", reset_less=True)
        m.d.sync += total.eq((gained.value << gained.shift) - (lost.value << lost.shift))
        if not config.saturates:
            return total
        return registered(m, saturated(total, WIDEST), f"saturated_{lane}")


class MomentumUpdate(Streamed):
    """Gupta's update with momentum and weight decay: one rounding of an exact sum.

    Parameters
    ----------
    config
        Formats, rounding, lanes and generator.

    Members
    -------
    i : In(stream of {gradient: lanes codes of `width` bits; weight, update: lanes words})
        Gradient sums, weights and, with momentum, their latest updates.
    rate : In
        Learning rate / batch, or its exponent; read with each operand, like the other factors.
        Exponents past the last one mean the last one.
    momentum : In, with momentum
        The momentum.
    decay : In, with decay
        Learning rate * decay. It is 0 for biases.
    o : Out(stream of {weight, update: lanes words})
        Updated weights and, with momentum, their updates, `config.latency` clocks later.

    Examples
    --------
    >>> from golden import MomentumUpdateConfig
    >>> update = MomentumUpdate(MomentumUpdateConfig(decay_bits=0))
    >>> update.rate.shape(), update.config.latency
    (unsigned(23), 17)
    """

    rate: Signal
    momentum: Signal
    decay: Signal

    def __init__(self, config: MomentumUpdateConfig):
        check.instance("config", config, MomentumUpdateConfig)
        super().__init__(MomentumPipeline, config)
