"""WAGE's Q_W (docs/numerics.md, section 4) on its pipeline."""

from golden.quantize import WeightQuantizerConfig
from gradloom.prove.bench import Bench
from gradloom.prove.integers import clip, implies, magnitude, nearest_even, signed_as
from gradloom.prove.pipelines import Results


def specify(bench: Bench, config: WeightQuantizerConfig) -> None:
    """Add the properties of the weight quantizer."""
    results = Results(bench, config)
    lanes = list(zip(results.operand("operand_data"), bench["result_data"], strict=True))
    s, top = config.stored - config.bits, (1 << (config.bits - 1)) - 1

    results.every(
        "equality",
        "the weight is clip(RNE(n >> (k_G - k_W)), +-(2^(k_W - 1) - 1))",
        [weight == clip(nearest_even(n, s), -top, top) for n, weight in lanes],
        {"a weight that is not 0": [weight != 0 for _, weight in lanes]},
    )
    if config.bits == 2 and s >= 1:
        threshold = 1 << (config.stored - 3) if config.stored >= 3 else 0
        results.every(
            "ternary",
            "the weight is sgn(n) if |n| > 2^(k_G - 3), else 0",
            [weight == signed_as(n, magnitude(n) > threshold) for n, weight in lanes],
            {
                "at the threshold": [magnitude(n) == threshold for n, _ in lanes],
                "above it": [magnitude(n) == threshold + 1 for n, _ in lanes],
            },
        )
    results.every(
        "one step",
        "within the limits, the weight differs from n by at most half a step",
        [
            implies(
                magnitude(n) <= top << s,
                magnitude((weight << s) - n) << 1 <= (1 << s if s else 0),
            )
            for n, weight in lanes
        ],
        {
            "within the limits": [(magnitude(n) <= top << s) & (n != 0) for n, _ in lanes],
        },
    )
    results.every(
        "range",
        "the weight is never beyond its limits: it saturates and does not wrap",
        [
            (weight >= -top)
            & (weight <= top)
            & implies(n >= top << s, weight == top)
            & implies(n <= -(top << s), weight == -top)
            for n, weight in lanes
        ],
        {
            "the highest": [weight == top for _, weight in lanes],
            "the lowest": [weight == -top for _, weight in lanes],
        },
    )
