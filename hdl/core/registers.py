"""The register file: what a host reads and writes, from the one table of registers."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.core.config import CoreConfig
from golden.core.field import WORD
from golden.core.isa import Engine
from golden.core.register import Access, State
from golden.core.registers import READ_LATENCY, Registers
from golden.quantize import RATE_BITS
from hdl.bus.signature import RegisterBus, RegisterPort
from hdl.core.clocks import STATE
from hdl.core.engine import COUNT
from hdl.core.fetch import STEPS
from hdl.delay import registered

#: Registers whose values are chosen in the first stage of a read.
GROUP = 8
#: Registers that are plain numbers for the next program: writes are refused while one runs.
SET_UP = (
    *("steps", "engines", "program_at"),
    *(f"{part}_{each.name.lower()}" for part in ("first", "last", "total") for each in Engine),
)
#: Clock counters, with their engines.
COUNTERS = {f"{each.name.lower()}_{state.name.lower()}": each for each in Engine for state in State}


class RegisterFile(wiring.Component):
    """Registers of a core: those that a host sets, and the way to those that it reads.

    Parameters
    ----------
    config
        The core.

    Members
    -------
    bus : In(RegisterBus)
        Accesses of the host.
    start, stop, reset, latch : Out(1)
        Commands, in the clock in which they are written.
    running : In(1)
        A program runs.
    starts : In(1)
        A start would be carried out.
    steps, used, firsts, lasts, totals : Out
        The next program.
    list_write : Out(4), list_to, list_value : Out
        A word for an engine's list, in the clock after its write.
    rate_write : Out(1), rate_step : Out, rate_value : Out
        A change of the learning rate.
    rate_refused : In(1)
        It comes too late.
    lane : Out(number of a lane), lane_load : Out(1), lane_value : Out(state)
        A lane of `hdl.Bank`, and a state for it.
    lane_state : In(state)
        Its state.
    scalar_write : In(1), scalar, maximum, exponent, zero : In
        A maximum and its exponent.
    state : Out(4 states), clocks : In(4 numbers of clocks)
        Addresses of the clock counters of each engine, and what they hold.
    shown : In(words)
        Fields of the other registers that are read, by `fields`.
    """

    bus: RegisterPort
    start: Signal
    stop: Signal
    reset: Signal
    latch: Signal
    running: Signal
    starts: Signal
    steps: Signal
    used: Signal
    firsts: data.View
    lasts: data.View
    totals: data.View
    list_write: Signal
    list_to: Signal
    list_value: Signal
    rate_write: Signal
    rate_step: Signal
    rate_value: Signal
    rate_refused: Signal
    lane: Signal
    lane_load: Signal
    lane_value: data.View
    lane_state: data.View
    scalar_write: Signal
    scalar: Signal
    maximum: Signal
    exponent: Signal
    zero: Signal
    state: Signal
    clocks: data.View
    shown: data.View

    def __init__(self, config: CoreConfig):
        self.config = config
        self.table = Registers(config)
        engines = len(Engine)
        longest = max(config.programs)
        states = data.ArrayLayout(config.lanes.state_width, config.lanes.state_words)
        words = data.ArrayLayout(range(longest), engines)
        flags = ("start", "stop", "reset", "latch", "rate_write", "lane_load")
        super().__init__(
            {
                "bus": In(RegisterBus()),
                **{name: Out(1) for name in flags},
                "running": In(1),
                "starts": In(1),
                "steps": Out(STEPS),
                "used": Out(engines),
                "firsts": Out(words),
                "lasts": Out(words),
                "totals": Out(data.ArrayLayout(COUNT, engines)),
                "list_write": Out(engines),
                "list_to": Out(range(longest)),
                "list_value": Out(WORD),
                "rate_step": Out(STEPS),
                "rate_value": Out(signed(RATE_BITS)),
                "rate_refused": In(1),
                "lane": Out(range(config.columns)),
                "lane_value": Out(states),
                "lane_state": In(states),
                "scalar_write": In(1),
                "scalar": In(6),
                "maximum": In(config.sum_bits + 1),
                "exponent": In(range(config.sum_bits + 1)),
                "zero": In(1),
                "state": Out(STATE),
                "clocks": In(data.ArrayLayout(WORD, engines)),
                "shown": In(self.fields(config)),
            }
        )

    @staticmethod
    def fields(config: CoreConfig) -> data.StructLayout:
        """Return the fields that other parts of the core show, as register_field."""
        table = Registers(config)
        status = [each.name for each in table.named("status").fields if each.name != "refused"]
        names = [
            *(("status", name) for name in status),
            *(("fault", name) for name in ("kind", "engine")),
            *((name, "value") for name in ("fault_instruction", "fault_chunk", "fault_step")),
            *((name, "value") for name in ("steps_done", "undefined", "rate", "wrong")),
            ("rate", "waits"),
        ]
        return data.StructLayout(
            {f"{name}_{field}": table.named(name)[field].width for name, field in names}
        )

    def written(self, name: str) -> Value:
        """Return whether a register is written in this clock."""
        return self.bus.write & (self.bus.address == self.table.named(name).address)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value = self.bus.value
        held: dict[tuple[str, str], Value] = {}
        refusals: list[Value] = []
        self._set_up(m, held, refusals)
        self._lanes(m, held, refusals)
        self._scalars(m, held)
        control = self.table.named("control")
        for name in ("start", "stop", "reset", "latch"):
            bit = value[control[name].first]
            m.d.comb += getattr(self, name).eq(self.written("control") & bit)
        rate = self.table.named("rate")["value"]
        m.d.comb += [
            self.rate_write.eq(self.written("rate")),
            self.rate_value.eq(value[rate.first : rate.first + rate.width].as_signed()),
        ]
        refusals += [self.start & ~self.starts, self.rate_refused]

        refused = Signal()
        status = self.table.named("status")
        held["status", "refused"] = refused
        with m.If(self.written("status") & value[status["refused"].first]):
            m.d.sync += refused.eq(0)
        with m.If(self.reset):
            m.d.sync += refused.eq(0)
        with m.If(registered(m, Cat(refusals).any(), "refuses", reset_less=False)):
            m.d.sync += refused.eq(1)
        for name, (register, field) in self._shown():
            held[register, field] = getattr(self.shown, name)
        self._read(m, held)
        return m

    def _shown(self) -> list[tuple[str, tuple[str, str]]]:
        """Return names of the fields that other parts show, with their registers."""
        found = []
        for register in self.table:
            for field in register.fields:
                name = f"{register.name}_{field.name}"
                if name in self.shown.shape().members:
                    found.append((name, (register.name, field.name)))
        return found

    def _set_up(self, m: Module, held: dict[tuple[str, str], Value], refusals: list[Value]) -> None:
        """Registers of the next program, and the words of its lists."""
        value = self.bus.value
        beyond: dict[str, Value] = {}
        for engine in Engine:
            for part in ("first", "last"):
                name = f"{part}_{engine.name.lower()}"
                place = value[: self.table.named(name)["value"].width]
                beyond[name] = place >= self.config.programs[engine]
        for name in SET_UP:
            written = self.written(name)
            wrong = self.running | beyond.get(name, C(0, 1))
            refusals.append(written & wrong)
            for field in self.table.named(name).fields:
                number = Signal(field.width, name=f"{name}_{field.name}")
                held[name, field.name] = number
                with m.If(written & ~wrong):
                    m.d.sync += number.eq(value[field.first : field.first + field.width])
        m.d.comb += [
            self.steps.eq(held["steps", "value"]),
            self.used.eq(held["engines", "value"]),
        ]
        for engine in Engine:
            name = engine.name.lower()
            for part, port in (
                ("first", self.firsts),
                ("last", self.lasts),
                ("total", self.totals),
            ):
                m.d.comb += port[engine].eq(held[f"{part}_{name}", "value"])

        # A word of a list. That its place is inside is known before it comes.
        begins_at = self.table.named("program_at")
        address, chosen = held["program_at", "address"], held["program_at", "list"]
        given = self.written("program")
        written, inside = Signal(), Signal(init=1)
        for engine in Engine:
            m.d.sync += self.list_write[engine].eq(written & (chosen == engine))
        m.d.comb += written.eq(given & inside & ~self.running)
        m.d.sync += [self.list_to.eq(address), self.list_value.eq(value)]

        def last(engine: Value) -> Value:
            """Return the last place of a list; there may be numbers that are none."""
            return Array(words - 1 for words in self.config.programs)[engine]

        with m.If(written):
            m.d.sync += [address.eq(address + 1), inside.eq(address != last(chosen))]
        with m.Elif(self.written("program_at") & ~self.running):
            at, of = (
                value[field.first : field.first + field.width]
                for field in (begins_at["address"], begins_at["list"])
            )
            m.d.sync += inside.eq(at <= last(of))
        refusals.append(given & ~written)

        step = Signal(STEPS)
        held["rate_step", "value"] = step
        with m.If(self.written("rate_step")):
            m.d.sync += step.eq(value)
        m.d.comb += self.rate_step.eq(step)

    def _lanes(self, m: Module, held: dict[tuple[str, str], Value], refusals: list[Value]) -> None:
        """States of the elementwise lanes."""
        words = self.config.lanes.state_words
        lane = Signal(self.table.named("lane")["value"].width, name="lane_number")
        upper = Signal(self.table.named("lane_high")["value"].width, name="lane_upper")
        with m.If(self.written("lane")):
            m.d.sync += lane.eq(self.bus.value)
        with m.If(self.written("lane_high")):
            m.d.sync += upper.eq(self.bus.value)
        given = self.written("lane_low")
        there = lane < self.config.columns
        m.d.comb += [
            self.lane.eq(lane),
            self.lane_load.eq(given & ~self.running & there),
            Value.cast(self.lane_value).eq(Cat(self.bus.value, upper)),
        ]
        with m.If(self.lane_load):
            m.d.sync += lane.eq(lane + 1)
        refusals.append(given & ~self.lane_load)
        held["lane", "value"] = lane
        upper_state = self.lane_state[1] if words > 1 else C(0, 1)
        held["lane_low", "value"] = Mux(there, self.lane_state[0], 0)
        held["lane_high", "value"] = Mux(there, upper_state, 0)

    def _scalars(self, m: Module, held: dict[tuple[str, str], Value]) -> None:
        """Maxima and exponents, as they are found."""
        config = self.config
        found = Cat(self.maximum, self.exponent, self.zero)
        memory: Memory[Any, Any] = Memory(shape=len(found), depth=config.scalars, init=[])
        m.submodules.scalars = memory
        read, write = memory.read_port(domain="comb"), memory.write_port()
        number = Signal(self.table.named("scalar")["value"].width, name="scalar_number")
        with m.If(self.written("scalar")):
            m.d.sync += number.eq(self.bus.value)
        kept = Mux(number < config.scalars, read.data, 0)
        maximum = kept[: len(self.maximum)]
        m.d.comb += [
            write.en.eq(self.scalar_write),
            write.addr.eq(self.scalar),
            write.data.eq(found),
            read.addr.eq(number),
        ]
        held |= {
            ("scalar", "value"): number,
            ("scalar_low", "value"): maximum[:WORD],
            ("scalar_high", "value"): maximum[WORD:] if len(maximum) > WORD else C(0, 1),
            ("scalar_exponent", "exponent"): kept[len(self.maximum) : -1],
            ("scalar_exponent", "zero"): kept[-1],
        }

    def _read(self, m: Module, held: Mapping[tuple[str, str], Value]) -> None:
        """Choose what is read: in a group of registers, then the group."""
        address = registered(m, self.bus.address, "read_at", READ_LATENCY - 2, reset_less=False)
        reads = registered(m, self.bus.read, "reads", READ_LATENCY - 1, reset_less=False)
        m.d.comb += self.state.eq(address[:STATE])
        bits = GROUP.bit_length() - 1
        group = registered(m, address[bits:], "group")
        found: dict[int, Signal] = {}
        for register in self.table:
            number, place = divmod(register.address, GROUP)
            word = self._word(register.name, held)
            if number not in found:
                found[number] = Signal(WORD, name=f"group_{number}_word")
            with m.If(address[:bits] == place):
                m.d.comb += found[number].eq(word)
        chosen: Value = C(0, WORD)
        for number, word in found.items():
            chosen = Mux(group == number, registered(m, word, f"group_{number}"), chosen)
        m.d.sync += self.bus.data.eq(Mux(reads, chosen, 0))

    def _word(self, name: str, held: Mapping[tuple[str, str], Value]) -> Value:
        """Return the word of a register."""
        if name in COUNTERS:
            return self.clocks[COUNTERS[name]]
        word: Value = C(0, WORD)
        for field in self.table.named(name).fields:
            if (name, field.name) in held:
                value = held[name, field.name][: field.width]
                word = word | (value << field.first)[:WORD]
            elif field.access is Access.READ:
                word = word | field.within(field.reset)
        return word
