"""Outputs minus targets (docs/numerics.md, section 4, output error), on their pipeline."""

from amaranth.hdl import C, Mux

from golden.output_error import OutputErrorConfig
from gradloom.prove.bench import Bench
from gradloom.prove.integers import implies, least, power
from gradloom.prove.pipelines import Results


def specify(bench: Bench, config: OutputErrorConfig) -> None:
    """Add the properties of the output error."""
    results = Results(bench, config)
    words, label = results.operand("operand_data"), results.operand("operand_label")
    block = results.operand("operand_block") if "operand_block" in bench else C(0)
    target = power(least(results.operand("one"), config.most_one))
    numbers = [block * config.lanes + lane for lane in range(config.lanes)]
    lanes = list(zip(words, numbers, bench["result_data"], bench["result_keep"], strict=True))
    padded = config.classes % config.lanes != 0 or config.blocks < 1 << config.block_bits

    results.every(
        "difference",
        "the result is the output, minus 2^one in the lane of the label's class",
        [
            implies(number < config.classes, code == word - Mux(number == label, target, 0))
            for word, number, code, _ in lanes
        ],
        {
            "a target": [(number == label) & keep.bool() for _, number, _, keep in lanes],
            "none": [(number != label) & keep.bool() for _, number, _, keep in lanes],
            "an error of 0": [
                (number == label) & keep.bool() & (code == 0) for _, number, code, keep in lanes
            ],
        },
    )
    results.every(
        "padding",
        "`keep` is 1 if and only if the lane has a class; the result of the others is 0",
        [
            (keep.bool() == (number < config.classes)) & implies(~keep.bool(), code == 0)
            for _, number, code, keep in lanes
        ],
        {
            "a class": [keep.bool() for *_, keep in lanes],
            **({"padding": [~keep.bool() for *_, keep in lanes]} if padded else {}),
        },
    )
