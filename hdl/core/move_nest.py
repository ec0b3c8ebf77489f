"""The loops of a move: the index of each beat, row by row."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from golden import check
from golden.core.isa import MoveInstruction
from golden.core.move_nest import MoveNestConfig
from hdl.core.engine import Nest
from hdl.core.indices import Pair, chosen, pair, stepped
from hdl.delay import registered


class MoveNest(Nest):
    """The loops of a move: the index of each beat.

    Parameters
    ----------
    config
        Its widths.

    Members
    -------
    in_odd : Out(1)
        The instruction that runs belongs to an odd step.
    active : Out(1)
        A beat is wanted.
    steps, row_ends, row_done : In(1)
        A beat is taken; it is the last one of its row, with a label's; and nothing is wrong with
        it. Each of them is high only where the one before is, and `steps` only where `active` is.
    high, low : Out
        Its index.
    row : Out(16)
        Its row, counted from 0.
    last_beat, last : Out(1)
        It is the last one of its row; of the move.

    The others are those of `Nest`.

    Examples
    --------
    >>> nest = MoveNest(MoveNestConfig(banks=12))
    >>> print(nest.high.shape(), nest.low.shape())
    unsigned(10) unsigned(4)
    """

    in_odd: Signal
    active: Signal
    steps: Signal
    row_ends: Signal
    row_done: Signal
    high: Signal
    low: Signal
    row: Signal
    last_beat: Signal
    last: Signal

    def __init__(self, config: MoveNestConfig):
        check.instance("config", config, MoveNestConfig)
        self.config = config
        self.banks = config.banks
        self.address = config.address_bits
        super().__init__(
            MoveInstruction,
            {
                "in_odd": Out(1),
                "active": Out(1),
                "steps": In(1),
                "row_ends": In(1),
                "row_done": In(1),
                "high": Out(config.address_bits),
                "low": Out(range(config.banks)),
                "row": Out(16),
                "last_beat": Out(1),
                "last": Out(1),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now, commands = self.now, self.commands
        coming = commands.next
        row = pair(self.address, self.banks, "row")
        at = Pair(self.high, self.low)
        running, waiting = Signal(), Signal()
        # Between two instructions is a clock without a beat, so that it is known at the beginning
        # of a clock whether an instruction is wanted.
        idle = Signal(init=1)
        beats, rows = now.loops[2], now.loops[0]
        m.d.comb += [
            self.active.eq(running),
            commands.wants.eq(idle),
            commands.free.eq(idle),
            commands.takes.eq(idle & commands.ready),
            commands.continues.eq(waiting | (self.row_done & ~self.last)),
            commands.begins.eq(commands.continues & commands.passes),
        ]
        self.hold(m, idle)

        # The first beat of the next instruction. It is shown while none runs, so it begins at 0.
        none = [
            registered(m, coming.loops[k].count == 0, f"none_{k}", reset_less=False) for k in (0, 2)
        ]
        at_start = Pair(coming.at.high[: self.address], coming.at.low[: len(self.low)])
        second = stepped(at_start, coming.second, self.banks)
        first = pair(self.address, self.banks, "first", reset_less=False)
        m.d.sync += first.eq(chosen(commands.odd, second, at_start))

        # Counters of what is left after this beat and after this row, with flags for none. With its
        # last beat a row makes place for the next one, though that may have to wait. An
        # instruction's first row is stored until it is taken.
        beats_left = Signal(16, reset_less=True)
        rows_left = Signal(16, reset_less=True)
        one_beat = Signal(reset_less=True)  # a row has one
        below = stepped(row, rows.stride, self.banks)
        with m.If(idle):
            m.d.sync += [
                beats_left.eq(coming.loops[2].count),
                self.last_beat.eq(none[1]),
                one_beat.eq(none[1]),
                rows_left.eq(coming.loops[0].count),
                self.last.eq(none[0]),
                self.row.eq(0),
                row.eq(first),
                at.eq(first),
                self.in_odd.eq(commands.odd),
            ]
        with m.Elif(self.steps):
            m.d.sync += [
                beats_left.eq(beats_left - 1),
                self.last_beat.eq(beats_left == 1),
                at.eq(stepped(at, beats.stride, self.banks)),
            ]
            with m.If(self.row_ends):
                m.d.sync += [
                    beats_left.eq(beats.count),
                    self.last_beat.eq(one_beat),
                    rows_left.eq(rows_left - 1),
                    self.last.eq(rows_left == 1),
                    self.row.eq(self.row + 1),
                    row.eq(below),
                    at.eq(below),
                ]

        # Written out, as it is known late in the clock that a row is done.
        m.d.sync += [
            running.eq(commands.takes | commands.begins | (running & ~self.row_done)),
            waiting.eq(commands.continues & ~commands.passes),
            idle.eq((idle & ~commands.ready) | (self.row_done & self.last)),
        ]
        return m
