"""Words of the specifications: arithmetic on integers of any size.

Amaranth's expressions are exact: a sum is a bit wider than its operands, a shift to the left as
wide as it can become. So they read as the sentences of docs/numerics.md do, and nothing in them can
wrap.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import and_, or_

from amaranth.hdl import C, Mux, Value


def every(conditions: Iterable[Value]) -> Value:
    """Whether all conditions hold."""
    return reduce(and_, conditions, C(1))


def some(conditions: Iterable[Value]) -> Value:
    """Whether a condition holds."""
    return reduce(or_, conditions, C(0))


def implies(condition: Value, conclusion: Value) -> Value:
    """Whether `conclusion` holds where `condition` does."""
    return ~condition.bool() | conclusion.bool()


def clip(value: Value, low: Value | int, high: Value | int) -> Value:
    """`value` moved into the range from `low` to `high`."""
    return Mux(value > high, high, Mux(value < low, low, value))


def least(a: Value, b: Value | int) -> Value:
    """The lesser of two."""
    return Mux(a < b, a, b)


def largest(a: Value, b: Value | int) -> Value:
    """The larger of two."""
    return Mux(a > b, a, b)


def magnitude(value: Value) -> Value:
    """|value|."""
    return Mux(value < 0, -value, value).as_unsigned()


def signed_as(sign: Value, value: Value) -> Value:
    """`value` times the sign of `sign`."""
    return Mux(sign == 0, 0, Mux(sign < 0, -value, value))


def power(exponent: Value | int) -> Value:
    """2^exponent, for an exponent >= 0."""
    return C(1) << exponent


def nearest_even(value: Value, s: Value | int) -> Value:
    """Value / 2^s to the nearest whole number; of two, to the even one."""
    floor = value >> s
    left = value - (floor << s)  # 0 to 2^s - 1
    up = (left << 1 > power(s)) | ((left << 1 == power(s)) & floor[0])
    return floor + up


def draw_of(word: Value, s: Value | int) -> Value:
    """The number in [0, 2^s) that a random word of B bits stands for: its low s bits; where s > B,
    the word, a one behind it, and zeros (docs/numerics.md, section 2).
    """
    bits = len(word)
    if isinstance(s, int):
        if s <= bits:
            return word & ((1 << s) - 1)
        return (word << (s - bits)) + (1 << (s - bits - 1))
    missing = Mux(s > bits, s - bits, 0).as_unsigned()
    return Mux(s > bits, (word << missing) + (power(missing) >> 1), word & (power(s) - 1))


def chosen(choice: Value, values: Sequence[Value]) -> Value:
    """The one of `values` that `choice` numbers; past the end, the last."""
    result = values[-1]
    for number in reversed(range(len(values) - 1)):
        result = Mux(choice == number, values[number], result)
    return result
