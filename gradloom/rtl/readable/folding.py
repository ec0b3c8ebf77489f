"""Joins the statements that Yosys separates: registers, choices, second names, initial values.

Every function here changes a module in place, and only where the text has no other mention of the
signal that disappears.
"""

import re
from collections import Counter

from gradloom.rtl.readable.syntax import (
    ASSIGN,
    INSTANCE,
    SPAN,
    START,
    TEMPORARY,
    Item,
    VerilogModule,
    sliced,
)


def fold_registers(module: VerilogModule) -> None:
    """Join a register, its next-state signal and the block that computes it to one block."""
    counts = module.counts()
    blocks: dict[str, Item] = {}
    for item in module.body:
        if item[0] == "  always @* begin" and START in item[1]:
            match = re.fullmatch(r"    (_\d+_) = (.+);", item[2])
            # Only this block assigns it, and only its register reads it.
            if match and counts[match[1]] == 1 + sum(
                len(re.findall(rf"^ +{match[1]}(?:{SPAN})? = ", line)) for line in item
            ):
                blocks[match[1]] = item
    folded = []
    for item in module.body:
        if item[0] != "  always @(posedge clk)":
            continue
        match = re.fullmatch(r"    (\w+) <= (_\d+_);", item[1])
        if not match or match[2] not in blocks:
            continue
        register, following = match.groups()
        block = blocks[following]
        lines = [
            re.sub(rf"^( +){following}((?:{SPAN})?) = ", rf"\1{register}\2 <= ", line)
            for line in block[2:]
        ]
        if lines[0] == f"    {register} <= {register};":
            del lines[0]
        reset = re.fullmatch(
            r"    (\w+) <= (.+);\n    if \(rst\) begin\n      \1 <= (.+);\n    end\n  end",
            "\n".join(lines),
        )
        if reset:
            item[:] = [
                "  always @(posedge clk)",
                f"    if (rst) {register} <= {reset[3]};",
                f"    else {register} <= {reset[2]};",
            ]
        else:
            item[:] = ["  always @(posedge clk) begin", *lines]
        folded.append(block)
        del module.declarations[following]
    module.remove(folded)


def fold_choices(module: VerilogModule) -> None:
    """Replace a block that chooses one of two values by an assignment."""
    for item in module.body:
        match = re.fullmatch(
            rf"  always @\* begin\n    if \({START}\) begin end\n    (\w+) = (.+);\n"
            r"    if \((\w+)\) begin\n      \1 = (.+);\n    end\n  end",
            "\n".join(item),
        )
        if match and not module.initial.get(match[1]):
            name, otherwise, condition, value = match.groups()
            item[:] = [f"  assign {name} = {condition} ? {value} : {otherwise};"]
            module.registers.discard(name)
            if name in module.declarations:
                line = module.declarations[name]
                module.declarations[name] = line.replace("reg ", "wire ", 1)


def drop_unread(module: VerilogModule) -> None:
    """Remove unread second names, and leave the unread outputs of instances open."""
    while True:
        counts = module.counts()
        drivers: Counter[str] = Counter()
        for item in module.body:
            if match := ASSIGN.fullmatch(item[0]):
                drivers[match[1]] += 1
        unread = {name for name in module.declarations if counts[name] == drivers[name]}
        if not unread:
            break
        module.remove(
            [
                item
                for item in module.body
                if (match := ASSIGN.fullmatch(item[0])) and match[1] in unread
            ]
        )
        for name in unread:
            del module.declarations[name]
    for item in module.body:
        if not INSTANCE.fullmatch(item[0]):
            continue
        for number, line in enumerate(item):
            match = re.fullmatch(r"    \.(\w+)\((\w+)\)(,?)", line)
            if match and counts[match[2]] == 1 and match[2] in module.declarations:
                item[number] = f"    .{match[1]}(){match[3]}"
                del module.declarations[match[2]]


def fold_names(module: VerilogModule) -> None:
    """Replace a temporary whose only use is to drive a named wire by that wire."""
    counts = module.counts()
    for item in list(module.body):
        match = ASSIGN.fullmatch(item[0])
        if not match or match[2] or not TEMPORARY.fullmatch(match[4]):
            continue
        name, temporary = match[1], match[4]
        origins = [
            other
            for other in module.body
            if (source := ASSIGN.fullmatch(other[0])) and source[1] == temporary and not source[2]
        ]
        same_width = module.widths[name] == module.widths[temporary]
        if counts[temporary] == 2 and len(origins) == 1 and same_width:
            origins[0][0] = origins[0][0].replace(f"assign {temporary} ", f"assign {name} ")
            module.remove([item])
            del module.declarations[temporary]


def fold_memories(module: VerilogModule) -> None:
    """Initialize a memory in a loop if all its words have the same initial value."""
    taken = {*module.widths, *module.counts()}
    index = next(
        name for name in ("word", *(f"word__{k}" for k in range(2, 99))) if name not in taken
    )
    for item in module.body:
        if item[0] != "  initial begin":
            continue
        words = [re.fullmatch(r"    (\w+)\[\d+\] = (\S+);", line) for line in item[1:-1]]
        pairs = {(word[1], word[2]) for word in words if word}
        if all(words) and len(pairs) == 1:
            ((memory, value),) = pairs
            module.declarations[index] = f"integer {index};"
            item[:] = [
                "  initial",
                f"    for ({index} = 0; {index} < {len(words)}; {index} = {index} + 1)",
                f"      {memory}[{index}] = {value};",
            ]


def start_reads(module: VerilogModule) -> None:
    """Begin registers of words that are read from memories without checks with 0.

    Simulators begin with it, and so do the registers of block RAMs. A tool adds logic where the
    register of a memory with checks has an initial value.
    """
    read = re.compile(r"    (_\d+_) <= (\w+)\[[^\]]*(?:\[[^\]]*\])?\];")
    for match in filter(None, (read.fullmatch(line) for item in module.body for line in item)):
        register, memory = match.groups()
        if memory in module.unchecked:
            width, line = module.widths[register], module.declarations[register]
            module.declarations[register] = f"{line[:-1]} = {width}'h{0:0{-(-width // 4)}x};"


def fold_repetitions(module: VerilogModule) -> None:
    """Replace `{ a[7], a[7], a[7], a }` by `{ {3{a[7]}}, a }`."""
    run = re.compile(rf"(?<=[ ,])([\w']+(?:{SPAN})?)((?:, \1(?![\w\['])){{2,}})")

    def repeated(match: re.Match[str]) -> str:
        times = 1 + match[2].count(", ")
        return f"{{{times}{{{match[1]}}}}}"

    for item in module.body:
        if not INSTANCE.fullmatch(item[0]):
            item[:] = [
                re.sub(r"\{ [^{}]* \}", lambda whole: run.sub(repeated, whole[0]), line)
                for line in item
            ]


def fold_slices(module: VerilogModule) -> None:
    """Replace `{ a[7:4], a[3:0] }` by `a[7:0]`, and by `a` if that is all of it."""
    piece = re.compile(r"(\w+)\[(\d+)(?::(\d+))?\]")
    # Of a memory, a number in brackets is a word.
    vectors = {
        name
        for name in module.widths
        if not re.search(rf"\b{name} \[", module.declarations.get(name, ""))
    }

    def joined(match: re.Match[str]) -> str:
        found: list[tuple[str, int, int]] = []
        for text in match[1].split(", "):
            part = piece.fullmatch(text)
            if part is None or part[1] not in vectors:
                found.append((text, -1, -1))
                continue
            name, high, low = part[1], int(part[2]), int(part[3] or part[2])
            if found and found[-1][0] == name and found[-1][2] == high + 1:
                high = found.pop()[1]
            found.append((name, high, low))
        texts = [
            name if high < 0 else sliced(module.widths[name], name, high, low)
            for name, high, low in found
        ]
        return texts[0] if len(texts) == 1 else "{ " + ", ".join(texts) + " }"

    for item in module.body:
        item[:] = [re.sub(r"\{ ([^{}]*) \}", joined, line) for line in item]


def renumber(module: VerilogModule) -> None:
    """Declare temporaries last, and number them without gaps in the order of their first use."""
    numbers: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"_{len(numbers) + 1}_")

    module.body = [[TEMPORARY.sub(renamed, line) for line in item] for item in module.body]
    lines = {
        numbers.get(name, name): "  " + TEMPORARY.sub(renamed, line)
        for name, line in module.declarations.items()
    }
    fresh = set(numbers.values())
    order = sorted(
        lines, key=lambda name: (name in fresh, int(name.strip("_")) if name in fresh else 0)
    )
    module.declarations = {name: lines[name] for name in order}
    module.widths = {numbers.get(name, name): width for name, width in module.widths.items()}
