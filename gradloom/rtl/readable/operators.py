"""Puts one-bit operators into the expression that reads their result."""

import re

from gradloom.rtl.readable.syntax import (
    ASSIGN,
    SPAN,
    TEMPORARY,
    WIDEST,
    Item,
    UnknownTextError,
    VerilogModule,
)

_NESTED = r"\([^()]*\)"
for _ in range(3):
    _NESTED = rf"\((?:[^()]|{_NESTED})*\)"
_OPERAND = rf"(?:\w+(?:\[\d+\])?|\d+'h[0-9a-f]+|{_NESTED})"
_BITWISE = re.compile(rf"~ ({_OPERAND})|({_OPERAND}) [&|^] ({_OPERAND})")
#: Operators whose result is one bit in every context.
_COMPARISON = re.compile(
    rf"[!|&^] \w+(?:{SPAN})?|\w+(?:{SPAN})? (?:==|!=|<|>|<=|>=) \w+(?:{SPAN}|'\w+)?"
)


def fold_operators(module: VerilogModule) -> None:
    """Replace the only mention of a one-bit temporary by the operator that drives it.

    In Verilog, the width of an operator depends on the context of the expression. So this is done
    only where all operands are one bit, or where the operator is the whole expression.
    """
    counts = module.counts()
    origins = {}
    for item in module.body:
        match = ASSIGN.fullmatch(item[0])
        if match and not match[2] and TEMPORARY.fullmatch(match[1]):
            name = match[1]
            if counts[name] == 2 and module.widths[name] == 1:
                origins[name] = item
    folded: list[Item] = []
    gone: set[int] = set()
    changed = True
    while changed:
        changed = False
        for item in module.body:
            for number in range(len(item)):
                while id(item) not in gone and (
                    origin := _fold_into(module, item, number, origins)
                ):
                    changed = True
                    folded.append(origin)
                    gone.add(id(origin))
    module.remove(folded)


def _fold_into(
    module: VerilogModule, item: Item, number: int, origins: dict[str, Item]
) -> Item | None:
    """Fold one operator into a line. Returns the item that is no longer needed, or None."""
    for name in TEMPORARY.findall(item[number]):
        origin = origins.get(name)
        if origin is None or origin is item or not _takes_bit(module, item[number], name):
            continue
        match = ASSIGN.fullmatch(origin[0])
        if match is None:
            raise UnknownTextError(f"no assignment: {origin[0]}")
        expression = match[4]
        if not (_is_bitwise(module, expression) or _COMPARISON.fullmatch(expression)):
            continue
        alone = f"({name})" in item[number] or item[number].endswith(f"<= {name};")
        before, after = re.split(rf"\b{name}\b", item[number])
        folded = before + (expression if alone else f"({expression})") + after
        if len(folded) > WIDEST:
            continue
        item[number] = folded
        del module.declarations[name], origins[name]
        return origin
    return None


def _is_bit(module: VerilogModule, operand: str) -> bool:
    """Return whether an operand is one bit wide."""
    return operand.startswith(("(", "1'h")) or (
        operand.endswith("]") or module.widths.get(operand) == 1
    )


def _is_bitwise(module: VerilogModule, expression: str) -> bool:
    """Return whether an expression is one bitwise operator on one-bit operands."""
    match = _BITWISE.fullmatch(expression)
    return match is not None and all(_is_bit(module, part) for part in match.groups() if part)


def _takes_bit(module: VerilogModule, line: str, name: str) -> bool:
    """Return whether the context of `name` in `line` leaves an expression there one bit wide."""
    if condition := re.fullmatch(r" +(?:end else )?if \((.+)\) begin", line):
        return condition[1] == name or _is_bitwise(module, condition[1])
    match = re.fullmatch(r" +(?:assign |if \(rst\) |else )?(\w+) <?= (.+);", line)
    if not match:
        return False
    target, expression = match.groups()
    if module.widths.get(target) == 1 and (expression == name or _is_bitwise(module, expression)):
        return True
    return expression.startswith(f"{name} ? ")
