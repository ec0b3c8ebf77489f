"""Arithmetic on integers of any size, for the specifications.

Amaranth's expressions are exact: a sum is one bit wider than its operands, a shift to the left as
wide as its largest result. So they can be written as in docs/numerics.md, and never wrap.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import and_, or_

from amaranth.hdl import C, Mux, Value


def every(conditions: Iterable[Value]) -> Value:
    """Return whether all conditions hold."""
    return reduce(and_, conditions, C(1))


def some(conditions: Iterable[Value]) -> Value:
    """Return whether at least one condition holds."""
    return reduce(or_, conditions, C(0))


def implies(condition: Value, conclusion: Value) -> Value:
    """Return whether `conclusion` holds or `condition` does not."""
    return ~condition.bool() | conclusion.bool()


def clip(value: Value, low: Value | int, high: Value | int) -> Value:
    """Return `value` limited to the range from `low` to `high`."""
    return Mux(value > high, high, Mux(value < low, low, value))


def least(a: Value, b: Value | int) -> Value:
    """Return the smaller of two values."""
    return Mux(a < b, a, b)


def largest(a: Value, b: Value | int) -> Value:
    """Return the larger of two values."""
    return Mux(a > b, a, b)


def magnitude(value: Value) -> Value:
    """Return |value|."""
    return Mux(value < 0, -value, value).as_unsigned()


def signed_as(sign: Value, value: Value) -> Value:
    """Return `value` times the sign of `sign`."""
    return Mux(sign == 0, 0, Mux(sign < 0, -value, value))


def power(exponent: Value | int) -> Value:
    """Return 2^exponent, for an exponent >= 0."""
    return C(1) << exponent


def nearest_even(value: Value, s: Value | int) -> Value:
    """Return value / 2^s, rounded to the nearest integer, and half to even."""
    floor = value >> s
    left = value - (floor << s)  # 0 to 2^s - 1
    up = (left << 1 > power(s)) | ((left << 1 == power(s)) & floor[0])
    return floor + up


def draw_of(word: Value, s: Value | int) -> Value:
    """Return the number in [0, 2^s) for a random word of B bits: its low s bits or, if s > B, the
    word with a one and then zeros below it (docs/numerics.md, section 2).
    """
    bits = len(word)
    if isinstance(s, int):
        if s <= bits:
            return word & ((1 << s) - 1)
        return (word << (s - bits)) + (1 << (s - bits - 1))
    missing = Mux(s > bits, s - bits, 0).as_unsigned()
    return Mux(s > bits, (word << missing) + (power(missing) >> 1), word & (power(s) - 1))


def chosen(choice: Value, values: Sequence[Value]) -> Value:
    """Return `values[choice]`, or the last of `values` if `choice` is past the end."""
    result = values[-1]
    for number in reversed(range(len(values) - 1)):
        result = Mux(choice == number, values[number], result)
    return result
