"""Merges modules that differ only in one constant, or in the places of their instances."""

import re
from collections.abc import Iterator

from gradloom.rtl.readable.syntax import VerilogModule

_TOKEN = re.compile(r"\d+'[a-z]\w+|\w+|\s+|.")
_NUMBER = re.compile(r"(\d+)'([dh])([0-9a-f]+)")


def drop_unread_clocks(modules: list[VerilogModule]) -> None:
    """Remove the ports `clk` and `rst` from inner modules that do not read them."""
    for module in reversed(modules[1:]):
        counts = module.counts()
        for name in ("clk", "rst"):
            if counts[name] or name not in module.ports:
                continue
            module.ports.remove(name)
            for other in modules:
                for item in other.body:
                    if item[0].startswith(f"  {module.name} "):
                        item[:] = [
                            line for line in item if line.strip(",") != f"    .{name}({name})"
                        ]


def merged(modules: list[VerilogModule]) -> list[VerilogModule]:
    """Return `modules`, with one module in place of those that differ in one constant only. The
    constant becomes its parameter `SEED`.
    """
    kept: list[VerilogModule] = []
    waiting = list(modules)
    while waiting:
        # Children come after their parents: from the end on, children are merged first.
        last = waiting[-1]
        kind = re.sub(r"_\d+$", "", last.name)
        group = [module for module in waiting if re.sub(r"_\d+$", "", module.name) == kind]
        constants = _constants(group)
        if constants is None:
            waiting.pop()
            kept.append(last)
            continue
        waiting = [module for module in waiting if module not in group]
        kept.append(group[0])
        group[0].placed = any(module.places != group[0].places for module in group)
        for module, value in zip(group, constants):
            values = [f".SEED({value})"] if value else []
            if group[0].placed:
                values += [f".{name}({module.places[of]})" for of, name in group[0].slots()]
            call = f"  {group[0].name} " + (f"#({', '.join(values)}) " if values else "")
            for other in modules:
                for item in other.body:
                    if item[0].startswith(f"  {module.name} "):
                        item[0] = re.sub(r"^  \w+ ", call, item[0])
    order = {module.name: number for number, module in enumerate(modules)}
    return sorted(kept, key=lambda module: order[module.name])


def _lines(module: VerilogModule) -> Iterator[str]:
    """Yield initial values, declarations and body."""
    yield from (f"{name}{first}" for name, first in module.initial.items())
    yield from module.declarations.values()
    for item in module.body:
        yield from item


def _marks(module: VerilogModule) -> tuple[object, ...]:
    """Return what is equal in modules that become one, beside their lines."""
    ports = [(port, module.directions[port], module.widths[port]) for port in module.ports]
    return module.kept, module.unchecked, module.places.keys(), ports


def _constants(group: list[VerilogModule]) -> list[str] | None:
    """Give the first module of `group` a parameter, so that it can take the place of all.

    Returns
    -------
    list of str or None
        The parameter's value for each module, "" if it has none. None if the modules differ in more
        than one constant and the names of their signals.
    """
    if len(group) < 2:
        return None
    texts = [[_TOKEN.findall(line) for line in _lines(module)] for module in group]
    model = texts[0]
    if any(_marks(each) != _marks(group[0]) for each in group):
        return None
    if any([len(line) for line in text] != [len(line) for line in model] for text in texts):
        return None
    places: set[tuple[int, int]] = set()
    for text in texts[1:]:
        there: dict[str, str] = {}
        back: dict[str, str] = {}
        for i, (line, other) in enumerate(zip(model, text)):
            for j, (token, another) in enumerate(zip(line, other)):
                numbers = _NUMBER.fullmatch(token), _NUMBER.fullmatch(another)
                if numbers[0] and numbers[1] and numbers[0][1] == numbers[1][1]:
                    if token != another:
                        places.add((i, j))
                elif (
                    there.setdefault(token, another) != another
                    or back.setdefault(another, token) != token
                ):
                    return None
        moved = {token for token, another in there.items() if token != another}
        if not all(re.fullmatch(r"[A-Za-z_]\w*", token) for token in moved):
            return None
    if not places:
        return [""] * len(group)
    values = [{text[i][j] for i, j in places} for text in texts]
    if any(len(each) != 1 for each in values):
        return None
    constants = [each.pop() for each in values]
    bits = {int(constant.partition("'")[0]) for constant in constants}
    if len(bits) != 1:
        return None
    lines = [
        "".join("SEED" if (i, j) in places else token for j, token in enumerate(line))
        for i, line in enumerate(model)
    ]
    first = group[0]
    position = len(first.initial)
    first.initial = {name: line.removeprefix(name) for name, line in zip(first.initial, lines)}
    for name in first.declarations:
        first.declarations[name] = lines[position]
        position += 1
    for item in first.body:
        item[:] = lines[position : position + len(item)]
        position += len(item)
    first.parameter = "SEED", bits.pop(), constants[0]
    return constants
