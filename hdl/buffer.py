"""Output FIFO with credits, for units that never stall inside.

A unit's pipeline cannot wait, so the unit accepts an operand only if there will be room for its
results. A credit stands for `rows` free places. `claim` takes one credit before the results exist,
and every `rows` values that leave return one. Only claims and the FIFO's output see back-pressure.
"""

from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden import check
from golden.buffer import MOST_PLACES
from hdl.delay import KEEP

#: Words of a block of a slice's memory, where the FIFO has several slices: the depth of an ECP5's
#: distributed RAM, DPR16X4.
BLOCK = 16


class _Control(NamedTuple):
    """Control signals of a slice."""

    #: A value is written to the memory.
    pushed: Value
    #: A value is read from the memory into its read register.
    popped: Value
    #: The read register may change: clock enable of the output.
    moves: Value
    #: The memory is not empty.
    stored: Value
    #: The read register has a value.
    valid: Signal


class Buffer(wiring.Component):
    """FIFO with credits. A value is at the output two clocks after it entered; the payload is 0
    while the output is not valid.

    Parameters
    ----------
    shape
        Shape of a value.
    depth
        Number of places, at least 3.
    rows
        Number of places that one claim takes.
    slices
        Number of FIFO slices, each of which stores some bits of every value. Each slice has its
        own copy of the control registers, to keep their fan-out low: a wide memory covers a large
        area of a device.

    Members
    -------
    claim : In(1)
        Takes `rows` places; allowed only while `ready` is high.
    ready : Out(1)
        `rows` places are free.
    i_valid : In(1, or `slices` + 1 if there are several slices)
        Writes `i_payload`. There is no `ready`: the place was claimed before. Several slices have
        one bit each, and the highest bit is for the credits; all bits are equal.
    i_payload : In
        A value.
    o : Out(stream)
        The values in order.

    Examples
    --------
    >>> from amaranth.hdl import unsigned
    >>> buffer = Buffer(unsigned(24), depth=16, rows=4)
    >>> print(buffer.signature.members["claim"], buffer.signature.members["i_payload"])
    In(1) In(unsigned(24))
    """

    claim: Signal
    ready: Signal
    i_valid: Signal
    i_payload: Any
    o: stream.Interface

    def __init__(self, shape: ShapeLike, *, depth: int, rows: int = 1, slices: int = 1):
        depth, rows, slices = (
            check.whole(name, number, 0 if name == "depth" else 1, MOST_PLACES)
            for name, number in (("depth", depth), ("rows", rows), ("slices", slices))
        )
        if depth < max(rows, 3):
            raise ValueError(f"depth = {depth}: at least {max(rows, 3)} are needed")
        self.depth = depth
        self.rows = rows
        self.slices = slices
        super().__init__(
            {
                "claim": In(1),
                "ready": Out(1),
                "i_valid": In(slices + 1 if slices > 1 else 1),
                "i_payload": In(shape),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values = Value.cast(self.i_payload)
        width = -(-len(values) // self.slices)
        shown = []
        for number in range(self.slices):
            control = self._control(m, number)
            bits = values[number * width : (number + 1) * width]
            shown.append(self._storage(m, number, control, bits))
            if number == 0:
                m.d.comb += self.o.valid.eq(control.valid)
        # Credits are used where operands enter, far from some slices: with several slices they have
        # a copy of the control registers as well.
        control = self._control(m, self.slices) if self.slices > 1 else control
        self._credits(m, control.valid & self.o.ready)
        m.d.comb += self.o.payload.eq(Cat(shown))
        return m

    def _register(self, shape: ShapeLike, name: str) -> Signal:
        return Signal(shape, name=name, attrs=KEEP if self.slices > 1 else {})

    def _control(self, m: Module, number: int) -> _Control:
        """Make the control registers of a slice. Overflow is not checked: claims prevent it.

        `level` counts the values in the memory. The flags `stored` (at least one) and `several` (at
        least two) are registers of their own, so that no comparison delays `popped`.
        """
        level = self._register(range(self.depth), f"level_{number}")
        stored, several, valid = (
            self._register(1, f"{name}_{number}") for name in ("stored", "several", "valid")
        )
        pushed = self.i_valid[number]
        moves = Signal(name=f"moves_{number}")
        popped = Signal(name=f"popped_{number}")
        m.d.comb += [moves.eq(~valid | self.o.ready), popped.eq(stored & moves)]
        m.d.sync += stored.eq(pushed | Mux(popped, several, stored))
        with m.If(pushed != popped):
            # Subtract -1 or 1: one adder for both directions. After a pop there are two or more
            # values if there were three or more before, which needs no carry chain to test.
            m.d.sync += [
                level.eq(level - Cat(1, pushed.replicate(len(level) - 1))),
                several.eq(Mux(pushed, stored, level[2:].any() | level[:2].all())),
            ]
        with m.If(moves):
            m.d.sync += valid.eq(stored)
        return _Control(pushed, popped, moves, stored, valid)

    def _storage(self, m: Module, number: int, control: _Control, values: Value) -> Value:
        """Make the memory of a slice, whose read register is the output register.

        With several slices, the memory consists of blocks with a read register each, and the choice
        between the blocks is behind these registers. In one large memory, a device that has only
        small ones would put a multiplexer between them and a common read register.

        Returns
        -------
        Value
            The value in the read register, or 0 if there is none.
        """
        bits = (self.depth - 2).bit_length()
        blocks = -(-(1 << bits) // BLOCK) if self.slices > 1 else 1
        first, last = (self._register(bits, f"{name}_{number}") for name in ("first", "last"))
        with m.If(control.pushed):
            m.d.sync += last.eq(last + 1)
        with m.If(control.popped):
            m.d.sync += first.eq(first + 1)
        heads: list[Value] = []
        for block in range(blocks):
            name = f"storage_{number}_{block}" if blocks > 1 else f"storage_{number}"
            memory: Memory[Any, Any] = Memory(
                shape=len(values), depth=(1 << bits) // blocks, init=[]
            )
            m.submodules[name] = memory
            write = memory.write_port()
            read = memory.read_port(domain="sync")
            written: Value = C(1)
            shows = control.valid
            if blocks > 1:
                written = last[BLOCK.bit_length() - 1 :] == block
                shows = self._register(1, f"shows_{number}_{block}")
                with m.If(control.moves):
                    m.d.sync += shows.eq(
                        control.stored & (first[BLOCK.bit_length() - 1 :] == block)
                    )
            m.d.comb += [
                write.en.eq(control.pushed & written),
                write.addr.eq(last),
                write.data.eq(values),
                # The memory is read even if it is empty; `shows` then hides the word.
                read.en.eq(control.moves),
                read.addr.eq(first),
            ]
            heads.append(Mux(shows, read.data, 0))
        shown = Signal(len(values), name=f"shown_{number}")
        m.d.comb += shown.eq(reduce(or_, heads))
        return shown

    def _credits(self, m: Module, leaves: Value) -> None:
        """Count the free credits in unary, as a row of ones, so that `ready` is a register without
        a comparison behind it. `leaves` is high in a clock in which a value leaves.
        """
        credits, spare = divmod(self.depth, self.rows)
        # Free places that do not make up a credit yet.
        left = Signal(range(self.rows), init=spare)
        completes = Signal(init=spare == self.rows - 1)
        if self.rows > 1:
            with m.If(leaves):
                m.d.sync += [
                    left.eq(Mux(completes, 0, left + 1)),
                    completes.eq(left == self.rows - 2),
                ]
        returns = Signal()
        m.d.comb += returns.eq(leaves & completes)
        claims = Signal(credits, init=(1 << credits) - 1)
        with m.If(self.claim & ~returns):
            m.d.sync += claims.eq(claims >> 1)
        with m.Elif(returns & ~self.claim):
            m.d.sync += claims.eq(Cat(1, claims))
        m.d.comb += self.ready.eq(claims[0])
