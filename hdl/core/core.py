"""The training core: a network in stores, engines that train it, and their lists."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.core.config import CoreConfig
from golden.core.isa import Engine, Function, Store
from golden.core.register import Fault, State
from hdl.bus.signature import RegisterBus, RegisterPort
from hdl.cells import CELLS, Cells
from hdl.core.banks import Banks, RowStore
from hdl.core.clocks import Clocks
from hdl.core.control import Control, Rate, Undefined
from hdl.core.engine import CoreEngine
from hdl.core.fetch import Fetch
from hdl.core.movers import MoveIn, MoveOut
from hdl.core.passes import Passes
from hdl.core.products import Products
from hdl.core.registers import RegisterFile
from hdl.delay import registered
from hdl.reset import OwnReset

#: Names of the engines' modules.
_NAMES = {
    Engine.ARRAY: "products",
    Engine.VECTOR: "passes",
    Engine.IN: "move_in",
    Engine.OUT: "move_out",
}


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

    Members
    -------
    i : In(stream of {words; last})
        Samples, labels and weights: see `MoveIn`.
    o : Out(stream of {words; last})
        Scores and weights: see `MoveOut`.
    bus : In(RegisterBus)
        The registers of `golden.core.registers`.
    """

    i: stream.Interface
    o: stream.Interface
    bus: RegisterPort

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
        self.move_in = MoveIn(config)
        self.move_out = MoveOut(config)
        self.engines: dict[Engine, CoreEngine] = {
            Engine.ARRAY: self.products,
            Engine.VECTOR: self.passes,
            Engine.IN: self.move_in,
            Engine.OUT: self.move_out,
        }
        # Clocks from an instruction's last word until it may be taken: see `config.fetch`.
        self.fetches = {
            engine: Fetch(
                config, engine, config.banks + 3 if engine is Engine.ARRAY else 3, cells=cells
            )
            for engine in Engine
        }
        self.control = Control()
        self.undefined = Undefined(config)
        super().__init__(
            {
                "i": In(stream.Signature(self.move_in.i.payload.shape())),
                "o": Out(stream.Signature(self.move_out.o.payload.shape())),
                "bus": In(RegisterBus()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        banks = config.banks
        m.submodules.registers = registers = RegisterFile(config)
        # A soft reset is that of everything but stores, lists, and registers that a host sets. Each
        # part has a register of its own for it and for `rst`: it drives too many others for one,
        # and is too far from them for a gate on the way.
        soft = Signal()
        m.d.sync += soft.eq(registers.reset)
        resets = registers.reset | ResetSignal(allow_reset_less=True)

        def reset(part: Any, name: str) -> Any:
            """Return a part that its own register resets, at either reset."""
            return OwnReset(registered(m, resets, f"reset_{name}", keep=True))(part)

        stores = {store: Banks(config.store(store), cells=self.cells) for store in Store}
        for store, each in stores.items():
            m.submodules[store.name.lower()] = each
        m.submodules.s = sums = RowStore(config.sums, cells=self.cells)
        m.submodules.k = masks = RowStore(config.masks, cells=self.cells)
        products, passes = self.products, self.passes
        move_in, move_out = self.move_in, self.move_out
        for engine, unit in self.engines.items():
            name = f"fetch_{engine.name.lower()}"
            m.submodules[_NAMES[engine]] = reset(unit, _NAMES[engine])
            m.submodules[name] = reset(self.fetches[engine], name)
        m.submodules.control = reset(self.control, "control")
        self._control(m, registers, soft)

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
        label = self.cells.rows(
            *(m, "labels", config.inputs * config.labels, len(move_in.label)),
            write=move_in.label_write,
            to=move_in.label_to,
            value=move_in.label,
            row=passes.label_at,
            clocks=1,
        )
        m.d.comb += passes.label.eq(label)

        # Movers.
        m.d.comb += [
            passes.move.eq(move_in.move),
            passes.move_weights.eq(move_in.weights),
            passes.move_high.eq(move_in.high),
            passes.move_low.eq(move_in.low),
            passes.move_mask.eq(move_in.mask),
            passes.move_words.eq(move_in.words),
            move_in.x_free.eq(passes.x_free),
            move_in.w_free.eq(passes.w_free),
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
        return m

    def _control(self, m: Module, registers: RegisterFile, soft: Signal) -> None:
        """Connect lists, registers and control."""
        control, passes, move_in = self.control, self.passes, self.move_in
        even = Signal()
        with m.If(control.begins):
            m.d.sync += even.eq(0)
        with m.Else():
            m.d.sync += even.eq(~even)
        connect(m, flipped(self.bus), registers.bus)
        m.d.comb += [
            control.start.eq(registers.start),
            control.stop.eq(registers.stop),
            control.steps.eq(registers.steps),
            control.used.eq(registers.used),
            control.totals.eq(registers.totals),
            control.offers.eq(self.o.valid),
            control.updated.eq(passes.update_ends),
            registers.running.eq(control.running | control.begins),
            registers.starts.eq(control.accepts & ~soft),
        ]

        waits = registered(
            m, Cat(move_in.waits_stream, self.move_out.waits_stream), "waits", reset_less=False
        )
        # What an engine does is known late in a clock, and counted two clocks later.
        counted = registered(m, control.running, "counted", 2, reset_less=False)
        latch = registered(m, registers.latch, "latch", reset_less=False)
        for engine, unit in self.engines.items():
            fetch = self.fetches[engine]
            m.submodules[f"clocks_{engine.name.lower()}"] = clocks = Clocks()
            connect(m, fetch.commands, unit.commands)
            m.d.comb += [
                fetch.write.eq(registers.list_write[engine]),
                fetch.to.eq(registers.list_to),
                fetch.value.eq(registers.list_value),
                fetch.first.eq(registers.firsts[engine]),
                fetch.last.eq(registers.lasts[engine]),
                fetch.used.eq(registers.used[engine]),
                fetch.limit.eq(control.limit),
                fetch.start.eq(control.begins),
                fetch.halt.eq(control.halted[engine] | ~control.running),
                unit.clear.eq(control.begins),
                control.begun[engine].eq(fetch.begun),
                control.idle[engine].eq(fetch.state == State.IDLE),
                control.flight[engine].eq(unit.flight),
                control.ended[engine].eq(unit.ended),
                clocks.counts.eq(counted),
                clocks.clear.eq(control.begins),
                clocks.latch.eq(latch),
                clocks.at.eq(registers.state),
                registers.clocks[engine].eq(clocks.value),
            ]
            self._place(m, engine)
            # A mover waits inside a chunk as well.
            now: Value = fetch.state
            stuck: Value = fetch.stuck
            if engine is Engine.IN:
                stuck = stuck | registered(m, move_in.failed, "failed", reset_less=False)
                now = Mux(move_in.waits_port, State.WAIT_VECTOR, now)
                now = Mux(move_in.waits_stream, State.STREAM, now)
            if engine is Engine.OUT:
                waits_scores = self.move_out.waits_scores
                now = Mux(waits_scores, State.WAIT_VECTOR, now)
                now = Mux(self.move_out.waits_stream, State.STREAM, now)
                stuck = stuck | registered(m, waits_scores, "waits_scores", reset_less=False)
            m.d.comb += control.stuck[engine].eq(stuck)
            m.d.comb += clocks.next.eq(
                registered(m, now, f"{_NAMES[engine]}_state", reset_less=False)
            )
            for k, other in enumerate(engine.others):
                m.d.comb += [
                    fetch.totals[k].eq(registers.totals[other]),
                    fetch.counts[k].eq(self.engines[other].count),
                ]

        made = Rate()
        m.submodules.rate = made
        vector = self.fetches[Engine.VECTOR]
        m.d.comb += [
            self.products.loaded.eq(self.fetches[Engine.ARRAY].loaded),
            vector.settled.eq(passes.settled),
            passes.even.eq(even),
            made.write.eq(registers.rate_write),
            made.value.eq(registers.rate_value),
            made.from_step.eq(registers.rate_step),
            made.running.eq(control.running),
            made.begins_step.eq(vector.begins_step),
            made.step.eq(vector.step),
            made.begun.eq(vector.begun),
            made.updates.eq(vector.took & (vector.commands.next.function == Function.UPDATE)),
            passes.rate.eq(made.rate),
            registers.rate_refused.eq(made.refused),
            passes.lane.eq(registers.lane),
            passes.lane_load.eq(registers.lane_load),
            passes.lane_value.eq(registers.lane_value),
            registers.lane_state.eq(passes.lane_state),
            registers.scalar_write.eq(passes.scalar_write),
            registers.scalar.eq(passes.scalar),
            registers.maximum.eq(passes.maximum),
            registers.exponent.eq(passes.exponent),
            registers.zero.eq(passes.zero),
        ]

        # A reset keeps account of what it leaves behind.
        m.submodules.undefined = undefined = self.undefined
        m.d.comb += [
            undefined.reset.eq(soft),
            undefined.update_begins.eq(passes.update_begins),
            undefined.update_ends.eq(passes.update_ends),
            undefined.update_layer.eq(passes.update_layer),
            undefined.load_begins.eq(move_in.load_begins),
            undefined.load_ends.eq(move_in.load_ends),
            undefined.begun_layer.eq(move_in.begun_layer),
            undefined.ended_layer.eq(move_in.ended_layer),
        ]
        values = {
            "status_running": control.running | control.begins,
            "status_stopping": control.stopping,
            "status_fault": control.fault != 0,
            "status_waits_in": waits[0],
            "status_waits_out": waits[1],
            "status_updates": control.updates,
            "fault_kind": control.fault,
            "fault_engine": control.engine,
            "fault_instruction_value": control.at.instruction,
            "fault_chunk_value": control.at.chunk,
            "fault_step_value": control.at.step,
            "steps_done_value": control.steps_done,
            "undefined_value": undefined.layers,
            "rate_value": made.shown,
            "rate_waits": made.waits,
            "wrong_value": passes.wrong,
        }
        m.d.comb += [registers.shown[name].eq(value) for name, value in values.items()]

    def _place(self, m: Module, engine: Engine) -> None:
        """Connect the faults of an engine, and where they are."""
        fetch, control, move_in = self.fetches[engine], self.control, self.move_in
        # Those of the instruction that runs.
        own: dict[Fault, Value] = {}
        if engine is Engine.ARRAY:
            own = {Fault.ROWS: self.products.beyond}
        if engine is Engine.IN:
            own = {Fault.SHORT: move_in.short, Fault.LONG: move_in.long}
        fault: Value = Mux(fetch.refused, fetch.fault, Fault.NONE)
        for kind, seen in reversed(own.items()):
            fault = Mux(seen, kind, fault)
        # Control looks at the place a clock later.
        runs: Value = C(0)
        if own:
            runs = registered(m, reduce(or_, own.values()), f"{_NAMES[engine]}_fails")
        # For a deadlock: nothing has changed for some clocks.
        next_one = registered(m, fetch.commands.wants, f"{_NAMES[engine]}_wants")
        continues = registered(m, fetch.commands.continues, f"{_NAMES[engine]}_continues")
        chunk = (fetch.chunk + continues)[: len(fetch.chunk)]
        place, waits = control.places[engine], control.next[engine]
        m.d.comb += [
            control.faults[engine].eq(fault),
            place.instruction.eq(Mux(runs, fetch.at, fetch.next_at)),
            place.chunk.eq(Mux(runs, fetch.chunk, 0)),
            place.step.eq(Mux(runs, fetch.at_step, fetch.step)),
            waits.instruction.eq(Mux(next_one, fetch.next_at, fetch.at)),
            waits.chunk.eq(Mux(next_one, 0, registered(m, chunk, f"{_NAMES[engine]}_chunk"))),
            waits.step.eq(Mux(next_one, fetch.step, fetch.at_step)),
        ]
