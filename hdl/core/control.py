"""When a program begins and ends, and what stops it."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.core.config import CoreConfig
from golden.core.isa import LAYER_BITS, Engine
from golden.core.register import Fault
from golden.core.registers import layers
from golden.quantize import RATE_BITS
from hdl.core.engine import COUNT
from hdl.core.fetch import STEPS
from hdl.core.legal import FAULT
from hdl.delay import registered

#: Bits of an instruction's place in a list, as the registers show it.
PLACE = 20

#: Where a fault may be: which instruction, which of its chunks, which step.
AT = data.StructLayout({"instruction": PLACE, "chunk": COUNT, "step": STEPS})


class Control(wiring.Component):
    """Begins programs and ends them: when all steps are done, or when nothing can move any more.

    A program ends when all engines have ended their steps, or when none of them can go on: none has
    anything on its way, each one waits for another, and no stream is waited for. The latter is the
    fault `DEADLOCK`, found when it is so for two clocks; it is exact, as only engines that
    end chunks let others go on. With an earlier fault it is the end of that: the engine with the
    fault halts, and the others have ended what they could.

    Members
    -------
    start : In(1)
        Begin a program, if none runs and there is no fault.
    stop : In(1)
        End with the last step that any engine has begun.
    steps, used : In
        Number of steps, and engines with a list.
    totals : In(chunks of a step of each engine)
    accepts : Out(1)
        A start would be carried out.
    begins : Out(1)
        A program is begun: the next clock is its clock 0.
    running, stopping : Out(1)
        A program runs; it ends with the last step that was begun.
    limit : Out
        Number of steps, or of those that were begun when it is stopping.
    begun : In(numbers of steps)
        Steps that each engine has begun.
    idle, stuck : In(4)
        Engines that had ended their steps in the clock before; that could not go on by themselves.
    flight : In(4)
        Engines that have something on its way.
    offers : In(1)
        A beat is offered at the output stream.
    faults : In(4 faults)
        What is wrong with an engine, for one clock.
    places : In(4 places)
        Where.
    next : In(4 places)
        Place of the instruction or chunk for which an engine waits.
    halted : Out(4)
        Engines that take and begin nothing any more.
    fault, engine, at : Out
        The first fault.
    ended : In(4)
        Engines that end a chunk in this clock.
    updated : In(1)
        An update is complete.
    steps_done, updates : Out
        Whole steps, and updates since the last one.
    """

    start: Signal
    stop: Signal
    steps: Signal
    used: Signal
    totals: data.View
    accepts: Signal
    begins: Signal
    running: Signal
    stopping: Signal
    limit: Signal
    begun: data.View
    idle: Signal
    stuck: Signal
    flight: Signal
    offers: Signal
    faults: data.View
    places: data.View
    next: data.View
    halted: Signal
    fault: Signal
    engine: Signal
    at: data.View
    ended: Signal
    updated: Signal
    steps_done: Signal
    updates: Signal

    def __init__(self) -> None:
        engines = len(Engine)
        places = data.ArrayLayout(AT, engines)
        super().__init__(
            {
                "start": In(1),
                "stop": In(1),
                "steps": In(STEPS),
                "used": In(engines),
                "totals": In(data.ArrayLayout(COUNT, engines)),
                "accepts": Out(1),
                "begins": Out(1),
                "running": Out(1),
                "stopping": Out(1),
                "limit": Out(STEPS),
                "begun": In(data.ArrayLayout(STEPS, engines)),
                "idle": In(engines),
                "stuck": In(engines),
                "flight": In(engines),
                "offers": In(1),
                "faults": In(data.ArrayLayout(FAULT, engines)),
                "places": In(places),
                "next": In(places),
                "halted": Out(engines),
                "fault": Out(FAULT),
                "engine": Out(range(engines)),
                "at": Out(AT),
                "ended": In(engines),
                "updated": In(1),
                "steps_done": Out(STEPS),
                "updates": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        faulted = self.fault != Fault.NONE

        # The number of steps. When it is stopping, it follows what is begun; an engine may begin
        # one more step before it sees that, and then all end with that one.
        counts = [
            registered(m, Mux(self.used[engine], self.begun[engine], 0), f"begun_{engine}")
            for engine in Engine
        ]
        halves = [_larger(m, *counts[:2]), _larger(m, *counts[2:])]
        most = _larger(m, *halves)
        m.d.sync += self.limit.eq(Mux(self.stopping, most, self.steps))

        # Beginning and end.
        m.d.comb += self.accepts.eq(~self.running & ~self.begins & ~faulted)
        m.d.sync += self.begins.eq(self.start & self.accepts)
        # What the engines say of a clock comes late in it: it is looked at in the next one.
        quiet, over, still = Signal(), Signal(), Signal()
        flight = registered(m, self.flight, "flying", reset_less=False)
        offers = registered(m, self.offers, "offered", reset_less=False)
        ran = registered(m, self.running, "ran", reset_less=False)
        idled = registered(m, self.idle, "idled")
        nothing = (self.stuck & ~flight).all() & ~offers & self.running & ran
        m.d.sync += [
            quiet.eq(nothing),
            over.eq(nothing & self.idle.all()),
            still.eq(quiet & nothing),
        ]
        ends = Signal()
        m.d.comb += ends.eq(self.running & (over | (quiet & still)))
        with m.If(self.begins):
            m.d.sync += [self.running.eq(1), self.stopping.eq(self.stop)]
        with m.Elif(ends):
            m.d.sync += [self.running.eq(0), self.stopping.eq(0)]
        with m.Elif(self.running & (self.stop | faulted)):
            m.d.sync += self.stopping.eq(1)

        # Of a deadlock, the first engine that waits; that does not change any more.
        waiting = Signal.like(self.engine, name="waiting", reset_less=True)
        waits_at = Signal(AT, name="waits_at", reset_less=True)
        for engine in reversed(Engine):
            with m.If(~idled[engine]):
                m.d.sync += [waiting.eq(engine), waits_at.eq(self.next[engine])]

        # The first fault; of several in a clock that of the first engine. Between programs a list
        # may be read while it is written. An engine with a fault goes no further by itself, so its
        # place can be looked at a clock later, too.
        faults = [registered(m, fault, f"fault_{k}") for k, fault in enumerate(self.faults)]
        seen = [
            registered(m, self.running & (fault != Fault.NONE), f"seen_{k}", reset_less=False)
            for k, fault in enumerate(self.faults)
        ]
        with m.If(self.running & ~faulted):
            with m.If(ends & ~over):
                m.d.sync += self.fault.eq(Fault.DEADLOCK)
                m.d.sync += [self.engine.eq(waiting), self.at.eq(waits_at)]
            for engine in reversed(Engine):
                with m.If(seen[engine]):
                    m.d.sync += [
                        self.fault.eq(faults[engine]),
                        self.engine.eq(engine),
                        self.at.eq(self.places[engine]),
                    ]
        for engine in Engine:
            with m.If(self.running & seen[engine]):
                m.d.sync += self.halted[engine].eq(1)

        # Whole steps, of the engine that ends them.
        of = [Engine.VECTOR, Engine.OUT, Engine.IN, Engine.ARRAY]
        ended: Value = C(0, 1)
        total: Value = C(0, COUNT)
        for engine in reversed(of):
            ended = Mux(self.used[engine], self.ended[engine], ended)
            total = Mux(self.used[engine], self.totals[engine], total)
        left = Signal(COUNT)
        with m.If(self.updated):
            m.d.sync += self.updates.eq(self.updates + 1)
        with m.If(self.begins):
            m.d.sync += [left.eq(total), self.steps_done.eq(0), self.updates.eq(0)]
        with m.Elif(ended):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += [
                    left.eq(total),
                    self.steps_done.eq(self.steps_done + 1),
                    self.updates.eq(0),
                ]
        return m


def _larger(m: Module, one: Value, other: Value) -> Value:
    """Return the larger one of two numbers that never fall; it may lag some clocks behind them."""
    above = registered(m, one > other, "above")
    return registered(m, Mux(above, one, other), "larger")


class Undefined(wiring.Component):
    """Layers whose weights are neither old nor new: while they are updated, or loaded.

    It is no part of a soft reset: one in the middle of an update or of a load leaves the layer's
    bit set until its weights are loaded whole.

    Parameters
    ----------
    config
        The core.

    Members
    -------
    reset : In(1)
        A soft reset: what is updated will never be complete.
    update_begins, update_ends : In(1), update_layer : In(layer)
        The first write of an update, and the clock of its last one.
    load_begins, load_ends : In(1), begun_layer, ended_layer : In(layer)
        The same of a load.
    layers : Out(layers)
        A bit for each layer. After power-up no layer's weights are defined.
    """

    reset: Signal
    update_begins: Signal
    update_ends: Signal
    update_layer: Signal
    load_begins: Signal
    load_ends: Signal
    begun_layer: Signal
    ended_layer: Signal
    layers: Signal

    def __init__(self, config: CoreConfig):
        self.count = layers(config)
        flags = ("reset", "update_begins", "update_ends", "load_begins", "load_ends")
        super().__init__(
            {
                **{name: In(1) for name in flags},
                "update_layer": In(LAYER_BITS),
                "begun_layer": In(LAYER_BITS),
                "ended_layer": In(LAYER_BITS),
                "layers": Out(self.count),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        everything = (1 << self.count) - 1
        lost = Signal(self.count, init=everything)
        updates = Signal(self.count)

        def bit(layer: Value, on: Value) -> Value:
            """Return the bit of a layer, from 1, if it is on."""
            return Cat(on & (layer == k + 1) for k in range(self.count))

        updating = bit(self.update_layer, self.update_begins)
        with m.If(self.update_begins):
            m.d.sync += updates.eq(updating)
        with m.If(self.update_ends | self.reset):
            m.d.sync += updates.eq(0)
        m.d.sync += lost.eq(
            (lost & ~bit(self.ended_layer, self.load_ends))
            | bit(self.begun_layer, self.load_begins)
            | (updates & (self.reset & ~self.update_ends).replicate(self.count))
        )
        m.d.comb += self.layers.eq(lost | updates)
        return m


class Rate(wiring.Component):
    """The learning rate: a change waits for its step, and for the end of older updates.

    Members
    -------
    write : In(1), value : In(4), from_step : In
        A change, and the step from which it holds.
    refused : Out(1)
        The change comes too late.
    running : In(1)
        A program runs.
    begins_step : In(1), step : In, begun : In
        The vector engine has begun this step in the clock before, and so many before it.
    updates : In(1)
        It has taken an update in the clock before: all earlier ones have ended.
    shown : Out(4), waits : Out(1)
        The rate of the latest step, and whether a change waits.
    rate : Out(4)
        The rate of the update that runs.
    """

    write: Signal
    value: Signal
    from_step: Signal
    refused: Signal
    running: Signal
    begins_step: Signal
    step: Signal
    begun: Signal
    updates: Signal
    shown: Signal
    waits: Signal
    rate: Signal

    def __init__(self) -> None:
        flags = ("write", "running", "begins_step", "updates")
        super().__init__(
            {
                **{name: In(1) for name in flags},
                "value": In(signed(RATE_BITS)),
                "from_step": In(STEPS),
                "step": In(STEPS),
                "begun": In(STEPS),
                "refused": Out(1),
                "waits": Out(1),
                "shown": Out(signed(RATE_BITS)),
                "rate": Out(signed(RATE_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        change, holds = Signal(signed(RATE_BITS)), Signal(STEPS)
        # A write is looked at in the clock after it, when it is known whether its step has begun.
        write = registered(m, self.write, "written", reset_less=False)
        value, step = (registered(m, each, "given") for each in (self.value, self.from_step))
        below = registered(m, self.from_step < self.begun, "below")
        equal = registered(m, self.from_step == self.step, "equal")
        # Those that begin now, or did when it was compared.
        began = registered(m, self.begins_step, "began", reset_less=False)
        late = below | (equal & (self.begins_step | began))
        m.d.comb += self.refused.eq(write & self.running & late)
        taken = write & ~self.refused
        due = Mux(
            registered(m, taken, "taken", reset_less=False),
            registered(m, step == self.step, "given_due"),
            registered(m, holds == self.step, "due"),
        )
        with m.If(self.begins_step & self.waits & due):
            m.d.sync += [self.shown.eq(change), self.waits.eq(0)]
        with m.If(taken):
            m.d.sync += [change.eq(value), holds.eq(step), self.waits.eq(1)]
        # A step's first instruction may be an update.
        updates = registered(m, self.updates, "updates", reset_less=False)
        with m.If(updates):
            m.d.sync += self.rate.eq(self.shown)
        return m
