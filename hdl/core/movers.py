"""The movers: beats of the input stream into stores, and beats of the output stream."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.bus.axi_stream import Beat
from golden.core.config import MOVE_LATENCY, CoreConfig
from golden.core.isa import LAYER_BITS, Move, MoveInstruction
from hdl.bus.axi_stream import Words
from hdl.core.engine import CoreEngine
from hdl.core.indices import mask
from hdl.core.move_nest import MoveNest
from hdl.delay import delay_line, registered, unreset

#: Clocks from an index to the words that are read there.
TO_WORDS = 8


class MoveIn(CoreEngine):
    """Samples, labels and weights from the input stream.

    Parameters
    ----------
    config
        The core.

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
    x_free, w_free : In(1)
        The port of the store of activations is free in the next clock; that of weights.
    move, weights, high, low, mask, words : Out
        Words that go to one of these stores in this clock.
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
    x_free: Signal
    w_free: Signal
    move: Signal
    weights: Signal
    high: Signal
    low: Signal
    mask: Signal
    words: data.View
    label_write: Signal
    label_to: Signal
    label: Signal

    def __init__(self, config: CoreConfig):
        self.config = config
        banks, address, word = config.banks, config.address_bits, config.word_bits
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
                "x_free": In(1),
                "w_free": In(1),
                "move": Out(1),
                "weights": Out(1),
                "high": Out(address),
                "low": Out(range(banks)),
                "mask": Out(banks),
                "words": Out(data.ArrayLayout(word, banks)),
                "label_write": Out(1),
                "label_to": Out(range(config.inputs * config.labels)),
                "label": Out(range(config.classes)),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.nest = nest = MoveNest(config.move_nest)
        connect(m, flipped(self.commands), nest.commands)
        now = self.running(m)
        samples = Signal()
        with m.If(self.commands.wants):
            m.d.sync += samples.eq(self.commands.next.move == Move.SAMPLES)
        labels = Signal()  # the next beat is a label
        accepted, words = Signal(), Signal()  # a beat is; one of words
        row_ends, stream_ends = Signal(), Signal()
        wants = Signal()
        # Words wait in registers for the store's port. Whether there is room for the next ones is
        # known a clock before.
        held, room = Signal(), Signal(init=1)
        m.d.sync += room.eq(
            Mux(
                words,
                Mux(samples, self.x_free, self.w_free),
                ~held | self.move | Mux(self.weights, self.w_free, self.x_free),
            )
        )
        m.d.comb += [
            self.move.eq(held & room),
            wants.eq(nest.active & ~self.failed),
            self.i.ready.eq(wants & (labels | room)),
            self.waits_stream.eq(wants & ~self.i.valid),
            self.waits_port.eq(wants & self.i.valid & ~self.i.ready),
            accepted.eq(self.i.valid & self.i.ready),
            words.eq(accepted & ~labels),
            nest.steps.eq(accepted),
            row_ends.eq(labels | (nest.last_beat & ~samples)),
            nest.row_ends.eq(row_ends),
            stream_ends.eq(row_ends & nest.last),
            self.short.eq(accepted & self.i.payload.last & ~stream_ends),
            self.long.eq(accepted & ~self.i.payload.last & stream_ends),
            # Where neither of them is.
            nest.row_done.eq(accepted & row_ends & (self.i.payload.last == nest.last)),
        ]
        with m.If(self.short | self.long):
            m.d.sync += self.failed.eq(1)
        with m.If(accepted):
            m.d.sync += labels.eq(~labels & nest.last_beat & samples)
        high, low = unreset(m, self.high, "held_high"), unreset(m, self.low, "held_low")
        lanes, kept = unreset(m, self.mask, "held_mask"), unreset(m, self.words, "held_words")
        with m.If(words):
            m.d.sync += [
                held.eq(1),
                self.weights.eq(~samples),
                high.eq(nest.high),
                low.eq(nest.low),
                lanes.eq(mask(Mux(nest.last_beat, now.lanes, 255), config.banks)),
                kept.eq(Cat(self.i.payload.words)),
            ]
        with m.Elif(self.move):
            m.d.sync += held.eq(0)
        place = Mux(nest.in_odd, config.labels, 0) if config.inputs == 2 else 0
        label_to = unreset(m, self.label_to, "held_label_to")
        label = unreset(m, self.label, "held_label")
        m.d.sync += [
            self.label_write.eq(accepted & labels),
            label_to.eq(nest.row + place),
            label.eq(Cat(self.i.payload.words)[: len(self.label)]),
        ]

        # A row counts when its last word is written.
        moving = Signal()
        m.d.comb += moving.eq(held & ~room)
        ended = Signal()
        loads = Signal()  # they are the last ones of a layer's weights
        layer = Signal(LAYER_BITS, reset_less=True)
        with m.If(nest.row_done & ~ended):
            m.d.sync += ended.eq(1)
        last_weights = registered(m, nest.last & ~samples, "last_weights")
        with m.If(registered(m, nest.row_done, "row_done", reset_less=False)):
            m.d.sync += [loads.eq(last_weights), layer.eq(now.layer)]
        finished = Signal()
        m.d.comb += finished.eq(ended & ~moving)
        with m.If(finished):
            m.d.sync += ended.eq(nest.row_done)
        line = delay_line(m, finished, MOVE_LATENCY, "done", reset_less=False)
        done, on_its_way = line[-1], Cat(line[1:-1]).any()
        self.counted(m, done)
        m.d.comb += [
            self.flight.eq(held | ended | on_its_way | done),
            self.load_begins.eq(registered(m, words & ~samples, "load_begins", reset_less=False)),
            self.begun_layer.eq(registered(m, now.layer, "begun_layer")),
            self.load_ends.eq(
                registered(m, line[1] & loads, "load_ends", MOVE_LATENCY - 1, reset_less=False)
            ),
            self.ended_layer.eq(registered(m, layer, "ended_layer", MOVE_LATENCY - 1)),
        ]
        return m


class MoveOut(CoreEngine):
    """Scores and weights to the output stream.

    Parameters
    ----------
    config
        The core.

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

    def __init__(self, config: CoreConfig):
        self.config = config
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
                "high": Out(config.address_bits),
                "low": Out(range(banks)),
                "words": In(data.ArrayLayout(config.bits.gradient, banks)),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.nest = nest = MoveNest(config.move_nest)
        connect(m, flipped(self.commands), nest.commands)
        now = self.running(m)
        shape = self.o.payload.words.shape()
        m.submodules.queue = queue = SyncFIFO(width=shape.size + 2, depth=self.depth - 1)
        head, full_head = Signal(shape.size + 2, reset_less=True), Signal()
        weights = Signal()
        with m.If(self.commands.wants):
            m.d.sync += weights.eq(self.commands.next.move == Move.WEIGHTS)

        # Beats that are in the queue or on their way to it. A read is begun a clock after there is
        # room for two.
        taken = Signal(range(self.depth + self.blocks + 1))
        read = Signal()
        popped = self.o.valid & self.o.ready
        may_read = registered(m, taken < self.depth - 1, "may_read", reset_less=False)
        m.d.comb += [
            read.eq(nest.active & weights & may_read),
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
            m, mask(Mux(nest.last_beat, now.lanes, 255), config.banks), "lanes", TO_WORDS
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
            Cat(self.o.payload.words).eq(head[: shape.size]),
            # Written out, as `o.ready` may come late: while a row of scores is wanted, `o.valid` is
            # `full_head`.
            nest.steps.eq(nest.active & Mux(weights, may_read, full_head & self.o.ready)),
            nest.row_ends.eq(nest.last_beat),
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
