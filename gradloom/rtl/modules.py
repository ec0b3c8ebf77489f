"""Converts a unit to modules of RTLIL: one module per kind of component, with instances of it.

Amaranth makes a module of every submodule, with ports and names that depend on its surroundings: an
array of 8 x 8 nodes becomes 64 modules that differ only in their lists of ports. Here a component
is converted alone, with the plain ports that it has as a unit, and its parent has an instance.
Components of one class and one configuration share their module. The logic is that of `elaborate`
in both cases.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from amaranth.back import rtlil  # type: ignore[attr-defined]  # a gap in the stubs
from amaranth.hdl import (
    Cat,
    ClockSignal,
    Fragment,
    Instance,
    Module,
    ResetInserter,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib import wiring

from gradloom.rtl.names import inner, snake
from gradloom.sim.toplevel import TopLevel, leaves
from hdl.reset import OwnReset


@dataclass(frozen=True)
class Part:
    """A module of the design.

    Parameters
    ----------
    name
        Name in Verilog.
    ports
        Names of the ports in order, `clk` and `rst` first.
    rtlil
        The module's text. It includes submodules that are not components, named `name__path`.
    cells
        The module has cells of a device.
    """

    name: str
    ports: tuple[str, ...]
    rtlil: str
    cells: bool


def parts(component: wiring.Component, name: str) -> list[Part]:
    """Return the module of `component`, with the name `name`, and those that it contains.

    Raises
    ------
    ValueError
        The name is that of a cell in the component.
    """
    splitter = _Splitter(name)
    splitter.convert(component, name)
    if name in splitter.foreign:
        raise ValueError(
            f"name = {name!r}: a cell in {type(component).__name__} has this name, give another one"
        )
    return splitter.parts


def _is_own(submodule: Any) -> bool:
    """Return whether `submodule` gets its own module: a component not of Amaranth's library."""
    library = type(submodule).__module__.startswith("amaranth.")
    return isinstance(submodule, wiring.Component) and not library


def _with_reset(submodule: Any) -> tuple[Any, Value]:
    """Return a submodule without the resets that were put around it, and its reset.

    A submodule whose resets cannot be taken off is returned as it is.
    """
    reset: Value = ResetSignal()
    inserted: list[Any] = list(getattr(submodule, "_transforms_", ()))
    if not inserted or not all(isinstance(each, ResetInserter) for each in inserted):
        return submodule, reset
    if any(set(each.controls) != {"sync"} for each in inserted):
        return submodule, reset
    if any(isinstance(each, OwnReset) for each in inserted):
        if len(inserted) > 1:
            return submodule, reset
        reset = inserted[0].controls["sync"]
    else:
        reset = reduce(or_, (each.controls["sync"] for each in inserted), reset)
    submodule._MustUse__used = True
    return submodule._elaboratable_, reset


def _made_of(component: Any) -> Hashable:
    """Return what a component's hardware depends on: its class, and its attributes but for ports.

    A component without a configuration is one of its kind, and so is one with an attribute that is
    not a plain value.
    """
    if getattr(component, "config", None) is None:
        return id(component)
    ports = component.signature.members
    attributes = {
        name: value
        for name, value in vars(component).items()
        if name not in ports and not name.startswith("_") and name != "signature"
    }
    try:
        key = type(component), tuple(attributes.items())
        hash(key)
    except TypeError:
        return id(component)
    return key


class _Splitter:
    """Converts components to modules whose names begin with `prefix`."""

    def __init__(self, prefix: str):
        self.parts: list[Part] = []
        self._prefix = prefix
        self._names: dict[Hashable, str] = {}
        self._used: set[str] = set()
        #: Instances that are not modules of the design: cells of a device.
        self.foreign: set[str] = set()

    def convert(self, component: Any, name: str) -> None:
        """Convert `component` to the module `name`, and the components that it contains."""
        position = len(self.parts)
        top = TopLevel(component, inner=name != self._prefix)
        logic: Any = component.elaborate(None)
        outer: Any = top.elaborate(None)
        # They are used, but not through Fragment.get: this avoids Amaranth's warning.
        component._MustUse__used = top._MustUse__used = True  # type: ignore[attr-defined]
        if not isinstance(logic, Module):
            raise TypeError(
                f"{type(component).__name__} elaborates to {logic!r} instead of a Module"
            )
        self._share(logic)
        outer._named_submodules["unit"] = logic, None
        fragment = Fragment.get(outer, None)
        # Move the unit's logic to the module with its plain ports: one module, not two.
        ((unit, _, _),) = fragment.subfragments
        for domain, statements in unit.statements.items():
            fragment.add_statements(domain, *statements)
        fragment.subfragments = unit.subfragments
        for _, member, value in component.signature.flatten(component):
            if member.flow == wiring.In:
                _rename(value, "")
        text, _ = rtlil.convert_fragment(fragment, top.ports, name=name, emit_src=False)
        text = self._with_inner_names(text, name)
        instances = set(re.findall(r"^ *cell \\(\w+)", text, re.M))
        foreign = {each for each in instances if not each.startswith(inner(self._prefix, ""))}
        self.foreign |= foreign
        self.parts.insert(position, Part(name, tuple(top.signals), text, bool(foreign)))

    def _share(self, module: Module) -> None:
        """Replace the components in `module` by instances."""
        submodules: dict[str, tuple[Any, Any]] = module._named_submodules
        for name, (submodule, where) in submodules.items():
            component, reset = _with_reset(submodule)
            if _is_own(component):
                submodules[name] = self._instance(component, name, reset), where

    def _instance(self, component: Any, name: str, reset: Value) -> Instance:
        """Return an instance of a component. Its module is made if it is the first of its kind."""
        key = _made_of(component)
        if key not in self._names:
            self._names[key] = self._module_name(component)
            self.convert(component, self._names[key])
        component._MustUse__used = True
        # The signals of its ports are now wires of the parent. Outputs get the name of the
        # instance; inputs get no name, so that they have those of their drivers.
        for path, member, value in component.signature.flatten(component):
            stem = "_".join(map(str, path))
            _rename(value, "" if member.flow == wiring.In else f"{name}_{stem}")
        ports: list[tuple[str, str, Any]] = [
            ("i", "clk", ClockSignal()),
            ("i", "rst", reset),
        ]
        for port, values in leaves(component, inner=True):
            whole = values[0] if port.lanes is None else Cat(*values)
            ports.append(("i" if port.direction == "in" else "o", port.name, whole))
        return Instance(self._names[key], *ports)

    def _module_name(self, component: Any) -> str:
        """Return an unused name for a component's module."""
        # Modules that differ only in constants are merged later, by the names before the numbers.
        kind = getattr(component, "kind", None)
        kind = kind if isinstance(kind, str) else type(component).__name__
        return self._unused(inner(self._prefix, snake(kind)))

    def _with_inner_names(self, text: str, name: str) -> str:
        """Return RTLIL of the module `name`, whose submodules that are not components, such as a
        FIFO of Amaranth's library, have names that no other module has.

        Their ports get plain names here, where module and cell are seen together: Amaranth gives
        numbers to those that it cannot name, as in port$83$0.
        """
        escaped = re.findall(r"^ *wire .*(?:input|output) \d+ +(\\\S*\$\S*)$", text, re.M)
        for number, port in enumerate(dict.fromkeys(escaped), 1):
            stem = re.sub(r"\$\d+", "", port)
            text = re.sub(rf"{re.escape(port)}(?=\s)", rf"\{stem}_p{number}", text)
        paths = re.findall(rf"^module (\\{name}\.\S+)$", text, re.M)
        names = {
            path: self._unused(inner(name, re.sub(r"\W", "_", path.partition(".")[2])))
            for path in paths
        }
        return re.sub(
            rf"^( *cell|module) (\\{name}\.\S+)",
            lambda match: rf"{match[1]} \{names[match[2]]}",
            text,
            flags=re.M,
        )

    def _unused(self, base: str) -> str:
        """Return `base`, with a number if it has been used, and take it."""
        name, number = base, 1
        while name in self._used:
            number += 1
            name = f"{base}_{number}"
        self._used.add(name)
        return name


def _rename(value: Any, name: str) -> None:
    """Set the name of a signal; other values stay as they are."""
    signal = Value.cast(value)
    if isinstance(signal, Signal):
        signal.name = name
