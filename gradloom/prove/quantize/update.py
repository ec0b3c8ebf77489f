"""WAGE's Q_G and the update (docs/numerics.md, section 4) on their pipeline."""

from amaranth.hdl import Mux, Value

from golden.quantize import WeightUpdateConfig
from gradloom.prove.bench import Bench
from gradloom.prove.integers import clip, draw_of, implies, least, magnitude, power, signed_as
from gradloom.prove.pipelines import Results


def specify(bench: Bench, config: WeightUpdateConfig) -> None:
    """Add the properties of the weight update."""
    results = Results(bench, config)
    top = 1 << (config.bits - 2) if config.half else (1 << (config.bits - 1)) - 1
    k = least(results.operand("exponent"), config.width - 1)
    shift = k - results.operand("rate")
    zero = results.operand("zero")
    # Number of bits dropped, and of bits appended if that is negative.
    s = Mux(shift > 0, shift, 0).as_unsigned()
    left = Mux(shift < 0, -shift, 0).as_unsigned()
    lanes = list(
        zip(
            results.operand("operand_weight"),
            results.operand("operand_gradient"),
            results.words(config.lanes),
            bench["result_weight"],
            strict=True,
        )
    )

    def step(gradient: Value, word: Value) -> Value:
        size = Mux(
            shift > 0,
            (magnitude(gradient) + draw_of(word, s)) >> s,
            magnitude(gradient) << left,
        )
        return Mux(zero, 0, signed_as(gradient, size))

    def clipped(weight: Value) -> Value:
        return clip(weight, -top, top)

    results.every(
        "equality",
        "n' = clip(n - sgn(g) step), step = (|g| + r) >> (k - h), or |g| << (h - k)",
        [new == clipped(n - step(gradient, word)) for n, gradient, word, new in lanes],
        {"a weight that moves": [new != n for n, _, _, new in lanes]},
    )
    results.every(
        "range",
        "the updated weight is within its limits, also if it was not before",
        [(new >= -top) & (new <= top) for *_, new in lanes],
        {
            "the highest": [new == top for *_, new in lanes],
            "the lowest": [new == -top for *_, new in lanes],
        },
    )
    results.every(
        "direction",
        "a weight never moves in the direction of its gradient's sign, and stays if the gradient "
        "or the whole tensor is zero",
        [
            implies(gradient >= 0, new <= clipped(n))
            & implies(gradient <= 0, new >= clipped(n))
            & implies(zero, new == clipped(n))
            for n, gradient, _, new in lanes
        ],
        {
            "no gradient": [(gradient == 0) & (n != 0) for n, gradient, _, _ in lanes],
            "a zero tensor": [zero & (gradient != 0) for _, gradient, _, _ in lanes],
        },
    )
    moved = [clipped(n) - new for n, _, _, new in lanes]  # the step, if it stays within the limits
    results.every(
        "one step",
        "a step within the limits is |g| / 2^s rounded down or up, and exact if |g| / 2^s is an "
        "integer",
        [
            implies(
                ~zero & (shift > 0) & (magnitude(n) <= top) & (magnitude(new) < top),
                (magnitude((magnitude(move) << s).as_signed() - magnitude(gradient)) < power(s))
                & implies(
                    (magnitude(gradient) & (power(s) - 1)) == 0,
                    magnitude(move) << s == magnitude(gradient),
                ),
            )
            for (n, gradient, _, new), move in zip(lanes, moved)
        ],
        {
            "rounded up": [
                ~zero
                & (shift > 0)
                & (magnitude(n) <= top)
                & (magnitude(new) < top)
                & (magnitude(move) << s > magnitude(gradient))
                for (n, gradient, _, new), move in zip(lanes, moved)
            ],
        },
    )
