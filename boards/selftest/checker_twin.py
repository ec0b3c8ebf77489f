"""The checker's configuration and its twin: which of the taken results agree, and when it shows."""

from dataclasses import dataclass, replace

import numpy as np

from boards.rom.player_twin import check_words
from golden.port import Port
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
        check_words(self)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("i_valid", "in", 1, meaning="a result is offered"),
            Port("i_ready", "out", 1, meaning="as `ready`"),
            Port("i_data", "in", self.width, meaning="the result"),
            Port("ready", "in", 1, meaning="a result may be taken in this clock"),
            Port(
                "agreed", "out", len(self.words).bit_length(), meaning="results found right so far"
            ),
            Port("taken", "out", 1, meaning="one more is found right in this clock"),
            Port("complete", "out", 1, meaning="all expected results have been found right"),
            Port("failed", "out", 1, meaning="result number `agreed` was wrong"),
            Port("extra", "out", 1, meaning="it came after the last expected one"),
            Port("shift", "in", 1, meaning="after a failure: go on to the pair's next bit"),
            Port("expected", "out", 1, meaning="a bit of the expected word, the lowest first"),
            Port("got", "out", 1, meaning="a bit of the result, the lowest first"),
        )


@dataclass(frozen=True)
class Failure:
    """A wrong result.

    Parameters
    ----------
    delay
        Clocks from now until the pair is first seen to differ; below 0 once it has been.
    expected, got
        The pair.
    extra
        Whether the result came after the last expected one.
    shifted
        Bits that have been shifted out.
    """

    delay: int
    expected: int
    got: int
    extra: bool
    shifted: int = 0


@dataclass(frozen=True)
class CheckerState:
    """What a checker keeps between two clocks.

    Parameters
    ----------
    right
        Results that were taken and are right, those included that do not show yet.
    agreed
        Results that show as right.
    coming
        Clocks from now in which `taken` is going to be high.
    failure
        The wrong result, if one was taken.
    """

    right: int = 0
    agreed: int = 0
    coming: tuple[int, ...] = ()
    failure: Failure | None = None


class Checker(Twin[CheckerState]):
    """Twin of the checker: `i_valid`, `i_data`, `ready`, `shift` in; all its outputs out.

    A result is taken in a clock with `i_valid` and `ready` high. The n-th result is right if it is
    the n-th word; one after the last word is wrong. `expected`, `got` and `extra` are not specified
    while `failed` is low, and `expected` is not either while `extra` is high; here they are 0.

    Parameters
    ----------
    config
        Width and expected results.

    Examples
    --------
    >>> twin = Checker(CheckerConfig(width=4, words=(3, 15)))
    >>> out = twin.run({"i_valid": [1] * 6, "i_data": [3] * 6, "ready": [1] * 6, "shift": [0] * 6})
    >>> out["agreed"].tolist(), out["failed"].tolist()
    ([0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1])
    """

    def __init__(self, config: CheckerConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> CheckerState:
        return CheckerState()

    def stretch(self, state: CheckerState, inputs: Trace) -> tuple[CheckerState, Trace]:
        config, words = self.config, self.config.words
        clocks = len(inputs["ready"])
        out: Trace = {
            name: np.zeros(clocks, np.int64)
            for name in ("i_ready", "taken", "failed", "extra", "expected", "got")
        }
        out["i_ready"] = inputs["ready"].copy()

        # Results are compared up to the first wrong one.
        right, failure, coming = state.right, state.failure, list(state.coming)
        takes = np.flatnonzero((inputs["i_valid"] != 0) & (inputs["ready"] != 0))
        if failure is None:
            for clock, value in zip(takes.tolist(), inputs["i_data"][takes].tolist()):
                extra = right >= len(words)
                if extra or value != words[right]:
                    expected = 0 if extra else words[right]
                    failure = Failure(clock + config.latency, expected, value, extra)
                    break
                coming.append(clock + config.latency)
                right += 1

        # Those found right show.
        out["taken"][[clock for clock in coming if clock < clocks]] = 1
        shown = state.agreed + np.cumsum(out["taken"])
        out["agreed"] = np.concatenate([[state.agreed], shown[:-1]])
        out["complete"] = (out["agreed"] == len(words)).astype(np.int64)

        # A failure shows one clock after the pair is first seen to differ; both may be shifted
        # from that clock on.
        if failure is not None:
            seen = max(failure.delay, 0)
            shifts = np.cumsum(inputs["shift"][seen:] != 0)
            bits = failure.shifted + np.concatenate([[0], shifts])
            rises = max(failure.delay + config.fails_after - config.latency, 0)
            out["failed"][rises:] = 1
            out["extra"][rises:] = failure.extra
            places = np.minimum(bits[rises - seen :], config.width).tolist()
            for name, word in (("expected", failure.expected), ("got", failure.got)):
                values = [word >> place & 1 for place in places]
                out[name][rises:] = values[: max(clocks - rises, 0)]
            failure = replace(
                failure,
                delay=failure.delay - clocks,
                shifted=min(int(bits[-1]), config.width),
            )
        later = tuple(clock - clocks for clock in coming if clock >= clocks)
        return CheckerState(right, int(shown[-1]), later, failure), out
