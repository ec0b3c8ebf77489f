"""The edges of a core: the buses by which its registers and its streams are reached."""

from enum import StrEnum

from golden.bus import axi_lite, wishbone
from golden.bus.axi_stream import Beat
from golden.bus.space import Space
from golden.core.config import CoreConfig
from golden.core.registers import ADDRESS, READ_LATENCY, Registers
from golden.port import OPERAND, RESULT, Port


class Edge(StrEnum):
    """Edges that a core can have."""

    #: The plain bus of registers, and plain streams.
    NONE = "none"
    #: AXI4-Lite, and AXI4-Stream.
    AXI = "axi"
    #: Wishbone B4 in classic cycles, and AXI4-Stream.
    WISHBONE = "wishbone"

    @property
    def text(self) -> str:
        """Its buses, in words."""
        return {
            Edge.NONE: "a plain bus of registers, plain streams",
            Edge.AXI: "AXI4-Lite, AXI4-Stream",
            Edge.WISHBONE: "Wishbone B4 (classic), AXI4-Stream",
        }[self]


def space(config: CoreConfig) -> Space:
    """Return where a core's registers are.

    Examples
    --------
    >>> space(CoreConfig()).known(0)
    True
    """
    addresses = tuple(register.address for register in Registers(config))
    return Space(bits=ADDRESS, addresses=addresses, latency=READ_LATENCY)


def input_beat(config: CoreConfig) -> Beat:
    """Return the words of a beat of the input stream.

    Examples
    --------
    >>> input_beat(CoreConfig())
    Beat(words=8, width=8)
    """
    return Beat(words=config.banks, width=config.word_bits)


def output_beat(config: CoreConfig) -> Beat:
    """Return the words of a beat of the output stream.

    Examples
    --------
    >>> output_beat(CoreConfig())
    Beat(words=8, width=21)
    """
    return Beat(words=config.banks, width=config.sum_bits)


def ports(config: CoreConfig, edge: Edge) -> tuple[Port, ...]:
    """Return the ports of a core with an edge, without `clk` and `rst`.

    Examples
    --------
    >>> [port.name for port in ports(CoreConfig(), Edge.WISHBONE)][-3:]
    ['m_axis_tvalid', 'm_axis_tready', 'm_axis_tlast']
    """
    takes, gives = input_beat(config), output_beat(config)
    words = "words of a beat, each in whole bytes"
    last_in = "the last beat of a batch, or of a layer's weights"
    last_out = "the last beat of a batch's scores, or of a layer's weights"
    if edge is Edge.NONE:
        return (
            *(_turned(port) for port in space(config).ports),
            *OPERAND,
            Port("i_words", "in", takes.width, True, takes.words, "words of a beat"),
            Port("i_last", "in", 1, meaning=last_in),
            *RESULT,
            Port("o_words", "out", gives.width, True, gives.words, "words of a beat"),
            Port("o_last", "out", 1, meaning=last_out),
        )
    where = space(config)
    bridge = axi_lite.ports(where) if edge is Edge.AXI else wishbone.ports(where, False)
    return (
        *(port for port in bridge if not port.name.startswith("bus_")),
        Port("s_axis_tdata", "in", 8 * takes.bytes, True, takes.words, words),
        Port("s_axis_tvalid", "in", 1, meaning="a beat is offered"),
        Port("s_axis_tready", "out", 1, meaning="it is taken at this clock edge, if it is offered"),
        Port("s_axis_tlast", "in", 1, meaning=last_in),
        Port("m_axis_tdata", "out", 8 * gives.bytes, True, gives.words, words),
        Port("m_axis_tvalid", "out", 1, meaning="a beat is offered"),
        Port("m_axis_tready", "in", 1, meaning="it is taken at this clock edge, if it is offered"),
        Port("m_axis_tlast", "out", 1, meaning=last_out),
    )


def _turned(port: Port) -> Port:
    """Return a port of the plain bus as the core has it, not what drives it."""
    direction = "in" if port.direction == "out" else "out"
    return Port(port.name, direction, port.width, port.signed, port.lanes, port.meaning)  # type: ignore[arg-type]
