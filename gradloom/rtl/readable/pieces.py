"""Removes vectors that are only put together from pieces and taken apart again."""

import re
from collections.abc import Mapping

from gradloom.rtl.readable.syntax import ASSIGN, SPAN, WORD, VerilogModule, name_and_low, sliced


def fold_pieces(module: VerilogModule) -> None:
    """Replace every mention of such a vector by its pieces."""
    pieces: dict[str, dict[int, tuple[int, str]]] = {}
    others: set[str] = set()
    for item in module.body:
        for line in item:
            match = ASSIGN.fullmatch(line)
            if match and match[2] and re.fullmatch(rf"[A-Za-z_]\w*(?:{SPAN})?", match[4]):
                low = int(match[3] or match[2])
                pieces.setdefault(match[1], {})[low] = int(match[2]) - low + 1, match[4]
            elif other := re.match(r" +(?:assign )?(\w+)(?:\[.+\])? <?= ", line):
                others.add(other[1])
    # A vector whose pieces are such vectors too stays.
    for name, parts in pieces.items():
        complete = sum(width for width, _ in parts.values()) == module.widths[name]
        if name in module.directions or name in others or not complete:
            continue
        if any(name_and_low(source)[0] in pieces for _, source in parts.values()):
            continue
        # Verilog allows no slice of a concatenation: all indices must be constants.
        mention = re.compile(rf"(?<![.\w$']){name}(?![\w$])(?!\[[^\]]*[^\d:\]])")
        lines = [line for item in module.body for line in item if name in WORD.findall(line)]
        if sum(len(mention.findall(line)) for line in lines) != module.counts()[name]:
            continue
        module.remove([item for item in module.body if re.match(rf"  assign {name}\[", item[0])])
        for item in module.body:
            item[:] = [_replace_slices(module, line, name, parts) for line in item]
        del module.declarations[name]


def _replace_slices(
    module: VerilogModule, line: str, name: str, parts: Mapping[int, tuple[int, str]]
) -> str:
    """Return `line` with the pieces in place of the vector `name` and its slices."""

    def replaced(match: re.Match[str]) -> str:
        high, low = module.widths[name] - 1, 0
        if match[1]:
            high = int(match[1])
            low = int(match[2] or high)
        taken: list[tuple[str, int, int]] = []
        for start in sorted(parts, reverse=True):
            width, source = parts[start]
            first, last = max(low, start), min(high, start + width - 1)
            if first > last:
                continue
            base, source_low = name_and_low(source)
            top, bottom = source_low + last - start, source_low + first - start
            if taken and taken[-1][0] == base and taken[-1][2] == top + 1:
                taken[-1] = base, taken[-1][1], bottom
            else:
                taken.append((base, top, bottom))
        texts = [sliced(module.widths[base], base, *ends) for base, *ends in taken]
        return texts[0] if len(texts) == 1 else "{ " + ", ".join(texts) + " }"

    return re.sub(rf"(?<![.\w$']){name}(?![\w$])(?:\[(\d+)(?::(\d+))?\])?", replaced, line)
