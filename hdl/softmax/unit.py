"""Softmax and the error of each output, sample after sample without a gap.

Three parts work on successive samples at the same time. Outputs enter a memory while their maximum
is found; they are read again, and their distances from the maximum become exponentials, which enter
a second memory while they are summed; these are read, divided by the sum, and rounded to errors. A
part takes a clock for each class, and a sample's last output is at least as many clocks after that
of the sample before. So no part ever waits, and a value is read just before the next sample's is
written to its place.

Places for a sample's errors in the output FIFO are claimed when its last output is accepted; only
that one waits.
"""

from typing import Any, NamedTuple

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from golden import check
from golden.rounder import PIPELINE_LATENCY
from golden.softmax import SoftmaxConfig
from golden.softmax.config import EXPONENTIAL_LATENCY, QUOTIENT_LATENCY
from hdl.buffer import Buffer
from hdl.cells.memory import NO_CHECK
from hdl.delay import registered
from hdl.lfsr import words
from hdl.rounder import RoundingPipeline
from hdl.softmax.exponential import FRACTION, ExponentialPipeline
from hdl.softmax.quotient import QuotientPipeline


class _Place(NamedTuple):
    """Where a part of the unit is in its samples."""

    #: Number of the class.
    number: Signal
    #: It is the sample's last class.
    last: Signal


def _place(m: Module, name: str, moves: Value, classes: int) -> _Place:
    """Return a place that goes on by a class where `moves` is 1."""
    place = _Place(
        Signal(range(classes), name=f"{name}_class"),
        Signal(name=f"{name}_last"),
    )
    with m.If(moves):
        m.d.sync += [
            place.number.eq(Mux(place.last, 0, place.number + 1)),
            place.last.eq(place.number == classes - 2),
        ]
    return place


def _sweep(m: Module, name: str, starts: Value, classes: int) -> tuple[Value, _Place]:
    """Return whether a sweep over a sample's classes goes on, and its place. It begins in the clock
    in which `starts` is 1.
    """
    busy, active = Signal(name=f"{name}_busy"), Signal(name=name)
    place = _place(m, name, active, classes)
    m.d.comb += active.eq(starts | busy)
    m.d.sync += busy.eq(active & ~place.last)
    return active, place


def _stored(
    m: Module, name: str, written: Value, into: Value, value: Value, reads: Value, at: Value
) -> Value:
    """Return the value at the place `at`, two clocks later. A place is never read in the clock in
    which it is written.
    """
    memory: Memory[Any, Any] = Memory(
        shape=len(value), depth=1 << len(into), init=[], attrs=NO_CHECK
    )
    m.submodules[name] = memory
    write = memory.write_port()
    read = memory.read_port(domain="sync")
    m.d.comb += [
        write.en.eq(written),
        write.addr.eq(into),
        write.data.eq(value),
        read.en.eq(reads),
        read.addr.eq(at),
    ]
    return registered(m, read.data, f"{name}_read")


class Softmax(wiring.Component):
    """Softmax of a sample's outputs, and the error of each: probability minus target, rounded.

    Parameters
    ----------
    config
        Classes, formats, rounding and generators.

    Members
    -------
    i : In(stream of {data: a code of `outputs`; label: `label_width` bits})
        Outputs, class 0 first; `label` is read with a sample's last one. `ready` is low only at
        a sample's last output, while the output FIFO has no room for the sample's errors.
    o : Out(stream of {data: a code of `error`; probability: 17 bits; last: 1})
        Errors, the first one `config.latency` clocks after the sample's last output. The
        probability has 16 fraction bits.

    Examples
    --------
    >>> from golden import SoftmaxConfig
    >>> softmax = Softmax(SoftmaxConfig(classes=10))
    >>> print(softmax.i.payload.shape()["label"].shape, softmax.config.latency)
    unsigned(4) 47
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: SoftmaxConfig):
        check.instance("config", config, SoftmaxConfig)
        self.config = config
        operand = {"data": signed(config.outputs.width), "label": unsigned(config.label_width)}
        result = {
            "data": signed(config.error.width),
            "probability": unsigned(FRACTION + 1),
            "last": 1,
        }
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(operand))),
                "o": Out(stream.Signature(data.StructLayout(result))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        classes = self.config.classes
        m.submodules.buffer = buffer = Buffer(
            self.o.payload.shape(), depth=self.config.buffer, rows=classes
        )
        accepted = Signal()
        claim = Signal()
        offered = _place(m, "offered", accepted, classes)
        m.d.comb += [
            self.i.ready.eq(~offered.last | buffer.ready),
            accepted.eq(self.i.valid & self.i.ready),
            claim.eq(accepted & offered.last),
            buffer.claim.eq(claim),
        ]
        distance, right, valid = self._distances(m, accepted, claim)
        numerator, divisor, right, valid, last = self._exponentials(m, distance, right, valid)
        self._errors(m, buffer, numerator, divisor, right, valid, last)
        connect(m, buffer.o, flipped(self.o))
        return m

    def _distances(self, m: Module, accepted: Value, claim: Value) -> tuple[Value, Value, Value]:
        """Return the distances of outputs from the maximum, whether their class is the right one,
        and whether there is one. The first is there four clocks after the last output.
        """
        classes = self.config.classes
        taken = registered(m, accepted, "taken", reset_less=False)
        ends = registered(m, claim, "ends", reset_less=False)
        output = registered(m, self.i.payload.data, "output").as_signed()
        label = Signal(self.config.label_width, reset_less=True)
        with m.If(claim):
            m.d.sync += label.eq(self.i.payload.label)

        begins = Signal(init=1)
        largest = Signal(signed(self.config.outputs.width), reset_less=True)
        with m.If(taken):
            m.d.sync += begins.eq(ends)
            with m.If(begins | (output > largest)):
                m.d.sync += largest.eq(output)
        # The next sample may begin at once, and the maximum is needed for as long as it lasts.
        complete = registered(m, ends, "complete")
        maximum = Signal.like(largest, name="maximum", reset_less=True)
        with m.If(complete):
            m.d.sync += maximum.eq(largest)

        written = _place(m, "written", taken, classes)
        reads, read = _sweep(m, "reads", ends, classes)
        again = _stored(m, "outputs", taken, written.number, output, reads, read.number).as_signed()
        distance = registered(m, (maximum - again)[: len(again)], "distance")
        right = registered(m, read.number == label, "right_read", 2)
        right = registered(m, right, "right")
        return distance, right, registered(m, reads, "reading", 3, reset_less=False)

    def _exponentials(
        self, m: Module, distance: Value, right: Value, valid: Value
    ) -> tuple[Value, Value, Value, Value, Value]:
        """Return exponentials and their sum; whether the class is the right one, whether there is
        an exponential, and whether it is the sample's last.
        """
        config = self.config
        m.submodules.exponential = pipeline = ExponentialPipeline(config)
        m.d.comb += [
            pipeline.operand.valid.eq(valid),
            pipeline.operand.payload.distance.eq(distance),
        ]
        right = registered(m, right, "right_taken", EXPONENTIAL_LATENCY - 1)
        right = registered(m, right, "right_stored")
        there, exponential = pipeline.result.valid, pipeline.result.payload.exponential

        summed = _place(m, "summed", there, config.classes)
        sum_begins = Signal(init=1)
        total = Signal(config.sum_width, reset_less=True)
        with m.If(there):
            m.d.sync += [
                sum_begins.eq(summed.last),
                total.eq(Mux(sum_begins, 0, total) + exponential),
            ]
        sum_ends = Signal()
        m.d.comb += sum_ends.eq(there & summed.last)
        # The sum is needed for as long as the next one takes.
        sum_complete = registered(m, sum_ends, "sum_complete")
        divisor = Signal.like(total, name="divisor", reset_less=True)
        with m.If(sum_complete):
            m.d.sync += divisor.eq(total)

        divides, read = _sweep(m, "divides", sum_ends, config.classes)
        value = Cat(exponential, right)
        again = _stored(m, "exponentials", there, summed.number, value, divides, read.number)
        return (
            again[: len(exponential)],
            divisor,
            again[-1],
            registered(m, divides, "dividing", 2, reset_less=False),
            registered(m, read.last, "last", 2),
        )

    def _errors(
        self,
        m: Module,
        buffer: Buffer,
        numerator: Value,
        divisor: Value,
        right: Value,
        valid: Value,
        last: Value,
    ) -> None:
        """Divide, subtract the target, round, and write the errors to the buffer."""
        config = self.config
        m.submodules.quotient = divider = QuotientPipeline(config)
        m.submodules.rounder = rounder = RoundingPipeline(config.rounder)
        m.d.comb += [
            divider.operand.valid.eq(valid),
            divider.operand.payload.numerator.eq(numerator),
            divider.operand.payload.divisor.eq(divisor),
        ]
        right = registered(m, right, "right_divided", QUOTIENT_LATENCY)
        last = registered(m, last, "last_due", QUOTIENT_LATENCY - 1)
        if rounder.draws:
            due = registered(m, valid, "due", QUOTIENT_LATENCY - 1, reset_less=False)
            m.d.comb += rounder.random[0].eq(self._word(m, due, last))
        last = registered(m, last, "last_divided")

        # p - 2^16 differs from p in the bits above the 16 lower ones only.
        quotient = divider.result.payload.quotient
        low, one = quotient[:FRACTION], quotient[FRACTION]
        less = right & ~one
        m.d.comb += [
            rounder.operand.valid.eq(divider.result.valid),
            rounder.operand.payload.data[0].eq(Cat(low, (one & ~right) | less, less)),
            buffer.i_valid.eq(rounder.result.valid),
            buffer.i_payload.data.eq(rounder.result.payload.data[0]),
            buffer.i_payload.probability.eq(
                registered(m, quotient, "probability", PIPELINE_LATENCY)
            ),
            buffer.i_payload.last.eq(registered(m, last, "last_rounded", PIPELINE_LATENCY)),
        ]

    def _word(self, m: Module, due: Value, last: Value) -> Value:
        """Return the random word of the class whose quotient is there in the next clock, `due`.

        The generators take turns. All leap after the last one's turn, or the sample's last class.
        """
        config = self.config
        turn = Signal(range(max(config.lanes, 2)))
        leaps = Signal()
        m.d.comb += leaps.eq(due & (last | (turn == config.lanes - 1)))
        with m.If(due):
            m.d.sync += turn.eq(Mux(leaps, 0, turn + 1))
        lanes = words(m, "lfsr", config.lfsr, leaps)
        chosen = Array(Value.cast(lanes[number]) for number in range(config.lanes))
        word = chosen[turn] if config.lanes > 1 else Value.cast(lanes[0])
        return registered(m, word, "word")
