"""Arithmetic that the quantizers share."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value

from hdl.delay import registered


def largest_code(bits: int) -> int:
    """Return the largest code of a WAGE word of `bits` bits; the smallest is its negative."""
    return (1 << (bits - 1)) - 1


def scaled(
    m: Module, value: Value, word: Value | None, shift: Value, most_left: int, lane: int
) -> tuple[Value, Value]:
    """Compute |value| / 2^(shift - most_left), rounded. Four pipeline stages.

    The magnitude is rounded as `hdl.rounder` does: an addend, then a shift.

    Parameters
    ----------
    m
        Module that gets the registers.
    value
        Signed value.
    word
        Random word for stochastic rounding; None rounds to nearest, ties to even.
    shift
        Number of bits to drop, plus `most_left`, so that it is unsigned: below `most_left`, bits
        are appended instead.
    most_left
        Maximum number of bits to append.
    lane
        Number of the lane, for names.

    Returns
    -------
    magnitude : Value
        The rounded quotient, unsigned.
    negative : Value
        Sign of `value`, delayed as the magnitude is.
    """
    # Stage 1: registers of the operands.
    value = registered(m, value, f"value_{lane}")
    shift = registered(m, shift, f"shift_{lane}")
    most_dropped = (1 << len(shift)) - 1 - most_left
    dropped = Signal(range(most_dropped + 1), name=f"dropped_{lane}")
    m.d.comb += dropped.eq(Mux(shift > most_left, shift - most_left, 0))

    # Stage 2: magnitude and addend.
    magnitude = Signal(len(value), name=f"magnitude_{lane}")
    m.d.comb += magnitude.eq(Mux(value[-1], -value, value))
    if word is None:
        under_half = (C(1) << dropped)[1:] - (dropped != 0)
        addend = under_half + (((magnitude >> dropped) & (dropped != 0))[0])
    else:
        word = registered(m, word, f"word_{lane}")
        masked = word & ((C(1) << dropped) - 1)[: len(word)]
        missing = Signal(range(max(most_dropped - len(word), 0) + 1), name=f"missing_{lane}")
        with m.If(dropped > len(word)):
            m.d.comb += missing.eq(dropped - len(word))
        addend = (Cat(C(1, 1), masked) << missing)[1:]
    addend = registered(m, addend[:most_dropped], f"addend_{lane}")

    # Stages 3 and 4: sum and shift.
    total = registered(
        m, registered(m, magnitude, f"magnitude_taken_{lane}") + addend, f"total_{lane}"
    )
    quotient = registered(
        m,
        Cat(C(0, most_left), total) >> registered(m, shift, f"shift_late_{lane}", 2),
        f"scaled_{lane}",
    )
    return quotient, registered(m, value[-1], f"negative_{lane}", 3)
