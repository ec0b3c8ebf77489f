"""The movers: beats of the input stream into stores, and beats of the output stream."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.bus.axi_stream import Beat
from golden.core.config import MOVE_LATENCY, CoreConfig
from golden.core.isa import LAYER_BITS, Move, MoveInstruction, Target
from hdl.bus.axi_stream import Words
from hdl.core.engine import CoreEngine, Nest
from hdl.core.indices import Pair, chosen, mask, pair, stepped
from hdl.delay import delay_line, registered

#: Clocks from an index to the words that are read there.
TO_WORDS = 8


class MoveNest(Nest):
    """The loops of a move: the index of each beat.

    Parameters
    ----------
    banks
        Banks of the stores.
    address
        Bits of an address.

    Members
    -------
    in_odd : Out(1)
        The instruction that runs belongs to an odd step.
    active : Out(1)
        A beat is wanted.
    steps, row_done : In(1)
        The beat is taken; the row is done with it.
    high, low : Out
        Its index.
    row : Out
        Its row, counted from 0.
    last_beat, last : Out(1)
        It is the last one of its row; of the move.

    The others are those of `Nest`.
    """

    in_odd: Signal
    active: Signal
    row_done: Signal
    steps: Signal
    high: Signal
    low: Signal
    row: Signal
    last_beat: Signal
    last: Signal

    def __init__(self, banks: int, address: int):
        self.banks = banks
        self.address = address
        super().__init__(
            MoveInstruction,
            {
                "in_odd": Out(1),
                "active": Out(1),
                "row_done": In(1),
                "steps": In(1),
                "high": Out(address),
                "low": Out(range(banks)),
                "row": Out(16),
                "last_beat": Out(1),
                "last": Out(1),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now, commands = self.now, self.commands
        coming = commands.next
        row = pair(self.address, self.banks, "row", reset_less=False)
        at = Pair(self.high, self.low)
        running, waiting = Signal(), Signal()
        beats, rows = now.loops[2], now.loops[0]
        free = commands.wants
        m.d.comb += [
            self.active.eq(running),
            commands.wants.eq((~running & ~waiting) | (self.row_done & self.last)),
            commands.takes.eq(commands.wants & commands.ready),
            commands.continues.eq(waiting | (self.row_done & ~self.last)),
            commands.begins.eq(commands.continues & commands.passes),
        ]
        self.hold(m, free)

        # Counters of what is left after this beat and after this row, with flags for none.
        beats_left, rows_left = Signal(16), Signal(16)
        one_beat = Signal()  # a row has one
        with m.If(free):
            m.d.sync += one_beat.eq(coming.loops[2].count == 0)
        with m.If(self.steps & ~self.last_beat):
            m.d.sync += [beats_left.eq(beats_left - 1), self.last_beat.eq(beats_left == 1)]
        with m.If(commands.begins):
            m.d.sync += [beats_left.eq(beats.count), self.last_beat.eq(one_beat)]
            m.d.sync += [rows_left.eq(rows_left - 1), self.last.eq(rows_left == 1)]
        with m.If(commands.takes):
            m.d.sync += [
                beats_left.eq(coming.loops[2].count),
                self.last_beat.eq(coming.loops[2].count == 0),
                rows_left.eq(coming.loops[0].count),
                self.last.eq(coming.loops[0].count == 0),
            ]

        at_start = Pair(coming.at.high[: self.address], coming.at.low[: len(self.low)])
        second = stepped(at_start, coming.second, self.banks)
        first = pair(self.address, self.banks, "first")
        m.d.sync += first.eq(chosen(commands.odd, second, at_start))
        with m.If(self.steps & ~self.last_beat):
            m.d.sync += at.eq(stepped(at, beats.stride, self.banks))
        with m.If(self.row_done):
            m.d.sync += [running.eq(0), waiting.eq(~self.last)]
        below = stepped(row, rows.stride, self.banks)
        with m.If(commands.begins):
            m.d.sync += [
                running.eq(1),
                waiting.eq(0),
                self.row.eq(self.row + 1),
                row.eq(below),
                at.eq(below),
            ]
        with m.If(commands.takes):
            m.d.sync += [
                self.in_odd.eq(commands.odd),
                running.eq(1),
                self.row.eq(0),
                waiting.eq(0),
                row.eq(first),
                at.eq(first),
            ]
        return m


class MoveIn(CoreEngine):
    """Samples, labels and weights from the input stream.

    Parameters
    ----------
    config
        The core.
    address
        Bits of an address.
    word
        Bits of the stores' widest words.

    Members
    -------
    i : In(stream of {words; last})
        A beat of words; `last` with the last one of an instruction. After a sample's words comes a
        beat with its label, the number of the class: the low bits in the first word, further ones
        in the next words.
    waits_stream, waits_port : Out(1)
        A beat is wanted and not there; it is there and waits for the store's port.
    short, long : Out(1)
        The beat that is accepted has `last` too early; is the last one and does not have it. No
        further one is accepted then, and the row is not counted.
    failed : Out(1)
        That has happened.
    load_begins, load_ends : Out(1)
        Weights are loaded from this clock on; the last ones have been written.
    begun_layer, ended_layer : Out(layer)
        Their layers.
    move, to, high, low, mask, words : Out
        Words for a store; they stay until `moved` is high.
    moved : In(1)
        They are on their way.
    label_write, label_to, label : Out
        A label.
    """

    i: stream.Interface
    waits_stream: Signal
    waits_port: Signal
    short: Signal
    long: Signal
    failed: Signal
    load_begins: Signal
    load_ends: Signal
    begun_layer: Signal
    ended_layer: Signal
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
        super().__init__(
            MoveInstruction,
            {
                "i": In(stream.Signature(Words(Beat(words=banks, width=word)))),
                "waits_stream": Out(1),
                "waits_port": Out(1),
                "short": Out(1),
                "long": Out(1),
                "failed": Out(1),
                "load_begins": Out(1),
                "load_ends": Out(1),
                "begun_layer": Out(LAYER_BITS),
                "ended_layer": Out(LAYER_BITS),
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
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.nest = nest = MoveNest(config.banks, self.address)
        connect(m, flipped(self.commands), nest.commands)
        samples = Signal()
        with m.If(self.commands.wants):
            m.d.sync += samples.eq(self.commands.next.move == Move.SAMPLES)
        labels = Signal()  # the next beat is a label
        accepted = Signal()
        row_ends, stream_ends = Signal(), Signal()
        wants = Signal()
        m.d.comb += [
            wants.eq(nest.active & ~self.failed),
            self.i.ready.eq(wants & (labels | ~self.move | self.moved)),
            self.waits_stream.eq(wants & ~self.i.valid),
            self.waits_port.eq(wants & self.i.valid & ~self.i.ready),
            accepted.eq(self.i.valid & self.i.ready),
            nest.steps.eq(accepted & ~labels),
            row_ends.eq(labels | (nest.last_beat & ~samples)),
            stream_ends.eq(row_ends & nest.last),
            self.short.eq(accepted & self.i.payload.last & ~stream_ends),
            self.long.eq(accepted & ~self.i.payload.last & stream_ends),
            nest.row_done.eq(accepted & row_ends & ~self.short & ~self.long),
        ]
        with m.If(self.short | self.long):
            m.d.sync += self.failed.eq(1)
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
        loads = Signal()  # they are the last ones of a layer's weights
        layer = Signal(LAYER_BITS)
        with m.If(nest.row_done & ~ended):
            m.d.sync += ended.eq(1)
        with m.If(nest.row_done):
            m.d.sync += [loads.eq(nest.last & ~samples), layer.eq(nest.now.layer)]
        finished = Signal()
        m.d.comb += finished.eq(ended & ~moving)
        with m.If(finished):
            m.d.sync += ended.eq(nest.row_done)
        line = delay_line(m, finished, MOVE_LATENCY, "done", reset_less=False)
        done, on_its_way = line[-1], Cat(line[1:-1]).any()
        self.counted(m, done)
        m.d.comb += [
            self.flight.eq(self.move | ended | on_its_way | done),
            self.load_begins.eq(nest.steps & ~samples),
            self.begun_layer.eq(nest.now.layer),
            self.load_ends.eq(
                registered(m, finished & loads, "load_ends", MOVE_LATENCY, reset_less=False)
            ),
            self.ended_layer.eq(registered(m, layer, "ended_layer", MOVE_LATENCY)),
        ]
        return m


class MoveOut(CoreEngine):
    """Scores and weights to the output stream.

    Parameters
    ----------
    config
        The core.
    address
        Bits of an address.

    Members
    -------
    o : Out(stream of {words; last})
        A beat of words; `last` with the last one of an instruction.
    waits_stream, waits_scores : Out(1)
        The other side of the stream is waited for; scores that no pass has announced.
    score : In(1), scores : In(lanes words)
        A row of scores.
    room : Out(1)
        There is room for the scores of a sample more than those that were announced.
    announce : In(1)
        The scores of a sample will come.
    read, high, low : Out
        Weights to be read.
    words : In(banks words)
        Those that were to be read `TO_WORDS` clocks before.
    """

    o: stream.Interface
    waits_stream: Signal
    waits_scores: Signal
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
        self.lanes = config.banks
        self.blocks = -(-config.classes // config.columns)
        self.depth = 2 * max(self.blocks, TO_WORDS) + 2
        banks = config.banks
        beat = Beat(words=banks, width=config.sum_bits)
        super().__init__(
            MoveInstruction,
            {
                "o": Out(stream.Signature(Words(beat))),
                "waits_stream": Out(1),
                "waits_scores": Out(1),
                "score": In(1),
                "scores": In(data.ArrayLayout(signed(config.sum_bits), config.columns)),
                "room": Out(1),
                "announce": In(1),
                "read": Out(1),
                "high": Out(address),
                "low": Out(range(banks)),
                "words": In(data.ArrayLayout(config.bits.gradient, banks)),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.nest = nest = MoveNest(config.banks, self.address)
        connect(m, flipped(self.commands), nest.commands)
        shape = self.o.payload.words.shape()
        m.submodules.queue = queue = SyncFIFO(width=shape.size + 2, depth=self.depth - 1)
        head, full_head = Signal(shape.size + 2, reset_less=True), Signal()
        weights = Signal()
        with m.If(self.commands.wants):
            m.d.sync += weights.eq(self.commands.next.move == Move.WEIGHTS)

        # Beats that are in the queue or on their way to it.
        taken = Signal(range(self.depth + self.blocks + 1))
        read = Signal()
        popped = self.o.valid & self.o.ready
        m.d.comb += [
            read.eq(nest.active & weights & (taken < self.depth)),
            self.read.eq(read),
            self.high.eq(nest.high),
            self.low.eq(nest.low),
        ]
        # Both sums are made: whether scores are announced is known late in the clock.
        with m.If(self.announce):
            m.d.sync += taken.eq(taken + self.blocks + read - popped)
        with m.Else():
            m.d.sync += taken.eq(taken + read - popped)
        m.d.sync += self.room.eq(taken + 2 * self.blocks <= self.depth)

        reads = delay_line(m, read, TO_WORDS, "there", reset_less=False)
        there = reads[-1]
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
        # The first beat is in a register of its own, into which one comes past an empty queue: it
        # is there a clock after it was given, as if it were in the queue.
        given, beat = there | self.score, Cat(value, there, ending)
        gives = ~full_head | popped
        m.d.comb += [
            queue.r_en.eq(gives),
            queue.w_en.eq(given & ~(gives & ~queue.r_rdy)),
            queue.w_data.eq(beat),
        ]
        with m.If(gives):
            m.d.sync += [
                full_head.eq(queue.r_rdy | given),
                head.eq(Mux(queue.r_rdy, queue.r_data, beat)),
            ]

        # Scores leave row by row, as the passes have counted them; weights as they come.
        of_weights, ends = head[-2], head[-1]
        m.d.comb += [
            self.o.valid.eq(full_head & (nest.active | of_weights)),
            Cat(self.o.payload.words).eq(Mux(self.o.valid, head[: shape.size], 0)),
            nest.steps.eq(Mux(weights, read, popped & nest.active)),
            nest.row_done.eq(nest.steps & nest.last_beat),
            self.o.payload.last.eq(
                self.o.valid & Mux(of_weights, ends, nest.last_beat & nest.last)
            ),
        ]
        done = registered(m, nest.row_done, "done", reset_less=False)
        self.counted(m, done)
        on_its_way = Cat(reads[1:]).any()
        m.d.comb += [
            self.flight.eq(done | on_its_way | self.o.valid),
            self.waits_stream.eq(nest.active & Mux(weights, ~read, self.o.valid & ~self.o.ready)),
            self.waits_scores.eq(nest.active & ~weights & (taken == 0)),
        ]
        return m
