"""The movers: beats of the input stream into stores, and beats of the output stream."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from golden.core.config import CoreConfig
from golden.core.isa import Move, MoveInstruction, Target
from hdl.core.fetch import COUNT
from hdl.core.fields import held, layout
from hdl.core.indices import Pair, mask, stepped
from hdl.delay import registered

#: Clocks from a word's way to the banks to its write.
TO_STORE = 4
#: Clocks from an index to the words that are read there.
TO_WORDS = 8


class MoveNest(wiring.Component):
    """The loops of a move: the index of each beat.

    Members
    -------
    next, ready, takes, passes, begins : as of `hdl.core.nest.ProductNest`
    odd : In(1)
    now : Out(instruction)
    in_odd : Out(1)
        The instruction that runs belongs to an odd step.
    active : Out(1)
        A beat is wanted.
    steps : In(1)
        The beat is taken.
    high, low : Out
        Its index.
    row : Out
        Its row, counted from 0.
    last_beat, last : Out(1)
        It is the last one of its row; of the move.
    """

    next: data.View
    odd: Signal
    ready: Signal
    takes: Signal
    passes: Signal
    begins: Signal
    now: data.View
    in_odd: Signal
    active: Signal
    row_done: Signal
    steps: Signal
    high: Signal
    low: Signal
    row: Signal
    last_beat: Signal
    last: Signal
    busy: Signal

    def __init__(self, banks: int, address: int):
        self.banks = banks
        self.address = address
        self.layout = layout(MoveInstruction)
        super().__init__(
            {
                "next": In(self.layout),
                "odd": In(1),
                "ready": In(1),
                "takes": Out(1),
                "passes": In(1),
                "begins": Out(1),
                "now": Out(self.layout),
                "in_odd": Out(1),
                "active": Out(1),
                "row_done": In(1),
                "steps": In(1),
                "high": Out(address),
                "low": Out(range(banks)),
                "row": Out(16),
                "last_beat": Out(1),
                "last": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now, coming = self.now, self.next
        held(m, coming, self.takes, now)
        bits = len(Signal(range(self.banks)))

        def given(index: Any) -> Pair:
            return Pair(index.high[: self.address], index.low[:bits])

        row = Pair(Signal(self.address, name="row_high"), Signal(range(self.banks), name="row_low"))
        beat = Signal(16)
        at = Pair(self.high, self.low)
        running, waiting = Signal(), Signal()
        beats, rows = now.loops[2], now.loops[0]
        m.d.comb += [
            self.active.eq(running),
            self.busy.eq(running | waiting),
            self.last_beat.eq(beat == beats.count),
            self.last.eq(self.row == rows.count),
            self.takes.eq(self.ready & ((~running & ~waiting) | (self.row_done & self.last))),
            self.begins.eq((waiting | (self.row_done & ~self.last)) & self.passes),
        ]
        moved = stepped(given(coming.at), given(coming.second), self.banks)
        first = Pair(
            Mux(self.odd, moved.high, given(coming.at).high),
            Mux(self.odd, moved.low, given(coming.at).low),
        )
        following = stepped(at, given(beats.stride), self.banks)
        with m.If(self.steps & ~self.last_beat):
            m.d.sync += [
                beat.eq(beat + 1),
                at.high.eq(following.high),
                at.low.eq(following.low),
            ]
        with m.If(self.row_done):
            m.d.sync += [running.eq(0), waiting.eq(~self.last)]
        below = stepped(row, given(rows.stride), self.banks)
        with m.If(self.begins):
            m.d.sync += [
                running.eq(1),
                waiting.eq(0),
                self.row.eq(self.row + 1),
                beat.eq(0),
                row.high.eq(below.high),
                row.low.eq(below.low),
                at.high.eq(below.high),
                at.low.eq(below.low),
            ]
        with m.If(self.takes):
            m.d.sync += [
                self.in_odd.eq(self.odd),
                running.eq(1),
                self.row.eq(0),
                beat.eq(0),
                waiting.eq(0),
                row.high.eq(first.high),
                row.low.eq(first.low),
                at.high.eq(first.high),
                at.low.eq(first.low),
            ]
        return m


class MoveIn(wiring.Component):
    """Samples, labels and weights from the input stream.

    Members
    -------
    i : In(stream of {words})
        A beat of words. After a sample's words comes a beat with its label, the number of the
        class, in its first word.
    move, to, high, low, mask, words : Out
        Words for a store; they stay until `moved` is high.
    label_write, label_to, label : Out
        A label.
    """

    next: data.View
    odd: Signal
    ready: Signal
    takes: Signal
    passes: Signal
    begins: Signal
    count: Signal
    clear: Signal
    busy: Signal
    i: stream.Interface
    move: Signal
    to: Signal
    high: Signal
    low: Signal
    mask: Signal
    words: data.View
    moved: Signal
    label_write: Signal
    label_to: Signal
    label: Signal

    def __init__(self, config: CoreConfig, address: int, word: int):
        self.config = config
        self.address = address
        self.word = word
        banks = config.banks
        beat = {"words": data.ArrayLayout(signed(word), banks)}
        super().__init__(
            {
                "next": In(layout(MoveInstruction)),
                "odd": In(1),
                "ready": In(1),
                "takes": Out(1),
                "passes": In(1),
                "begins": Out(1),
                "count": Out(COUNT),
                "clear": In(1),
                "busy": Out(1),
                "i": In(stream.Signature(data.StructLayout(beat))),
                "move": Out(1),
                "to": Out(2),
                "high": Out(address),
                "low": Out(range(banks)),
                "mask": Out(banks),
                "words": Out(data.ArrayLayout(word, banks)),
                "moved": In(1),
                "label_write": Out(1),
                "label_to": Out(range(config.inputs * config.labels)),
                "label": Out(range(config.classes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.nest = nest = MoveNest(config.banks, self.address)
        m.d.comb += [
            nest.next.eq(self.next),
            nest.odd.eq(self.odd),
            nest.ready.eq(self.ready),
            nest.passes.eq(self.passes),
            self.takes.eq(nest.takes),
            self.begins.eq(nest.begins),
        ]
        samples = nest.now.move == Move.SAMPLES
        labels = Signal()  # the next beat is a label
        accepted = Signal()
        m.d.comb += [
            self.i.ready.eq(nest.active & (labels | ~self.move | self.moved)),
            accepted.eq(self.i.valid & self.i.ready),
            nest.steps.eq(accepted & ~labels),
            nest.row_done.eq(accepted & (labels | (nest.last_beat & ~samples))),
        ]
        with m.If(accepted):
            m.d.sync += labels.eq(~labels & nest.last_beat & samples)
        with m.If(nest.steps):
            m.d.sync += [
                self.move.eq(1),
                self.to.eq(Mux(samples, Target.X, Target.W)),
                self.high.eq(nest.high),
                self.low.eq(nest.low),
                self.mask.eq(mask(Mux(nest.last_beat, nest.now.lanes, 255), config.banks)),
                *(self.words[k].eq(self.i.payload.words[k]) for k in range(config.banks)),
            ]
        with m.Elif(self.moved):
            m.d.sync += self.move.eq(0)
        place = Mux(nest.in_odd, config.labels, 0) if config.inputs == 2 else 0
        m.d.sync += [
            self.label_write.eq(accepted & labels),
            self.label_to.eq(nest.row + place),
            self.label.eq(Cat(self.i.payload.words)[: len(self.label)]),
        ]

        # A row counts when its last word is written.
        moving = Signal()
        m.d.comb += moving.eq(self.move & ~self.moved)
        ended = Signal()
        with m.If(nest.row_done & ~ended):
            m.d.sync += ended.eq(1)
        finished = Signal()
        m.d.comb += finished.eq(ended & ~moving)
        with m.If(finished):
            m.d.sync += ended.eq(nest.row_done)
        done = registered(m, finished, "done", TO_STORE, reset_less=False)
        with m.If(self.clear):
            m.d.sync += self.count.eq(0)
        with m.Else():
            m.d.sync += self.count.eq(self.count + done)
        m.d.comb += self.busy.eq(nest.busy | self.move | ended)
        return m


class MoveOut(wiring.Component):
    """Scores and weights to the output stream.

    Members
    -------
    o : Out(stream of {words; last})
        A beat of words; `last` with the last one of an instruction.
    score : In(1), scores : In(lanes words)
        A row of scores.
    room : Out(1)
        There is room for the scores of a sample more than those that were announced.
    announce : In(1)
        The scores of a sample will come.
    read, high, low : Out
        Weights to be read; they are at `words` after `TO_WORDS` clocks.
    """

    next: data.View
    odd: Signal
    ready: Signal
    takes: Signal
    passes: Signal
    begins: Signal
    count: Signal
    clear: Signal
    busy: Signal
    o: stream.Interface
    score: Signal
    scores: data.View
    room: Signal
    announce: Signal
    read: Signal
    high: Signal
    low: Signal
    words: data.View

    def __init__(self, config: CoreConfig, address: int):
        self.config = config
        self.address = address
        self.lanes = max(config.banks, config.columns)
        self.blocks = -(-config.classes // config.columns)
        self.depth = 2 * max(self.blocks, TO_WORDS) + 2
        banks = config.banks
        beat = {"words": data.ArrayLayout(signed(config.sum_bits), self.lanes), "last": 1}
        super().__init__(
            {
                "next": In(layout(MoveInstruction)),
                "odd": In(1),
                "ready": In(1),
                "takes": Out(1),
                "passes": In(1),
                "begins": Out(1),
                "count": Out(COUNT),
                "clear": In(1),
                "busy": Out(1),
                "o": Out(stream.Signature(data.StructLayout(beat))),
                "score": In(1),
                "scores": In(data.ArrayLayout(signed(config.sum_bits), config.columns)),
                "room": Out(1),
                "announce": In(1),
                "read": Out(1),
                "high": Out(address),
                "low": Out(range(banks)),
                "words": In(data.ArrayLayout(config.bits.gradient, banks)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.nest = nest = MoveNest(config.banks, self.address)
        m.d.comb += [
            nest.next.eq(self.next),
            nest.odd.eq(0),
            nest.ready.eq(self.ready),
            nest.passes.eq(self.passes),
            self.takes.eq(nest.takes),
            self.begins.eq(nest.begins),
        ]
        shape = self.o.payload.words.shape()
        m.submodules.queue = queue = SyncFIFO(width=shape.size + 2, depth=self.depth)
        weights = nest.now.move == Move.WEIGHTS

        # Beats that are in the queue or on their way to it.
        taken = Signal(range(self.depth + self.blocks + 1))
        read = Signal()
        popped = self.o.valid & self.o.ready
        m.d.comb += [
            read.eq(nest.active & weights & (taken != self.depth)),
            self.read.eq(read),
            self.high.eq(nest.high),
            self.low.eq(nest.low),
        ]
        m.d.sync += taken.eq(taken + read + Mux(self.announce, self.blocks, 0) - popped)
        m.d.sync += self.room.eq(taken + 2 * self.blocks <= self.depth)

        there = registered(m, read, "there", TO_WORDS, reset_less=False)
        lanes = registered(
            m, mask(Mux(nest.last_beat, nest.now.lanes, 255), config.banks), "lanes", TO_WORDS
        )
        ending = registered(m, nest.last_beat & nest.last, "ending", TO_WORDS)
        value = Signal(shape)
        for lane in range(self.lanes):
            word: Value = Mux(lanes[lane], self.words[lane].as_signed(), 0)
            if lane < config.columns:
                word = Mux(there, word, self.scores[lane])
            m.d.comb += value[lane].eq(word)
        m.d.comb += [
            queue.w_en.eq(there | self.score),
            queue.w_data.eq(Cat(value, there, ending)),
        ]

        # Scores leave row by row, as the passes have counted them; weights as they come.
        m.d.comb += [
            self.o.valid.eq(queue.r_rdy & (nest.active | queue.r_data[-2])),
            Cat(self.o.payload.words).eq(Mux(self.o.valid, queue.r_data[: shape.size], 0)),
            queue.r_en.eq(popped),
            nest.steps.eq(Mux(weights, read, popped & nest.active)),
            nest.row_done.eq(nest.steps & nest.last_beat),
            self.o.payload.last.eq(
                self.o.valid & Mux(queue.r_data[-2], queue.r_data[-1], nest.last_beat & nest.last)
            ),
        ]
        done = registered(m, nest.row_done, "done", reset_less=False)
        with m.If(self.clear):
            m.d.sync += self.count.eq(0)
        with m.Else():
            m.d.sync += self.count.eq(self.count + done)
        m.d.comb += self.busy.eq(nest.busy | (taken != 0))
        return m
