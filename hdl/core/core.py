"""The training core: a network in stores, engines that train it, and their lists."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.core.config import CoreConfig
from golden.core.field import WORD
from golden.core.isa import Engine, Store
from hdl.cells import CELLS, Cells
from hdl.core.banks import Banks, RowStore
from hdl.core.engine import COUNT, CoreEngine
from hdl.core.fetch import STEPS, Fetch
from hdl.core.movers import MoveIn, MoveOut
from hdl.core.passes import Passes
from hdl.core.products import Products
from hdl.delay import registered


class Core(wiring.Component):
    """Trains a network that lies in its stores.

    Parameters
    ----------
    config
        The core.
    cells
        Technology of the array and of the stores.
    places
        Locations of the array's multipliers: see `hdl.Array`.
    """

    i: stream.Interface
    o: stream.Interface
    list_write: Signal
    list_to: Signal
    list_value: Signal
    first: data.View
    last: data.View
    totals: data.View
    used: Signal
    steps: Signal
    start: Signal
    rate: Signal
    done: Signal
    wrong: Signal
    counts: data.View

    def __init__(
        self,
        config: CoreConfig,
        *,
        cells: Cells = CELLS["generic"],
        places: Sequence[Sequence[str]] | None = None,
    ):
        self.config = config
        self.cells = cells
        self.products = Products(config, cells=cells, places=places)
        self.passes = Passes(config)
        address, word = self.passes.address_bits, self.passes.word
        self.move_in = MoveIn(config, address, word)
        self.move_out = MoveOut(config, address)
        # Clocks from an instruction's last word until it may be taken: see `config.fetch`.
        self.fetches = {
            engine: Fetch(
                engine,
                config.programs[engine],
                config.banks + 3 if engine is Engine.ARRAY else 3,
            )
            for engine in Engine
        }
        longest = max(config.programs)
        super().__init__(
            {
                "i": In(stream.Signature(self.move_in.i.payload.shape())),
                "o": Out(stream.Signature(self.move_out.o.payload.shape())),
                "list_write": In(len(Engine)),
                "list_to": In(range(longest)),
                "list_value": In(WORD),
                "first": In(data.ArrayLayout(range(longest), len(Engine))),
                "last": In(data.ArrayLayout(range(longest), len(Engine))),
                "totals": In(data.ArrayLayout(COUNT, len(Engine))),
                "used": In(len(Engine)),
                "steps": In(STEPS),
                "start": In(1),
                "rate": In(signed(4)),
                "done": Out(1),
                "wrong": Out(32),
                "counts": Out(data.ArrayLayout(COUNT, len(Engine))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        banks = config.banks
        stores = {store: Banks(config.store(store), cells=self.cells) for store in Store}
        for store, each in stores.items():
            m.submodules[store.name.lower()] = each
        m.submodules.s = sums = RowStore(config.sums, cells=self.cells)
        m.submodules.k = masks = RowStore(config.masks, cells=self.cells)
        m.submodules.products = products = self.products
        m.submodules.passes = passes = self.passes
        m.submodules.move_in = move_in = self.move_in
        m.submodules.move_out = move_out = self.move_out
        engines: dict[Engine, CoreEngine] = {
            Engine.ARRAY: products,
            Engine.VECTOR: passes,
            Engine.IN: move_in,
            Engine.OUT: move_out,
        }
        even = Signal()
        with m.If(self.start):
            m.d.sync += even.eq(0)
        with m.Else():
            m.d.sync += even.eq(~even)

        for engine, unit in engines.items():
            fetch = self.fetches[engine]
            m.submodules[f"fetch_{engine.name.lower()}"] = fetch
            m.d.comb += [
                fetch.write.eq(self.list_write[engine]),
                fetch.to.eq(self.list_to),
                fetch.value.eq(self.list_value),
                fetch.first.eq(self.first[engine]),
                fetch.last.eq(self.last[engine]),
                fetch.steps.eq(self.steps & self.used[engine].replicate(STEPS)),
                fetch.start.eq(self.start),
                unit.clear.eq(self.start),
                self.counts[engine].eq(unit.count),
            ]
            connect(m, fetch.commands, unit.commands)
            for k, other in enumerate(engine.others):
                m.d.comb += [
                    fetch.totals[k].eq(self.totals[other]),
                    fetch.counts[k].eq(engines[other].count),
                ]
        m.d.comb += [
            products.loaded.eq(self.fetches[Engine.ARRAY].loaded),
            self.fetches[Engine.VECTOR].settled.eq(passes.settled),
            passes.even.eq(even),
            passes.rate.eq(self.rate),
            self.wrong.eq(passes.wrong),
        ]

        # Stores.
        for store, each in stores.items():
            name = store.name.lower()
            m.d.comb += [
                each.a_address.eq(getattr(products, f"{name}_address")),
                getattr(products, f"{name}_data").eq(each.a_data),
                each.b_write.eq(Cat(getattr(passes, f"{name}_write"))),
            ]
            for bank in range(banks):
                m.d.comb += [
                    each.b_address[bank].eq(getattr(passes, f"{name}_address")[bank]),
                    each.b_value[bank].eq(getattr(passes, f"{name}_value")[bank]),
                ]
        m.d.comb += [
            passes.w_data.eq(stores[Store.W].b_data),
            sums.write.eq(products.s_write),
            sums.to.eq(products.s_to),
            sums.value.eq(products.s_value),
            sums.row.eq(passes.s_row),
            passes.s_data.eq(sums.data),
            masks.write.eq(passes.k_write),
            masks.to.eq(passes.k_to),
            masks.value.eq(passes.k_value),
            masks.row.eq(passes.k_row),
            passes.k_data.eq(masks.data),
        ]

        # Labels.
        labels: Memory[Any, Any] = Memory(
            shape=len(move_in.label), depth=config.inputs * config.labels, init=[]
        )
        m.submodules.labels = labels
        read, write = labels.read_port(), labels.write_port()
        m.d.comb += [
            write.en.eq(move_in.label_write),
            write.addr.eq(move_in.label_to),
            write.data.eq(move_in.label),
            read.addr.eq(passes.label_at),
            passes.label.eq(read.data),
        ]

        # Movers.
        m.d.comb += [
            passes.move.eq(move_in.move),
            passes.move_to.eq(move_in.to),
            passes.move_high.eq(move_in.high),
            passes.move_low.eq(move_in.low),
            passes.move_mask.eq(move_in.mask),
            passes.move_words.eq(move_in.words),
            move_in.moved.eq(passes.moved),
            passes.read.eq(move_out.read),
            passes.read_high.eq(move_out.high),
            passes.read_low.eq(move_out.low),
            move_out.words.eq(passes.read_words),
            move_out.score.eq(passes.score),
            move_out.scores.eq(passes.scores),
            passes.room.eq(move_out.room),
            move_out.announce.eq(passes.announce),
        ]
        connect(m, flipped(self.i), move_in.i)
        connect(m, move_out.o, flipped(self.o))

        # All lists are at their ends, and nothing is on its way.
        idle = registered(
            m,
            Cat(fetch.done for fetch in self.fetches.values()).all()
            & ~products.busy
            & ~passes.busy
            & ~move_in.busy
            & ~move_out.busy
            & ~self.start,
            "idle",
            reset_less=False,
        )
        m.d.comb += self.done.eq(idle)
        return m
