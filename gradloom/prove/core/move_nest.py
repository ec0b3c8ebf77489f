"""The loops of a move: when rows and moves begin, and which beat is shown."""

from amaranth.hdl import C, Cat, Mux, Value

from golden.core.move_nest import MoveNestConfig
from gradloom.prove.bench import AnyState, Bench, Induction
from gradloom.prove.integers import every, implies

#: Beginning of the names of the next instruction's ports.
NEXT = "commands_next"
#: The loops over rows and over beats.
ROWS, BEATS = 0, 2
#: Bits of a count, of a stride's address and of its bank, which are a loop of an instruction; the
#: first bit of the loops in an instruction, and the bits of a word of it.
COUNT, HIGH, LOW = 16, 20, 8
LOOP, LOOPS_FIRST, WORD = COUNT + HIGH + LOW, 88, 32


def specify(bench: Bench, config: MoveNestConfig) -> None:
    """Add the properties of a move's loops."""
    allowed(bench, config)
    move = Move(bench, config)
    outputs = {name: bench[f"commands_{name}"] for name in ("wants", "takes", "free", "full")}
    bench.prove(
        "rows",
        "a move is taken where none runs; a row's beats are wanted from the clock after the one in "
        "which it was begun to the one in which it is done; the next row begins as soon as it may, "
        "and behind the last row no move runs",
        every(
            [
                move.agrees,
                outputs["wants"] == ~move.runs,
                outputs["free"] == ~move.runs,
                outputs["takes"] == move.takes,
                outputs["full"] == 0,
                bench["active"] == (move.runs & ~move.waits),
                bench["commands_continues"] == move.further,
                bench["commands_begins"] == (move.further & bench["commands_passes"]),
            ]
        ),
        Induction(2),
        {
            "a row that waits": bench.past(move.waits) & bench["active"],
            "a row that does not": bench.past(bench["commands_begins"] & bench["active"]),
            "a move behind another one": move.takes & bench.since(bench["row_done"]),
        },
        within=7,
    )
    bench.prove(
        "beat",
        "`row` is how many rows have ended, modulo 2^16; `last_beat` says whether as many beats "
        "were taken since as the instruction's count, less one, and `last` the same of its rows",
        move.agrees
        & implies(
            move.runs,
            (bench["row"] == move.row)
            & (bench["last_beat"] == move.last_beat)
            & (bench["last"] == move.last)
            & (bench["in_odd"] == move.odd),
        ),
        Induction(2),
        {
            "the last beat of several rows": move.runs
            & (move.row != 0)
            & move.last
            & move.last_beat
            & (move.beat != 0),
            "a beat behind the last one": move.runs
            & bench.since(move.last_beat)
            & (move.beat == 3),
        },
        within=7,
    )
    bench.prove(
        "index",
        "the index is the instruction's first one, plus a stride for each row that has ended and "
        "one for each beat since, modulo the words of a store",
        move.agrees & implies(move.runs, (move.shown == move.index) & (move.low < config.banks)),
        Induction(2),
        {
            "the second beat of a second row": move.runs
            & (move.row == 1)
            & (move.beat == 1)
            & (move.index != move.first),
        },
        within=7,
    )
    idle = bench.since(bench["commands_wants"])
    after = bench.past(bench.rst)
    outputs_shown = every([bench[name] == 0 for name in ("row", "last_beat", "last", "in_odd")])
    bench.prove(
        "next",
        "while no move runs, the outputs are about the first beat of the instruction that was "
        "shown two clocks before; after a reset they are 0",
        implies(
            idle,
            every(
                [
                    move.shown == bench.since(move.begins, 2),
                    move.low < config.banks,
                    bench["row"] == 0,
                    bench["in_odd"] == bench.since(bench["commands_odd"]),
                    *(
                        bench[name] == bench.since(bench[f"{NEXT}_loops_count"][loop] == 0, 2)
                        for name, loop in (("last", ROWS), ("last_beat", BEATS))
                    ),
                ]
            ),
        )
        & implies(after, outputs_shown & (move.shown == 0)),
        AnyState(2),
        {"an index": idle & (move.shown != 0) & bench["last"] & ~bench["last_beat"]},
    )


def allowed(bench: Bench, config: MoveNestConfig) -> None:
    """Restrict the proofs to what the nest's users do."""
    bench.assume(implies(bench["steps"], bench["active"]))
    bench.assume(implies(bench["row_done"], bench["steps"] & bench["row_ends"]))
    names = [port.name for port in bench.ports if port.name.startswith(NEXT)]
    known = bench.wire(Cat(bench.whole(names), bench["commands_odd"]))
    stays = bench.since(C(1)) & (known == bench.past(known))
    bench.assume(implies(bench["commands_ready"], stays))
    lows = [bench[f"{NEXT}_at_low"], bench[f"{NEXT}_second_low"]]
    bench.assume(every(low < config.banks for low in (*lows, *bench[f"{NEXT}_loops_stride_low"])))


class Move:
    """A move as it is specified: how many rows and beats of it were taken, and sums of strides.

    Parameters
    ----------
    bench
        The bench.
    config
        The configuration.

    Attributes
    ----------
    runs, waits
        A move runs; its next row has to wait.
    takes, further
        The next move is taken; the running one's next row begins as soon as it may.
    row, beat
        How many of its rows have ended, and how many beats of the next one were taken.
    first, index
        Flat indices of that row's first beat, and of its next one.
    odd
        Whether the move belongs to an odd step.
    last_beat, last
        Whether the beat is its row's last one; the row, the move's.
    begins
        First index of the next instruction.
    shown, low
        The index at the ports, and its bank.
    agrees
        Whether the module's registers agree with all this, as far as they matter.
    """

    def __init__(self, bench: Bench, config: MoveNestConfig):
        self.bench, self.config = bench, config
        self.low = bench["low"] if "low" in bench else C(0)
        self.shown = bench.wire(self._flat(bench["high"], self.low))
        self.runs, self.waits = bench.register("runs", 1), bench.register("waits", 1)
        self.takes = takes = bench.wire(bench["commands_ready"] & ~self.runs)
        steps = bench["steps"]
        ends = bench.wire(steps & bench["row_ends"])

        self.loops = bench.register("loops", 3 * LOOP)
        bench.update(self.loops, Mux(takes, self._coming_loops(), self.loops))
        self.row, self.beat = bench.register("rows", COUNT), bench.register("beats", COUNT)
        bench.update(self.row, Mux(takes, 0, self.row + ends))
        bench.update(self.beat, Mux(takes | ends, 0, self.beat + steps))
        self.odd = bench.register("odd", 1)
        bench.update(self.odd, Mux(takes, bench["commands_odd"], self.odd))
        counts = self.counts = [self._part(loop, 0, COUNT) for loop in (ROWS, BEATS)]
        self.last = bench.wire(self.row == counts[0])
        self.last_beat = bench.wire(self.beat == counts[1])

        at, second = (
            self._flat(bench[f"{NEXT}_{name}_high"].as_unsigned(), bench[f"{NEXT}_{name}_low"])
            for name in ("at", "second")
        )
        self.begins = self._plus(at, Mux(bench["commands_odd"], second, 0))
        words = range(config.banks << config.address_bits)
        self.first, self.index = (bench.register(name, words) for name in ("first", "index"))
        below = self._plus(self.first, self._stride(ROWS))
        beside = Mux(steps, self._plus(self.index, self._stride(BEATS)), self.index)
        bench.update(self.first, Mux(takes, self.begins, Mux(ends, below, self.first)))
        bench.update(self.index, Mux(takes, self.begins, Mux(ends, below, beside)))

        done = bench["row_done"]
        self.further = bench.wire(self.waits | (done & ~self.last))
        bench.update(self.waits, self.further & ~bench["commands_passes"])
        bench.update(self.runs, takes | (self.runs & ~(done & self.last)))
        self.agrees = bench.wire(self._agrees())

    def _agrees(self) -> Value:
        bench, banks = self.bench, self.config.banks
        (row_high, row_low), (first_high, first_low) = map(self._pair, ("row", "first"))
        left = {name: bench.probe(f"{name}_left", COUNT) for name in ("rows", "beats")}
        of_move = [
            self._kept_loops() == self.loops,
            left["rows"] == (self.counts[0] - self.row)[:COUNT],
            left["beats"] == (self.counts[1] - self.beat)[:COUNT],
            bench.probe("one_beat", 1) == (self.counts[1] == 0),
            self._flat(row_high, row_low) == self.first,
            row_low < banks,
            *(self._part(loop, COUNT + HIGH, LOW) < banks for loop in (ROWS, BEATS)),
            self.shown == self.index,
            self.low < banks,
            bench["row"] == self.row,
            bench["last_beat"] == self.last_beat,
            bench["last"] == self.last,
            bench["in_odd"] == self.odd,
        ]
        nones = [bench[f"{NEXT}_loops_count"][loop] == 0 for loop in (ROWS, BEATS)]
        return every(
            [
                self._flat(first_high, first_low) == bench.since(self.begins),
                first_low < banks,
                bench.probe("none_0", 1) == bench.since(nones[0]),
                bench.probe("none_2", 1) == bench.since(nones[1]),
                bench["commands_wants"] == ~self.runs,
                bench["active"] == (self.runs & ~self.waits),
                bench.probe("waiting", 1) == self.waits,
                implies(self.waits, self.runs),
                implies(self.runs, every(of_move)),
            ]
        )

    def _flat(self, high: Value, low: Value) -> Value:
        """Return a flat index, or a stride modulo the words of a store."""
        return self.config.banks * high[: self.config.address_bits] + low

    def _plus(self, index: Value, more: Value) -> Value:
        """Return a sum modulo the words of a store, of two numbers below that."""
        words = self.config.banks << self.config.address_bits
        total = self.bench.wire(index + more)
        return self.bench.wire(Mux(total >= words, total - words, total))

    def _part(self, loop: int, first: int, width: int) -> Value:
        """Return some bits of a loop of the instruction that runs."""
        begin = loop * LOOP + first
        return self.loops[begin : begin + width]

    def _stride(self, loop: int) -> Value:
        high, low = self._part(loop, COUNT, HIGH), self._part(loop, COUNT + HIGH, LOW)
        return self.bench.wire(self._flat(high, low))

    def _coming_loops(self) -> Value:
        """Return the loops of the next instruction as it has them, one behind the other."""
        fields = [
            self.bench[f"{NEXT}_loops_{name}"] for name in ("count", "stride_high", "stride_low")
        ]
        return Cat(Cat(*parts) for parts in zip(*fields, strict=True))

    def _kept_loops(self) -> Value:
        """Return the loops of the instruction that the module's registers hold."""
        first, end = LOOPS_FIRST // WORD, -(-(LOOPS_FIRST + 3 * LOOP) // WORD)
        words = Cat(self.bench.probe(f"now_{k}", WORD) for k in range(first, end))
        skipped = LOOPS_FIRST - first * WORD
        return words[skipped : skipped + 3 * LOOP]

    def _pair(self, name: str) -> tuple[Value, Value]:
        """Return an index in the module's registers."""
        high = self.bench.probe(f"{name}_high", self.config.address_bits)
        bits = self.config.bank_bits
        return high, self.bench.probe(f"{name}_low", bits) if bits else C(0)
