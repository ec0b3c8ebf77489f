"""The vector engine: passes over rows of sums, a vector in a clock."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.buffer import BUFFER_LATENCY
from golden.core.config import PASS_LATENCY, CoreConfig
from golden.core.isa import LAYER_BITS, PASS_LOOPS, Function, Target, VectorInstruction
from golden.core.pass_nest import INDEX_DELAY
from golden.quantize import RATE_BITS
from hdl.bank import Bank
from hdl.core.classify import classify
from hdl.core.engine import COUNT, CoreEngine, held
from hdl.core.fields import layout
from hdl.core.indices import Pair, chosen, lane_addresses, mask, rotated
from hdl.core.pass_nest import PassNest
from hdl.delay import delay_line, registered, unreset
from hdl.quantize.activation import ActivationPipeline
from hdl.quantize.error import ErrorPipeline
from hdl.quantize.exponent import ExponentPipeline
from hdl.quantize.update import UpdatePipeline

#: Clocks from a vector's index to the address of its sums, to its sums, to the operand of a
#: pipeline, and to the result of the longest one.
TO_SUMS, SUMS, OPERAND, RESULT = 5, 7, 8, 14


class _Written(NamedTuple):
    """What is written into a bank."""

    enable: Value
    target: Value
    address: Value
    word: Value


class Passes(CoreEngine):
    """Passes, from instructions to words in the stores.

    Parameters
    ----------
    config
        The core.

    Members
    -------
    settled : Out(1)
        All chunks that were begun have ended.
    even : In(1)
        The next clock is an even one.
    rate : In(4)
        log2 of the learning rate.
    s_row, k_row : Out(row), s_data, k_data : In(lanes)
        Sums and masks that are read, and what is there two clocks later.
    k_write : Out(1), k_to : Out(row), k_value : Out(lanes)
        Masks that are written.
    label_at : Out(number of a sample), label : In(class)
        A label that is read, and what is there a clock later.
    move : In(1), move_weights, move_high, move_low, move_mask, move_words : In
        Words of the mover in, as `MoveIn` has them.
    x_free, w_free : Out(1)
        In the next clock it may move words to the store of activations; of weights.
    read : In(1), read_high, read_low : In, read_words : Out
        Words for the mover out, as `MoveOut` has them.
    x_address, x_write, x_value : Out, and so for e and w
        The stores' second ports, bank by bank.
    w_data : In
        Weights that were read there.
    room, announce, score, scores
        Scores for the mover out, as `MoveOut` has them.
    wrong : Out(32)
        Wrong classes since `clear`.
    scalar_write : Out(1), scalar, maximum, exponent, zero : Out
        A maximum, its exponent, and the register that keeps them.
    update_begins, update_ends : Out(1), update_layer : Out(layer)
        The clock of an update's first write, and the one after its last; its layer.
    lane, lane_load, lane_value : In, lane_state : Out
        A generator's number, whether it is set and to what; its state.

    The others are those of `CoreEngine`.
    """

    settled: Signal
    even: Signal
    rate: Signal
    s_row: Signal
    s_data: data.View
    k_row: Signal
    k_data: data.View
    k_write: Signal
    k_to: Signal
    k_value: data.View
    label_at: Signal
    label: Signal
    move: Signal
    move_weights: Signal
    move_high: Signal
    move_low: Signal
    move_mask: Signal
    move_words: data.View
    x_free: Signal
    w_free: Signal
    read: Signal
    read_high: Signal
    read_low: Signal
    read_words: data.View
    x_address: data.View
    x_write: data.View
    x_value: data.View
    e_address: data.View
    e_write: data.View
    e_value: data.View
    w_address: data.View
    w_write: data.View
    w_value: data.View
    w_data: data.View
    room: Signal
    announce: Signal
    score: Signal
    scores: data.View
    wrong: Signal
    scalar_write: Signal
    scalar: Signal
    maximum: Signal
    exponent: Signal
    zero: Signal
    update_begins: Signal
    update_ends: Signal
    update_layer: Signal
    lane: Signal
    lane_load: Signal
    lane_value: data.View
    lane_state: data.View

    def __init__(self, config: CoreConfig):
        self.config = config
        banks, columns = config.banks, config.columns
        self.address_bits = config.address_bits
        self.word = config.word_bits
        states = data.ArrayLayout(config.lanes.state_width, config.lanes.state_words)
        super().__init__(
            VectorInstruction,
            {
                "settled": Out(1),
                "even": In(1),
                "rate": In(signed(RATE_BITS)),
                # Sums and masks.
                "s_row": Out(range(config.s_rows)),
                "s_data": In(data.ArrayLayout(signed(config.sum_bits), columns)),
                "k_row": Out(range(config.k_rows)),
                "k_data": In(data.ArrayLayout(1, 2 * columns)),
                "k_write": Out(1),
                "k_to": Out(range(config.k_rows)),
                "k_value": Out(data.ArrayLayout(1, 2 * columns)),
                # Labels.
                "label_at": Out(range(config.inputs * config.labels)),
                "label": In(range(config.classes)),
                # Words from the movers and to them.
                "move": In(1),
                "move_weights": In(1),
                "move_high": In(self.address_bits),
                "move_low": In(range(banks)),
                "move_mask": In(banks),
                "move_words": In(data.ArrayLayout(self.word, banks)),
                "x_free": Out(1),
                "w_free": Out(1),
                "read": In(1),
                "read_high": In(self.address_bits),
                "read_low": In(range(banks)),
                "read_words": Out(data.ArrayLayout(config.bits.gradient, banks)),
                # The stores' second ports.
                **{
                    f"{store}_{part}": Out(data.ArrayLayout(width, banks))
                    for store in "xew"
                    for part, width in (
                        ("address", self.address_bits),
                        ("write", 1),
                        ("value", signed(self.word)),
                    )
                },
                "w_data": In(data.ArrayLayout(config.bits.gradient, banks)),
                # Scores.
                "room": In(1),
                "announce": Out(1),
                "score": Out(1),
                "scores": Out(data.ArrayLayout(signed(config.sum_bits), columns)),
                "wrong": Out(32),
                # Scalars.
                "scalar_write": Out(1),
                "scalar": Out(6),
                "maximum": Out(config.sum_bits + 1),
                "exponent": Out(range(config.sum_bits + 1)),
                "zero": Out(1),
                # Updates, for the status.
                "update_begins": Out(1),
                "update_ends": Out(1),
                "update_layer": Out(LAYER_BITS),
                # States of the lanes' generators.
                "lane": In(range(columns)),
                "lane_load": In(1),
                "lane_value": In(states),
                "lane_state": Out(states),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        banks, columns = config.banks, config.columns
        m.submodules.nest = nest = PassNest(config.pass_nest)
        odd = Signal()
        commands = self.commands
        connect(m, flipped(commands), nest.commands)
        m.d.comb += [nest.even.eq(self.even), nest.room.eq(self.room)]
        with m.If(commands.takes):
            m.d.sync += odd.eq(commands.odd)

        # What is known of a vector, on its way.
        now: Any = Signal(layout(VectorInstruction), name="now")
        m.d.comb += Value.cast(now).eq(held(m, commands.next, commands.free))
        line = delay_line(m, nest.valid, PASS_LATENCY, "valid", reset_less=False)
        functions = delay_line(m, now.function, RESULT, "function")
        targets = delay_line(m, now.target, RESULT + 2, "target")
        lasts = delay_line(m, nest.last, OPERAND, "last")
        chunk_ends = delay_line(m, nest.valid & nest.ends, PASS_LATENCY, "ends", reset_less=False)
        masked = delay_line(m, now.masked, SUMS, "masked")[-1]
        labelled = delay_line(m, now.labelled, SUMS, "labelled")[-1]
        shifts = delay_line(m, now.shift, OPERAND, "shift")
        # From here on, entry n of a line of indices is n clocks after the vector.
        k_rows = [nest.k] * INDEX_DELAY + delay_line(m, nest.k, PASS_LATENCY - INDEX_DELAY, "k")
        masks = delay_line(m, mask(nest.lanes, columns), RESULT, "lanes")
        to = [
            Pair(*both)
            for both in zip(
                delay_line(m, nest.to_high, RESULT - 1 - INDEX_DELAY, "to_high"),
                delay_line(m, nest.to_low, RESULT - 1 - INDEX_DELAY, "to_low"),
            )
        ]
        m.d.comb += [
            self.s_row.eq(delay_line(m, nest.s, TO_SUMS - INDEX_DELAY, "s")[-1]),
            self.k_row.eq(k_rows[TO_SUMS]),
        ]

        # The label: the lane of its class, if that is in this block.
        sample = Signal(16)
        block = Signal(16)
        sample_loop = registered(m, now.sample_loop, "sample_loop", INDEX_DELAY)
        class_loop = registered(m, now.class_loop, "class_loop", INDEX_DELAY)
        for k in range(PASS_LOOPS):
            with m.If(sample_loop == k):
                m.d.comb += sample.eq(nest.counters[k])
            with m.If(class_loop == k):
                m.d.comb += block.eq(nest.counters[k])
        place: Value = C(0)
        if config.inputs == 2:
            place = Mux(registered(m, odd, "odd_taken", INDEX_DELAY), config.labels, 0)
        rest = TO_SUMS - 1 - INDEX_DELAY
        places = delay_line(m, (sample + place)[: len(self.label_at)], rest, "sample")
        m.d.comb += self.label_at.eq(places[-1])
        class_bits = max(1, len(self.label))
        block_line = delay_line(m, block[:class_bits], rest, "block")
        first = registered(m, (block_line[-1] * columns)[: class_bits + 8], "first_class")
        ahead = Signal(signed(class_bits + 10))
        m.d.sync += ahead.eq(self.label - first)
        hits = [registered(m, ahead == lane, f"hit_{lane}") for lane in range(columns)]

        # Operands of the pipelines.
        one = registered(m, (C(1) << shifts[SUMS - 1])[: config.sum_bits + 1], "one")
        known = Value.cast(self.k_data)
        active, unclipped = known[:columns], known[columns:]
        values, keeps = [], []
        for lane in range(columns):
            taken = Mux(labelled & hits[lane], one.as_signed(), 0)
            value = Signal(signed(config.sum_bits + 1), name=f"value_{lane}")
            m.d.sync += value.eq(Mux(masked & ~unclipped[lane], 0, self.s_data[lane] - taken))
            values.append(value)
            keeps.append(registered(m, ~masked | active[lane], f"keep_{lane}"))
        there = line[OPERAND]
        function = functions[OPERAND]

        m.submodules.activation = activation = ActivationPipeline(config.activation)
        m.submodules.exponent = exponent = ExponentPipeline(config.exponent)
        # Their exponents stay as they are for a whole pass.
        m.submodules.error = error = ErrorPipeline(config.error, early=True)
        m.submodules.update = update = UpdatePipeline(
            config.update, weights_late=INDEX_DELAY, early=True
        )
        m.submodules.lanes = lanes = Bank(config.lanes)
        scale = Signal.like(exponent.result.payload.exponent, name="scale")
        zero = Signal()
        with m.If(exponent.result.valid):
            m.d.sync += [
                scale.eq(exponent.result.payload.exponent),
                zero.eq(exponent.result.payload.zero),
            ]
        scalars = delay_line(m, now.scalar, PASS_LATENCY, "scalar")
        m.d.comb += [
            self.scalar_write.eq(exponent.result.valid),
            self.zero.eq(exponent.result.payload.zero),
            self.scalar.eq(scalars[OPERAND + config.exponent.latency - BUFFER_LATENCY]),
            self.maximum.eq(exponent.result.payload.maximum),
            self.exponent.eq(exponent.result.payload.exponent),
            activation.shift.eq(shifts[OPERAND]),
            error.exponent.eq(scale),
            error.zero.eq(zero),
            update.exponent.eq(scale),
            update.zero.eq(zero),
            update.rate.eq(self.rate),
        ]
        for lane in range(columns):
            value = values[lane]
            m.d.comb += [
                activation.operand.payload.data[lane].eq(value),
                exponent.operand.payload.data[lane].eq(value),
                exponent.operand.payload.keep[lane].eq(1),
                error.operand.payload.data[lane].eq(value),
                error.operand.payload.keep[lane].eq(keeps[lane]),
                update.operand.payload.gradient[lane].eq(value),
            ]
        leaps = there & (function == Function.UPDATE)
        if error.draws:
            leaps = there & ((function == Function.UPDATE) | (function == Function.ERROR))
            m.d.comb += error.random.eq(lanes.word)
        m.d.comb += [
            exponent.operand.payload.last.eq(lasts[OPERAND]),
            activation.operand.valid.eq(there & (function == Function.ACTIVATE)),
            exponent.operand.valid.eq(there & (function == Function.MAXIMUM)),
            error.operand.valid.eq(there & (function == Function.ERROR)),
            update.operand.valid.eq(there & (function == Function.UPDATE)),
            update.random.eq(lanes.word),
            lanes.leap[0].eq(leaps),
            lanes.load.eq(self.lane_load),
            lanes.load_state.eq(self.lane_value),
            self.lane_state.eq(lanes.state),
        ]
        if columns > 1:
            m.d.comb += lanes.lane.eq(self.lane)

        # Stored weights: their words, and those that a mover reads.
        of_mover = Pair(self.read_high, self.read_low)
        read = chosen(self.read, of_mover, Pair(nest.to_high, nest.to_low))
        found, bank = lane_addresses(m, read, None, banks, banks, "read")
        read_addresses, bank = rotated(m, found, bank, "read_banks")
        bank = registered(m, bank, "read_bank", 3)
        stored, _ = rotated(m, [self.w_data[k] for k in range(banks)], bank, "weights", back=True)
        for lane in range(banks):
            m.d.comb += self.read_words[lane].eq(stored[lane])
        for lane in range(columns):
            m.d.comb += update.operand.payload.weight[lane].eq(stored[lane].as_signed())

        # Results, all at one clock. Activations and their masks are there before.
        activated = OPERAND + config.activation.latency - BUFFER_LATENCY
        results = []
        for lane in range(columns):
            code = delay_line(
                m, activation.result.payload.data[lane], RESULT - activated, f"activation_{lane}"
            )[-1]
            errors = registered(m, error.result.payload.data[lane], f"error_{lane}")
            word = Signal(signed(self.word), name=f"result_{lane}")
            with m.Switch(targets[RESULT]):
                with m.Case(Target.X):
                    m.d.comb += word.eq(code)
                with m.Case(Target.E):
                    m.d.comb += word.eq(errors)
                with m.Default():
                    m.d.comb += word.eq(update.result.payload.weight[lane])
            results.append(word)
        lower = Cat(activation.result.payload.active[lane] for lane in range(columns))
        upper = Cat(activation.result.payload.unclipped[lane] for lane in range(columns))
        m.d.comb += [
            self.k_value.eq(delay_line(m, Cat(lower, upper), PASS_LATENCY - activated, "mask")[-1]),
            self.k_write.eq(
                delay_line(
                    m,
                    line[RESULT] & (targets[RESULT] == Target.X),
                    PASS_LATENCY - RESULT,
                    "mask_write",
                    reset_less=False,
                )[-1]
            ),
            self.k_to.eq(k_rows[PASS_LATENCY]),
        ]

        # Words to the banks: results of a pass, and words of a mover. Both take four clocks. A
        # mover waits while a pass writes into the same store.
        coming = {
            target: line[RESULT - 2] & (targets[RESULT - 2] == target)
            for target in (Target.X, Target.E, Target.W)
        }
        m.d.comb += [self.x_free.eq(~coming[Target.X]), self.w_free.eq(~coming[Target.W])]
        of_pass = self._to_banks(
            m,
            "write",
            to[-1],
            masks[RESULT]
            & registered(m, Cat(coming.values()).any(), "writes", 2).replicate(columns),
            results,
            targets[RESULT],
        )
        of_move = self._to_banks(
            m,
            "move",
            Pair(self.move_high, self.move_low),
            registered(m, self.move_mask & self.move.replicate(banks), "moved_mask"),
            [registered(m, self.move_words[k], f"moved_{k}") for k in range(banks)],
            Mux(registered(m, self.move_weights, "moved_weights"), Target.W, Target.X),
        )
        for k in range(banks):
            given, moved = of_pass[k], of_move[k]
            for target, name in ((Target.X, "x"), (Target.E, "e"), (Target.W, "w")):
                address, write, value = (
                    getattr(self, f"{name}_{part}")[k] for part in ("address", "write", "value")
                )
                here = given.enable & (given.target == target)
                by_move = moved.enable & (moved.target == target)
                other = read_addresses[k] if target is Target.W else moved.address
                if target is Target.E:
                    by_move, other = C(0), given.address
                address = unreset(m, address, f"{name}_address_{k}")
                value = unreset(m, value, f"{name}_value_{k}")
                m.d.sync += [
                    write.eq(here | by_move),
                    address.eq(Mux(here, given.address, Mux(by_move, moved.address, other))),
                    value.eq(Mux(here, given.word, moved.word)),
                ]

        # Scores, and classes.
        m.d.comb += [
            self.announce.eq(
                (commands.takes & (commands.next.target == Target.OUT))
                | (commands.begins & (now.target == Target.OUT))
            ),
            self.score.eq(there & (function == Function.COPY)),
            *(self.scores[lane].eq(values[lane]) for lane in range(columns)),
        ]
        row_ends = delay_line(m, _at_end(nest, now), OPERAND, "row_ends")[-1]
        row_begins = registered(m, block_line[-1] == 0, "row_begins", OPERAND - TO_SUMS + 1)
        label = registered(m, self.label, "label", OPERAND - TO_SUMS)
        first_class = registered(m, first, "first", OPERAND - TO_SUMS)
        classify(
            m,
            values,
            masks[OPERAND],
            there & (function == Function.CLASSIFY),
            row_begins,
            row_ends,
            first_class,
            label,
            self.wrong,
        )

        done = Signal()
        m.d.sync += done.eq(chunk_ends[PASS_LATENCY])
        issued = Signal(COUNT)
        self.counted(m, done)
        with m.If(self.clear):
            m.d.sync += [issued.eq(0), self.wrong.eq(0)]
        with m.Elif(commands.takes | commands.begins):
            m.d.sync += issued.eq(issued + 1)
        m.d.comb += [
            self.settled.eq(self.count == issued),
            self.flight.eq(Cat(line).any() | done),
        ]

        # An update, from the clock of its first write to the clock after its last one. One that
        # does not settle is refused, so that there is never more than one.
        updates = nest.valid & (now.target == Target.W)
        with m.If(updates):
            m.d.sync += self.update_layer.eq(now.layer)
        m.d.comb += self.update_begins.eq(
            registered(m, updates, "update_begins", PASS_LATENCY - 1, reset_less=False)
        )
        m.d.comb += self.update_ends.eq(
            registered(m, updates & nest.last, "update_ends", PASS_LATENCY, reset_less=False)
        )
        return m

    def _to_banks(
        self,
        m: Module,
        name: str,
        index: Pair,
        enables: Value,
        words: Sequence[Value],
        target: Value,
    ) -> "list[_Written]":
        """Return what is to be written into each bank, three clocks after an index.

        Parameters
        ----------
        m, name
            Module and name of the registers.
        index
            Index of the first word.
        enables, words, target
            Lanes that are there, their words, and the store, one clock after the index.
        """
        banks = self.config.banks
        addresses, bank = lane_addresses(m, index, None, banks, banks, name)
        packed = [
            Cat(enables[k], addresses[k], words[k][: self.word])
            if k < len(words)
            else C(0, 1 + self.address_bits + self.word)
            for k in range(banks)
        ]
        turned, _ = rotated(m, packed, bank, f"{name}_banks")
        store = registered(m, target, f"{name}_store", 2)
        return [
            _Written(each[0], store, each[1 : 1 + self.address_bits], each[1 + self.address_bits :])
            for each in turned
        ]


def _at_end(nest: PassNest, now: Any) -> Value:
    """Return whether a vector is in the last block of classes."""
    ends = [(now.class_loop == k) & nest.loop_ends[k] for k in range(PASS_LOOPS)]
    return Cat(ends).any()
