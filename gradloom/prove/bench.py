# amaranth: UnusedElaboratable=no
# (a bench is also made to see how many properties there are)
"""A module under proof, beside it what is demanded of it.

A bench is a circuit of its own, written in Amaranth: it has the module's inputs as free inputs,
keeps what came in for as long as a demand looks back, and says with one bit a property whether that
holds now. Nothing of the module's source is used but the names of its ports, and of the registers
that an invariant speaks of.
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
    """The property holds once `clocks` clocks have passed since any state whatever, and before that
    after a reset.
    """

    clocks: int

    def __str__(self) -> str:
        if not self.clocks:
            return "any state"
        return f"any state, then {self.clocks} clock{'s' if self.clocks > 1 else ''}"


@dataclass(frozen=True)
class Induction:
    """The property holds in the `steps` clocks after a reset, and after any `steps` clocks in which
    it held.
    """

    steps: int

    def __str__(self) -> str:
        return f"induction {self.steps}"


@dataclass(frozen=True)
class Bounded:
    """The property holds in the `clocks` clocks after a reset; nothing is said of later ones."""

    clocks: int

    def __str__(self) -> str:
        return f"bounded to {self.clocks} clocks"


Method = AnyState | Induction | Bounded


@dataclass(frozen=True)
class Property:
    """Something that holds at every clock.

    Parameters
    ----------
    name
        One or two words.
    says
        The property as a sentence.
    method
        How it is proved.
    covers
        Cases that must be reachable, or the property would say nothing; each by what it is.
    within
        Clocks after a reset in which each case is reached.
    """

    name: str
    says: str
    method: Method
    covers: tuple[str, ...]
    within: int


class Bench:
    """A module under proof and its properties.

    Parameters
    ----------
    module
        Its name in Verilog.
    ports
        Its ports without `clk` and `rst`.
    assumed
        What is left out of the proof, for the table.
    cut
        Selections of cells whose outputs are free, as Yosys has them: `module/t:$mul`.

    Attributes
    ----------
    m : Module
        For registers of the bench's own, in the domain `sync`. They have no reset but the one
        that the bench gives them: see `rst`.
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
        """The port's value: an integer, or a list of them for a vector of lanes."""
        port = next(port for port in self.ports if port.name == name)
        whole = self._signals[name]
        parts: list[Value] = [
            whole[lane * port.width : (lane + 1) * port.width] for lane in range(port.lanes or 1)
        ]
        if port.signed:
            parts = [part.as_signed() for part in parts]
        return parts[0] if port.lanes is None else parts

    def whole(self, names: Iterable[str]) -> Value:
        """The bits of several ports."""
        return Cat(self._signals[name] for name in names)

    def __contains__(self, name: str) -> bool:
        return name in self._signals

    def probe(self, path: str, width: int) -> Signal:
        """A register or wire inside the module, by its name in Verilog with the instances above."""
        name = f"probe_{len(self.probes)}"
        if path not in self.probes:
            self.probes[path] = Signal(width, name=name), name
        return self.probes[path][0]

    def free(self, name: str, width: int) -> Signal:
        """An input of the bench alone, which may be anything at any clock."""
        self._signals[name] = Signal(width, name=name)
        return self._signals[name]

    def wire(self, value: Value) -> Signal:
        """`value` once, for an expression that uses it more than once."""
        wire = Signal(value.shape(), name=f"wire_{len(self._kept)}")
        self._kept.append(wire)
        self.m.d.comb += wire.eq(value)
        return wire

    def past(self, value: Value, clocks: int = 1) -> Value:
        """`value` as it was that many clocks ago."""
        value = Value.cast(value)
        self._kept.append(value)  # so that its identity stays its own
        for _ in range(clocks):
            if id(value) not in self._pasts:
                register = Signal(value.shape(), name=f"past_{len(self._pasts)}")
                self.m.d.sync += register.eq(value)
                self._pasts[id(value)] = register
            value = self._pasts[id(value)]
        return value

    def since(self, value: Value, clocks: int = 1) -> Value:
        """`value` as it was that many clocks ago, if there was no reset from then on; else 0."""
        value = Value.cast(value)
        for _ in range(clocks):
            register = Signal(value.shape(), name=f"since_{len(self._kept)}")
            self._kept.append(register)
            self.update(register, value)
            value = register
        return value

    def register(self, name: str, shape: Any, init: int = 0) -> Signal:
        """A register of the bench that `update` sets; it starts at `init`, also after a reset."""
        return Signal(shape, name=name, init=init)

    def update(self, register: Signal, value: ValueLike) -> None:
        """What `register` becomes at the next clock, if there is no reset."""
        self.m.d.sync += register.eq(value)
        with self.m.If(self.rst):
            self.m.d.sync += register.eq(register.init)

    def assume(self, value: Value) -> None:
        """Only clocks in which `value` holds are looked at."""
        self._assumptions.append(value)

    def prove(
        self,
        name: str,
        says: str,
        holds: Value,
        method: Method,
        covers: Mapping[str, Value],
        within: int | None = None,
    ) -> None:
        """Add a property. Its cases are to be reached `within` so many clocks after a reset: by
        default two more than the method looks at.
        """
        number = len(self.properties)
        steps = method.steps if isinstance(method, Induction) else method.clocks
        self._flag(f"holds_{number}", holds)
        for case, value in enumerate(covers.values()):
            self._flag(f"cover_{number}_{case}", value)
        self.properties.append(Property(name, says, method, tuple(covers), within or steps + 2))

    def _flag(self, name: str, value: Value) -> None:
        flag = Signal(name=name)
        self.m.d.comb += flag.eq(value.any())
        self._flags.append(flag)

    @cached_property
    def text(self) -> str:
        """The bench as text for Yosys, module `bench`, with an instance `dut`."""
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
