"""The core's instructions carried out word by word on flat memories, in the order of the lists.

It reads only encoded words and the configuration. It knows no layers, no layout, and no clocks: one
chunk of one engine at a time, whichever may go on.
"""

from itertools import product

import numpy as np

from golden.core.field import decode, words_of
from golden.core.isa import INSTRUCTIONS, Engine, Function, Move, Opcode, Store
from golden.lfsr import Lanes, dither
from golden.quantize import (
    limit,
    quantize_activation,
    quantize_error,
    shift_exponent,
    ternarise,
    update_weight,
)


class Interpreter:
    """A core between two chunks.

    Parameters
    ----------
    config
        The core.
    lists
        Words of each engine's list.
    rate
        log2 of the learning rate.
    choose
        Picks the engine that goes on, of those that may.
    """

    def __init__(self, config, lists, rate=0, choose=min):
        self.config = config
        self.choose = choose
        self.rate = rate
        banks = config.banks
        self.stores = {store: np.zeros(config.words(store) * banks, np.int64) for store in Store}
        self.sums = np.zeros((config.s_rows, config.columns), np.int64)
        self.masks = np.zeros((config.k_rows, 2, config.columns), np.int64)
        self.labels = np.zeros((config.inputs, config.labels), np.int64)
        self.lanes = Lanes(config.generator, config.columns, config.columns)
        self.maximum = 0
        self.exponent = 0
        self.scalars = {}
        self.inputs = []  # beats
        self.outputs = []
        self.queue = []
        self.wrong = 0
        self.programs = {}
        for engine, words in lists.items():
            kind = INSTRUCTIONS[engine]
            size = words_of(kind)
            self.programs[engine] = [
                decode(kind, words[k : k + size]) for k in range(0, len(words), size)
            ]
        self.counts = dict.fromkeys(Engine, 0)
        self.steps = dict.fromkeys(Engine, 0)

    def run(self, steps):
        """Carry out a number of steps of every engine."""
        self.total = {}
        walks = {engine: self._walk(engine, steps) for engine in Engine}
        waiting = {}
        while True:
            for engine in list(walks):
                if engine not in waiting:
                    found = next(walks[engine], None)
                    if found is None:
                        del walks[engine]
                    else:
                        waiting[engine] = found
            if not walks:
                return
            ready = [engine for engine, may in waiting.items() if may()]
            assert ready, f"deadlock: {self.counts}"
            chosen = self.choose(ready)
            del waiting[chosen]

    def chunks(self, engine):
        """Chunks of a step: a property of the list alone."""
        if engine not in self.total:
            self.total[engine] = sum(
                int(
                    np.prod(
                        [
                            loop.count
                            for loop in self._loops(instruction)[: self._levels(instruction)]
                        ]
                    )
                )
                for instruction in self.programs[engine]
            )
        return self.total[engine]

    @staticmethod
    def _loops(instruction):
        return instruction.tiles if hasattr(instruction, "tiles") else instruction.loops

    @staticmethod
    def _levels(instruction):
        return getattr(instruction, "levels", 1)

    def _walk(self, engine, steps):
        """Before every chunk: a function that says whether it may begin. Then it is carried out."""
        for step in range(steps):
            odd = self.steps[engine] % 2
            for instruction in self.programs[engine]:
                assert instruction.opcode is Opcode.RUN
                loops, levels = self._loops(instruction), self._levels(instruction)
                outer = [range(loop.count) for loop in loops[:levels]]
                if engine is Engine.VECTOR and instruction.function is Function.MAXIMUM:
                    self.maximum = 0
                for number, place in enumerate(product(*outer)):

                    def may(number=number, instruction=instruction, step=step):
                        return all(
                            not wait.on
                            or self.counts[other] - step * self.chunks(other)
                            >= wait.count + wait.slope * number
                            for other, wait in zip(engine.others, instruction.waits)
                        )

                    yield may
                    last = all(at == loop.count - 1 for at, loop in zip(place[1:], loops[1:levels]))
                    inner = [loop.count for loop in loops[levels:]]
                    if inner and hasattr(instruction, "last_count") and last:
                        inner[0] = instruction.last_count
                    places = [(*place, *rest) for rest in product(*map(range, inner))]
                    self._chunk(engine, instruction, places, odd, inner)
                    self.counts[engine] += 1
                if engine is Engine.VECTOR and instruction.function is Function.MAXIMUM:
                    self.exponent = (
                        shift_exponent(self.maximum, self.config.ceil) if self.maximum else 0
                    )
                    self.scalars[instruction.scalar] = (self.maximum, self.exponent)
            self.steps[engine] += 1

    def _chunk(self, engine, instruction, places, odd, inner):
        if engine is Engine.ARRAY:
            for place in places:
                self._tile(instruction, place, odd, inner)
        elif engine is Engine.VECTOR:
            for place in places:
                self._vector(instruction, place, odd)
        elif engine is Engine.IN:
            self._in(instruction, places, odd)
        else:
            self._out(instruction, places, odd)

    def _flat(self, index):
        return index.flat(self.config.banks)

    def _last(self, last, place, loops, inner, full):
        """Lanes of the block at a place."""
        counts = [loop.count for loop in loops]
        counts[len(counts) - len(inner) :] = inner
        ends = all(place[k] == counts[k] - 1 for k in range(len(place)) if last.loops >> k & 1)
        return last.lanes if ends and last.loops else full

    def _tile(self, i, place, odd, inner):
        config = self.config
        base_a = self._flat(i.a) + odd * self._flat(i.second)
        base_b, s = self._flat(i.b), i.s
        for at, loop in zip(place, i.tiles):
            base_a += at * self._flat(loop.a)
            base_b += at * self._flat(loop.b)
            s += at * loop.s
        terms_a, terms_b = np.zeros(1, np.int64), np.zeros(1, np.int64)
        for loop in i.terms:
            steps = np.arange(loop.count)
            terms_a = np.add.outer(terms_a, steps * self._flat(loop.a)).ravel()
            terms_b = np.add.outer(terms_b, steps * self._flat(loop.b)).ravel()
        lanes_a = np.zeros(1, np.int64)
        for loop in i.a_lanes:
            lanes_a = np.add.outer(lanes_a, np.arange(loop.count) * self._flat(loop.stride)).ravel()
        lanes_b = np.arange(config.columns) * self._flat(i.b_stride)
        rows = self._last(i.rows, place, i.tiles, inner, config.rows)
        columns = self._last(i.columns, place, i.tiles, inner, config.columns)
        a = self._read(i.a_from, base_a, terms_a, lanes_a[:rows], i.a_end)
        b = self._read(i.b_from, base_b, terms_b, lanes_b[:columns], i.b_end)
        if i.quantize:
            b = ternarise(b, config.bits.weight, config.bits.gradient)
        sums = np.zeros((rows, config.columns), np.int64)
        sums[:, :columns] = a.T @ b
        assert np.abs(sums).max(initial=0) < 1 << config.sum_bits - 1
        assert s + rows <= i.s_end <= config.s_rows
        self.sums[s : s + rows] = sums

    def _read(self, store, base, terms, lanes, end):
        """Words of all terms and lanes; each term's in different banks, below the bound."""
        flat = base + np.add.outer(terms, lanes)
        banks = self.config.banks
        assert (flat >= 0).all() and (flat < end * banks).all()
        assert (lanes % banks == np.arange(len(lanes))).all()
        return self.stores[store][flat]

    def _vector(self, i, place, odd):
        config = self.config
        s, k, to = i.s, i.k, self._flat(i.to)
        for at, loop in zip(place, i.loops):
            s += at * loop.s
            k += at * loop.k
            to += at * self._flat(loop.target)
        assert s < i.s_end <= config.s_rows
        ends = all(
            place[n] == i.loops[n].count - 1 for n in range(len(place)) if i.lanes.loops >> n & 1
        )
        lanes = i.lanes.lanes if ends and i.lanes.loops else config.columns
        acc = self.sums[s].copy()
        active = np.ones(config.columns, np.int64)
        if i.labelled:
            label = self.labels[odd % config.inputs, place[i.sample_loop]]
            first = place[i.class_loop] * config.columns
            if 0 <= label - first < config.columns:
                acc[label - first] -= 1 << i.shift
        if i.masked:
            assert k < i.k_end
            active, unclipped = self.masks[k]
            acc = acc * unclipped
        top = limit(config.bits.activation)
        match i.function:
            case Function.COPY:
                self.queue.append(acc)
            case Function.ACTIVATE:
                assert k < i.k_end <= config.k_rows
                self.masks[k] = acc > 0, acc <= top << i.shift
                self._write(
                    Store.X,
                    to,
                    quantize_activation(acc, i.shift, config.bits.activation)[:lanes],
                    i.to_end,
                )
            case Function.MAXIMUM:
                self.maximum = max(self.maximum, int(np.abs(acc).max()))
            case Function.ERROR:
                words = self._words() if config.error.rounding == "stochastic" else None
                r = 0
                dropped = self.exponent - (config.bits.error - 1)
                if words is not None:
                    r = dither(words, dropped, config.generator.draw)
                code = quantize_error(
                    acc, self.exponent, config.bits.error, config.error_rounding, r
                )
                self._write(Store.E, to, (code * active * (self.maximum > 0))[:lanes], i.to_end)
            case Function.UPDATE:
                dropped = self.exponent - self.rate
                r = dither(self._words(), dropped, config.generator.draw)
                flat = to + np.arange(lanes)
                old = self.stores[Store.W][flat]
                new = update_weight(
                    old,
                    acc[:lanes] * (self.maximum > 0),
                    self.exponent,
                    self.rate,
                    config.update.saturation,
                    r[:lanes],
                )
                self._write(Store.W, to, new, i.to_end)
            case Function.CLASSIFY:
                if place[i.class_loop] == 0:
                    self.best = -(1 << 62)
                for lane in range(lanes):
                    if acc[lane] > self.best:
                        self.best = acc[lane]
                        self.found = place[i.class_loop] * config.columns + lane
                if ends:
                    label = self.labels[odd % config.inputs, place[i.sample_loop]]
                    self.wrong += self.found != label

    def _words(self):
        return self.lanes.lend(1)[0].astype(np.int64)

    def _write(self, store, first, words, end):
        assert first >= 0 and first + len(words) <= end * self.config.banks
        self.stores[store][first : first + len(words)] = words

    def _in(self, i, places, odd):
        config = self.config
        for place in places:
            to = self._flat(i.at) + odd * self._flat(i.second)
            for at, loop in zip(place, i.loops):
                to += at * self._flat(loop.stride)
            last = place[2] == i.loops[2].count - 1
            lanes = i.lanes if last else config.banks
            beat = self.inputs.pop(0)
            store = Store.X if i.move is Move.SAMPLES else Store.W
            self._write(store, to, np.asarray(beat[:lanes]), i.end)
            if last and i.move is Move.SAMPLES:
                sample = place[0] * i.loops[1].count + place[1]
                self.labels[odd % config.inputs, sample] = self.inputs.pop(0)[0]

    def _out(self, i, places, odd):
        for place in places:
            last = place[2] == i.loops[2].count - 1
            if i.move is Move.SCORES:
                self.outputs.append(self.queue.pop(0))
                continue
            flat = self._flat(i.at) + sum(
                at * self._flat(loop.stride) for at, loop in zip(place, i.loops)
            )
            lanes = i.lanes if last else self.config.banks
            self.outputs.append(self.stores[Store.W][flat : flat + lanes].copy())
