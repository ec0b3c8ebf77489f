"""Carries out the commands of a computer: on registers, streams, sessions.

A command is looked at when its whole frame is there and right; so nothing that is wrong is carried
out, not even in part. Its answer stays in memory: if the computer asks again with the same number,
because the answer was lost, the same answer is sent, and nothing is done a second time.
"""

from typing import Any

from amaranth.hdl import Array, C, Cat, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from boards.hosted.protocol import ADDRESS_BYTES, ANSWER, WORD_BYTES, About, Command, Status
from boards.link.deframer_twin import DeframerConfig
from boards.link.frame import HEADER
from boards.link.framer_twin import FramerConfig
from boards.shifts import times
from golden.core.registers import READ_LATENCY, Registers
from hdl.bus.axi_stream import Words
from hdl.bus.signature import RegisterBus, RegisterPort

#: Registers that the answer to STATUS has.
SHOWN = ("status", "steps_done", "fault")
#: Clocks in which the streams are held empty after a soft reset was written.
_SETTLES = 7


class Responder(wiring.Component):
    """Carries out the commands of frames, and makes the frames of their answers.

    Parameters
    ----------
    about
        What the board is.
    registers
        The core's registers.

    Members
    -------
    there, done, place, data
        A frame of the line: see `Deframer`.
    start, busy, kind, number, answer_size, answer_place, answer
        An answer's frame: see `Framer`.
    bus : Out(RegisterBus)
        The core's registers.
    o : Out(stream of {words; last})
        The core's input stream.
    i : In(stream of {words; last})
        The core's output stream.
    session : Out(1)
        There is a session.
    """

    there: Signal
    done: Signal
    place: Signal
    data: Signal
    start: Signal
    busy: Signal
    kind: Signal
    number: Signal
    answer_size: Signal
    answer_place: Signal
    answer: Signal
    bus: RegisterPort
    o: Any
    i: Any
    session: Signal

    def __init__(self, about: About, registers: Registers):
        self.about = about
        self.registers = registers
        self.deframer = DeframerConfig(longest=about.longest)
        self.framer = FramerConfig(longest=about.longest)
        super().__init__(
            {
                "there": In(1),
                "done": Out(1),
                "place": Out(self.deframer.place_bits),
                "data": In(8),
                "start": Out(1),
                "busy": In(1),
                "kind": Out(8),
                "number": Out(16),
                "answer_size": Out(about.longest.bit_length()),
                "answer_place": In(self.framer.place_bits),
                "answer": Out(8),
                "bus": Out(RegisterBus()),
                "o": Out(stream.Signature(Words(about.takes))),
                "i": In(stream.Signature(Words(about.gives))),
                "session": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        about, named = self.about, self.registers.named

        # The streams.
        clear = Signal()
        takes: Any = SyncFIFOBuffered(width=self._bits(self.o), depth=about.takes_depth)
        gives: Any = SyncFIFOBuffered(width=self._bits(self.i), depth=about.gives_depth)
        m.submodules.takes = takes = ResetInserter(clear)(takes)
        m.submodules.gives = gives = ResetInserter(clear)(gives)
        given = data.View(self.i.payload.shape(), gives.r_data)
        m.d.comb += [
            self.o.valid.eq(takes.r_rdy),
            Value.cast(self.o.payload).eq(takes.r_data),
            takes.r_en.eq(self.o.ready),
            self.i.ready.eq(gives.w_rdy),
            gives.w_data.eq(Value.cast(self.i.payload)),
            gives.w_en.eq(self.i.valid),
        ]

        # The frame's bytes, one after the other: the next one is read in the clock that takes one.
        at, following, take = Signal.like(self.place), Signal.like(self.place), Signal()
        byte = self.data
        m.d.comb += [following.eq(Mux(self.there, at + take, 0)), self.place.eq(following)]
        m.d.sync += at.eq(following)

        # The answer: its first byte is the status.
        kept: Any = memory.Memory(shape=8, depth=1 << self.framer.place_bits, init=[])
        m.submodules.memory = kept
        write, read = kept.write_port(), kept.read_port()
        put, status = Signal(), Signal(Status)
        size = Signal.like(self.answer_size)
        ends = Signal()
        m.d.comb += [
            read.addr.eq(self.answer_place),
            self.answer.eq(read.data),
            write.en.eq(put | ends),
            write.addr.eq(Mux(ends, 0, size)),
        ]
        with m.If(put):
            m.d.sync += size.eq(size + 1)

        kind, number = Signal(8), Signal(16)
        length, left = Signal(16), Signal(16)
        last_number = Signal(16)
        word, beat = Signal(32), Signal(8 * max(about.taken_bytes, about.given_bytes))
        part = Signal(range(max(about.taken_bytes, about.given_bytes, len(about.encoded)) + 1))
        ends_beat, register = Signal(), Signal(8)
        wait = Signal(range(READ_LATENCY + 1))
        encoded: Any = Array(C(each, 8) for each in about.encoded)
        shown: Any = Array(C(named(name).address, 8) for name in SHOWN)
        room, held = Signal(16), Signal(16)
        m.d.comb += [
            room.eq(about.takes_depth - takes.w_level),
            held.eq(gives.r_level),
            self.kind.eq(kind | ANSWER),
            self.number.eq(number),
            self.answer_size.eq(size),
            self.bus.address.eq(register),
            self.bus.value.eq(word),
        ]

        def fails(why: Status) -> None:
            m.d.sync += status.eq(why)
            m.next = "end"

        def lasts(condition: Value, state: str) -> None:
            """Go on with a command whose length is right."""
            with m.If(condition):
                m.next = state
            with m.Else():
                fails(Status.LENGTH)

        with m.FSM(name="responder"):
            with m.State("idle"), m.If(self.there & ~self.busy):
                m.d.comb += take.eq(1)
                m.d.sync += [kind.eq(byte), left.eq(HEADER - 2)]
                m.next = "header"
            with m.State("header"):
                m.d.comb += take.eq(1)
                m.d.sync += [
                    Cat(number, length).eq(Cat(number[8:], length, byte)),
                    left.eq(left - 1),
                ]
                with m.If(left == 0):
                    m.next = "decide"
            with m.State("decide"):
                m.d.sync += [status.eq(Status.OK), part.eq(0), left.eq(length), size.eq(1)]
                with m.If(kind == Command.HELLO):
                    m.d.sync += self.session.eq(0)
                    lasts(length == 9, "hello")
                with m.Elif(~self.session):
                    fails(Status.SESSION)
                with m.Elif(number == last_number):
                    m.d.sync += size.eq(size)
                    m.next = "answer"
                with m.Elif(number != (last_number + 1)[:16]):
                    m.d.sync += self.session.eq(0)
                    fails(Status.NUMBER)
                with m.Else():
                    m.d.sync += last_number.eq(number)
                    with m.Switch(kind):
                        with m.Case(Command.WRITE):
                            lasts(length != 0, "count writes")
                        with m.Case(Command.READ):
                            lasts(length <= about.most_read, "next read")
                        with m.Case(Command.SEND):
                            lasts(length >= 2, "last of beats")
                        with m.Case(Command.RECEIVE):
                            lasts(length == 1, "count beats")
                        with m.Case(Command.RUN):
                            lasts(length == WORD_BYTES, "run")
                        with m.Case(Command.STATUS):
                            lasts(length == 0, "next shown")
                        with m.Case(Command.RESET):
                            lasts(length == 0, "reset")
                        with m.Default():
                            fails(Status.COMMAND)

            # HELLO: version and design are compared with what the board then says of itself.
            with m.State("hello"):
                m.d.comb += take.eq(1)
                m.d.sync += [part.eq(part + 1), left.eq(left - 1)]
                with m.If((byte != encoded[part]) & (status == Status.OK)):
                    m.d.sync += status.eq(Mux(part == 0, Status.VERSION, Status.DESIGN))
                with m.If(left == 1):
                    m.d.sync += part.eq(0)
                    m.next = "about"
            with m.State("about"):
                m.d.comb += [put.eq(1), write.data.eq(encoded[part])]
                m.d.sync += part.eq(part + 1)
                with m.If(part == len(about.encoded) - 1):
                    m.d.sync += [self.session.eq(status == Status.OK), last_number.eq(number)]
                    m.next = "end"

            # WRITE.
            with m.State("count writes"):
                m.d.comb += take.eq(1)
                m.d.sync += left.eq(byte)
                lasts(length == 1 + times(byte, ADDRESS_BYTES + WORD_BYTES), "next write")
            with m.State("next write"):
                m.d.comb += take.eq(left != 0)
                m.d.sync += [register.eq(byte), part.eq(0), left.eq(left - 1)]
                m.next = "word"
                with m.If(left == 0):
                    m.next = "end"
            with m.State("word"):
                m.d.comb += take.eq(1)
                m.d.sync += [word.eq(Cat(word[8:], byte)), part.eq(part + 1)]
                with m.If(part == WORD_BYTES - 1):
                    m.next = "write"
            with m.State("write"):
                m.d.comb += self.bus.write.eq(1)
                m.next = "next write"

            # READ, and STATUS.
            with m.State("next read"):
                m.d.comb += take.eq(left != 0)
                m.d.sync += [register.eq(byte), left.eq(left - 1)]
                m.next = "read"
                with m.If(left == 0):
                    m.next = "end"
            with m.State("next shown"):
                m.d.sync += [register.eq(shown[left]), left.eq(left + 1)]
                m.next = "read"
                with m.If(left == len(SHOWN)):
                    m.d.sync += [word.eq(Cat(room, held)), part.eq(0)]
                    m.next = "put"
                with m.If(left == len(SHOWN) + 1):
                    m.next = "end"
            with m.State("read"):
                m.d.comb += self.bus.read.eq(1)
                m.d.sync += wait.eq(READ_LATENCY - 1)
                m.next = "wait"
            with m.State("wait"):
                m.d.sync += [wait.eq(wait - 1), word.eq(self.bus.data), part.eq(0)]
                with m.If(wait == 0):
                    m.next = "put"
            with m.State("put"):
                m.d.comb += [put.eq(1), write.data.eq(word[:8])]
                m.d.sync += [word.eq(word >> 8), part.eq(part + 1)]
                with m.If(part == WORD_BYTES - 1):
                    m.next = "next read"
                    with m.If(kind == Command.STATUS):
                        m.next = "next shown"

            # SEND.
            with m.State("last of beats"):
                m.d.comb += take.eq(1)
                m.d.sync += ends_beat.eq(byte[0])
                m.next = "count of beats"
            with m.State("count of beats"):
                m.d.comb += take.eq(1)
                m.d.sync += left.eq(byte)
                m.next = "gather"
                with m.If(length != 2 + times(byte, about.taken_bytes)):
                    fails(Status.LENGTH)
                with m.Elif(byte > room):
                    fails(Status.ROOM)
                with m.Elif(byte == 0):
                    m.next = "end"
            with m.State("gather"):
                m.d.comb += take.eq(1)
                m.d.sync += [
                    beat[: 8 * about.taken_bytes].eq(Cat(beat[8 : 8 * about.taken_bytes], byte)),
                    part.eq(part + 1),
                ]
                with m.If(part == about.taken_bytes - 1):
                    m.next = "send"
            with m.State("send"):
                m.d.comb += takes.w_en.eq(1)
                m.d.sync += [part.eq(0), left.eq(left - 1)]
                m.next = "gather"
                with m.If(left == 1):
                    m.next = "end"
            width, wide = about.takes.width, 8 * about.takes.bytes
            words = Cat(beat[k * wide :][:width] for k in range(about.takes.words))
            m.d.comb += takes.w_data.eq(Cat(words, ends_beat & (left == 1)))

            # RECEIVE.
            with m.State("count beats"):
                m.d.comb += take.eq(1)
                m.d.sync += left.eq(Mux(byte > about.most_given, about.most_given, byte))
                m.next = "receive"
            with m.State("receive"):
                wide = 8 * about.gives.bytes
                every = [Value.cast(word) for word in given.words]
                m.d.sync += [
                    beat[: 8 * about.given_bytes].eq(
                        Cat(*(_extended(each, wide) for each in every), given.last, C(0, 7))
                    ),
                    part.eq(0),
                ]
                with m.If((left != 0) & gives.r_rdy):
                    m.d.comb += gives.r_en.eq(1)
                    m.d.sync += left.eq(left - 1)
                    m.next = "scatter"
                with m.Else():
                    m.next = "end"
            with m.State("scatter"):
                m.d.comb += [put.eq(1), write.data.eq(beat[:8])]
                m.d.sync += [beat.eq(beat >> 8), part.eq(part + 1)]
                with m.If(part == about.given_bytes - 1):
                    m.next = "receive"

            # RUN, and RESET.
            with m.State("run"):
                m.d.comb += take.eq(1)
                m.d.sync += [
                    word.eq(Cat(word[8:], byte)),
                    left.eq(left - 1),
                    register.eq(named("steps").address),
                ]
                with m.If(left == 1):
                    m.next = "steps"
            with m.State("steps"):
                m.d.comb += self.bus.write.eq(1)
                m.d.sync += [
                    register.eq(named("control").address),
                    word.eq(named("control")["start"].mask),
                ]
                m.next = "begin"
            with m.State("begin"):
                m.d.comb += self.bus.write.eq(1)
                m.next = "end"
            with m.State("reset"):
                m.d.sync += [
                    register.eq(named("control").address),
                    word.eq(named("control")["reset"].mask),
                    left.eq(_SETTLES),
                ]
                m.next = "write reset"
            with m.State("write reset"):
                m.d.comb += self.bus.write.eq(1)
                m.next = "settle"
            with m.State("settle"):
                # Until the core is reset, it may still offer a beat.
                m.d.comb += clear.eq(1)
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.next = "end"

            with m.State("end"):
                m.d.comb += [ends.eq(1), write.data.eq(status)]
                m.next = "answer"
            with m.State("answer"):
                m.d.comb += [self.start.eq(1), self.done.eq(1)]
                m.next = "answered"
            with m.State("answered"):
                m.next = "idle"
        return m

    def _bits(self, port: Any) -> int:
        """Return the bits of a stream's payload."""
        return len(Value.cast(port.payload))


def _extended(word: Value, bits: int) -> Value:
    """Return a word with further copies of its sign."""
    return Cat(word, word[-1].replicate(bits - len(word)))
