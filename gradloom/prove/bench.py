# amaranth: UnusedElaboratable=no
# (a bench is also made to count its properties)
"""A bench: a module under proof, and a circuit with its properties.

A bench is written in Amaranth. The module's inputs are inputs of the bench, which may have any
value. The bench stores past values for the properties, and has one output bit per property: 1 while
the property holds. Of the module's source, only the names of ports are used, and the names of
registers in invariants.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from amaranth.back import rtlil  # type: ignore[attr-defined]  # a gap in the stubs
from amaranth.hdl import C, Cat, ClockDomain, Instance, Module, Signal, Value, ValueLike

from golden.port import Port


@dataclass(frozen=True)
class AnyState:
    """The property holds from `clocks` clocks after any state on, and also before that if the state
    is that of a reset.
    """

    clocks: int

    def __str__(self) -> str:
        if not self.clocks:
            return "any state"
        return f"any state, then {self.clocks} clock{'s' if self.clocks > 1 else ''}"


@dataclass(frozen=True)
class Induction:
    """The property holds in the `steps` clocks after a reset, and in every clock that follows
    `steps` clocks in which it held.
    """

    steps: int

    def __str__(self) -> str:
        return f"induction {self.steps}"


@dataclass(frozen=True)
class Bounded:
    """The property holds in the `clocks` clocks after a reset. Later clocks are not proved."""

    clocks: int

    def __str__(self) -> str:
        return f"bounded to {self.clocks} clocks"


Method = AnyState | Induction | Bounded


@dataclass(frozen=True)
class Property:
    """A condition that holds at every clock.

    Parameters
    ----------
    name
        One or two words.
    statement
        The property as a sentence.
    method
        Method of its proof.
    covers
        Names of cases that must be reachable, because otherwise the property could hold for no
        reason.
    within
        Number of clocks after a reset in which each case is reached.
    """

    name: str
    statement: str
    method: Method
    covers: tuple[str, ...]
    within: int


class Bench:
    """A module under proof and its properties.

    Parameters
    ----------
    module
        Name of the module in Verilog.
    ports
        Ports of the module without `clk` and `rst`.
    assumed
        Values that the proof leaves open, for the table of results.
    cut
        Cells whose outputs may have any value, as selections of Yosys: `module/t:$mul`.

    Attributes
    ----------
    m : Module
        The bench's own logic. Its domain `sync` has no reset: `update` adds one where it is needed.
    rst : Signal
        The module's reset, an input like the others.
    """

    def __init__(
        self, module: str, ports: Sequence[Port], *, assumed: str = "", cut: Sequence[str] = ()
    ):
        self.module = module
        self.ports = tuple(ports)
        self.assumed = assumed
        self.cut = tuple(cut)
        self.m = Module()
        self.clk = Signal()
        self.rst = Signal()
        self.properties: list[Property] = []
        self.probes: dict[str, tuple[Signal, str]] = {}
        self._signals = {port.name: Signal(port.bits, name=port.name) for port in ports}
        self._flags: list[Signal] = []
        self._assumptions: list[Value] = []
        self._pasts: dict[int, Signal] = {}
        self._kept: list[Value] = []
        domain = ClockDomain("sync", reset_less=True, local=True)
        domain.clk = self.clk  # type: ignore[attr-defined]
        self.m.domains += domain
        connections: list[tuple[str, str, Any]] = [("i", "clk", self.clk), ("i", "rst", self.rst)]
        for port in ports:
            connections.append((port.direction[0], port.name, self._signals[port.name]))
        self.m.submodules.dut = Instance(module, *connections)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a port, or the list of its lanes' values if it has lanes."""
        port = next(port for port in self.ports if port.name == name)
        whole = self._signals[name]
        parts: list[Value] = [
            whole[lane * port.width : (lane + 1) * port.width] for lane in range(port.lanes or 1)
        ]
        if port.signed:
            parts = [part.as_signed() for part in parts]
        return parts[0] if port.lanes is None else parts

    def whole(self, names: Iterable[str]) -> Value:
        """Return the bits of several ports as one value."""
        return Cat(self._signals[name] for name in names)

    def __contains__(self, name: str) -> bool:
        return name in self._signals

    def probe(self, path: str, width: int) -> Signal:
        """Return a signal inside the module, given its Verilog name after the instances' names."""
        name = f"probe_{len(self.probes)}"
        if path not in self.probes:
            self.probes[path] = Signal(width, name=name), name
        return self.probes[path][0]

    def free(self, name: str, width: int) -> Signal:
        """Return a new input of the bench, which may have any value at any clock."""
        self._signals[name] = Signal(width, name=name)
        return self._signals[name]

    def wire(self, value: Value) -> Signal:
        """Return a wire for `value`, so that an expression can use it several times."""
        wire = Signal(value.shape(), name=f"wire_{len(self._kept)}")
        self._kept.append(wire)
        self.m.d.comb += wire.eq(value)
        return wire

    def past(self, value: Value, clocks: int = 1) -> Value:
        """Return `value` delayed by `clocks` clocks."""
        value = Value.cast(value)
        self._kept.append(value)  # keeps its id() from being used again
        for _ in range(clocks):
            if id(value) not in self._pasts:
                register = Signal(value.shape(), name=f"past_{len(self._pasts)}")
                self.m.d.sync += register.eq(value)
                self._pasts[id(value)] = register
            value = self._pasts[id(value)]
        return value

    def since(self, value: Value, clocks: int = 1) -> Value:
        """Return `value` delayed by `clocks` clocks, or 0 if there was a reset in between."""
        value = Value.cast(value)
        for _ in range(clocks):
            register = Signal(value.shape(), name=f"since_{len(self._kept)}")
            self._kept.append(register)
            self.update(register, value)
            value = register
        return value

    def register(self, name: str, shape: Any, init: int = 0) -> Signal:
        """Return a register for `update`. It is `init` at first and after a reset."""
        return Signal(shape, name=name, init=init)

    def update(self, register: Signal, value: ValueLike) -> None:
        """Set the next value of `register` without a reset."""
        self.m.d.sync += register.eq(value)
        with self.m.If(self.rst):
            self.m.d.sync += register.eq(register.init)

    def assume(self, value: Value) -> None:
        """Restrict the proofs to runs in which `value` is true at every clock."""
        self._assumptions.append(value)

    def prove(
        self,
        name: str,
        statement: str,
        holds: Value,
        method: Method,
        covers: Mapping[str, Value],
        within: int | None = None,
    ) -> None:
        """Add a property.

        Parameters
        ----------
        name, statement, method
            As in `Property`.
        holds
            True while the property holds.
        covers
            Name of a case that must be reachable to its condition.
        within
            Number of clocks after a reset in which each case is reached; by default two more than
            those of the method.
        """
        number = len(self.properties)
        steps = method.steps if isinstance(method, Induction) else method.clocks
        self._flag(f"holds_{number}", holds)
        for case, value in enumerate(covers.values()):
            self._flag(f"cover_{number}_{case}", value)
        self.properties.append(
            Property(name, statement, method, tuple(covers), within or steps + 2)
        )

    def _flag(self, name: str, value: Value) -> None:
        flag = Signal(name=name)
        self.m.d.comb += flag.eq(value.any())
        self._flags.append(flag)

    @cached_property
    def text(self) -> str:
        """The bench in RTLIL: module `bench` with an instance `dut`."""
        holds: Value = C(1)
        for value in self._assumptions:
            holds = holds & value.any()
        self._flag("assumed", holds)
        signals = [*self._signals.values(), *(signal for signal, _ in self.probes.values())]
        return rtlil.convert(
            self.m,
            name="bench",
            ports=[self.clk, self.rst, *signals, *self._flags],
            emit_src=False,
        )
