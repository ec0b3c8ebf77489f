"""One multiply-accumulate node of the array:
when each of its registers' values is seen from outside.

A ternary node has no multiplier: its operand b is -1, 0 or 1, as a forward weight of WAGE is
(Wu et al. 2018), and the node subtracts, skips or adds a.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from golden.borders import Border
from golden.fixed import Codes, Fixed, accumulator_width
from golden.port import Port
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin, frozen

#: Registers between an operand port and the accumulator of a node with a multiplier: the hop to the
#: next node, then operand and product stages. A DSP block's own registers are among them, so that
#: every kind of multiplier has the same latency.
PRODUCT_LATENCY = 5
#: The same of a ternary node: the adder takes the operand as it hops on.
TERNARY_LATENCY = 1
#: Bits of a ternary operand.
TERNARY_WIDTH = 2


def wrap(values: Codes, width: int) -> Codes:
    """`values` modulo 2^width, as two's complement codes."""
    spare = np.int64(64 - width)
    return values << spare >> spare


def ternary(b: Codes) -> Codes:
    """Two's complement codes of 2 bits as -1, 0 and 1: the code -2 counts as 0."""
    return np.where(b == -2, 0, b)


@dataclass(frozen=True, kw_only=True)
class MaccConfig:
    """A node's formats and how its accumulator is cut.

    Parameters
    ----------
    a
        Format of the operands a.
    b
        Format of the operands b.
    depth
        The most terms of a dot product, which set the accumulator's width, 1 to 2^24. Longer ones
        are exact only modulo 2^width. So are sums of a ternary node in which the lowest code of a
        occurs: its width is that for codes within +-(2^(a.width-1) - 1), to which WAGE clips
        activations and errors.
    segments
        Pieces into which the accumulator's carry is cut, 1 to 4. Each later piece lags one clock
        behind.
    ternary
        The node has no multiplier: b, of 2 bits, is -1, 0 or 1. The code -2 counts as 0.
    """

    #: What each figure counts.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": (
            "Clocks from a dot product's last operand to its lowest segment at `drain`; a segment "
            "more, a clock more."
        ),
        "first_delay": "Clocks from an operand to its `first` marker at the node's ports.",
        "load_delay": (
            "Clocks from a dot product's last operand to its `load` marker at the node's ports."
        ),
    }

    a: Fixed = setting(Fixed(2, 14), "Format of the operands a")
    b: Fixed = setting(Fixed(2, 14), "Format of the operands b")
    depth: int = setting(
        511,
        "The most terms of a dot product, which set the accumulator's width",
        low=1,
        high=1 << 24,
        more="Longer ones are exact only modulo 2^width. So are sums of a ternary node in which "
        "the lowest code of a occurs: its width is that for codes within "
        "+-(2^(a.width-1) - 1), to which WAGE clips activations and errors.",
    )
    segments: int = setting(
        2,
        "Pieces into which the accumulator's carry is cut",
        low=1,
        high=4,
        more="Each later piece lags one clock behind.",
    )
    ternary: bool = setting(
        False,
        "The node has no multiplier: b, of 2 bits, is -1, 0 or 1",
        more="The code -2 counts as 0.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.ternary and self.b.width != TERNARY_WIDTH:
            raise ValueError(
                f"b = {self.b}: a ternary node's b has {TERNARY_WIDTH} bits, as <1,1> has"
            )
        if self.segments > self.width:
            raise ValueError(
                f"segments = {self.segments}: an accumulator of {self.width} bits has at most "
                f"{self.width}"
            )

    @property
    def width(self) -> int:
        """Bits of the accumulator."""
        if self.ternary:
            return 1 + (self.depth * self.a.maximum).bit_length()
        return accumulator_width(self.a.width, self.b.width, self.depth)

    @property
    def cuts(self) -> tuple[tuple[int, int], ...]:
        """First bit and end of each accumulator segment, lowest first;
        as even as they go, spare bits lowest.
        """
        edges = [-(-self.width * k // self.segments) for k in range(self.segments + 1)]
        return tuple(zip(edges, edges[1:]))

    @property
    def product_latency(self) -> int:
        """Registers between an operand port and the accumulator, the hop among them."""
        return TERNARY_LATENCY if self.ternary else PRODUCT_LATENCY

    @property
    def first_delay(self) -> int:
        """Clocks from an operand to its `first` marker at the node's ports."""
        return self.product_latency - 1

    @property
    def load_delay(self) -> int:
        """Clocks from a dot product's last operand to its `load` marker at the node's ports."""
        return self.product_latency

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        first = "a sum begins: follows its first operand by first_delay clocks"
        load = "a sum ends, the shadow takes it: follows its last operand by load_delay clocks"
        hold = "the shadow keeps its value; without hold and load it takes `above`"
        return (
            Port("a", "in", self.a.width, True, meaning="operand from the left"),
            Port("b", "in", self.b.width, True, meaning="operand from above"),
            Port("first", "in", 1, meaning=first),
            Port("load", "in", 1, meaning=load),
            Port("hold", "in", 1, meaning=hold),
            Port("above", "in", self.width, True, meaning="the shadow of the node above"),
            Port("a_out", "out", self.a.width, True, meaning="a, one clock later, to the right"),
            Port("b_out", "out", self.b.width, True, meaning="b, one clock later, downward"),
            Port("first_out", "out", 1, meaning="first, one clock later"),
            Port("load_out", "out", 1, meaning="load, one clock later"),
            Port("hold_out", "out", 1, meaning="hold, one clock later"),
            Port("drain", "out", self.width, True, meaning="the shadow"),
        )

    @property
    def latency(self) -> int:
        """Clocks from a dot product's last operand to its lowest segment at `drain`;
        a segment more, a clock more.
        """
        return self.product_latency + 2

    def borders(self) -> list[Border]:
        """None: a node neither rounds nor saturates."""
        return []

    @property
    def throughput(self) -> str:
        """What a clock gives."""
        return "one product a clock, dot products back to back; never stalls"


@dataclass(frozen=True, eq=False)
class _NodeState:
    """What the twin of `hdl.Macc` keeps between two clocks."""

    #: The last values of what is seen later, by name and delay.
    late: Mapping[tuple[str, int], Codes]
    #: Sum of the dot product that goes on, up to the last product that has reached it.
    total: int
    #: What each segment drains.
    drain: tuple[int, ...]


class Macc(Twin[_NodeState]):
    """Twin of `hdl.Macc`. Its data paths have no reset: `rst` changes nothing."""

    has_reset = False

    def __init__(self, config: MaccConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> _NodeState:
        """The state at the start: all zeros."""
        return _NodeState({}, 0, (0,) * self.config.segments)

    def stretch(self, state: _NodeState, inputs: Trace) -> tuple[_NodeState, Trace]:
        """See `Twin`."""
        config = self.config
        kept: dict[tuple[str, int], Codes] = {}

        def late(name: str, values: Codes, clocks: int = 1) -> Codes:
            if not clocks:
                return values
            key = name, clocks
            before = state.late.get(key, np.zeros(clocks, np.int64))
            joined = np.concatenate([before, values])
            kept[key] = frozen(joined[len(values) :])
            return joined[: len(values)]

        first, load, hold = (late(name, inputs[name]) for name in ("first", "load", "hold"))
        factor = ternary(inputs["b"]) if config.ternary else inputs["b"]
        product = late("product", inputs["a"] * factor, config.product_latency)
        # The sum up to and with a clock's product,
        # less what stood before the dot product that the clock belongs to.
        clocks = np.arange(len(product))
        total = np.cumsum(product)
        start = np.maximum.accumulate(np.where(first, clocks, -1))
        before = np.concatenate([[0], total])[start]
        total -= np.where(start < 0, -state.total, before)
        accumulator = late("accumulator", total)
        drain = np.zeros_like(product)
        drained = []
        for lag, (low, high) in enumerate(config.cuts):
            # A segment sees what the lowest one sees, `lag` clocks later,
            # but for the drain of the node above, which comes with that lag already.
            bits = np.int64((1 << (high - low)) - 1)
            own = late("own", accumulator >> low & bits, lag)
            above = inputs["above"] >> low & bits
            loads, holds = late("loads", load, lag), late("holds", hold, lag)
            source = np.where(loads, own, above)
            # At an edge that neither loads nor shifts, the value of the last edge that did stays.
            moved = np.maximum.accumulate(np.where((loads == 0) & (holds != 0), -1, clocks))
            # Ahead of the sources is what the segment drains at first.
            value = np.concatenate([[state.drain[lag]], source])[moved + 1]
            drain[0] |= state.drain[lag] << low
            drain[1:] |= value[:-1] << low
            drained.append(int(value[-1]))
        outputs = {
            "a_out": late("a", inputs["a"]),
            "b_out": late("b", inputs["b"]),
            "first_out": first,
            "load_out": load,
            "hold_out": hold,
            "drain": wrap(drain, config.width),
        }
        total_after = int(wrap(total[-1:], config.width)[0])
        return _NodeState(kept, total_after, tuple(drained)), outputs
