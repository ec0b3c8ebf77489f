"""Compares results with the words of a ROM, at most one per clock."""

from typing import Any

from amaranth.hdl import Module, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from boards.rom.rom import block_rom, payload_shape
from boards.selftest.checker_twin import CheckerConfig


def _after(m: Module, value: Value, name: str) -> Signal:
    """Return a register of `value` that a reset does not clear."""
    late = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += late.eq(value)
    return late


class Checker(wiring.Component):
    """Compares results with the words of a ROM, in order, up to the first wrong one.

    A right result shows at `taken` `config.latency` clocks after it was taken; a wrong one at
    `failed` after `config.fails_after`. The two words that differ can then be shifted out.

    Parameters
    ----------
    config
        Width and expected results.
    shape
        Shape of the payload, of the same width; unsigned without it.

    Members
    -------
    i : In(stream of `width` bits)
        The results.
    ready : In(1)
        A result may be taken in this clock; drives `i.ready`.
    agreed : Out
        Number of results that have been found right.
    taken : Out(1)
        One more is found right in this clock.
    complete : Out(1)
        All expected results have been found right.
    failed : Out(1)
        A result was wrong: result number `agreed`. Nothing is compared any more.
    extra : Out(1)
        The wrong result is one more than were expected. Specified while `failed` is high.
    shift : In(1)
        After a failure: go on to the next bit of the pair.
    expected, got : Out(1)
        A bit of the expected word and of the result, the lowest bit first. Specified while `failed`
        is high; `expected` only while `extra` is low.
    """

    i: Any
    ready: Signal
    agreed: Signal
    taken: Signal
    complete: Signal
    failed: Signal
    extra: Signal
    shift: Signal
    expected: Signal
    got: Signal

    def __init__(self, config: CheckerConfig, shape: ShapeLike | None = None):
        self.config = config
        payload = payload_shape(config.width, shape)
        super().__init__(
            {
                "i": In(stream.Signature(payload)),
                "ready": In(1),
                "agreed": Out(range(len(config.words) + 1)),
                "taken": Out(1),
                "complete": Out(1),
                "failed": Out(1),
                "extra": Out(1),
                "shift": In(1),
                "expected": Out(1),
                "got": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width, count = self.config.width, len(self.config.words)
        rom = block_rom(m, width, self.config.words)
        read = rom.read_port()

        # The taken result and its expected word, both one clock later.
        fetched = Signal(range(count + 1))
        takes = Signal()
        m.d.comb += [
            self.i.ready.eq(self.ready),
            takes.eq(self.i.valid & self.ready),
            read.addr.eq(fetched),
            read.en.eq(1),
        ]
        with m.If(takes & (fetched != count)):
            m.d.sync += fetched.eq(fetched + 1)
        there = Signal()
        m.d.sync += there.eq(takes)
        result = _after(m, Value.cast(self.i.payload), "result")
        beyond = _after(m, fetched == count, "beyond")

        # The pair that is compared. A pair that differs stays, and is shifted out.
        present, over = Signal(), Signal(reset_less=True)
        wanted, found = (Signal(width, name=name, reset_less=True) for name in ("wanted", "found"))
        differs = Signal()
        m.d.comb += [
            differs.eq(present & (over | (wanted != found))),
            self.taken.eq(present & ~differs & ~self.failed),
            self.complete.eq(self.agreed == count),
            self.extra.eq(over),
            self.expected.eq(wanted[0]),
            self.got.eq(found[0]),
        ]
        with m.If(~(differs | self.failed)):
            m.d.sync += [
                present.eq(there),
                over.eq(beyond),
                wanted.eq(read.data),
                found.eq(result),
                self.agreed.eq(self.agreed + present),
            ]
        with m.Elif(self.shift):
            m.d.sync += [wanted.eq(wanted >> 1), found.eq(found >> 1)]
        with m.If(differs):
            m.d.sync += self.failed.eq(1)
        return m
