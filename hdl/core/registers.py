"""The register file: what a host reads and writes, from the one table of registers."""

from collections.abc import Mapping

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.core.config import CoreConfig
from golden.core.field import WORD
from golden.core.registers import ADDRESS, READ_LATENCY, Registers
from hdl.bus.signature import RegisterBus, RegisterPort
from hdl.delay import registered

#: Registers whose values are chosen in the first stage of a read.
GROUP = 16


class RegisterFile(wiring.Component):
    """Registers of a core.

    Parameters
    ----------
    config
        The core.

    Members
    -------
    bus : In(RegisterBus)
        Accesses of the host.
    lane : Out(number of a lane), lane_load : Out(1), lane_value : Out(state)
        A lane of `hdl.Bank`, and a state for it.
    lane_state : In(state)
        Its state.
    """

    bus: RegisterPort
    lane: Signal
    lane_load: Signal
    lane_value: data.View
    lane_state: data.View

    def __init__(self, config: CoreConfig):
        self.config = config
        self.table = Registers(config)
        states = data.ArrayLayout(config.lanes.state_width, config.lanes.state_words)
        super().__init__(
            {
                "bus": In(RegisterBus()),
                "lane": Out(range(config.columns)),
                "lane_load": Out(1),
                "lane_value": Out(states),
                "lane_state": In(states),
            }
        )

    def written(self, name: str) -> Value:
        """Return whether a register is written in this clock."""
        return self.bus.write & (self.bus.address == self.table.named(name).address)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shown: dict[str, Value] = {}
        self._lanes(m, shown)
        self._read(m, shown)
        return m

    def _lanes(self, m: Module, shown: dict[str, Value]) -> None:
        """States of the elementwise lanes."""
        words = self.config.lanes.state_words
        lane = Signal(self.table.named("lane")["value"].width)
        upper = Signal(self.table.named("lane_high")["value"].width)
        with m.If(self.written("lane")):
            m.d.sync += lane.eq(self.bus.value)
        with m.If(self.written("lane_high")):
            m.d.sync += upper.eq(self.bus.value)
        m.d.comb += [
            self.lane.eq(lane),
            self.lane_load.eq(self.written("lane_low")),
            Value.cast(self.lane_value).eq(Cat(self.bus.value, upper)),
        ]
        with m.If(self.lane_load):
            m.d.sync += lane.eq(lane + 1)
        shown |= {
            "lane": lane,
            "lane_low": self.lane_state[0],
            "lane_high": self.lane_state[1] if words > 1 else C(0, 1),
        }

    def _read(self, m: Module, shown: Mapping[str, Value]) -> None:
        """Choose what is read: in a group of registers, then the group."""
        address = registered(m, self.bus.address, "read_at", READ_LATENCY - 2, reset_less=False)
        reads = registered(m, self.bus.read, "reads", READ_LATENCY - 1, reset_less=False)
        groups: dict[int, list[tuple[int, Value]]] = {}
        for register in self.table:
            if register.name in shown:
                value = shown[register.name]
                groups.setdefault(register.address // GROUP, []).append(
                    (register.address % GROUP, value)
                )
        number = registered(m, address[GROUP.bit_length() - 1 :], "group")
        chosen: Value = C(0, WORD)
        for group, members in groups.items():
            value = Signal(WORD, name=f"group_{group}_value")
            with m.Switch(address[: GROUP.bit_length() - 1]):
                for place, each in members:
                    with m.Case(place):
                        m.d.comb += value.eq(each)
            held = registered(m, value, f"group_{group}")
            chosen = Mux(number == group, held, chosen)
        assert len(address) == ADDRESS
        m.d.sync += self.bus.data.eq(Mux(reads, chosen, 0))
