"""BNN's sign and the mask of its gradient (docs/numerics.md, section 6) on their pipeline."""

from amaranth.hdl import Mux

from golden.quantize import SignQuantizerConfig
from gradloom.prove.bench import Bench
from gradloom.prove.integers import magnitude
from gradloom.prove.pipelines import Results


def specify(bench: Bench, config: SignQuantizerConfig) -> None:
    """Add the properties of the signs."""
    results = Results(bench, config)
    words = results.operand("operand_data")
    minus = -1 if config.bits == 2 else 0
    one = 1 << config.fraction

    results.every(
        "sign",
        f"the code is 1 for a word of 0 or more, else {minus}",
        [
            code == Mux(word < 0, minus, 1)
            for word, code in zip(words, bench["result_data"], strict=True)
        ],
        {"of 0": [word == 0 for word in words], "negative": [word < 0 for word in words]},
    )
    high = (1 << (config.width - 1)) - 1
    beyond = {"1.0": (one, one), "above 1.0": (one + 1, one + 1), "below -1.0": (one, -one - 1)}
    results.every(
        "mask",
        "errors pass if the word's magnitude is 1.0 or less",
        [
            passes == (magnitude(word) <= one)
            for word, passes in zip(words, bench["result_passes"], strict=True)
        ],
        {
            "-1.0": [word == -one for word in words],
            # 1.0 may be beyond the word's format.
            **{
                case: [word == value for word in words]
                for case, (least, value) in beyond.items()
                if least <= high
            },
        },
    )
