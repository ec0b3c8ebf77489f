"""The output buffer of a unit that never stalls inside:
places are claimed before the results exist.

A unit's pipeline cannot wait, so it takes in an operand only when its results are sure of a place
here: `claim` takes `rows` places at once, each value that leaves gives one back. Nothing but the
claims and the queue sees back-pressure.
"""

from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.delay import APART

#: Words of a piece of a queue's memory, where it is made of several: those of an ECP5's DPR16X4.
PIECE = 16


class _Control(NamedTuple):
    """Of a queue: a value comes, one goes to the read register, one is there."""

    pushed: Value
    popped: Value
    moves: Value
    some: Value
    valid: Signal


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
    queues
        Into how many of them, side by side, a value's bits are spread, each with registers of its
        own for what all of them know: a wide memory is a large place on a device, and one register
        reaches not all of it in a short clock.

    Members
    -------
    claim : In(1)
        Takes `rows` places; only while `ready` is high.
    ready : Out(1)
        `rows` places are free.
    i_valid, i_payload : In
        A value, for a place claimed before; never refused. `i_valid` is one bit; of several queues
        one for each, and one for the credits.
    o : Out(stream)
        The values in order.
    """

    claim: Signal
    ready: Signal
    i_valid: Signal
    i_payload: Any
    o: stream.Interface

    def __init__(self, shape: ShapeLike, *, depth: int, rows: int = 1, queues: int = 1):
        if depth < max(rows, 3):
            raise ValueError(f"depth = {depth}: at least {max(rows, 3)} are needed")
        self.depth = depth
        self.rows = rows
        self.queues = queues
        super().__init__(
            {
                "claim": In(1),
                "ready": Out(1),
                "i_valid": In(queues + 1 if queues > 1 else 1),
                "i_payload": In(shape),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values = Value.cast(self.i_payload)
        share = -(-len(values) // self.queues)
        shown = []
        for number in range(self.queues):
            control = self._control(m, number)
            part = values[number * share : (number + 1) * share]
            shown.append(self._storage(m, number, control, part))
            if number == 0:
                m.d.comb += self.o.valid.eq(control.valid)
        # Credits are where operands come in, far from some queues: they have a control of their own
        # as well.
        control = self._control(m, self.queues) if self.queues > 1 else control
        self._credits(m, control.valid & self.o.ready)
        m.d.comb += self.o.payload.eq(Cat(shown))
        return m

    def _register(self, shape: ShapeLike, name: str) -> Signal:
        return Signal(shape, name=name, attrs=APART if self.queues > 1 else {})

    def _control(self, m: Module, number: int) -> "_Control":
        """What a queue knows. Claims keep it from running over: it only has to know whether there
        is one more.
        """
        # `level` values are in the memory; `some` are, and `more` than one.
        level = self._register(range(self.depth), f"level_{number}")
        some, more, valid = (
            self._register(1, f"{name}_{number}") for name in ("some", "more", "valid")
        )
        pushed = self.i_valid[number]
        moves = Signal(name=f"moves_{number}")
        popped = Signal(name=f"popped_{number}")
        m.d.comb += [moves.eq(~valid | self.o.ready), popped.eq(some & moves)]
        m.d.sync += some.eq(pushed | Mux(popped, more, some))
        with m.If(pushed != popped):
            # One subtracter, of -1 or 1, whose second operand is a register as it is; no carry
            # chain for "three or more".
            m.d.sync += [
                level.eq(level - Cat(1, pushed.replicate(len(level) - 1))),
                more.eq(Mux(pushed, some, level[2:].any() | level[:2].all())),
            ]
        with m.If(moves):
            m.d.sync += valid.eq(some)
        return _Control(pushed, popped, moves, some, valid)

    def _storage(self, m: Module, number: int, control: "_Control", values: Value) -> Value:
        """The queue of `values`; its first one is in the memory's read register, and shown while
        there is one.

        Of several queues each has its memory in pieces with a read register each, which are chosen
        between behind the registers: else a multiplexer would stand between the pieces that a
        device makes small memories of and one register.
        """
        bits = (self.depth - 2).bit_length()
        pieces = -(-(1 << bits) // PIECE) if self.queues > 1 else 1
        first, last = (self._register(bits, f"{name}_{number}") for name in ("first", "last"))
        with m.If(control.pushed):
            m.d.sync += last.eq(last + 1)
        with m.If(control.popped):
            m.d.sync += first.eq(first + 1)
        heads: list[Value] = []
        for piece in range(pieces):
            name = f"storage_{number}_{piece}" if pieces > 1 else f"storage_{number}"
            memory: Memory[Any, Any] = Memory(
                shape=len(values), depth=(1 << bits) // pieces, init=[]
            )
            m.submodules[name] = memory
            write = memory.write_port()
            read = memory.read_port(domain="sync")
            written: Value = C(1)
            shows = control.valid
            if pieces > 1:
                written = last[PIECE.bit_length() - 1 :] == piece
                shows = self._register(1, f"shows_{number}_{piece}")
                with m.If(control.moves):
                    m.d.sync += shows.eq(control.some & (first[PIECE.bit_length() - 1 :] == piece))
            m.d.comb += [
                write.en.eq(control.pushed & written),
                write.addr.eq(last),
                write.data.eq(values),
                # What is read while there is nothing is not shown.
                read.en.eq(control.moves),
                read.addr.eq(first),
            ]
            heads.append(Mux(shows, read.data, 0))
        shown = Signal(len(values), name=f"shown_{number}")
        m.d.comb += shown.eq(reduce(or_, heads))
        return shown

    def _credits(self, m: Module, leaves: Value) -> None:
        """Claims that can be made, as a row of ones: no count stands between a register and
        `ready`.
        """
        most, spare = divmod(self.depth, self.rows)
        # Values that have left since the last whole claim's worth of them.
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
        claims = Signal(most, init=(1 << most) - 1)
        with m.If(self.claim & ~returns):
            m.d.sync += claims.eq(claims >> 1)
        with m.Elif(returns & ~self.claim):
            m.d.sync += claims.eq(Cat(1, claims))
        m.d.comb += self.ready.eq(claims[0])
