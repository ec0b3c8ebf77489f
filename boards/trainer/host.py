"""The host of a core on a board: it carries out the steps of a course, one after the other."""

from typing import Any

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from boards.rom.rom import block_rom
from boards.trainer.course import NUMBERS, OP_BITS, WORDS, Course, Feed, Op
from boards.trainer.training import Training
from golden.core.field import WORD
from golden.core.isa import Engine
from golden.core.registers import ADDRESS, READ_LATENCY, Registers
from hdl.bus.signature import RegisterBus, RegisterPort


class Host(wiring.Component):
    """Carries out a course: writes programs, starts them, reads registers, says what has happened.

    A step takes three clocks, and what it waits for.

    Parameters
    ----------
    training
        The training.
    course
        Its course.

    Members
    -------
    restart : In(1)
        A rising edge begins the course again, after the line of text that is printed.
    bus : Out(RegisterBus)
        The core's registers.
    clear : Out(1)
        Whatever was to be sent or summed is dropped.
    weights : Out(1)
        The initial weights are sent, from when on it is high; else samples are.
    train, test : Out(1)
        The samples of the next epoch, or those to test with, are sent from now on.
    primed : In(1)
        What is sent comes without a gap.
    digest : Out(1)
        A checksum begins. It is that of nothing at the clock after.
    crc : In(32), summed : In(1)
        The checksum, and whether it is that of all weights.
    say : Out(1), message : Out
        A message is to be printed, and its place in the texts.
    busy : In(1)
        A message is being printed.
    numbers : Out, words : Out
        Numbers and words of the messages.
    eighths : Out(4)
        Eighths of the epochs that are done, rounded down.
    ended, failed : Out(1)
        All epochs are done; there was a fault.
    """

    restart: Signal
    bus: RegisterPort
    clear: Signal
    weights: Signal
    train: Signal
    test: Signal
    primed: Signal
    digest: Signal
    crc: Signal
    summed: Signal
    say: Signal
    message: Signal
    busy: Signal
    numbers: Any
    words: Any
    eighths: Signal
    ended: Signal
    failed: Signal

    def __init__(self, training: Training, course: Course):
        self.training = training
        self.course = course
        place = range(len(course.text.rom))
        ins = dict.fromkeys(("restart", "primed", "summed", "busy"), In(1))
        outs = dict.fromkeys(
            ("clear", "weights", "train", "test", "digest", "say", "ended", "failed"), Out(1)
        )
        super().__init__(
            {
                **ins,
                **outs,
                "bus": Out(RegisterBus()),
                "crc": In(32),
                "message": Out(place),
                "numbers": Out(signed(WORD + 1)).array(len(NUMBERS)),
                "words": Out(place).array(len(WORDS)),
                "eighths": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        course = self.course
        step = data.StructLayout({"op": OP_BITS, "address": ADDRESS, "value": WORD})
        rom = block_rom(m, step.size, course.rom)
        read = rom.read_port()
        place = Signal(range(len(course.rom)))
        now: Any = Signal(step)
        m.d.comb += read.addr.eq(place)

        # Numbers and words of the messages.
        kept = Array(Signal(WORD, name=name) for name in NUMBERS)
        epoch = kept[NUMBERS.index("epoch")]
        fault = kept[NUMBERS.index("fault")]
        table = Registers(self.training.compiled.config)
        of_fault = table.named("fault")
        kinds: Any = Array([*course.faults, *[0] * (16 - len(course.faults))])
        engines: Any = Array(course.engines[engine] for engine in Engine)

        def within(name: str) -> Value:
            field = of_fault[name]
            return fault[field.first : field.first + field.width]

        m.d.comb += [
            *(
                shown.eq(Cat(number, C(0, 1)).as_signed())
                for shown, number in zip(self.numbers, kept)
            ),
            self.words[0].eq(kinds[within("kind")]),
            self.words[1].eq(engines[within("engine")]),
            *(
                self.words[2 + k].eq(course.digits + (self.crc.word_select(k, 4) << 1))
                for k in range(8)
            ),
        ]

        # The learning rate of the epoch that is trained, and how many eighths are done.
        recipe = self.training.compiled.recipe
        rates = [recipe.rate(number) for number in range(recipe.epochs)]
        rate: Value = C(rates[0], signed(WORD))
        for number in range(1, recipe.epochs):
            if rates[number] != rates[number - 1]:
                rate = Mux(epoch > number, C(rates[number], signed(WORD)), rate)
        shown_rate = Signal(signed(WORD))
        m.d.sync += shown_rate.eq(rate)
        done = Signal.like(epoch)
        m.d.sync += self.eighths.eq(
            sum(done >= -(-recipe.epochs * eighth // 8) for eighth in range(1, 9))
        )

        pressed, before = Signal(), Signal()
        left = Signal(WORD)
        status = table.named("status")
        running, faulty = (status[name].first for name in ("running", "fault"))
        value = now.value
        m.d.sync += before.eq(self.restart)
        m.d.comb += [
            self.bus.address.eq(Mux(now.op == Op.WAIT, status.address, now.address)),
            self.bus.value.eq(Mux(now.op == Op.RATE, shown_rate, value)),
            self.message.eq(value),
        ]

        with m.FSM(name="host"):
            with m.State("fetch"):
                m.next = "decode"
            with m.State("decode"):
                m.d.sync += [now.eq(read.data), place.eq(place + 1)]
                m.next = "carry out"
                with m.If(pressed):
                    m.d.sync += [place.eq(0), pressed.eq(0), self.ended.eq(0), self.failed.eq(0)]
                    m.next = "fetch"
            with m.State("carry out"):
                m.next = "fetch"
                with m.Switch(now.op):
                    with m.Case(Op.WRITE, Op.RATE):
                        m.d.comb += self.bus.write.eq(1)
                    with m.Case(Op.WAIT, Op.ADD):
                        m.d.comb += self.bus.read.eq(1)
                        m.d.sync += left.eq(READ_LATENCY - 1)
                        m.next = "read"
                    with m.Case(Op.SET):
                        m.d.sync += kept[now.address[:3]].eq(value)
                    with m.Case(Op.CLEAR):
                        m.d.comb += self.clear.eq(1)
                        m.d.sync += [self.weights.eq(0), done.eq(0)]
                    with m.Case(Op.FEED):
                        m.d.comb += [
                            self.train.eq(value == Feed.TRAIN),
                            self.test.eq(value == Feed.TEST),
                        ]
                        m.d.sync += self.weights.eq(value == Feed.WEIGHTS)
                        m.next = "prime"
                    with m.Case(Op.DIGEST):
                        m.d.comb += self.digest.eq(1)
                    with m.Case(Op.SUM):
                        m.next = "sum"
                    with m.Case(Op.SAY):
                        m.d.comb += self.say.eq(1)
                        m.next = "say"
                    with m.Case(Op.NEXT):
                        m.d.sync += done.eq(epoch)
                        with m.If(epoch == recipe.epochs):
                            m.d.sync += place.eq(value)
                        with m.Else():
                            m.d.sync += epoch.eq(epoch + 1)
                    with m.Case(Op.JUMP):
                        m.d.sync += place.eq(value)
                    with m.Case(Op.END):
                        m.d.sync += [self.ended.eq(~value[0]), self.failed.eq(value[0])]
                    with m.Case(Op.PAUSE):
                        m.d.sync += left.eq(value)
                        m.next = "pause"
            with m.State("read"):
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.next = "fetch"
                    with m.If(now.op == Op.ADD):
                        number = kept[value[:3]]
                        m.d.sync += number.eq(number + self.bus.data)
                    with m.Elif(self.bus.data[faulty]):
                        m.d.sync += place.eq(value)
                    with m.Elif(self.bus.data[running] & ~pressed):
                        m.next = "carry out"
            with m.State("prime"), m.If(self.primed):
                m.next = "fetch"
            with m.State("sum"), m.If(self.summed | pressed):
                m.next = "fetch"
            with m.State("say"), m.If(~self.busy):
                m.next = "fetch"
            with m.State("pause"):
                m.d.sync += left.eq(left - 1)
                with m.If((left == 0) | pressed):
                    m.next = "fetch"
        with m.If(self.restart & ~before):
            m.d.sync += pressed.eq(1)
        return m
