"""The checker's configuration and its twin: which of the taken results agree, and when it shows."""

from dataclasses import dataclass

import numpy as np

from boards.selftest.player_twin import check_words
from golden.twin import Trace, Twin


@dataclass(frozen=True, kw_only=True)
class CheckerConfig:
    """A checker.

    Parameters
    ----------
    width
        Bits of a result, 1 to 4096.
    words
        The expected results in order, each from 0 to 2**width - 1.

    Examples
    --------
    >>> CheckerConfig(width=4, words=(3, 15)).fails_after
    3
    """

    width: int
    words: tuple[int, ...]

    #: Clocks from the one that takes a right result to the one with `taken` high.
    latency = 2
    #: Clocks from the one that takes a wrong result to the first one with `failed` high.
    fails_after = 3

    def __post_init__(self) -> None:
        check_words(self.width, self.words)


class Checker(Twin):
    """Twin of the checker: `i_valid`, `i_data`, `ready`, `shift` in; all its outputs out.

    A result is taken in a clock with `i_valid` and `ready` high. The n-th result is right if it is
    the n-th word; one after the last word is wrong. `expected`, `got` and `extra` are not specified
    while `failed` is low, and `expected` is not either while `extra` is high; here they are 0.

    Examples
    --------
    >>> twin = Checker(CheckerConfig(width=4, words=(3, 15)))
    >>> out = twin.run({"i_valid": [1] * 6, "i_data": [3] * 6, "ready": [1] * 6, "shift": [0] * 6})
    >>> out["agreed"].tolist(), out["failed"].tolist()
    ([0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1])
    """

    def __init__(self, config: CheckerConfig):
        self.config = config

    def stretch(self, inputs: Trace) -> Trace:
        config = self.config
        clocks = len(inputs["ready"])
        takes = np.flatnonzero((inputs["i_valid"] != 0) & (inputs["ready"] != 0))
        words, got = config.words, inputs["i_data"][takes].tolist()
        right = next(
            (n for n, value in enumerate(got) if n >= len(words) or value != words[n]), len(got)
        )
        out: Trace = {
            name: np.zeros(clocks, np.int64)
            for name in ("agreed", "taken", "complete", "failed", "extra", "expected", "got")
        }
        shown = takes[:right] + config.latency
        shown = shown[shown < clocks]
        out["taken"][shown] = 1
        out["agreed"][1:] = np.cumsum(out["taken"])[:-1]
        out["complete"] = (out["agreed"] == len(words)).astype(np.int64)
        if right < len(got) and (start := takes[right] + config.fails_after) < clocks:
            out["failed"][start:] = 1
            extra = right >= len(words)
            out["extra"][start:] = extra
            # The first shift counts in the clock before `failed` rises, in which the two differ.
            shift = inputs["shift"][start - 1 : -1] != 0
            bits = np.minimum(np.cumsum(shift), config.width)
            for name, value in (("expected", 0 if extra else words[right]), ("got", got[right])):
                out[name][start:] = [value >> bit & 1 for bit in bits.tolist()]
        return out
