"""Reads a module in Yosys's Verilog: names without escapes, declarations, statements, instances.

Three attributes are kept: `keep`, on registers that tools must not merge with equal ones; `BEL`,
the place of an instance in the device; and `no_rw_check`, on memories that are never read at a word
that is written in the same clock.
"""

import re

from gradloom.rtl.names import SYSTEMVERILOG, VERILOG
from gradloom.rtl.readable.syntax import (
    ASSIGN,
    INSTANCE,
    START,
    WORD,
    UnknownTextError,
    VerilogModule,
)

_ESCAPED = re.compile(r"\\(\S+) ")
_DECLARATION = re.compile(
    r"  (input|output|wire|reg) (?:\[(\d+):0\] )?(\w+) ?(\[\d+:0\])?( = [^;]+)?;"
)
_ATTRIBUTE = re.compile(r" *\(\* (\w+) = (.*) \*\)")


def plain_names(text: str) -> str:
    """Return `text` without escaped names: every character of theirs that is not allowed in a plain
    name becomes an underscore.
    """
    text = re.sub(r"\\\$auto\$verilog_backend\S+ ", START, text)
    taken = set(re.findall(r"\w+", _ESCAPED.sub(" ", text))) | VERILOG
    names: dict[str, str] = {}
    for escaped in dict.fromkeys(_ESCAPED.findall(text)):
        # Amaranth appends a dollar sign and a number to the second of two equal names.
        base = re.sub(r"\$\d+", "", escaped)
        base = re.sub(r"^\$.*", "unnamed", base)
        name = base = re.sub(r"\W+", "_", base).strip("_")
        count = 1
        while name in taken:
            count += 1
            name = f"{base}__{count}"
        taken.add(name)
        names[escaped] = name
    # The space that ends an escaped name is part of it.
    return _ESCAPED.sub(lambda match: names[match[1]], text)


def unreserved(text: str, ports: list[str]) -> str:
    """Return a module's text without names, other than those of its ports, that SystemVerilog
    reserves: some tools read Verilog as SystemVerilog.
    """
    taken = set(re.findall(r"\w+", text))
    names: dict[str, str] = {}
    for word in sorted(taken & SYSTEMVERILOG - set(ports)):
        count = 2
        while f"{word}__{count}" in taken:
            count += 1
        names[word] = f"{word}__{count}"
    return WORD.sub(lambda match: names.get(match[0], match[0]), text) if names else text


def parse(text: str) -> VerilogModule:
    """Return the module that Yosys wrote as `text`.

    Raises
    ------
    UnknownTextError
        The text has no head of a module, or reads a signal without bits.
    TypeError
        The attribute `keep` is on a signal that is not one whole register.
    """
    head, end, rest = plain_names(text).partition(");\n")
    first = head.replace("\n", "") + end.strip()
    match = re.fullmatch(r"module (\w+) ?\((.*)\);", first)
    if match is None:
        raise UnknownTextError(f"no head of a module: {first}")
    module = VerilogModule(match[1], match[2].split(", "))
    lines = unreserved(rest, module.ports).splitlines()
    _read_statements(module, lines[:-1])
    _settle_kept(module)
    return module


def _read_statements(module: VerilogModule, lines: list[str]) -> None:
    """Read all lines between the head of the module and its end."""
    position = 0
    attributes: dict[str, str] = {}
    while position < len(lines):
        line = lines[position]
        position += 1
        if match := _ATTRIBUTE.fullmatch(line):
            attributes[match[1]] = match[2]
            continue
        if match := _DECLARATION.fullmatch(line):
            _declare(module, match, line)
            if "keep" in attributes:
                module.kept.add(match[3])
            if "no_rw_check" in attributes:
                module.unchecked.add(match[3])
            attributes = {}
            continue
        if match := re.match(r"  (?:wire|reg) \[-1:0\] (\w+)", line):
            # A signal of no bits: Verilog would read it as one of two bits.
            mentions = [other for other in lines if match[1] in WORD.findall(other)]
            if mentions != [line]:
                raise UnknownTextError(f"a signal of no bits is read: {mentions}")
            continue
        item = [line]
        if line.startswith("  always") and not line.endswith("begin"):
            item.append(lines[position])
            position += 1
        elif not line.endswith(";"):
            while item[-1] not in ("  end", "  );", "  endfunction"):
                if not _ATTRIBUTE.fullmatch(lines[position]):
                    item.append(lines[position])
                position += 1
        if item[0].endswith(" #("):
            # Join the parameters of a device's cell to one line with its name.
            end = next(n for n, text in enumerate(item) if text.startswith("  ) "))
            values = " ".join(text.strip() for text in item[1:end])
            item[: end + 1] = [item[0] + values + item[end].strip()]
        if "BEL" in attributes and (instance := INSTANCE.fullmatch(item[0])):
            module.places[instance[2]] = attributes["BEL"]
        attributes = {}
        module.body.append(item)


def _settle_kept(module: VerilogModule) -> None:
    """Move `keep` from a wire that is a second name of a register to the register."""
    for item in module.body:
        match = ASSIGN.fullmatch(item[0])
        if match and match[1] in module.kept and not match[2] and match[4] in module.registers:
            module.kept.remove(match[1])
            module.kept.add(match[4])
    if lost := module.kept - module.registers:
        raise TypeError(f"keep on {', '.join(sorted(lost))}: that is no register of one name")


def _declare(module: VerilogModule, match: re.Match[str], line: str) -> None:
    """Record one declaration."""
    kind, high, name, memory, first = match.groups()
    module.widths[name] = int(high or 0) + 1
    if kind in ("input", "output"):
        module.directions[name] = kind
        return
    if kind == "reg" and not memory:
        module.registers.add(name)
    if name in module.directions:
        module.initial[name] = first or ""
    else:
        module.declarations[name] = re.sub(r" +", " ", line.strip())
