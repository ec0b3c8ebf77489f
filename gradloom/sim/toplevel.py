"""The plain ports of a component: those of its generated Verilog, of a stimulus and of a trace.

A `wiring.Component` has streams, layouts and arrays in its signature. Verilog, both simulators and
the twins have plain ports. `flatten` returns their list, and `TopLevel` is the only wrapper with
these ports, so that the same hardware is compared and generated.

- A stream `i` becomes `i_valid`, `i_ready` and one port `i_<field>` per field of its payload; a
  payload without fields becomes `i_data`. A constant `valid` or `ready` is left out.
- An array, in a layout or of ports, becomes a vector of lanes, lane 0 in the least significant
  bits. An array of structures becomes one vector per field.
- `clk` and `rst` are added.
"""

from collections.abc import Iterator
from math import prod
from typing import Any, Literal

from amaranth.hdl import (
    Cat,
    ClockDomain,
    Const,
    Elaboratable,
    Module,
    Shape,
    Signal,
    Value,
    signed,
    unsigned,
)
from amaranth.lib import data, stream, wiring

from golden import check
from golden.port import WIDEST_ELEMENT, Port

#: A port and its values in the component, lane 0 first.
Leaf = tuple[Port, list[Value]]


def flatten(component: wiring.Component) -> list[Port]:
    """Return the plain ports of `component` in the order of its signature, without `clk` and `rst`.

    Returns
    -------
    list of Port
        See `golden.port.Port`.

    Raises
    ------
    TypeError
        The argument is not a component, or a port is an array of arrays.
    ValueError
        Two ports have one name, or an element is too wide.

    Examples
    --------
    >>> import golden, hdl
    >>> for port in flatten(hdl.WeightQuantizer(golden.WeightQuantizerConfig())):
    ...     print(port)
    i_valid: in unsigned(1)
    i_ready: out unsigned(1)
    i_data: in signed(8) x 1
    o_valid: out unsigned(1)
    o_ready: in unsigned(1)
    o_data: out signed(2) x 1
    """
    return [port for port, _ in leaves(component)]


def leaves(component: wiring.Component, *, inner: bool = False) -> list[Leaf]:
    """Return the ports of `flatten`, each with its values in `component`.

    Parameters
    ----------
    component
        The component.
    inner
        The ports are wires between modules of a design alone, which no array of numbers has to
        hold: elements have any width, and an array of arrays is one vector.
    """
    check.instance("component", component, wiring.Component)
    found = list(_members(component.signature, component, "", inner))
    names = {"clk", "rst"}
    for port, _ in found:
        if port.name in names:
            raise ValueError(f"{type(component).__name__}: two ports are called {port.name}")
        names.add(port.name)
    return found


def _members(signature: Any, interface: Any, prefix: str, inner: bool) -> Iterator[Leaf]:
    """Yield the leaves of an interface. In `signature`, an input of the component is an In."""
    # A flipped signature is a proxy: the class of the other one shows whether it is a stream.
    origin = signature.flip() if isinstance(signature, wiring.FlippedSignature) else signature
    is_stream = isinstance(origin, stream.Signature)
    keys = ("valid", "ready", "payload") if is_stream else tuple(signature.members)
    for key in keys:
        member, value = signature.members[key], getattr(interface, key)
        name = prefix + key
        if member.is_signature:
            for index, part in _elements(value, len(member.dimensions)):
                where = "".join(f"_{i}" for i in index)
                yield from _members(member.signature, part, f"{name}{where}_", inner)
            continue
        parts = [part for _, part in _elements(value, len(member.dimensions))]
        if is_stream and isinstance(parts[0], Const):
            continue
        if is_stream and key == "payload":
            name = prefix.removesuffix("_") if _is_structure(member.shape) else f"{prefix}data"
        direction: Literal["in", "out"] = "in" if member.flow == wiring.In else "out"
        lanes = prod(member.dimensions) if member.dimensions else None
        values = [Value.cast(part) for part in parts]
        yield from fields(name, direction, member.shape, values, lanes, inner)


def _elements(
    value: Any, depth: int, index: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield index and value of the elements of a member with `depth` dimensions, in order."""
    if not depth:
        yield index, value
        return
    for i, part in enumerate(value):
        yield from _elements(part, depth - 1, (*index, i))


def _layout(shape: Any) -> data.Layout | None:
    try:
        return data.Layout.cast(shape)
    except TypeError:
        return None


def _is_structure(shape: Any) -> bool:
    return isinstance(_layout(shape), data.StructLayout)


def fields(
    name: str,
    direction: Literal["in", "out"],
    shape: Any,
    values: list[Value],
    lanes: int | None,
    inner: bool = False,
) -> Iterator[Leaf]:
    """Yield the plain ports of a value of any shape, one for each field of a structure.

    Parameters
    ----------
    name, direction
        Name of the port, or beginning of the names of the fields; direction of all.
    shape
        Shape of the value.
    values
        The value, or the values of all lanes.
    lanes
        Number of lanes; None for a scalar.
    inner
        See `leaves`.
    """
    layout = _layout(shape)
    if isinstance(layout, data.StructLayout):
        for key, field in layout:
            stop = field.offset + field.width
            parts = [value[field.offset : stop] for value in values]
            yield from fields(f"{name}_{key}", direction, field.shape, parts, lanes, inner)
        return
    if isinstance(layout, data.ArrayLayout):
        if lanes is not None and inner:
            whole = Cat(*values)
            yield Port(name, direction, len(whole)), [whole]
            return
        if lanes is not None:
            raise TypeError(f"port {name} is an array of arrays: one level of lanes is supported")
        width = Shape.cast(layout.elem_shape).width
        parts = [values[0][i * width : (i + 1) * width] for i in range(layout.length)]
        yield from fields(name, direction, layout.elem_shape, parts, layout.length, inner)
        return
    element = Shape.cast(shape)
    if element.width > WIDEST_ELEMENT and not inner:
        raise ValueError(
            f"port {name} has elements of {element.width} bits: "
            f"at most {WIDEST_ELEMENT} are allowed"
        )
    if element.width and values:
        yield Port(name, direction, element.width, element.signed, lanes), values


class TopLevel(Elaboratable):
    """A component with plain ports, and with its `sync` domain on the ports `clk` and `rst`.

    Parameters
    ----------
    component
        The component, which becomes the submodule `unit`.
    inner
        See `leaves`.

    Attributes
    ----------
    flat : list of Port
        The plain ports without `clk` and `rst`.
    signals : dict of str to Signal
        The signal of every plain port, `clk` and `rst` first. A vector is one unsigned signal, lane
        0 lowest.

    Examples
    --------
    >>> import golden, hdl
    >>> list(TopLevel(hdl.Lfsr(golden.LfsrConfig())).signals)
    ['clk', 'rst', 'o_valid', 'o_ready', 'o_data']
    """

    def __init__(self, component: wiring.Component, *, inner: bool = False):
        self.component = component
        self._leaves = leaves(component, inner=inner)
        self.flat = [port for port, _ in self._leaves]
        self.clk = Signal()
        self.rst = Signal()
        self.signals: dict[str, Signal] = {"clk": self.clk, "rst": self.rst}
        for port in self.flat:
            scalar_sign = port.signed and port.lanes is None
            shape = signed(port.bits) if scalar_sign else unsigned(port.bits)
            self.signals[port.name] = Signal(shape, name=port.name)

    @property
    def ports(self) -> list[Signal]:
        """All signals, in the order of the generated module's ports."""
        return list(self.signals.values())

    def _unit(self, platform: object) -> Elaboratable:
        return self.component

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sync = ClockDomain("sync", local=True)
        sync.clk = self.clk  # type: ignore[attr-defined]  # a gap in the stubs, as below
        sync.rst = self.rst  # type: ignore[attr-defined]
        m.domains += sync
        m.submodules.unit = self._unit(platform)
        for port, values in self._leaves:
            signal = self.signals[port.name]
            whole = values[0] if port.lanes is None else Cat(*values)
            m.d.comb += whole.eq(signal) if port.direction == "in" else signal.eq(whole)
        return m
