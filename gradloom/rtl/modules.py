"""A unit as modules of RTLIL: one module a kind of component, instantiated where it is used.

Amaranth makes a module of its own of every submodule, and lets what it needs cross the border under
names of the moment: an array of 8 x 8 nodes comes out as 64 modules that differ in their port lists
alone. Here a component is converted by itself, behind the plain ports that it has as a unit, and
its parent gets an instance; components of one class and one configuration share their module. The
logic is what `elaborate` gives in either case.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from amaranth.back import rtlil  # type: ignore[attr-defined]  # a gap in the stubs
from amaranth.hdl import Cat, ClockSignal, Fragment, Instance, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring

from gradloom.sim.toplevel import TopLevel, leaves


@dataclass(frozen=True)
class Part:
    """A module of the design.

    Parameters
    ----------
    name
        Name in Verilog.
    ports
        Names in their order, `clk` and `rst` first.
    rtlil
        The module's text; submodules that are no components come with it, named `name.path`.
    cells
        Whether there are cells of a device in it.
    """

    name: str
    ports: tuple[str, ...]
    rtlil: str
    cells: bool


def parts(component: wiring.Component, name: str) -> list[Part]:
    """The modules of `component`: itself under the name `name`, then those that it contains."""
    splitter = _Splitter(name)
    splitter.convert(component, name)
    return splitter.parts


def _is_own(submodule: Any) -> bool:
    """Whether `submodule` is a unit; what is of Amaranth's library stays where it is."""
    library = type(submodule).__module__.startswith("amaranth.")
    return isinstance(submodule, wiring.Component) and not library


class _Splitter:
    def __init__(self, prefix: str):
        self.parts: list[Part] = []
        self._prefix = prefix
        self._names: dict[Hashable, str] = {}

    def convert(self, component: Any, name: str) -> None:
        """Convert `component` to the module `name`, after those that it contains."""
        position = len(self.parts)
        top = TopLevel(component)
        inner: Any = component.elaborate(None)
        outer: Any = top.elaborate(None)
        # They are used, though not by way of Fragment.get.
        component._MustUse__used = top._MustUse__used = True  # type: ignore[attr-defined]
        if not isinstance(inner, Module):
            raise TypeError(f"{type(component).__name__} elaborates to {inner!r}: no Module")
        self._share(inner)
        outer._named_submodules["unit"] = inner, None
        fragment = Fragment.get(outer, None)
        # The unit's logic moves up, next to its plain ports: one module, not two.
        ((unit, _, _),) = fragment.subfragments
        for domain, statements in unit.statements.items():
            fragment.add_statements(domain, *statements)
        fragment.subfragments = unit.subfragments
        for _, member, value in component.signature.flatten(component):
            if member.flow == wiring.In:
                _rename(value, "")
        text, _ = rtlil.convert_fragment(fragment, top.ports, name=name, emit_src=False)
        instances = set(re.findall(r"^ *cell \\(\w+)", text, re.M))
        foreign = any(not instance.startswith(f"{self._prefix}_") for instance in instances)
        self.parts.insert(position, Part(name, tuple(top.signals), text, foreign))

    def _share(self, module: Module) -> None:
        """Put instances in the place of the components in `module`."""
        submodules: dict[str, tuple[Any, Any]] = module._named_submodules
        for name, (submodule, where) in submodules.items():
            if _is_own(submodule):
                submodules[name] = self._instance(submodule, name), where

    def _instance(self, component: Any, name: str) -> Instance:
        # A unit's hardware depends on its configuration, what it is made of and where that stands.
        config = getattr(component, "config", None)
        made_of = (getattr(component, name, None) for name in ("cells", "place"))
        key = (type(component), id(component) if config is None else config, *made_of)
        if key not in self._names:
            self._names[key] = self._module_name(component)
            self.convert(component, self._names[key])
        component._MustUse__used = True
        # Its ports' signals are the parent's wires now: the outputs are called after the instance,
        # the inputs have no names, so that those of their drivers come through.
        for path, member, value in component.signature.flatten(component):
            stem = "_".join(map(str, path))
            _rename(value, "" if member.flow == wiring.In else f"{name}_{stem}")
        ports: list[tuple[str, str, Any]] = [
            ("i", "clk", ClockSignal()),
            ("i", "rst", ResetSignal()),
        ]
        for port, values in leaves(component):
            whole = values[0] if port.lanes is None else Cat(*values)
            ports.append(("i" if port.direction == "in" else "o", port.name, whole))
        return Instance(self._names[key], *ports)

    def _module_name(self, component: Any) -> str:
        # Modules that differ in no more than constants are merged by their names.
        kind = getattr(component, "kind", type(component).__name__)
        name = base = f"{self._prefix}_{snake(kind)}"
        number = 1
        while name in self._names.values():
            number += 1
            name = f"{base}_{number}"
        return name


def snake(name: str) -> str:
    """Return the name of a class as the name of a module: `RoundingPipeline`, rounding_pipeline."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _rename(value: Any, name: str) -> None:
    signal = Value.cast(value)
    if isinstance(signal, Signal):
        signal.name = name
