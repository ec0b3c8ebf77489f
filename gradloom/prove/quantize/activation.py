"""WAGE's ReLU and Q_A, with the masks of the backward pass (docs/numerics.md, section 4), on their
pipeline.
"""

from golden.quantize import ActivationQuantizerConfig
from gradloom.prove.bench import Bench
from gradloom.prove.integers import implies, largest, least, magnitude, nearest_even
from gradloom.prove.pipelines import Results


def specify(bench: Bench, config: ActivationQuantizerConfig) -> None:
    """Add the properties of the activation quantizer."""
    results = Results(bench, config)
    s = least(results.operand("shift"), config.most_shift)
    top = (1 << (config.bits - 1)) - 1
    limit = top << s
    lanes = list(
        zip(
            results.operand("operand_data"),
            bench["result_data"],
            bench["result_active"],
            bench["result_unclipped"],
            strict=True,
        )
    )
    overflows = config.width - 1 > config.bits - 1

    results.every(
        "equality",
        "the activation is RNE(min(max(acc, 0), (2^(k_A - 1) - 1) << s) >> s)",
        [code == nearest_even(least(largest(acc, 0), limit), s) for acc, code, _, _ in lanes],
        {"an activation that is not 0": [code != 0 for _, code, _, _ in lanes]},
    )
    results.every(
        "masks",
        "`active` is acc > 0; `unclipped` is max(acc, 0) <= (2^(k_A - 1) - 1) << s",
        [
            (active == (acc > 0)) & (unclipped == (largest(acc, 0) <= limit))
            for acc, _, active, unclipped in lanes
        ],
        {
            "active": [active.bool() for _, _, active, _ in lanes],
            "not active": [~active.bool() for _, _, active, _ in lanes],
            "unclipped": [unclipped.bool() for _, _, _, unclipped in lanes],
            **({"clipped": [~u.bool() for _, _, _, u in lanes]} if overflows else {}),
        },
    )
    results.every(
        "one step",
        "an unclipped activation differs from max(acc, 0) by at most half a step",
        [
            implies(
                largest(acc, 0) <= limit,
                magnitude((code << s) - largest(acc, 0)) << 1 <= 1 << s,
            )
            for acc, code, _, _ in lanes
        ],
        {"half a step": [magnitude((code << s) - acc) << 1 == 1 << s for acc, code, _, _ in lanes]}
        if config.most_shift
        else {"active": [active.bool() for _, _, active, _ in lanes]},
    )
    results.every(
        "range",
        "the activation is from 0 to 2^(k_A - 1) - 1, which is its value for larger acc: no wrap",
        [
            (code >= 0) & (code <= top) & implies(acc > limit, code == top)
            for acc, code, _, _ in lanes
        ],
        {"the highest": [code == top for _, code, _, _ in lanes]}
        if config.width >= config.bits
        else {"an activation": [code != 0 for _, code, _, _ in lanes]},
    )
