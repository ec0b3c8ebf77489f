"""Convert (docs/numerics.md, section 1) on the rounding pipeline."""

from collections.abc import Callable

from amaranth.hdl import C, Value

from golden.fixed import Conversion, Rounding
from golden.rounder import RounderConfig
from gradloom.prove.bench import Bench
from gradloom.prove.integers import chosen, clip, draw_of, implies, nearest_even
from gradloom.prove.pipelines import Results

#: A condition of a conversion, a code, its random word and its result.
Condition = Callable[[Conversion, Value, Value, Value], Value]


def rounded(conversion: Conversion, z: Value, word: Value) -> Value:
    """Return z / 2^s, rounded to an integer but not saturated; s is the number of dropped bits."""
    s = conversion.fraction - conversion.target.fl
    if s <= 0:
        return z << -s
    floor = z >> s
    left, half = z - (floor << s), 1 << (s - 1)
    match conversion.rounding:
        case Rounding.STOCHASTIC:
            return (z + draw_of(word, s)) >> s
        case Rounding.NEAREST_DOWN:
            return floor + (left > half)
        case Rounding.NEAREST_UP:
            return floor + (left >= half)
        case Rounding.NEAREST_AWAY:
            return floor + ((left > half) | ((left == half) & (z > 0)))
        case Rounding.NEAREST_EVEN:
            return nearest_even(z, s)
    raise AssertionError(conversion.rounding)


def limits(conversion: Conversion) -> tuple[int, int]:
    """Return the lowest and the highest code of the target."""
    top = 1 << (conversion.target.il + conversion.target.fl - 1)
    return -top, top - 1


def specify(bench: Bench, config: RounderConfig) -> None:
    """Add the properties of the rounding pipeline."""
    results = Results(bench, config)
    z, words = results.operand("operand_data"), results.words(config.lanes)
    choice = results.operand("operand_choice") if "operand_choice" in bench else C(0)
    lanes = list(zip(z, words, bench["result_data"], strict=True))

    def each(condition: Condition) -> list[Value]:
        """Return for every lane the condition for the conversion that was chosen."""
        return [
            chosen(choice, [condition(conversion, *lane) for conversion in config.conversions])
            for lane in lanes
        ]

    def scaled(conversion: Conversion, z: Value) -> tuple[Value, Value]:
        """Return z / 2^s rounded down, and the remainder."""
        s = max(conversion.fraction - conversion.target.fl, 0)
        floor = z >> s if s else rounded(conversion, z, C(0))
        return floor, z - (floor << s) if s else C(0)

    def inside(conversion: Conversion, z: Value) -> Value:
        low, high = limits(conversion)
        floor, _ = scaled(conversion, z)
        return (floor >= low) & (floor <= high)

    results.every(
        "equality",
        "the code is saturate((z + r) >> s), or z / 2^s rounded to nearest, or z << -s if no bit "
        "is dropped",
        each(lambda c, z, word, code: code == clip(rounded(c, z, word), *limits(c))),
        {"a code that is not 0": each(lambda c, z, word, code: code != 0)},
    )

    down = each(
        lambda c, z, word, code: inside(c, z) & scaled(c, z)[1].bool() & (code == scaled(c, z)[0])
    )
    up = each(lambda c, z, word, code: inside(c, z) & (code == scaled(c, z)[0] + 1))
    # With one dropped bit, every inexact value is a tie. These two roundings move ties one way.
    moves = {
        case: found
        for case, found, never in (
            ("rounded down", down, Rounding.NEAREST_UP),
            ("rounded up", up, Rounding.NEAREST_DOWN),
        )
        if any(
            c.dropped > 1 or (c.dropped == 1 and c.rounding != never) for c in config.conversions
        )
    }
    if any(conversion.dropped > 0 for conversion in config.conversions):
        results.every(
            "one step",
            "a code within the limits is z / 2^s rounded down or up, less than one step away",
            each(
                lambda c, z, word, code: implies(
                    inside(c, z),
                    (code == scaled(c, z)[0])
                    | ((code == scaled(c, z)[0] + 1) & scaled(c, z)[1].bool()),
                )
            ),
            moves,
        )
        results.every(
            "exact values",
            "a value that the target can represent does not change, for any random word",
            each(
                lambda c, z, word, code: implies(
                    inside(c, z) & (scaled(c, z)[1] == 0), code == scaled(c, z)[0]
                )
            ),
            {
                "an exact value that is not 0": each(
                    lambda c, z, word, code: (
                        inside(c, z) & (scaled(c, z)[1] == 0) & (scaled(c, z)[0] != 0)
                    )
                )
            },
        )
    if any(saturates(conversion, config.width) for conversion in config.conversions):
        results.every(
            "saturation",
            "beyond the limits, the code is the limit: it never wraps",
            each(
                lambda c, z, word, code: (
                    implies(scaled(c, z)[0] > limits(c)[1], code == limits(c)[1])
                    & implies(scaled(c, z)[0] < limits(c)[0], code == limits(c)[0])
                )
            ),
            {
                "above": each(lambda c, z, word, code: scaled(c, z)[0] > limits(c)[1]),
                "below": each(lambda c, z, word, code: scaled(c, z)[0] < limits(c)[0]),
            },
        )
    if config.saturated:
        _specify_saturated(results, config, each)


def _specify_saturated(
    results: Results, config: RounderConfig, each: Callable[[Condition], list[Value]]
) -> None:
    """Add the property of the bit beside each result; `each` gives a condition for every lane."""
    bits = results.bench["result_saturated"]

    def outside(conversion: Conversion, z: Value, word: Value, code: Value) -> Value:
        low, high = limits(conversion)
        whole = rounded(conversion, z, word)
        return (whole < low) | (whole > high)

    beyond = each(outside)
    top = each(lambda c, z, word, code: code == limits(c)[1])
    bottom = each(lambda c, z, word, code: code == limits(c)[0])
    cases = {"not clipped": [~bit.bool() for bit in bits]}
    if any(reaches(conversion, config.width) for conversion in config.conversions):
        cases["the highest code, exact"] = [at & ~bit.bool() for at, bit in zip(top, bits)]
        cases["the lowest code, exact"] = [at & ~bit.bool() for at, bit in zip(bottom, bits)]
    if any(rounds_beyond(conversion, config.width) for conversion in config.conversions):
        cases["clipped above"] = [at & bit.bool() for at, bit in zip(top, bits)]
    if any(saturates(conversion, config.width) for conversion in config.conversions):
        cases["clipped below"] = [at & bit.bool() for at, bit in zip(bottom, bits)]
    results.every(
        "clipped",
        "`saturated` is 1 if and only if the code before saturation is beyond the limits",
        [bit.bool() == out for bit, out in zip(bits, beyond, strict=True)],
        cases,
    )


def saturates(conversion: Conversion, width: int) -> bool:
    """Return whether codes of `width` bits can be beyond the target's limits."""
    return width - conversion.dropped > conversion.target.width


def reaches(conversion: Conversion, width: int) -> bool:
    """Return whether codes of `width` bits have the target's limits among their results."""
    return width - conversion.dropped >= conversion.target.width and conversion.dropped >= 0


def rounds_beyond(conversion: Conversion, width: int) -> bool:
    """Return whether codes of `width` bits, once rounded, can be beyond the target's upper limit.

    The largest code ends in ones, so that every rounding takes it up, but for a tie that goes down.
    """
    ties_down = conversion.rounding is Rounding.NEAREST_DOWN and conversion.dropped == 1
    full = width - conversion.dropped == conversion.target.width
    return saturates(conversion, width) or (full and conversion.dropped > 0 and not ties_down)
