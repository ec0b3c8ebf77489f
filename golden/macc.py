"""A multiply-accumulate node of the array.

A ternary node has no multiplier: its operand b is -1, 0 or 1, like a forward weight of WAGE
(Wu et al. 2018), and the node subtracts, skips or adds a.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from golden import check
from golden.borders import Border
from golden.fixed import Codes, Fixed, accumulator_width
from golden.port import Port
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin, frozen

#: Registers between an operand port and the accumulator of a node with a multiplier: the register
#: towards the next node, then operand and product stages. They include a DSP block's registers, so
#: that all kinds of multipliers have the same latency.
PRODUCT_LATENCY = 5
#: The same for a ternary node, which adds the operand in the register towards the next node.
TERNARY_LATENCY = 1
#: Bits of a ternary operand.
TERNARY_WIDTH = 2


def wrap(values: Codes, width: int) -> Codes:
    """Return `values` modulo 2^width, as two's complement codes.

    Examples
    --------
    >>> wrap(np.array([127, 128, 255, 256]), 8).tolist()
    [127, -128, -1, 0]
    """
    spare = np.int64(64 - width)
    return values << spare >> spare


def ternary(b: Codes) -> Codes:
    """Return the values, -1 to 1, of two's complement codes of 2 bits; the code -2 counts as 0."""
    return np.where(b == -2, 0, b)


@dataclass(frozen=True, kw_only=True)
class MaccConfig:
    """Formats of a node and segments of its accumulator.

    Parameters
    ----------
    a
        Format of the operands a.
    b
        Format of the operands b.
    depth
        The largest number of terms of a dot product, which determines the accumulator's width, 1 to
        2^24. Longer dot products are exact only modulo 2^width. So are sums of a ternary node that
        include the lowest code of a: its width is enough for codes within +-(2^(a.width-1) - 1), to
        which WAGE clips activations and errors.
    segments
        Segments of the accumulator, which shorten its carry chain, 1 to 4. Each segment is one
        clock behind the segment below it.
    ternary
        The node has no multiplier: b, of 2 bits, is -1, 0 or 1. The code -2 counts as 0.

    Examples
    --------
    >>> config = MaccConfig(a=Fixed(2, 14), b=Fixed(2, 14), depth=511, segments=2)
    >>> config.width, config.cuts
    (40, ((0, 20), (20, 40)))
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": (
            "Clocks from a dot product's last operand to its lowest segment at `drain`; each "
            "further segment follows one clock later."
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
        "The largest number of terms of a dot product, which determines the accumulator's width",
        low=1,
        high=1 << 24,
        more="Longer dot products are exact only modulo 2^width. So are sums of a ternary node "
        "that include the lowest code of a: its width is enough for codes within "
        "+-(2^(a.width-1) - 1), to which WAGE clips activations and errors.",
    )
    segments: int = setting(
        2,
        "Segments of the accumulator, which shorten its carry chain",
        low=1,
        high=4,
        more="Each segment is one clock behind the segment below it.",
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
        """First bit and end of each segment of the accumulator, the lowest segment first.

        If the bits cannot be divided evenly, lower segments have one bit more.
        """
        edges = [-(-self.width * k // self.segments) for k in range(self.segments + 1)]
        return tuple(zip(edges, edges[1:]))

    @property
    def product_latency(self) -> int:
        """Registers between an operand port and the accumulator, including the one towards the next
        node.
        """
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
        first = "a sum begins: first_delay clocks after its first operand"
        load = "a sum ends and the shadow takes it: load_delay clocks after its last operand"
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
        """Clocks from a dot product's last operand to its lowest segment at `drain`; each further
        segment follows one clock later.
        """
        return self.product_latency + 2

    def borders(self) -> list[Border]:
        """Return an empty list: a node neither rounds nor saturates."""
        return []

    @property
    def throughput(self) -> str:
        """Results per clock, and stalls."""
        return "one product per clock, dot products back to back; never stalls"


@dataclass(frozen=True, eq=False)
class _NodeState:
    """State of the twin of `hdl.Macc`."""

    #: The latest values of delayed signals, by name and delay.
    late: Mapping[tuple[str, int], Codes]
    #: Sum of the current dot product, as far as products have reached the accumulator.
    total: int
    #: Shadow of each segment.
    drain: tuple[int, ...]


class Macc(Twin[_NodeState]):
    """Twin of `hdl.Macc`. Its data paths have no reset: `rst` has no effect.

    Parameters
    ----------
    config
        Formats, depth and segments.

    Examples
    --------
    >>> twin = Macc(MaccConfig(segments=1))
    >>> clock = np.arange(9)
    >>> operands = {"a": 3 * (clock < 2), "b": 5 * (clock < 2)}
    >>> markers = {"first": clock == 4, "load": clock == 6, "hold": clock < 0}
    >>> trace = twin.run({**operands, **markers, "above": 0 * clock})
    >>> trace["drain"].tolist()  # 3 * 5 + 3 * 5
    [0, 0, 0, 0, 0, 0, 0, 0, 30]
    """

    has_reset = False

    def __init__(self, config: MaccConfig):
        check.instance("config", config, MaccConfig)
        self.config = config
        self.ports = config.ports

    def initial(self) -> _NodeState:
        """Return the initial state: all zeros."""
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
        # The sum of all products up to each clock, less the sum before its dot product began.
        clocks = np.arange(len(product))
        total = np.cumsum(product)
        start = np.maximum.accumulate(np.where(first, clocks, -1))
        before = np.concatenate([[0], total])[start]
        total -= np.where(start < 0, -state.total, before)
        accumulator = late("accumulator", total)
        drain = np.zeros_like(product)
        drained = []
        for lag, (low, high) in enumerate(config.cuts):
            # A segment works `lag` clocks behind the lowest one. The drain of the node above is
            # delayed by `lag` already.
            bits = np.int64((1 << (high - low)) - 1)
            own = late("own", accumulator >> low & bits, lag)
            above = inputs["above"] >> low & bits
            loads, holds = late("loads", load, lag), late("holds", hold, lag)
            source = np.where(loads, own, above)
            # At an edge without a load or a shift, the shadow keeps its value.
            moved = np.maximum.accumulate(np.where((loads == 0) & (holds != 0), -1, clocks))
            # The first value is the shadow before the stretch.
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
