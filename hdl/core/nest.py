"""The loops of a product: for every clock, the index of each operand's first lane.

The innermost loop has an adder of its own and takes a step in every clock. While it runs, the outer
loops find where it begins next, which takes five clocks: choose the loop that takes a step, fetch
its index and stride, add, store, and decide. So a run of fewer iterations takes five clocks as
well.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Member, Out

from golden import check
from golden.core.isa import TERM_LOOPS, TILE_LOOPS, ArrayInstruction
from golden.core.nest import ProductNestConfig
from hdl.core.clips import CLIPPED, Clips
from hdl.core.engine import Nest
from hdl.core.indices import Pair, chosen, pair, stepped
from hdl.core.loops import chunk_ends, lanes_there
from hdl.delay import KEEP, registered

#: Outer loops over terms.
OUTER_TERMS = TERM_LOOPS - 1
#: Outer loops, counted from the inside: those over terms, then those over tiles.
OUTER = OUTER_TERMS + TILE_LOOPS


class ProductNest(Nest):
    """Indices of a product's operands, term by term.

    Parameters
    ----------
    config
        Its widths, and whether instructions may have clipped loops.

    Members
    -------
    start : In(1)
        The next instruction is there from the next clock on; only with clips.
    valid : Out(1)
        A term is here. The others below belong to it, and stay until the next one.
    a_from, b_from : Out(Store)
        Where its operands are.
    quantize : Out(1)
        Q_W makes a forward weight of B.
    a_high, a_low, b_high, b_low : Out
        Its indices.
    last : Out(1)
        It is its tile's last one.
    gap : Out(1)
        The tile has no terms, and this one counts as 0; only with clips.
    ends : Out(1)
        Its tile is its chunk's last one.
    rows, columns : Out
        The tile's lanes, less one.
    s : Out(row)
        The tile's first row of sums.

    The others are those of `Nest`.

    Examples
    --------
    >>> nest = ProductNest(ProductNestConfig(banks=12))
    >>> print(nest.a_high.shape(), nest.a_low.shape())
    unsigned(10) unsigned(4)
    """

    start: Signal
    valid: Signal
    a_from: Signal
    b_from: Signal
    quantize: Signal
    a_high: Signal
    a_low: Signal
    b_high: Signal
    b_low: Signal
    last: Signal
    gap: Signal
    ends: Signal
    rows: Signal
    columns: Signal
    s: Signal

    def __init__(self, config: ProductNestConfig):
        check.instance("config", config, ProductNestConfig)
        self.config = config
        self.banks = config.banks
        self.address = config.address_bits
        self.row = config.row_bits
        low = range(config.banks)
        members: dict[str, Member] = {
            "valid": Out(1),
            "a_from": Out(2),
            "b_from": Out(2),
            "quantize": Out(1),
            "a_high": Out(self.address),
            "a_low": Out(low),
            "b_high": Out(self.address),
            "b_low": Out(low),
            "last": Out(1),
            "ends": Out(1),
            "rows": Out(8),
            "columns": Out(8),
            "s": Out(self.row),
        }
        if config.clips:
            members |= {"start": In(1), "gap": Out(1)}
        super().__init__(ArrayInstruction, members)

    def _pair(self, name: str) -> Pair:
        return pair(self.address, self.banks, name)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now, commands = self.now, self.commands
        coming = commands.next
        left = Signal(16)  # terms of the run after this one
        # Registers of one value, as many others hang on each: `at_last` is the running run's last
        # term, or none; a run that comes when it is `anew` is the first one of the next
        # instruction. The third ones are for the registers that hold the instruction.
        padding, padding_3 = Signal(attrs=KEEP), Signal(attrs=KEEP)
        at_last, at_last_3 = Signal(init=1, attrs=KEEP), Signal(init=1, attrs=KEEP)
        anew, anew_2, anew_3 = (Signal(init=1, attrs=KEEP, name=f"anew_{k}") for k in (1, 2, 3))

        def assigned(registers: Sequence[Signal], value: Any) -> list[Any]:
            return [register.eq(value) for register in registers]

        pads = Signal(8)
        last_pad = Signal()  # it is the last clock of padding
        run = Signal()  # the next clock has the first term of a run

        # Where loops are clipped: their iterations, less one, and whether the first is the last.
        counts: dict[int, tuple[Value, Value]] = {}
        first_ends: dict[int, Value] = {}
        empty: Value = C(0, 1)  # the tile that is begun has no terms
        first_empty: Value = C(0, 1)
        clips = None
        if self.config.clips:
            m.submodules.clips = clips = Clips(self.config.rows, self.banks, self.address)
            m.d.comb += [
                Value.cast(clips.next).eq(Value.cast(coming)),
                Value.cast(clips.now).eq(Value.cast(now)),
                clips.start.eq(self.start),
                clips.takes.eq(commands.takes),
            ]
            empty, first_empty = clips.tile.empty, clips.first.empty
            for c in range(CLIPPED):
                k = OUTER_TERMS - 2 - c
                counts[k] = clips.tile.counts[c], clips.tile.ends[c]
                first_ends[k] = clips.first.ends[c]

        # The loops, from the inside. Of each: the iterations that are left after this one, a flag
        # for none, and where it began.
        loops = [*reversed(list(now.terms)[:OUTER_TERMS]), *reversed(list(now.tiles))]
        left_of = [Signal(16, name=f"left_{k}", reset_less=True) for k in range(OUTER)]
        at_end = [Signal(name=f"end_{k}", reset_less=True) for k in range(OUTER)]
        bases_a = [self._pair(f"a_{k}") for k in range(OUTER)]
        bases_b = [self._pair(f"b_{k}") for k in range(OUTER)]
        bases_s = [Signal(self.row, name=f"s_{k}", reset_less=True) for k in range(TILE_LOOPS)]

        # The first run of the next instruction, and what is known of it.
        first_a, first_b = self._pair("first_a"), self._pair("first_b")
        first_s = Signal(self.row, reset_less=True)
        first_end = [Signal(name=f"first_end_{k}", reset_less=True) for k in range(OUTER)]
        coming_loops = [*reversed(list(coming.terms)[:OUTER_TERMS]), *reversed(list(coming.tiles))]
        nothing = [loop.count == 0 for loop in coming_loops]
        nothing = [first_ends.get(k, none) for k, none in enumerate(nothing)]
        nothing[:OUTER_TERMS] = [none | first_empty for none in nothing[:OUTER_TERMS]]
        first_short = self._short(coming, nothing)
        m.d.sync += [
            flag.eq(Mux(short, coming.last_count == 0, none))
            for flag, short, none in zip(first_end, first_short, nothing)
        ]
        m.d.sync += first_a.eq(coming.a)
        with m.If(commands.odd):
            bits = len(first_a.low)
            plain = Pair(coming.a.high[: self.address], coming.a.low[:bits])
            m.d.sync += first_a.eq(stepped(plain, coming.second, self.banks))
        m.d.sync += [first_b.eq(coming.b), first_s.eq(coming.s)]
        moved_a, moved_b = first_a, first_b  # of its first tile, where clips leave words out
        if clips is not None:
            moved_a, moved_b = self._pair("first_moved_a"), self._pair("first_moved_b")
            m.d.sync += [
                moved_a.eq(stepped(first_a, clips.first.a, self.banks)),
                moved_b.eq(stepped(first_b, clips.first.b, self.banks)),
            ]

        # Five clocks: choose, fetch, add, store, decide.
        chooses, fetches, adds, stores, decides = (
            Signal(name=name) for name in ("chooses", "fetches", "adds", "stores", "decides")
        )
        m.d.sync += [
            chooses.eq(run),
            fetches.eq(chooses),
            adds.eq(fetches),
            stores.eq(adds),
            decides.eq(stores),
        ]
        choice = Signal(OUTER + 1, reset_less=True)
        # Beside the choice: loops that move, as all inside them end, and those that begin anew,
        # as the next one moves, too.
        moves = [Signal(name=f"moves_{k}", reset_less=True) for k in range(OUTER)]
        inside = [*moves[1:], C(0, 1)]
        with m.If(chooses):
            m.d.sync += choice.eq(_lowest([~end for end in at_end]))
            steps_on = ~Cat(at_end).all()
            for k in range(OUTER):
                m.d.sync += moves[k].eq(Cat(C(1), *at_end[:k]).all() & steps_on)
        fetched = {
            name: (self._pair(f"base_{name}"), self._pair(f"stride_{name}")) for name in ("a", "b")
        }
        base_s, stride_s = (
            Signal(self.row, name=f"{n}_s", reset_less=True) for n in ("base", "stride")
        )
        for name, bases in (("a", bases_a), ("b", bases_b)):
            base, stride = fetched[name]
            strides = [loop[name] for loop in loops]
            m.d.sync += [
                base.eq(_one_of_pairs(choice, bases)),
                stride.eq(_one_of_pairs(choice, strides)),
            ]
        # The flags after the step: those of the loop that takes it and of those inside it.
        near = [registered(m, left == 1, f"near_{k}") for k, left in enumerate(left_of)]
        none = [registered(m, loop.count == 0, f"none_{k}") for k, loop in enumerate(loops)]
        none_last = registered(m, now.last_count == 0, "none_last")
        plain_end = [
            Mux(choice[k], near[k], Mux(inside[k], none[k], at_end[k])) for k in range(OUTER)
        ]
        short = [
            registered(m, each, f"short_{k}") for k, each in enumerate(self._short(now, plain_end))
        ]
        next_end: list[Value] = [
            Mux(inside[k] & short[k], none_last, registered(m, plain_end[k], f"next_end_{k}"))
            for k in range(OUTER)
        ]
        for k, (_, one) in counts.items():
            next_end[k] = Mux(inside[k], one, next_end[k])
        next_end[:OUTER_TERMS] = [end | empty for end in next_end[:OUTER_TERMS]]
        tile_choice = choice[OUTER_TERMS:]
        m.d.sync += [
            base_s.eq(_one_of(tile_choice, bases_s)),
            stride_s.eq(_one_of(tile_choice, [loop.s[: self.row] for loop in loops[OUTER_TERMS:]])),
        ]
        next_a, next_b = self._pair("next_a"), self._pair("next_b")
        next_s = Signal(self.row, reset_less=True)
        tile_steps = tile_choice[:-1].any()
        tile_moves = registered(m, tile_steps, "tile_moves")
        with m.If(adds):
            for found, (base, stride) in ((next_a, fetched["a"]), (next_b, fetched["b"])):
                m.d.sync += found.eq(stepped(base, stride, self.banks))
            with m.If(tile_moves):
                m.d.sync += next_s.eq(base_s + stride_s)
        if clips is not None:
            m.d.comb += clips.steps.eq(Mux(fetches, tile_choice[:-1][::-1], 0))
            with m.If(stores & tile_steps):
                m.d.sync += [
                    next_a.eq(stepped(next_a, clips.tile.a, self.banks)),
                    next_b.eq(stepped(next_b, clips.tile.b, self.banks)),
                ]
        # What the next run is: of this tile, of the next one, of the next chunk; or there is none.
        same, next_tile, next_chunk = (
            Signal(name=name) for name in ("same", "next_tile", "next_chunk")
        )
        with m.If(run):
            m.d.sync += [same.eq(0), next_tile.eq(0), next_chunk.eq(0)]
        with m.If(stores):
            for k in range(OUTER):
                m.d.sync += at_end[k].eq(next_end[k])
                with m.If(choice[k]):
                    m.d.sync += left_of[k].eq(left_of[k] - 1)
                with m.Elif(inside[k]):
                    begun, _ = counts.get(k, (Mux(short[k], now.last_count, loops[k].count), None))
                    m.d.sync += left_of[k].eq(begun)
                if k >= OUTER_TERMS:
                    with m.If(moves[k]):
                        m.d.sync += [bases_a[k].eq(next_a), bases_b[k].eq(next_b)]
                        m.d.sync += bases_s[k - OUTER_TERMS].eq(next_s)
            outermost = [choice[OUTER - 1 - k] for k in range(TILE_LOOPS)]
            new_chunk = Cat(step & (now.levels > k) for k, step in enumerate(outermost[:3])).any()
            m.d.sync += [
                same.eq(~tile_steps & ~choice[OUTER]),
                next_tile.eq(tile_steps & ~new_chunk),
                next_chunk.eq(new_chunk),
            ]
            with m.If(choice[OUTER]):
                m.d.sync += assigned((anew, anew_2, anew_3), 1)
        with m.If(decides):  # by now the next run is moved to the bounds of its tile
            for k in range(OUTER_TERMS):
                with m.If(moves[k]):
                    m.d.sync += [bases_a[k].eq(next_a), bases_b[k].eq(next_b)]

        # What the next clock does.
        ends_now = Signal()
        free = ~padding_3 & at_last_3 & anew_3  # as `commands.wants`
        ready = commands.ready if clips is None else commands.ready & clips.known
        m.d.comb += [
            ends_now.eq(~padding & at_last),
            commands.wants.eq(ends_now & anew),
            commands.free.eq(free),
            commands.takes.eq(commands.wants & ready),
            commands.continues.eq(ends_now & next_chunk),
            commands.begins.eq(commands.continues & commands.passes),
        ]
        self.hold(m, free)
        pad_coming, pad_now = (
            (coming.pad, now.pad) if clips is None else (clips.first.pad, clips.tile.pad)
        )
        first_pad = registered(m, pad_coming != 0, "first_pad")
        padded: Value = Signal(name="padded")  # the next tile of the running instruction
        if clips is None:
            with m.If(free):
                m.d.sync += padded.eq(pad_coming != 0)
        else:
            padded = pad_now != 0
        # Written out, as what is known late comes last.
        taken = anew & ready
        goes_on = next_tile | (next_chunk & commands.passes)
        m.d.comb += run.eq(
            (ends_now & (same | (goes_on & ~padded) | (taken & ~first_pad))) | (padding & last_pad)
        )
        with m.If(padding):
            m.d.sync += [pads.eq(pads - 1), last_pad.eq(pads == 2)]
            m.d.sync += assigned((padding, padding_3), ~last_pad)
        with m.Else():
            m.d.sync += [
                pads.eq(Mux(anew, pad_coming, pad_now)),
                last_pad.eq(Mux(anew, pad_coming == 1, pad_now == 1)),
            ]
        with m.If(ends_now & ((goes_on & padded) | (taken & first_pad))):
            m.d.sync += assigned((padding, padding_3), 1)

        with m.If(commands.takes):
            m.d.sync += assigned((anew, anew_2, anew_3), 0)
        # The first run of the next instruction is stored until it is taken.
        with m.If(anew_2):
            m.d.sync += [
                next_a.eq(moved_a),
                next_b.eq(moved_b),
                next_s.eq(first_s),
                *(flag.eq(first) for flag, first in zip(at_end, first_end)),
            ]
        # Counters and bases begin a clock later: the first step reads them another clock later.
        with m.If(registered(m, commands.takes, "took", reset_less=False)):
            for k, is_short in enumerate(self._short(now, at_end)):
                begun, _ = counts.get(k, (Mux(is_short, now.last_count, loops[k].count), None))
                m.d.sync += left_of[k].eq(begun)
            m.d.sync += [
                *(base.eq(moved_a) for base in bases_a[:OUTER_TERMS]),
                *(base.eq(moved_b) for base in bases_b[:OUTER_TERMS]),
                *(base.eq(first_a) for base in bases_a[OUTER_TERMS:]),
                *(base.eq(first_b) for base in bases_b[OUTER_TERMS:]),
                *(base.eq(first_s) for base in bases_s),
            ]

        # The innermost loop.
        inner = now.terms[OUTER_TERMS]
        first_count = coming.terms[OUTER_TERMS].count
        count = Mux(anew_2, first_count, inner.count)
        first_one = registered(m, first_count == 0, "first_one")
        one = Signal()  # a run has one term
        with m.If(free):
            m.d.sync += one.eq(first_count == 0)
        gap = C(0, 1) if clips is None else Mux(anew_2, clips.first.gap, clips.tile.gap)
        ends_run = Mux(anew_2, first_one, one) | gap
        if clips is not None:
            with m.If(run):
                m.d.sync += self.gap.eq(gap)
        a, b = Pair(self.a_high, self.a_low), Pair(self.b_high, self.b_low)
        last_run, ends_chunk = Signal(), Signal()
        rows, columns = Signal(8), Signal(8)
        known = []
        for at, ends in ((now, at_end), (coming, first_end)):
            tiles = ends[OUTER_TERMS:][::-1]
            known.append(
                Cat(
                    Cat(ends[:OUTER_TERMS]).all(),
                    chunk_ends(at, tiles),
                    lanes_there(at.rows, tiles),
                    lanes_there(at.columns, tiles),
                )
            )
        first_known = registered(m, known[1], "first_known")
        m.d.comb += Cat(last_run, ends_chunk, rows, columns).eq(Mux(anew_2, first_known, known[0]))
        in_last_run = Signal()
        with m.If(run):
            m.d.sync += [
                self.valid.eq(1),
                left.eq(count),
                *assigned((at_last, at_last_3), ends_run),
                in_last_run.eq(last_run),
                self.last.eq(last_run & ends_run),
                self.ends.eq(ends_chunk),
                self.rows.eq(rows),
                self.columns.eq(columns),
                self.s.eq(Mux(anew_2, first_s, next_s)),
                *(
                    port.eq(Mux(anew_2, of_next, of_now))
                    for port, of_next, of_now in (
                        (self.a_from, coming.a_from, now.a_from),
                        (self.b_from, coming.b_from, now.b_from),
                        (self.quantize, coming.quantize, now.quantize),
                    )
                ),
            ]
            for index, following, first in ((a, next_a, moved_a), (b, next_b, moved_b)):
                m.d.sync += index.eq(chosen(anew_2, first, following))
        with m.Elif(~at_last):
            m.d.sync += [
                left.eq(left - 1),
                *assigned((at_last, at_last_3), left == 1),
                self.last.eq(in_last_run & (left == 1)),
            ]
            for index, stride in ((a, inner.a), (b, inner.b)):
                m.d.sync += index.eq(stepped(index, stride, self.banks))
        with m.Else():
            m.d.sync += [self.valid.eq(0), self.last.eq(0)]
        return m

    def _short(self, instruction: Any, ends: Sequence[Value]) -> list[Value]:
        """Return for each outer loop, from the inside, whether it begins with the last count.

        Parameters
        ----------
        instruction
            The instruction.
        ends
            Whether each loop is in its last iteration.
        """
        tiles = ends[OUTER_TERMS:][::-1]
        most = (1 << len(instruction.levels)) - 1
        found: list[Value] = [C(0, 1)] * OUTER
        for k in range(1, most + 1):
            found[OUTER - 1 - k] = (instruction.levels == k) & Cat(C(1), *tiles[1:k]).all()
        return found


def _lowest(bits: list[Value]) -> Value:
    """Return the lowest of some bits alone; a further bit is set if there is none."""
    found = []
    above: Value = C(1, 1)
    for bit in bits:
        found.append(bit & above)
        above = above & ~bit
    return Cat(*found, above)


def _one_of(choice: Value, values: Sequence[Value]) -> Value:
    """Return the value whose bit of `choice` is set; 0 if none is."""
    found: Value = C(0, len(values[0]))
    for bit, value in zip(choice, values):
        found = found | (value & bit.replicate(len(value)))
    return found


def _one_of_pairs(choice: Value, indices: Sequence[Any]) -> Pair:
    """Return the index whose bit of `choice` is set."""
    return Pair(
        _one_of(choice, [index.high for index in indices]),
        _one_of(choice, [index.low for index in indices]),
    )
