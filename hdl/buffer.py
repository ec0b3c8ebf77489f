"""The output buffer of a unit that never stalls inside:
places are claimed before the results exist.

A unit's pipeline cannot wait, so it takes in an operand only when its results are sure of a place
here: `claim` takes `rows` places at once, each value that leaves gives one back. Only the claim
counter and the FIFO see back-pressure.
"""

from typing import Any

from amaranth.hdl import Module, Shape, ShapeLike, Signal, Value, ValueLike
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped


class Buffer(wiring.Component):
    """FIFO with credits; a value is at the output two clocks after it came,
    and is 0 there while it is not valid.

    Parameters
    ----------
    shape
        Shape of a value.
    depth
        Places, at least 3.
    rows
        Places that one claim takes.

    Members
    -------
    claim : In(1)
        Takes `rows` places; only while `ready` is high.
    ready : Out(1)
        `rows` places are free.
    i_valid, i_payload : In
        A value, for a place claimed before; never refused.
    o : Out(stream)
        The values in order.
    """

    claim: Signal
    ready: Signal
    i_valid: Signal
    i_payload: Any
    o: stream.Interface

    def __init__(self, shape: ShapeLike, *, depth: int, rows: int = 1):
        if depth < max(rows, 3):
            raise ValueError(f"depth = {depth}: at least {max(rows, 3)} are needed")
        self.depth = depth
        self.rows = rows
        super().__init__(
            {
                "claim": In(1),
                "ready": Out(1),
                "i_valid": In(1),
                "i_payload": In(shape),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        leaves = Signal()
        free = Signal(range(self.depth + 1), init=self.depth)
        m.d.comb += self.ready.eq(free >= self.rows)
        m.d.comb += leaves.eq(self.o.valid & self.o.ready)
        taken = Signal(range(self.rows + 1))
        with m.If(self.claim):
            m.d.comb += taken.eq(self.rows)
        m.d.sync += free.eq(free - taken + leaves)

        width = Shape.cast(self.i_payload.shape()).width
        m.submodules.storage = storage = fifo.SyncFIFOBuffered(width=width, depth=self.depth)
        payload = Signal(width)
        with m.If(storage.r_rdy):
            m.d.comb += payload.eq(storage.r_data)
        m.d.comb += [
            storage.w_en.eq(self.i_valid),
            storage.w_data.eq(self.i_payload),
            storage.r_en.eq(self.o.ready),
            self.o.valid.eq(storage.r_rdy),
            self.o.payload.eq(payload),
        ]
        return m


def serve(
    m: Module, i: stream.Interface, o: stream.Interface, *, depth: int, claims: ValueLike = 1
) -> tuple[Signal, Buffer]:
    """Put a buffer of `depth` places before the stream `o` and let the stream `i` claim them.

    Where `claims` is 0 an operand needs no place. Returns whether an operand is accepted at this
    clock, and the buffer, whose `i_valid` and `i_payload` are the caller's to drive.
    """
    m.submodules.buffer = buffer = Buffer(o.payload.shape(), depth=depth)
    accepted = Signal()
    m.d.comb += [
        i.ready.eq(~Value.cast(claims)[0] | buffer.ready),
        accepted.eq(i.valid & i.ready),
        buffer.claim.eq(accepted & claims),
    ]
    connect(m, buffer.o, flipped(o))
    return accepted, buffer
