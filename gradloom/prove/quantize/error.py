"""WAGE's Q_E (docs/numerics.md, section 4) on its pipeline."""

from amaranth.hdl import Mux, Value

from golden.fixed import Rounding
from golden.quantize import ErrorQuantizerConfig
from gradloom.prove.bench import Bench
from gradloom.prove.integers import (
    clip,
    draw_of,
    implies,
    least,
    magnitude,
    nearest_even,
    power,
    signed_as,
)
from gradloom.prove.pipelines import Results


def specify(bench: Bench, config: ErrorQuantizerConfig) -> None:
    """Add the properties of the error quantizer."""
    results = Results(bench, config)
    fraction = config.bits - 1
    top = (1 << fraction) - 1
    k = least(results.operand("exponent"), config.width - 1)
    zero = results.operand("zero")
    # Number of bits appended if k <= k_E - 1, and of bits dropped above that.
    left = Mux(k < fraction, fraction - k, 0).as_unsigned()
    s = Mux(k > fraction, k - fraction, 0).as_unsigned()
    lanes = list(
        zip(
            results.operand("operand_data"),
            results.words(config.lanes),
            results.operand("operand_keep"),
            bench["result_data"],
            strict=True,
        )
    )

    def quantized(error: Value, word: Value) -> Value:
        small = clip(error << left, -top, top)
        if config.rounding is Rounding.STOCHASTIC:
            large = signed_as(error, least((magnitude(error) + draw_of(word, s)) >> s, top))
        else:
            large = nearest_even(clip(error, -(top << s), top << s), s)
        return Mux(s > 0, large, small)

    kept = [keep.bool() & ~zero for _, _, keep, _ in lanes]
    draws = config.rounding is Rounding.STOCHASTIC
    results.every(
        "equality",
        "the result is Q_E of the error, s = k - (k_E - 1): sgn(E) min((|E| + r) >> s, top)"
        if draws
        else "the result is Q_E of the error, s = k - (k_E - 1): RNE(clip(E, +-(top << s)) >> s)",
        [
            code == Mux(keep, quantized(error, word), 0)
            for keep, (error, word, _, code) in zip(kept, lanes)
        ],
        {"a result that is not 0": [code != 0 for *_, code in lanes]},
    )
    results.every(
        "masked",
        "the result is 0 if `keep` is 0 or the whole tensor is zero",
        [implies(~keep, code == 0) for keep, (*_, code) in zip(kept, lanes)],
        {"masked": [~keep & (error != 0) for keep, (error, *_) in zip(kept, lanes)]},
    )
    results.every(
        "range",
        "the result is within +-top and has the error's sign: saturation never wraps",
        [
            (code >= -top)
            & (code <= top)
            & implies(error >= 0, code >= 0)
            & implies(error <= 0, code <= 0)
            & implies(keep & (magnitude(error) >= top << s) & (left == 0), magnitude(code) == top)
            for keep, (error, _, _, code) in zip(kept, lanes)
        ],
        {
            "the highest": [code == top for *_, code in lanes],
            "the lowest": [code == -top for *_, code in lanes],
        },
    )
    if config.width - 1 > fraction:
        results.every(
            "one step",
            "within the limits, the result differs from the error by less than one step; an exact "
            "error does not change",
            [
                implies(
                    keep & (s > 0) & (magnitude(error) <= top << s),
                    (magnitude((code << s) - error) < power(s))
                    & implies((magnitude(error) & (power(s) - 1)) == 0, (code << s) == error),
                )
                for keep, (error, _, _, code) in zip(kept, lanes)
            ],
            {
                "rounded away from zero": [
                    keep & (s > 0) & (magnitude(code) << s > magnitude(error))
                    for keep, (error, _, _, code) in zip(kept, lanes)
                ],
                "exact": [
                    (s > 0) & ((code << s) == error) & (code != 0) for error, _, _, code in lanes
                ],
            },
        )
