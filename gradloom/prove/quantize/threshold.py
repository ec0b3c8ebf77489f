"""HWGQ's quantizer by thresholds (docs/numerics.md, section 7), and its table, on their
pipeline.
"""

from amaranth.hdl import C, Cat, Value

from golden.quantize.threshold import ThresholdQuantizerConfig
from gradloom.prove.bench import Bench
from gradloom.prove.core.banks import keeps
from gradloom.prove.integers import chosen
from gradloom.prove.pipelines import Results


def specify(bench: Bench, config: ThresholdQuantizerConfig) -> None:
    """Add the properties of the threshold quantizer."""
    results = Results(bench, config)
    bits = config.width + 1
    tables = [
        [
            bench.probe(f"table_{lane}[{block}]", config.levels * bits + 1)
            for block in range(1 << config.block_bits)
        ]
        for lane in range(config.lanes)
    ]
    to_lane = bench["load_lane"] if config.lanes > 1 else C(0)
    given = Cat(*bench["load_thresholds"], bench["load_negative"])
    keeps(
        bench,
        tables,
        [(bench["load"] & (to_lane == k), bench["load_block"], given) for k in range(config.lanes)],
        "a channel's thresholds and sign become those that are loaded, and no other channel's",
    )

    # What the table holds in the clock of the operand, before that clock's load.
    sums, codes, masks = [], [], []
    passed: list[list[Value]] = []
    negated: list[Value] = []
    for lane, table in enumerate(tables):
        row = bench.wire(bench.past(chosen(bench["operand_block"], table), results.clocks))
        acc = results.operand("operand_data")[lane]
        steps = [row[k * bits : (k + 1) * bits].as_signed() for k in range(config.levels)]
        passed.append([bench.wire(passes(acc, step, row[-1])) for step in steps])
        negated.append(row[-1])
        sums.append(acc)
        codes.append(bench["result_data"][lane])
        masks.append(bench["result_passes"][lane])
    count = [sum(steps[:-1], Value.cast(0)) for steps in passed]
    results.every(
        "code",
        "the code is the number of thresholds, the last one left out, with acc > T or, for a "
        "negated channel, -acc > T, as the table was in the clock of the operand",
        [code == number for code, number in zip(codes, count, strict=True)],
        {
            "the highest": [code == config.levels - 1 for code in codes],
            "a negated sum": [
                (code != 0) & sign for code, sign in zip(codes, negated, strict=True)
            ],
            "the lowest sum": [
                (code != 0) & (acc == -(1 << (config.width - 1)))
                for code, acc in zip(codes, sums, strict=True)
            ],
        },
    )
    results.every(
        "mask",
        "errors pass if the first threshold is passed and the last one is not",
        [mask == (steps[0] & ~steps[-1]) for mask, steps in zip(masks, passed, strict=True)],
        {
            "passes": [mask.bool() for mask in masks],
            "below": [~steps[0] for steps in passed],
            "above": [steps[-1] for steps in passed],
        },
    )


def passes(acc: Value, threshold: Value, negative: Value) -> Value:
    """Return whether a sum, or its negation, is above a threshold."""
    return (~negative & (acc > threshold)) | (negative & (-acc > threshold))
