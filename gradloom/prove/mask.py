"""ReLU and the masks of errors (docs/numerics.md, section 5), on their pipeline."""

from golden.mask import MaskConfig
from gradloom.prove.bench import Bench
from gradloom.prove.integers import implies, largest
from gradloom.prove.pipelines import Results


def specify(bench: Bench, config: MaskConfig) -> None:
    """Add the properties of the masks."""
    results = Results(bench, config)
    relu, by_active, by_unclipped = (
        results.operand(name).bool() for name in ("relu", "use_active", "use_unclipped")
    )
    lanes = list(
        zip(
            results.operand("operand_data"),
            results.operand("operand_active"),
            results.operand("operand_unclipped"),
            bench["result_data"],
            bench["result_active"],
            strict=True,
        )
    )
    passes = [
        implies(by_active, active) & implies(by_unclipped, unclipped)
        for _, active, unclipped, _, _ in lanes
    ]
    words = [word for word, *_ in lanes]
    codes = [code for *_, code, _ in lanes]

    results.every(
        "masks",
        "where a mask in use is 0, the result is 0; elsewhere it is the word, with `relu` "
        "max(word, 0)",
        [
            implies(~passing, code == 0)
            & implies(passing & ~relu, code == word)
            & implies(passing & relu, code == largest(word, 0))
            for passing, word, code in zip(passes, words, codes, strict=True)
        ],
        {
            "masked": [~passing & (word != 0) for passing, word in zip(passes, words)],
            "passed, below zero": [code < 0 for code in codes],
            "cut off by ReLU": [
                passing & relu & (word < 0) for passing, word in zip(passes, words)
            ],
            "passed by ReLU": [relu & (code > 0) for code in codes],
            "not asked": [
                ~active.bool() & ~unclipped.bool() & (code != 0)
                for _, active, unclipped, code, _ in lanes
            ],
        },
    )
    results.every(
        "active",
        "`active` is 1 if and only if the word is above zero, whatever masks it",
        [above.bool() == (word > 0) for word, _, _, _, above in lanes],
        {
            "above": [above.bool() for *_, above in lanes],
            "zero": [word == 0 for word in words],
            "below": [word < 0 for word in words],
        },
    )
