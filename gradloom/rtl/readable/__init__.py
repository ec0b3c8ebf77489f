"""Readable Verilog from Yosys's Verilog.

Where a person writes one `always` block, Yosys writes a next-state signal, a block that computes it
and a register that takes it; it adds a wire for each operator, and second and third names for many
signals. This package joins these again, line by line, and only where the text shows that it may: a
signal is replaced by its expression if the text has no other mention of it. Nothing is optimized;
every register and every instance stays.

- `parsing` reads Yosys's text,
- `folding`, `pieces` and `operators` join what belongs together,
- `merging` makes one module with parameters of modules that differ only in a constant (the rounders
  of an array: in their seeds) or in the places of their instances,
- `layout` orders the result.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gradloom.rtl.readable import folding, layout, merging, operators, parsing, pieces
from gradloom.rtl.readable.syntax import UnknownTextError, VerilogModule

__all__ = ["UnknownTextError", "VerilogModule", "readable"]


def readable(text: str, orders: Mapping[str, Iterable[str]]) -> list[VerilogModule]:
    """Return the modules in Yosys's `text` in a form that a person can read.

    Parameters
    ----------
    text
        Output of Yosys's `write_verilog`.
    orders
        Module name to the order of its ports; the order of the entries is that of the modules. A
        module without an entry, such as a FIFO of Amaranth's library, comes after the module whose
        name its own begins with.

    Raises
    ------
    UnknownTextError
        The text has an unknown form.
    TypeError
        The attribute `keep` is on a signal that is not one whole register.
    """
    modules = [
        tidied(parsing.parse(part))
        for part in re.findall(r"^module .*?^endmodule$", text, re.M | re.S)
    ]
    places = {name: number for number, name in enumerate(orders)}

    def place(module: VerilogModule) -> tuple[int, str]:
        owner = max((name for name in places if f"{module.name}_".startswith(f"{name}_")), key=len)
        return places[owner], module.name

    modules.sort(key=place)
    for module in modules:
        order = orders.get(module.name, sorted(module.ports, key=_port_order(module)))
        module.ports = [port for port in order if port in module.directions]
    merging.drop_unread_clocks(modules)
    modules = merging.merged(modules)
    ports = {module.name: module.ports for module in modules}
    for module in modules:
        module.body = layout.arranged(module, ports)
    return modules


def tidied(module: VerilogModule) -> VerilogModule:
    """Return `module`, changed in place: all that can be joined within one module."""
    folding.fold_registers(module)
    folding.fold_choices(module)
    pieces.fold_pieces(module)
    folding.drop_unread(module)
    folding.fold_names(module)
    operators.fold_operators(module)
    folding.fold_memories(module)
    folding.start_reads(module)
    folding.drop_unread(module)
    folding.fold_repetitions(module)
    folding.fold_slices(module)
    folding.renumber(module)
    return module


def _port_order(module: VerilogModule) -> Any:
    return lambda port: (port != "clk", port != "rst", module.directions[port])
