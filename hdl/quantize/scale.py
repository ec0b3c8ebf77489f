"""Arithmetic that the quantizers share."""

from typing import NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value

from hdl.delay import registered


def largest_code(bits: int) -> int:
    """Return the largest code of a WAGE word of `bits` bits; the smallest is its negative."""
    return (1 << (bits - 1)) - 1


class Shift(NamedTuple):
    """How far values are shifted, for `scaled`, for all lanes.

    Parameters
    ----------
    dropped
        Number of bits to drop, 0 or more, a clock after the values.
    mask
        Bit k is set if more than k bits are dropped; at the same clock.
    missing
        Number of dropped bits below a random word, at the clock of the values.
    most_left
        Maximum number of bits to append.
    late
        Number of bits to drop, plus `most_left`, two clocks after the values: below `most_left`,
        bits are appended.
    """

    dropped: Value
    mask: Value
    missing: Value
    most_left: int
    late: Value


def shift_of(
    m: Module,
    exponent: Value,
    rate: Value,
    *,
    most_dropped: int,
    most_left: int,
    word: int,
    early: bool,
) -> Shift:
    """Return a shift by `exponent` - `rate` bits for values of the same clock.

    Parameters
    ----------
    m
        Module that gets the registers.
    exponent
        Unsigned exponent.
    rate
        Signed or unsigned value.
    most_dropped, most_left
        Maximum and negated minimum of the difference.
    word
        Bits of the random words; 0 without.
    early
        The exponent and the rate are here two clocks before the values.
    """
    difference: Value = exponent - rate
    if early:
        difference = registered(m, difference, "difference")
    dropped = Signal(range(most_dropped + 1), name="dropped")
    missing = Signal(range(max(most_dropped - word, 0) + 1), name="missing")
    given = Mux(difference < 0, 0, difference)[: len(dropped)]
    if early:
        given = registered(m, given, "given")
        difference = registered(m, difference, "difference_given")
    m.d.comb += dropped.eq(given)
    if word:
        # Only the bits above the zeros of `word` need a subtraction.
        zeros = (word & -word).bit_length() - 1
        rest = Cat(dropped[:zeros], (dropped[zeros:] - (word >> zeros))[: len(dropped) - zeros])
        m.d.comb += missing.eq(Mux(dropped >= word, rest, 0))
    late = registered(m, difference, "difference_taken")
    shift = Signal(range(most_dropped + most_left + 1), name="shift")
    m.d.comb += shift.eq(late + most_left)
    return Shift(
        registered(m, dropped, "dropped_taken"),
        registered(m, Cat(dropped > k for k in range(most_dropped)), "mask"),
        missing,
        most_left,
        registered(m, shift, "shift_late"),
    )


def scaled(
    m: Module, value: Value, word: Value | None, shift: Shift, lane: int
) -> tuple[Value, Value]:
    """Compute |value| / 2^(number of bits to drop), rounded. Four pipeline stages.

    The magnitude is rounded as `hdl.rounder` does: an addend, then a shift. Each lane has registers
    of its own for the numbers of bits, as they drive many multiplexers.

    Parameters
    ----------
    m
        Module that gets the registers.
    value
        Signed value.
    word
        Random word for stochastic rounding; None rounds to nearest, ties to even.
    shift
        Number of bits to drop or to append.
    lane
        Number of the lane, for names.

    Returns
    -------
    magnitude : Value
        The rounded quotient, unsigned.
    negative : Value
        Sign of `value`, delayed as the magnitude is.
    """
    # Stage 1: magnitude.
    magnitude = registered(m, Mux(value[-1], -value, value)[: len(value)], f"magnitude_{lane}")
    negative = registered(m, value[-1], f"sign_{lane}")

    # Stage 2: addend.
    if word is None:
        addend: Value = shift.mask[1:]
        odd: Value = ((magnitude >> shift.dropped) & shift.mask[:1])[0]
    else:
        word = registered(m, word, f"word_{lane}")
        masked = word & shift.mask[: len(word)]
        missing = registered(m, shift.missing, f"missing_{lane}", keep=True)
        addend = (Cat(C(1, 1), masked) << missing)[1:]
        odd = C(0, 1)
    addend = registered(m, addend[: len(shift.mask)], f"addend_{lane}")
    odd = registered(m, odd, f"odd_{lane}") if word is None else odd
    taken = registered(m, magnitude, f"magnitude_taken_{lane}")

    # Stages 3 and 4: sum and shift. The odd bit is a carry into the sum.
    total = taken + addend if word is not None else (Cat(C(1, 1), taken) + Cat(odd, addend))[1:]
    total = registered(m, total, f"total_{lane}")
    amount = registered(m, shift.late, f"shift_{lane}", keep=True)
    quotient = registered(m, Cat(C(0, shift.most_left), total) >> amount, f"scaled_{lane}")
    return quotient, registered(m, negative, f"negative_{lane}", 3)
