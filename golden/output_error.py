"""The error of a network's outputs: outputs minus targets."""

from dataclasses import dataclass

import numpy as np

from golden import check
from golden.borders import Border, Operands, around
from golden.buffer import BUFFER_LATENCY, OnePerClock, StreamTwin
from golden.fixed import WIDEST
from golden.lfsr import MOST_LANES, Words
from golden.order import blocks
from golden.port import OPERAND, RESULT, Port
from golden.settings import check_settings, setting
from golden.twin import Trace

#: The largest number of classes.
MOST_CLASSES = 1024


@dataclass(frozen=True, kw_only=True)
class OutputErrorConfig(OnePerClock):
    """Outputs minus targets, where the target of a sample's class is 2^one and all others are 0.

    Parameters
    ----------
    width
        Width of an output, 2 to 61 bits.
    classes
        Number of classes, 2 to 1024.
    lanes
        Outputs per clock, 1 to 255. Lane j of block c has the output of class c * lanes + j; lanes
        beyond the last class are padding.
    most_one
        The largest log2 of a target, 1 to 40. A larger value at the port `one` has the effect of
        this one.

    Examples
    --------
    >>> config = OutputErrorConfig(width=21, classes=10, lanes=4)
    >>> config.blocks, config.result_width, config.latency
    (3, 22, 6)
    """

    width: int = setting(21, "Width of an output", low=2, high=WIDEST - 1, unit="bits")
    classes: int = setting(10, "Number of classes", low=2, high=MOST_CLASSES)
    lanes: int = setting(
        1,
        "Outputs per clock",
        low=1,
        high=MOST_LANES,
        more="Lane j of block c has the output of class c * lanes + j; lanes beyond the last class "
        "are padding.",
    )
    most_one: int = setting(
        16,
        "The largest log2 of a target",
        low=1,
        high=40,
        more="A larger value at the port `one` has the effect of this one.",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def blocks(self) -> int:
        """Operands of a sample."""
        return blocks(self.classes, self.lanes)

    @property
    def result_width(self) -> int:
        """Bits of a result: enough for the lowest output minus the largest target."""
        return max(self.width - 1, self.most_one) + 2

    @property
    def label_bits(self) -> int:
        """Bits of a label."""
        return (self.classes - 1).bit_length()

    @property
    def block_bits(self) -> int:
        """Bits of the number of a block; 0 if a sample has one block."""
        return (self.blocks - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        label = "class of the sample; no class of a larger number has a target"
        block = "number of the block: lane j has the output of class block * lanes + j"
        keep = "the lane has a class: mask of the result"
        one = "log2 of the target of the sample's class; read with each operand"
        blocks = [Port("i_block", "in", self.block_bits, meaning=block)] if self.block_bits else []
        result = "outputs minus targets; 0 in lanes beyond the last class"
        return (
            *OPERAND,
            Port("i_data", "in", self.width, True, self.lanes, "outputs of a sample"),
            Port("i_label", "in", self.label_bits, meaning=label),
            *blocks,
            *RESULT,
            Port("o_data", "out", self.result_width, True, self.lanes, result),
            Port("o_keep", "out", 1, False, self.lanes, keep),
            Port("one", "in", self.most_one.bit_length(), meaning=one),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return 4 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """Return outputs at 0, at the target and at both ends, for the smallest and the largest
        targets and for labels at both ends of blocks and on both sides of them.
        """
        low = -1 << (self.width - 1)
        found: list[Border] = []
        top = (1 << self.most_one.bit_length()) - 1
        last = (1 << self.label_bits) - 1
        for one in sorted({0, 1, self.most_one - 1, self.most_one, top}):
            target = 1 << min(one, self.most_one)
            values = around({low, 0, target, -1 - low}, low, -1 - low, 1)
            for block in sorted({0, 1, self.blocks - 2, self.blocks - 1} & set(range(self.blocks))):
                first = block * self.lanes
                ends = {first, first + self.lanes - 1, self.classes - 1}
                for label in around(ends, 0, last, 1):
                    settings = {"i_label": label, "one": one}
                    if self.block_bits:
                        settings["i_block"] = block
                    found.append(Operands(lanes={"i_data": values}, settings=settings))
        return found


class OutputError(StreamTwin):
    """Twin of `hdl.OutputError`: input stream `i` (`data`, `label`, and `block` if a sample has
    several) and port `one`; output stream `o` (`data`, `keep`).

    Parameters
    ----------
    config
        Width, classes, lanes and the largest target.

    Examples
    --------
    >>> twin = OutputError(OutputErrorConfig(classes=3, lanes=4))
    >>> given = {"i_valid": [1] * 7, "o_ready": [1] * 7, "i_label": [1] * 7, "one": [8] * 7}
    >>> trace = twin.run({**given, "i_data": [[100, 300, -5, 77]] * 7})
    >>> trace["o_data"][6].tolist(), trace["o_keep"][6].tolist()  # valid after 6 clocks
    ([100, 44, -5, 0], [1, 1, 1, 0])
    """

    def __init__(self, config: OutputErrorConfig):
        check.instance("config", config, OutputErrorConfig)
        self.config = config
        self.ports = config.ports

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return outputs minus targets, and their mask; see `StreamTwin`."""
        config, data, label = self.config, accepted["i_data"], accepted["i_label"]
        block = accepted.get("i_block", np.zeros_like(label))
        number = block[:, None] * config.lanes + np.arange(config.lanes)
        one = np.minimum(accepted["one"], config.most_one)
        target = np.where(number == label[:, None], np.int64(1) << one[:, None], 0)
        keep = number < config.classes
        return {"data": np.where(keep, data - target, 0), "keep": keep.astype(np.int64)}
