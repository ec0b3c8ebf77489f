# amaranth: UnusedElaboratable=no
# (components are made only for their ports)
"""Specification of the array: operands at the nodes, sums, rows from the foot, places in the FIFO.

The specification uses the clock of the input stream: an operand is accepted, and its terms belong
to its tile. Node (r, c) gets the operand r + c clocks later, and the segments of its accumulator
follow one clock after the other. So the properties are about the clock at which the last segment
of the last node is complete.
"""

from typing import Any

from amaranth.hdl import C, Cat, Mux, Value

import hdl
from golden.array import ArrayConfig
from golden.fixed import Rounding
from golden.macc import PRODUCT_LATENCY
from golden.rounder import PIPELINE_LATENCY
from gradloom.prove import lfsr, macc, rounder, streams
from gradloom.prove.bench import AnyState, Bench, Induction
from gradloom.prove.integers import chosen, every, implies, some
from gradloom.rtl.names import inner
from gradloom.sim.toplevel import flatten

#: Largest number of nodes of an array that can be proved as a whole.
MOST_NODES = 12


def benches(name: str, config: ArrayConfig, component: Any) -> list[Bench]:
    """Return the benches of the array's parts, and of the whole array.

    Raises
    ------
    ValueError
        The array has too many nodes.
    """
    if config.rows * config.columns > MOST_NODES:
        raise ValueError(
            f"rows x columns = {config.rows} x {config.columns}: arrays of at most {MOST_NODES} "
            f"nodes can be proved"
        )
    found = []
    if config.block is not None:
        found.append(macc.bench(inner(name, "macc"), config.macc))
    if config.macc.ternary or config.multipliers not in (None, (config.rows, config.columns)):
        found.append(macc.bench(inner(name, "ternary_macc"), config.node(0, config.columns - 1)))
    if config.rounder:
        pipeline = hdl.rounder.RoundingPipeline(config.rounder)
        found.append(Bench(inner(name, "rounding_pipeline"), flatten(pipeline)))
        rounder.specify(found[-1], config.rounder)
    fifo = hdl.Buffer(component.o.payload.shape(), depth=config.buffer, rows=config.rows)
    found.append(Bench(inner(name, "buffer"), flatten(fifo)))
    streams.specify_fifo(found[-1], config.buffer, config.rows)

    free = config.block is not None and not macc.multiplied(config.macc)
    found.append(
        Bench(
            name,
            config.ports,
            cut=(f"{inner(name, 'macc')}/t:$mul",) if free else (),
            assumed="product" if free else "",
        )
    )
    _Array(found[-1], config).specify()
    return found


class _Array:
    """The properties of the whole array.

    Parameters
    ----------
    bench
        The bench of the array.
    config
        Its configuration.
    """

    def __init__(self, bench: Bench, config: ArrayConfig):
        self.bench = bench
        self.config = config
        self.accepted = bench.wire(bench["i_valid"] & bench["i_ready"])
        self.ends = bench.wire(self.accepted & bench["i_last"])
        self.segments = config.macc.segments
        product = config.macc.product_latency
        #: Number of clocks from an operand to its sum in the last segment of the last node.
        self.late = 1 + product + (config.rows - 1) + (config.columns - 1) + (self.segments - 1)
        self.through = PIPELINE_LATENCY if config.conversions else 0

    def specify(self) -> None:
        """Add all properties."""
        self._ready_and_arrivals()
        self._operands()
        self._rows()

    def _ready_and_arrivals(self) -> None:
        bench, config = self.bench, self.config
        rows = config.rows
        lasts = [bench.since(self.ends, clock) for clock in range(1, config.latency - 2 + rows)]
        near = some(lasts[: rows - 1])
        claim, room = bench.probe("buffer.claim", 1), bench.probe("buffer.ready", 1)
        spaced = bench.probe("spaced", 1) == ~near if rows > 1 else C(1)
        bench.prove(
            "ready",
            "only a `last` operand waits, until R clocks after the one before and for R free "
            "places, which it claims",
            spaced
            & (claim == self.ends)
            & (bench["i_ready"] == (~bench["i_last"] | (~near & room))),
            Induction(rows + 1),
            {
                "refused without free places": bench["i_last"] & ~near & ~bench["i_ready"],
                **({"refused for its distance": near & ~bench["i_ready"]} if rows > 1 else {}),
            },
            within=config.buffer + rows + 4,
        )
        arrives = bench.probe("buffer.i_valid", 1)
        bench.prove(
            "arrivals",
            f"R rows enter the FIFO for each claim, the first {config.latency - 2} clocks later",
            arrives == some(lasts[config.latency - 3 :]),
            AnyState(config.latency - 2 + rows),
            {"a row": arrives, "none": ~arrives},
        )

    def _wait(self, row: int, column: int) -> int:
        """Return the number of clocks from the input stream to a node's ports."""
        node = self.config.node(row, column)
        return 1 + row + column + self.config.macc.product_latency - node.product_latency

    def _taken(self, row: int, column: int) -> tuple[Value, Value]:
        """Return the operands that a node takes from the input stream, or zeros."""
        bench, config = self.bench, self.config
        a, b = bench["i_a"][row], bench["i_b"][column]
        node = config.node(row, column)
        if config.multipliers is not None:
            low = b[:2].as_signed()
            ternary = Mux(low == -2, 0, low)
            b = Mux(bench["i_multiply"], 0 if node.ternary else b, ternary)
        return a, b

    def _operands(self) -> None:
        bench, config = self.bench, self.config
        holds = []
        for row in range(config.rows):
            for column in range(config.columns):
                wait = self._wait(row, column)
                path = f"node_{row}_{column}"
                node = config.node(row, column)
                a = bench.probe(f"{path}.a", node.a.width).as_signed()
                b = bench.probe(f"{path}.b", node.b.width).as_signed()
                own_a, own_b = self._taken(row, column)
                if node.ternary:
                    b, own_b = Mux(b == -2, 0, b), Mux(own_b == -2, 0, own_b)
                accepted = bench.past(self.accepted, wait)
                nothing = (a == 0) | (b == 0)
                past_a = bench.past(bench.wire(own_a), wait)
                past_b = bench.past(bench.wire(own_b), wait)
                same = Mux(accepted, (a == past_a) & (b == past_b), nothing)
                holds.append(implies(bench.since(C(1), wait), same))
        clocks = config.rows + config.columns + PRODUCT_LATENCY
        bench.prove(
            "operands",
            "node (r, c) has row r of A and column c of B of the operand that was accepted r + c "
            "+ 1 clocks before (4 more for a ternary node of a mixed array), and a zero in a gap",
            every(holds),
            AnyState(clocks),
            {
                "an operand": bench.past(self.accepted, clocks),
                "a gap": ~bench.past(self.accepted, clocks),
            },
            within=clocks + 3,
        )

    def _term(self, row: int, column: int) -> Value:
        """Return the term that a node adds for the operand of `late` clocks before."""
        bench, node = self.bench, self.config.node(row, column)
        if macc.multiplied(node):
            a, b = self._taken(row, column)
            product = macc.term(node, a, b)
            return bench.past(bench.wire(product), self.late)
        # A register of the multiplier, whose output may be any number, but 0 in a gap.
        found = bench.probe(f"node_{row}_{column}.product_0", node.a.width + node.b.width)
        ago = 1 + row + column + 3
        bench.assume(implies(~bench.past(self.accepted, ago), found == 0))
        return bench.past(found, self.late - ago).as_signed()

    def _rows(self) -> None:
        bench, config = self.bench, self.config
        rows, columns = config.rows, config.columns
        accepted, ends = bench.since(self.accepted, self.late), bench.since(self.ends, self.late)
        # The first operand after a reset or after a `last` begins a tile.
        begins, known = bench.register("begins", 1, 1), bench.register("known", 1)
        bench.update(begins, Mux(self.accepted, self.ends, begins))
        firsts = [bench.since(self.accepted & begins, clock) for clock in range(1, self.late + 1)]
        first = firsts[-1]
        bench.update(known, known | first)

        # The sums so far, and the accumulators at the clock at which the last segment is complete.
        equal, nonzero = [], []
        found: list[list[Value]] = []
        for row in range(rows):
            found.append([])
            for column in range(columns):
                node = config.node(row, column)
                total = bench.register(f"sum_{row}_{column}", node.width)
                now = bench.wire((Mux(first, 0, total) + self._term(row, column))[: node.width])
                bench.update(total, Mux(accepted, now, total))
                near = (rows - 1 - row) + (columns - 1 - column)
                parts = [
                    bench.past(
                        bench.probe(f"node_{row}_{column}.accumulator_{number}", high - low),
                        near + self.segments - 1 - number,
                    )
                    for number, (low, high) in enumerate(node.cuts)
                ]
                found[row].append(Cat(parts).as_signed())
                equal.append(Cat(parts) == total)
                nonzero.append(total != 0)
        same = bench.probe("begins", 1) == begins
        same &= implies(~begins, known | some(firsts))
        bench.prove(
            "sums",
            "a node's accumulator is the sum of its tile's products so far, modulo 2^width",
            same & implies(known, every(equal)),
            Induction(self.late + 3),
            {"a tile without a zero": known & bench.past(ends) & every(nonzero)},
            within=self.late + 6,
        )

        # The sums leave after a tile's last term, row R-1 first, one row per clock.
        complete = bench.since(ends)
        position = bench.register("position", range(rows))
        valid = bench.register("leaving", 1)
        bench.update(valid, complete | (valid & (position != 0)))
        bench.update(position, Mux(complete, rows - 1, Mux(position == 0, 0, position - 1)))
        last = position == 0
        shown = []
        for column in range(columns):
            tile = []
            for row in range(rows):
                sums = found[row][column]
                kept = bench.register(f"tile_{row}_{column}", sums.shape())
                bench.update(kept, Mux(complete, sums, kept))
                tile.append(kept)
            shown.append(bench.wire(chosen(position, tile)))
        entering = bench.since(valid, self.through)
        data = self._lanes("buffer.i_payload_data", config.result_width)
        marked = bench.probe("buffer.i_payload_last", 1)
        holds = streams.shown(bench) & implies(entering, marked == bench.past(last, self.through))
        if not config.conversions:
            feet = implies(valid, every(a == b for a, b in zip(data, shown, strict=True)))
        else:
            feet = implies(
                valid, every(self._foot(column, shown[column], ends) for column in range(columns))
            )
        bench.prove(
            "rows",
            "a tile's sums leave the foot in whole rows, row R-1 first, one per clock; `last` "
            "marks row 0"
            + ("" if not config.conversions else "; each column's rounder gets its sums"),
            holds & feet,
            Induction(self.late + rows + 6),
            {"row 0": valid & last & (shown[0] != 0), "row R-1": valid & (position == rows - 1)},
            within=self.late + rows + 6,
        )
        if config.conversions:
            self._rounders(data)
        if config.random_port:
            self._draws(valid, ends)

    def _lanes(self, path: str, width: int) -> list[Value]:
        """Return the columns' values in a signal inside the module."""
        whole = self.bench.probe(path, width * self.config.columns)
        return [
            whole[column * width : (column + 1) * width].as_signed()
            for column in range(self.config.columns)
        ]

    def _foot(self, column: int, sums: Value, ends: Value) -> Value:
        """Return whether a column's rounder has the right inputs. Column C-1 gets a row last."""
        bench, config = self.bench, self.config
        lag = config.columns - 1 - column
        data = bench.probe(f"rounder_{column}.operand_data", config.macc.width)
        holds = bench.past(data, lag).as_signed() == sums
        if len(config.conversions) > 1:
            bits = (len(config.conversions) - 1).bit_length()
            choice = bench.register(f"choice_{column}", bits)
            bench.update(choice, Mux(ends, bench.past(bench["i_choice"], self.late), choice))
            found = bench.probe(f"rounder_{column}.operand_choice", bits)
            holds &= bench.past(found, lag) == bench.past(choice)
        if config.stochastic and not config.random_port:
            # The column's generator leaps for each row, and at no other clock.
            holds &= bench.past(bench.probe(f"lfsr_{column}.draw", 1), lag)
        return holds

    def _draws(self, valid: Value, ends: Value) -> None:
        """Add the property of `draws`. Column C-1 has a row at its foot where `valid` is 1."""
        bench, config = self.bench, self.config
        stochastic = [C(c.rounding is Rounding.STOCHASTIC) for c in config.conversions]
        draws: Value = stochastic[0]
        if len(stochastic) > 1:
            choice = bench.register("drawn_choice", bench["i_choice"].shape())
            bench.update(choice, Mux(ends, bench.past(bench["i_choice"], self.late), choice))
            draws = chosen(bench.past(choice), stochastic)
        found = [
            bench.since(draw, config.columns - 1 - column)
            for column, draw in enumerate(bench["draws"])
        ]
        cases = {"a row draws": every(found), "no row": ~valid}
        if not all(c.rounding is Rounding.STOCHASTIC for c in config.conversions):
            cases["a row draws nothing"] = valid & ~some(found)
        bench.prove(
            "draws",
            "a column draws for each row at its foot with a stochastic conversion, and else never",
            every(draw == (valid & draws) for draw in found),
            Induction(self.late + config.rows + 6),
            cases,
            within=self.late + config.rows + 6,
        )

    def _rounders(self, data: list[Value]) -> None:
        bench, config = self.bench, self.config
        columns = config.columns
        width = config.result_width
        same = []
        for column in range(columns):
            rounded = bench.probe(f"rounder_{column}.result_data", width)
            same.append(data[column].as_unsigned() == bench.past(rounded, columns - 1 - column))
            if config.saturated:
                clipped = bench.probe(f"rounder_{column}.result_saturated", 1)
                entering = bench.probe("buffer.i_payload_saturated", columns)[column]
                same.append(entering == bench.past(clipped, columns - 1 - column))
            if config.stochastic:
                word = (
                    bench["random"][column]
                    if config.random_port
                    else bench.probe(f"lfsr_{column}.word", config.generator.draw)
                )
                same.append(bench.probe(f"rounder_{column}.random", config.generator.draw) == word)
        bench.prove(
            "columns",
            "the rounded codes of a row enter the FIFO together"
            + (", with their bits `saturated`" if config.saturated else "")
            + ", and each rounder has the words of "
            + ("its lane of the port" if config.random_port else "its own generator"),
            every(same),
            AnyState(columns),
            {"a row of codes that are not 0": every(code != 0 for code in data)},
            within=config.latency + config.rows,
        )
        if config.stochastic and not config.random_port:
            follows, leaps = [], []
            for column in range(columns):
                draws = bench.probe(f"lfsr_{column}.draw", 1)
                model = lfsr.model(bench, config.generator, column, draws)
                follows.append(
                    bench.probe(f"lfsr_{column}.state_0", config.generator.bits) == model
                )
                leaps.append(draws)
            bench.prove(
                "lanes",
                "the generator of column c is lane c: its seed, and one leap per row",
                every(follows),
                Induction(1),
                {"a leap": every(leaps)},
                within=config.latency + config.rows,
            )
