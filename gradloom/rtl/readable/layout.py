"""Orders a module's body: statements, then registers in few blocks, then instances."""

import re
import textwrap
from collections.abc import Mapping

from gradloom.rtl.readable.syntax import INSTANCE, WIDEST, Item, UnknownTextError, VerilogModule


def arranged(module: VerilogModule, ports: Mapping[str, list[str]]) -> list[Item]:
    """Return the body with one block for all registers that only take a value, and one for those
    that also have a reset.

    Yosys passes on a register's attribute only if it is on the block that assigns the register. So
    registers with `keep` have blocks of their own.
    """
    plain: dict[bool, list[str]] = {False: [], True: []}
    resets: dict[bool, list[tuple[str, str]]] = {False: [], True: []}
    statements, instances = [], []
    slots = dict(module.slots())
    for item in module.body:
        if match := INSTANCE.fullmatch(item[0]):
            lines = _wrapped(item, ports.get(match[1]))
            if match[2] in module.places:
                place = slots[match[2]] if module.placed else module.places[match[2]]
                lines[0] = f"  (* BEL = {place} *)\n{lines[0]}"
            instances.append(lines)
            continue
        if not item[0].startswith("  always @(posedge clk)"):
            statements.append(item)
            continue
        assigned = {
            match[1] for line in item if (match := re.search(r"(\w+)(?:\[[^]]*\])* <= ", line))
        }
        keep = bool(assigned & module.kept)
        if keep and not assigned <= module.kept:
            raise UnknownTextError(f"one block for registers with and without keep: {assigned}")
        if len(item) == 2:
            plain[keep].append(item[1])
        elif len(item) == 3 and "if (rst)" in item[1]:
            resets[keep].append(
                (item[1].replace("if (rst) ", "  "), item[2].replace("else ", "  "))
            )
        else:
            statements.append([_always(keep, " begin"), *item[1:]])
    blocks = []
    for keep in (False, True):
        if plain[keep]:
            blocks.append([_always(keep, " begin"), *plain[keep], "  end"])
        if resets[keep]:
            blocks.append(
                [
                    _always(keep),
                    "    if (rst) begin",
                    *(first for first, _ in resets[keep]),
                    "    end else begin",
                    *(following for _, following in resets[keep]),
                    "    end",
                ]
            )
    return statements + blocks + instances


def _always(keep: bool, end: str = "") -> str:
    """Return the first line of a block of registers."""
    return f"  {'(* keep *) ' * keep}always @(posedge clk){end}"


def _wrapped(item: Item, order: list[str] | None) -> Item:
    """Return an instance with its ports in the order of the module, several per line.

    The ports of a device's cell, which has no order here, are sorted by name, numbers in it by
    value.
    """
    ports = [line.strip().rstrip(",") for line in item[1:-1]]
    if order is None:
        ports.sort(key=lambda port: _by_number(port[1:].partition("(")[0]))
    else:
        places = {name: number for number, name in enumerate(order)}
        ports.sort(key=lambda port: places[port[1:].partition("(")[0]])
    lines = [item[0]]
    if len(item[0]) > WIDEST:
        start, _, rest = item[0].partition("#(")
        values, _, name = rest.rpartition(") ")
        lines = [
            f"{start}#(",
            *textwrap.wrap(values, WIDEST, initial_indent="    ", subsequent_indent="    "),
            f"  ) {name}",
        ]
    head = len(lines)
    for number, port in enumerate(ports):
        text = port + "," * (number < len(ports) - 1)
        if len(lines) > head and len(lines[-1]) + 1 + len(text) <= WIDEST:
            lines[-1] += " " + text
        else:
            lines.append(f"    {text}")
    return [*lines, item[-1]]


def _by_number(name: str) -> tuple[str, int]:
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)
