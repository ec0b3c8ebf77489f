"""Small units with known behaviour, for the tests of the harness itself."""

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.twin import Trace, Twin

#: Widths around every boundary of the packing.
WIDTHS = (1, 2, 5, 7, 8, 9, 13, 16, 17, 24, 31, 32, 33, 40, 47, 48, 61, 62)


class Counter(wiring.Component):
    """Counts the clocks with `enable`; `half` follows without a register."""

    enable: In(1)
    count: Out(8)
    half: Out(7)

    def __init__(self, step: int = 1, *, resets: bool = True, late: bool = False):
        self.step = step
        self.resets = resets
        self.late = late
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        count = Signal(8, init=3, reset_less=not self.resets)
        with m.If(self.enable):
            m.d.sync += count.eq(count + self.step)
        if self.late:
            m.d.sync += self.count.eq(count)
        else:
            m.d.comb += self.count.eq(count)
        m.d.comb += self.half.eq(count >> 1)
        return m


class CounterTwin(Twin):
    """Twin of `Counter()`."""

    def initial(self) -> int:
        return 3

    def stretch(self, state: int, inputs: Trace) -> tuple[int, Trace]:
        counts = (state + np.cumsum([0, *inputs["enable"]])) & 0xFF
        count = counts[:-1]
        return int(counts[-1]), {"count": count, "half": count >> 1}


class Difference(wiring.Component):
    """a - b by lanes, a clock later."""

    a: In(data.ArrayLayout(signed(5), 3))
    b: In(data.ArrayLayout(signed(5), 3))
    o: Out(data.ArrayLayout(signed(6), 3))

    def __init__(self, swapped_lane: int | None = None):
        self.swapped_lane = swapped_lane
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        for lane in range(3):
            a, b = self.a[lane], self.b[lane]
            m.d.sync += self.o[lane].eq(b - a if lane == self.swapped_lane else a - b)
        return m


class DifferenceTwin(Twin):
    """Twin of `Difference()`."""

    def initial(self) -> tuple[int, ...]:
        return 0, 0, 0

    def stretch(self, state: tuple[int, ...], inputs: Trace) -> tuple[tuple[int, ...], Trace]:
        result = np.concatenate([[state], inputs["a"] - inputs["b"]])
        return tuple(result[-1].tolist()), {"o": result[:-1]}


class Wires(wiring.Component):
    """Every width, signed and unsigned, scalar and vector: a copy at once and one a clock later."""

    def __init__(self):
        members = {}
        for width in WIDTHS:
            for sign in (signed, unsigned):
                shape = sign(width)
                for lanes in (None, 3, 7):
                    name = f"{sign.__name__[0]}{width}_{lanes or 0}"
                    whole = shape if lanes is None else data.ArrayLayout(shape, lanes)
                    members[f"i_{name}"] = In(whole)
                    members[f"now_{name}"] = Out(whole)
                    members[f"late_{name}"] = Out(whole)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for name in self.signature.members:
            if name.startswith("i_"):
                source = getattr(self, name)
                m.d.comb += getattr(self, f"now_{name[2:]}").eq(source)
                m.d.sync += getattr(self, f"late_{name[2:]}").eq(source)
        return m


class Queue(wiring.Component):
    """A FIFO of odd vectors; an operand with `last` whose lane 0 is negative is never accepted."""

    def __init__(self):
        self.payload = data.StructLayout({"data": data.ArrayLayout(signed(13), 5), "last": 1})
        super().__init__(
            {"i": In(stream.Signature(self.payload)), "o": Out(stream.Signature(self.payload))}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=self.payload.size, depth=5)
        held = self.i.payload.last & (self.i.payload.data[0] < 0)
        m.d.comb += [
            self.i.ready.eq(queue.w_rdy & ~held),
            queue.w_en.eq(self.i.valid & ~held),
            queue.w_data.eq(self.i.payload),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
            # Also because a memory's read register is reset in pysim and is not in RTLIL.
            self.o.payload.eq(Mux(queue.r_rdy, queue.r_data, 0)),
        ]
        return m


class Store(wiring.Component):
    """A memory of five words, read at once and a clock later, written by halves."""

    address: In(3)
    write: In(2)
    value: In(signed(34))
    now: Out(signed(34))
    late: Out(signed(34))
    parity: Out(1).array(2)

    def elaborate(self, platform):
        m = Module()
        init = [(1 << 34) - 5, 7, 1 << 32]
        m.submodules.store = store = memory.Memory(shape=unsigned(34), depth=5, init=init)
        write = store.write_port(granularity=17)
        late = store.read_port(transparent_for=(write,))
        now = store.read_port(domain="comb")
        known = Signal()
        m.d.sync += known.eq(1)
        # Beyond the last word, simulators and synthesis do as they like.
        address = Signal(3)
        m.d.comb += [
            address.eq(Mux(self.address < 5, self.address, 0)),
            Cat(now.addr, late.addr, write.addr).eq(address.replicate(3)),
            write.en.eq(self.write),
            write.data.eq(self.value),
            self.now.eq(now.data),
            self.late.eq(Mux(known, late.data, 0)),
            self.parity[0].eq(now.data.xor()),
            self.parity[1].eq(late.data.xor() & known),
        ]
        return m
