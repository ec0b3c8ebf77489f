"""Probes: signals inside a design that are recorded like outputs."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import (
    Elaboratable,
    Fragment,
    Module,
    Shape,
    ShapeLike,
    Signal,
    Value,
    ValueCastable,
    ValueLike,
)
from amaranth.lib import wiring

from golden.port import Port
from gradloom.sim.toplevel import TopLevel, fields, flatten

#: Number of names that an error lists.
_LISTED = 20


#: Port name to a value of the component, to the path of a signal, or to a path and the shape of the
#: signal's bits.
Probes = Mapping[str, ValueLike | str | tuple[str, ShapeLike]]


def probed(component: wiring.Component, probes: Probes) -> "Probed":
    """Return a top level with probes.

    Parameters
    ----------
    component
        The component, which is elaborated once more to find the probes.
    probes
        Port name to signal: a value of the component; or the path of submodules and the signal's
        name, such as `fifo.storage.w_port__en`; or a path and the shape of the signal's bits, for a
        signal with a layout.

    Raises
    ------
    ValueError
        There is no such signal, or a port has the name of a probe.
    """
    taken = {"clk", "rst", *(port.name for port in flatten(component))}
    ports = [port for port, _ in _found(Fragment.get(component, None), probes)]
    for port in ports:
        if port.name in taken:
            raise ValueError(f"probe {port.name}: a port has this name")
        taken.add(port.name)
    return Probed(component, probes, ports)


class Probed(TopLevel):
    """A top level whose probes are output ports; see `probed`."""

    def __init__(self, component: wiring.Component, probes: Probes, ports: list[Port]):
        super().__init__(component)
        self._probes = probes
        self.flat += ports
        self.signals |= {port.name: Signal(port.bits, name=port.name) for port in ports}

    def _unit(self, platform: object) -> Elaboratable:
        # Paths must lead to the signals of this elaboration.
        self._fragment = Fragment.get(self.component, platform)
        return self._fragment

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        for port, values in _found(self._fragment, self._probes):
            for lane, value in enumerate(values):
                m.d.comb += self.signals[port.name].word_select(lane, port.width).eq(value)
        return m


def _found(fragment: Fragment, probes: Probes) -> list[tuple[Port, list[Value]]]:
    """Return the port of each probe, and the values of its lanes."""
    found: list[tuple[Port, list[Value]]] = []
    value: Value
    for name, probe in probes.items():
        shape: Any
        match probe:
            case (str() as path, shape):
                value = _find(fragment, path)
            case str() as path:
                value = _find(fragment, path)
                shape = value.shape()
            case _:
                value = Value.cast(probe)
                shape = probe.shape() if isinstance(probe, ValueCastable) else value.shape()
        if Shape.cast(shape).width != len(value):
            raise ValueError(f"probe {name}: {shape} does not have {len(value)} bits")
        found += fields(name, "out", shape, [value], None)
    return found


def _find(fragment: Fragment, path: str) -> Signal:
    """Return the signal at a path.

    Raises
    ------
    ValueError
        There is none, or several have this name.
    """
    *modules, name = path.split(".")
    for k, module in enumerate(modules):
        inside = {sub: part for part, sub, _ in fragment.subfragments}  # type: ignore[attr-defined]
        if module not in inside:
            where = ".".join(modules[:k]) or "the unit"
            raise ValueError(f"probe {path}: {where} has no submodule {module}; {_list(inside)}")
        fragment = inside[module]
    signals = {
        id(signal): signal
        for statements in fragment.statements.values()  # type: ignore[attr-defined]
        for statement in statements
        for signal in (*statement._lhs_signals(), *statement._rhs_signals())
    }
    found = [signal for signal in signals.values() if signal.name == name]
    if not found:
        names = {signal.name for signal in signals.values()}
        raise ValueError(f"probe {path}: there is no signal {name}; {_list(names)}")
    if len(found) > 1:
        raise ValueError(f"probe {path}: {len(found)} signals have the name {name}")
    return found[0]


def _list(names: object) -> str:
    """Return the first names as text."""
    known = sorted(filter(None, names))  # type: ignore[call-overload]
    more = ", ..." if len(known) > _LISTED else ""
    return f"there are {', '.join(known[:_LISTED])}{more}" if known else "there is none"
