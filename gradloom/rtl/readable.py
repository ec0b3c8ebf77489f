"""Verilog as a person would have written it, from Verilog as Yosys writes it.

Yosys gives a next-state signal, a block that computes it and a register that takes it where a
person writes one `always` block; a wire for each operator; a second and third name for many a
signal. What is here puts that together again, line by line and only where the text says that it
may: a signal is folded into its place when the text has no other mention of it. Nothing is
optimized; every register and every instance stays.

Modules that are one text but for a constant (the rounders of an array, but for their seeds) or for
the places of their instances become one module with parameters.

Of attributes two are written: `keep`, on registers that tools must not merge with others of the
same value, and `BEL`, the place of an instance. Yosys hands on a register's attribute only when it
stands at the block that assigns it, so there it is.
"""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: A name that is neither a port in an instance's list nor part of a number.
_WORD = re.compile(r"(?<![.\w$'])[A-Za-z_][\w$]*")
_ESCAPED = re.compile(r"\\(\S+) ")
_TOKEN = re.compile(r"\d+'[a-z]\w+|\w+|\s+|.")
_NUMBER = re.compile(r"(\d+)'([dh])([0-9a-f]+)")
_SPAN = r"\[\d+(?::\d+)?\]"
_DECLARATION = re.compile(
    r"  (input|output|wire|reg) (?:\[(\d+):0\] )?(\w+) ?(\[\d+:0\])?( = [^;]+)?;"
)
_ASSIGN = re.compile(r"  assign (\w+)(?:\[(\d+)(?::(\d+))?\])? = (.+);")
_INSTANCE = re.compile(r"  (\w+) (?:#\(.*\) )?(\w+) \(")
_ATTRIBUTE = re.compile(r" *\(\* (\w+) = (.*) \*\)")
_TEMPORARY = re.compile(r"\b_\d+_\b")
_NESTED = r"\([^()]*\)"
for _ in range(3):
    _NESTED = rf"\((?:[^()]|{_NESTED})*\)"
_OPERAND = rf"(?:\w+(?:\[\d+\])?|\d+'h[0-9a-f]+|{_NESTED})"
_BITWISE = re.compile(rf"~ ({_OPERAND})|({_OPERAND}) [&|^] ({_OPERAND})")
#: Operators whose result is one bit whatever stands around them.
_COMPARISON = re.compile(
    rf"[!|&^] \w+(?:{_SPAN})?|\w+(?:{_SPAN})? (?:==|!=|<|>|<=|>=) \w+(?:{_SPAN}|'\w+)?"
)
#: Yosys lets blocks read it so that simulators run them once in the beginning.
_START = "at_start"
_WIDEST = 100
_RESERVED = (
    "always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config "
    "deassign default defparam design disable edge else end endcase endconfig endfunction "
    "endgenerate endmodule endprimitive endspecify endtable endtask event for force forever fork "
    "function generate genvar highz0 highz1 if ifnone incdir include initial inout input instance "
    "integer join large liblist library localparam macromodule medium module nand negedge nmos nor "
    "noshowcancelled not notif0 notif1 or output parameter pmos posedge primitive pull0 pull1 "
    "pulldown pullup pulsestyle_onevent pulsestyle_ondetect rcmos real realtime reg release repeat "
    "rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled signed small specify specparam "
    "strong0 strong1 supply0 supply1 table task time tran tranif0 tranif1 tri tri0 tri1 triand "
    "trior trireg unsigned use uwire vectored wait wand weak0 weak1 while wire wor xnor xor"
)
_KEYWORDS = frozenset(_RESERVED.split())

Item = list[str]


class UnknownTextError(RuntimeError):
    """Yosys wrote what is not known here, so that tidying it could change it."""


@dataclass
class Verilog:
    """A module.

    Parameters
    ----------
    name
        Its name.
    ports
        Names in their order.
    directions, initial
        Of the ports: `input` or `output`; the first value of those that are registers.
    widths, registers
        Bits of every signal; those that are declared `reg`.
    declarations
        Name to line of what is no port.
    body
        Statements and instances, each a list of lines.
    parameter
        Name, bits and default of the module's parameter, if it has one.
    kept
        Registers that must not be merged with others of the same value.
    places
        Where instances stand, by name, as strings of Verilog.
    placed
        Whether the places of an instance are parameters, `PLACE` and on.
    """

    name: str
    ports: list[str]
    directions: dict[str, str] = field(default_factory=dict)
    initial: dict[str, str] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    registers: set[str] = field(default_factory=set)
    declarations: dict[str, str] = field(default_factory=dict)
    body: list[Item] = field(default_factory=list)
    parameter: tuple[str, int, str] | None = None
    kept: set[str] = field(default_factory=set)
    places: dict[str, str] = field(default_factory=dict)
    placed: bool = False

    def counts(self) -> Counter[str]:
        """How often each name is mentioned outside of declarations."""
        return Counter(word for item in self.body for line in item for word in _WORD.findall(line))

    def slots(self) -> list[tuple[str, str]]:
        """Instances that have a place, and the names of the parameters that say where."""
        return [
            (instance, "PLACE" if not number else f"PLACE_{number + 1}")
            for number, instance in enumerate(self.places)
        ]

    def render(self) -> str:
        """The module's text."""
        head = f"module {self.name} "
        parameters = []
        if self.parameter:
            name, bits, value = self.parameter
            parameters.append(f"  parameter [{bits - 1}:0] {name} = {value}")
        if self.placed:
            parameters += [f"  parameter {name} = {self.places[of]}" for of, name in self.slots()]
        if parameters:
            head += "#(\n" + ",\n".join(parameters) + "\n) "
        rows = []
        for port in self.ports:
            kind = "reg" if port in self.registers else "wire"
            span = f"[{self.widths[port] - 1}:0]" if self.widths[port] > 1 else ""
            rows.append(
                (f"{self.directions[port]:6} {kind:4}", span, port + self.initial.get(port, ""))
            )
        widest = max(len(span) for _, span, _ in rows)
        lines = [
            f"  {kind} {span:>{widest}}{' ' * (widest > 0)}{port}" for kind, span, port in rows
        ]
        ports = ",\n".join(lines)
        body = [line for item in self.body for line in item]
        return "\n".join(
            [f"{head}(\n{ports}\n);", *self.declarations.values(), "", *body, "endmodule\n"]
        )


def readable(text: str, orders: Mapping[str, Iterable[str]]) -> list[Verilog]:
    """The modules in Yosys's `text`, tidied, those that differ in a constant alone made one.

    Parameters
    ----------
    text
        What `write_verilog` gave, without attributes.
    orders
        Module name to the order of its ports, in the order of the modules. A module that is not
        named there, such as a FIFO of Amaranth's library, follows the one with which its name
        begins.
    """
    modules = [
        _Tidy(part).module for part in re.findall(r"^module .*?^endmodule$", text, re.M | re.S)
    ]
    places = {name: number for number, name in enumerate(orders)}

    def place(module: Verilog) -> tuple[int, str]:
        owner = max((name for name in places if f"{module.name}_".startswith(f"{name}_")), key=len)
        return places[owner], module.name

    modules.sort(key=place)
    for module in modules:
        order = orders.get(module.name, sorted(module.ports, key=_port_order(module)))
        module.ports = [port for port in order if port in module.directions]
    _drop_unread_inputs(modules)
    modules = _merged(modules)
    ports = {module.name: module.ports for module in modules}
    for module in modules:
        module.body = _arranged(module, ports)
    return modules


def _port_order(module: Verilog) -> Any:
    return lambda port: (port != "clk", port != "rst", module.directions[port])


class _Tidy:
    """One module on its way from Yosys's text to a person's."""

    def __init__(self, text: str):
        first, *lines = self._plain_names(text).splitlines()
        match = re.fullmatch(r"module (\w+) ?\((.*)\);", first)
        if match is None:
            raise UnknownTextError(f"no head of a module: {first}")
        self.module = Verilog(match[1], match[2].split(", "))
        self._statements(lines[:-1])
        self._settle_kept()
        self._fold_registers()
        self._fold_choices()
        self._fold_pieces()
        self._drop_unread()
        self._fold_names()
        self._fold_operators()
        self._fold_memories()
        self._drop_unread()
        self._fold_repetitions()
        self._renumber()

    @staticmethod
    def _plain_names(text: str) -> str:
        """Without escapes: what is no letter, digit or underscore becomes an underscore."""
        text = re.sub(r"\\\$auto\$verilog_backend\S+ ", _START, text)
        taken = set(re.findall(r"\w+", _ESCAPED.sub(" ", text))) | _KEYWORDS
        names: dict[str, str] = {}
        for escaped in dict.fromkeys(_ESCAPED.findall(text)):
            # Of two equal names Amaranth gives one a number after a dollar sign.
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

    def _statements(self, lines: list[str]) -> None:
        position = 0
        attributes: dict[str, str] = {}
        while position < len(lines):
            line = lines[position]
            position += 1
            if match := _ATTRIBUTE.fullmatch(line):
                attributes[match[1]] = match[2]
                continue
            if match := _DECLARATION.fullmatch(line):
                self._declare(match, line)
                if "keep" in attributes:
                    self.module.kept.add(match[3])
                attributes = {}
                continue
            if match := re.match(r"  (?:wire|reg) \[-1:0\] (\w+)", line):
                # A signal of no bits: Verilog would take it for one of two.
                mentions = [other for other in lines if match[1] in _WORD.findall(other)]
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
                # The parameters of a device's cell, in one line with its name.
                end = next(n for n, text in enumerate(item) if text.startswith("  ) "))
                values = " ".join(text.strip() for text in item[1:end])
                item[: end + 1] = [item[0] + values + item[end].strip()]
            if "BEL" in attributes and (instance := _INSTANCE.fullmatch(item[0])):
                self.module.places[instance[2]] = attributes["BEL"]
            attributes = {}
            self.module.body.append(item)

    def _settle_kept(self) -> None:
        """A wire that is to be kept is another name of a register, which is kept instead."""
        module = self.module
        for item in module.body:
            match = _ASSIGN.fullmatch(item[0])
            if match and match[1] in module.kept and not match[2] and match[4] in module.registers:
                module.kept.remove(match[1])
                module.kept.add(match[4])
        if lost := module.kept - module.registers:
            raise TypeError(f"keep on {', '.join(sorted(lost))}: that is no register of one name")

    def _declare(self, match: re.Match[str], line: str) -> None:
        module = self.module
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

    def _remove(self, items: Iterable[Item]) -> None:
        gone = {id(item) for item in items}
        self.module.body = [item for item in self.module.body if id(item) not in gone]

    def _fold_registers(self) -> None:
        """A register, its next-state signal and the block that computes it become one block."""
        module, counts = self.module, self.module.counts()
        blocks: dict[str, Item] = {}
        for item in module.body:
            if item[0] == "  always @* begin" and _START in item[1]:
                match = re.fullmatch(r"    (_\d+_) = (.+);", item[2])
                # Assigned in this block alone, and read by its register alone.
                if match and counts[match[1]] == 1 + sum(
                    len(re.findall(rf"^ +{match[1]}(?:{_SPAN})? = ", line)) for line in item
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
                re.sub(rf"^( +){following}((?:{_SPAN})?) = ", rf"\1{register}\2 <= ", line)
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
        self._remove(folded)

    def _fold_choices(self) -> None:
        """A block that chooses one of two values becomes an assignment."""
        module = self.module
        for item in module.body:
            match = re.fullmatch(
                rf"  always @\* begin\n    if \({_START}\) begin end\n    (\w+) = (.+);\n"
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

    def _fold_pieces(self) -> None:
        """For a vector that is put together from pieces and taken apart again, the pieces."""
        module = self.module
        pieces: dict[str, dict[int, tuple[int, str]]] = {}
        others: set[str] = set()
        for item in module.body:
            for line in item:
                match = _ASSIGN.fullmatch(line)
                if match and match[2] and re.fullmatch(rf"[A-Za-z_]\w*(?:{_SPAN})?", match[4]):
                    low = int(match[3] or match[2])
                    pieces.setdefault(match[1], {})[low] = int(match[2]) - low + 1, match[4]
                elif other := re.match(r" +(?:assign )?(\w+)(?:\[.+\])? <?= ", line):
                    others.add(other[1])
        # One that is a piece of another is taken first, by its name's place in the text.
        for name, parts in pieces.items():
            complete = sum(width for width, _ in parts.values()) == module.widths[name]
            if name in module.directions or name in others or not complete:
                continue
            if any(_slice(source)[0] in pieces for _, source in parts.values()):
                continue
            # Verilog takes no slice of a concatenation, and this looks for none but plain ones.
            mention = re.compile(rf"(?<![.\w$']){name}(?![\w$])(?!\[[^\]]*[^\d:\]])")
            lines = [line for item in module.body for line in item if name in _WORD.findall(line)]
            if sum(len(mention.findall(line)) for line in lines) != module.counts()[name]:
                continue
            self._remove([item for item in module.body if re.match(rf"  assign {name}\[", item[0])])
            for item in module.body:
                item[:] = [self._replace_slices(line, name, parts) for line in item]
            del module.declarations[name]

    def _replace_slices(self, line: str, name: str, parts: Mapping[int, tuple[int, str]]) -> str:
        def replaced(match: re.Match[str]) -> str:
            high, low = self.module.widths[name] - 1, 0
            if match[1]:
                high = int(match[1])
                low = int(match[2] or high)
            taken: list[tuple[str, int, int]] = []
            for start in sorted(parts, reverse=True):
                width, source = parts[start]
                first, last = max(low, start), min(high, start + width - 1)
                if first > last:
                    continue
                base, source_low = _slice(source)
                top, bottom = source_low + last - start, source_low + first - start
                if taken and taken[-1][0] == base and taken[-1][2] == top + 1:
                    taken[-1] = base, taken[-1][1], bottom
                else:
                    taken.append((base, top, bottom))
            texts = [self._sliced(*each) for each in taken]
            return texts[0] if len(texts) == 1 else "{ " + ", ".join(texts) + " }"

        return re.sub(rf"(?<![.\w$']){name}(?![\w$])(?:\[(\d+)(?::(\d+))?\])?", replaced, line)

    def _sliced(self, base: str, high: int, low: int) -> str:
        if low == 0 and high == self.module.widths[base] - 1:
            return base
        return f"{base}[{high}]" if high == low else f"{base}[{high}:{low}]"

    def _drop_unread(self) -> None:
        """Second names that nothing reads, outputs of instances that nothing reads."""
        module = self.module
        while True:
            counts = module.counts()
            drivers: Counter[str] = Counter()
            for item in module.body:
                if match := _ASSIGN.fullmatch(item[0]):
                    drivers[match[1]] += 1
            unread = {name for name in module.declarations if counts[name] == drivers[name]}
            if not unread:
                break
            self._remove(
                [
                    item
                    for item in module.body
                    if (match := _ASSIGN.fullmatch(item[0])) and match[1] in unread
                ]
            )
            for name in unread:
                del module.declarations[name]
        for item in module.body:
            if not _INSTANCE.fullmatch(item[0]):
                continue
            for number, line in enumerate(item):
                match = re.fullmatch(r"    \.(\w+)\((\w+)\)(,?)", line)
                if match and counts[match[2]] == 1 and match[2] in module.declarations:
                    item[number] = f"    .{match[1]}(){match[3]}"
                    del module.declarations[match[2]]

    def _fold_names(self) -> None:
        """A wire that is named only to be given to one with a name: the name itself."""
        module = self.module
        counts = module.counts()
        for item in list(module.body):
            match = _ASSIGN.fullmatch(item[0])
            if not match or match[2] or not _TEMPORARY.fullmatch(match[4]):
                continue
            name, temporary = match[1], match[4]
            origins = [
                other
                for other in module.body
                if (source := _ASSIGN.fullmatch(other[0]))
                and source[1] == temporary
                and not source[2]
            ]
            same_width = module.widths[name] == module.widths[temporary]
            if counts[temporary] == 2 and len(origins) == 1 and same_width:
                origins[0][0] = origins[0][0].replace(f"assign {temporary} ", f"assign {name} ")
                self._remove([item])
                del module.declarations[temporary]

    def _fold_operators(self) -> None:
        """A wire of one bit for the result of one operator goes into the expression that reads it.

        Widths are what Verilog makes of an expression's surroundings, so this is done only where
        all of them are one bit, or where the expression stands alone.
        """
        module = self.module
        counts = module.counts()
        origins = {}
        for item in module.body:
            match = _ASSIGN.fullmatch(item[0])
            if match and not match[2] and _TEMPORARY.fullmatch(match[1]):
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
                        origin := self._fold_into(item, number, origins)
                    ):
                        changed = True
                        folded.append(origin)
                        gone.add(id(origin))
        self._remove(folded)

    def _fold_into(self, item: Item, number: int, origins: dict[str, Item]) -> Item | None:
        """Fold one operator into a line; the item that is not needed any more."""
        for name in _TEMPORARY.findall(item[number]):
            origin = origins.get(name)
            if origin is None or origin is item or not self._takes_bit(item[number], name):
                continue
            match = _ASSIGN.fullmatch(origin[0])
            if match is None:
                raise UnknownTextError(f"no assignment: {origin[0]}")
            expression = match[4]
            if not (self._is_bitwise(expression) or _COMPARISON.fullmatch(expression)):
                continue
            alone = f"({name})" in item[number] or item[number].endswith(f"<= {name};")
            before, after = re.split(rf"\b{name}\b", item[number])
            folded = before + (expression if alone else f"({expression})") + after
            if len(folded) > _WIDEST:
                continue
            item[number] = folded
            del self.module.declarations[name], origins[name]
            return origin
        return None

    def _is_bit(self, operand: str) -> bool:
        return operand.startswith(("(", "1'h")) or (
            operand.endswith("]") or self.module.widths.get(operand) == 1
        )

    def _is_bitwise(self, expression: str) -> bool:
        match = _BITWISE.fullmatch(expression)
        return match is not None and all(self._is_bit(part) for part in match.groups() if part)

    def _takes_bit(self, line: str, name: str) -> bool:
        """Whether the one mention of `name` in `line` stands where one bit stays one bit."""
        if condition := re.fullmatch(r" +(?:end else )?if \((.+)\) begin", line):
            return condition[1] == name or self._is_bitwise(condition[1])
        match = re.fullmatch(r" +(?:assign |if \(rst\) |else )?(\w+) <?= (.+);", line)
        if not match:
            return False
        target, expression = match.groups()
        if self.module.widths.get(target) == 1 and (
            expression == name or self._is_bitwise(expression)
        ):
            return True
        return expression.startswith(f"{name} ? ")

    def _fold_memories(self) -> None:
        """One loop for a memory's first values where they are all the same."""
        module = self.module
        for item in module.body:
            if item[0] != "  initial begin":
                continue
            words = [re.fullmatch(r"    (\w+)\[\d+\] = (\S+);", line) for line in item[1:-1]]
            pairs = {(word[1], word[2]) for word in words if word}
            if all(words) and len(pairs) == 1:
                ((memory, value),) = pairs
                module.declarations["word"] = "integer word;"
                item[:] = [
                    "  initial",
                    f"    for (word = 0; word < {len(words)}; word = word + 1)",
                    f"      {memory}[word] = {value};",
                ]

    def _fold_repetitions(self) -> None:
        """`{ a[7], a[7], a[7], a }` is `{ {3{a[7]}}, a }`."""
        run = re.compile(rf"(?<=[ ,])([\w']+(?:{_SPAN})?)((?:, \1(?![\w\['])){{2,}})")

        def repeated(match: re.Match[str]) -> str:
            times = 1 + match[2].count(", ")
            return f"{{{times}{{{match[1]}}}}}"

        for item in self.module.body:
            if not _INSTANCE.fullmatch(item[0]):
                item[:] = [
                    re.sub(r"\{ [^{}]* \}", lambda whole: run.sub(repeated, whole[0]), line)
                    for line in item
                ]

    def _renumber(self) -> None:
        """Declare temporaries last, numbered without gaps in the order of their mention."""
        module = self.module
        numbers: dict[str, str] = {}

        def renamed(match: re.Match[str]) -> str:
            return numbers.setdefault(match[0], f"_{len(numbers) + 1}_")

        module.body = [[_TEMPORARY.sub(renamed, line) for line in item] for item in module.body]
        lines = {
            numbers.get(name, name): "  " + _TEMPORARY.sub(renamed, line)
            for name, line in module.declarations.items()
        }
        fresh = set(numbers.values())
        order = sorted(
            lines, key=lambda name: (name in fresh, int(name.strip("_")) if name in fresh else 0)
        )
        module.declarations = {name: lines[name] for name in order}
        module.widths = {numbers.get(name, name): width for name, width in module.widths.items()}


def _slice(source: str) -> tuple[str, int]:
    """Name and lowest bit of `name`, `name[3]` or `name[7:3]`."""
    name, _, span = source.partition("[")
    return name, int(span.rstrip("]").rpartition(":")[2] or 0)


def _drop_unread_inputs(modules: list[Verilog]) -> None:
    """Without the `clk` and `rst` of inner modules that have no use for them."""
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


def _merged(modules: list[Verilog]) -> list[Verilog]:
    """`modules` with one of those that are equal but for one constant, its parameter `SEED`."""
    kept: list[Verilog] = []
    waiting = list(modules)
    while waiting:
        # Children come after their parents: from the end, all children of a module are done.
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


def _lines(module: Verilog) -> Iterator[str]:
    yield from (f"{name}{first}" for name, first in module.initial.items())
    yield from module.declarations.values()
    for item in module.body:
        yield from item


def _constants(group: list[Verilog]) -> list[str] | None:
    """Make the first of `group` one with a parameter that serves for all; its value for each.

    None if they differ in more than one constant and their signals' names.
    """
    if len(group) < 2:
        return None
    texts = [[_TOKEN.findall(line) for line in _lines(module)] for module in group]
    model = texts[0]
    if any(
        (each.kept, each.places.keys()) != (group[0].kept, group[0].places.keys()) for each in group
    ):
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


def _arranged(module: Verilog, ports: Mapping[str, list[str]]) -> list[Item]:
    """Registers that just take a value in one block, those with a reset in another."""
    plain: dict[bool, list[str]] = {False: [], True: []}
    resets: dict[bool, list[tuple[str, str]]] = {False: [], True: []}
    statements, instances = [], []
    slots = dict(module.slots())
    for item in module.body:
        if match := _INSTANCE.fullmatch(item[0]):
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
    return f"  {'(* keep *) ' * keep}always @(posedge clk){end}"


def _wrapped(item: Item, order: list[str] | None) -> Item:
    """An instance with its ports in the order of the module, several on a line.

    A device's cell has no order here: its ports come by their names, numbers in them by value.
    """
    ports = [line.strip().rstrip(",") for line in item[1:-1]]
    if order is None:
        ports.sort(key=lambda port: _by_number(port[1:].partition("(")[0]))
    else:
        places = {name: number for number, name in enumerate(order)}
        ports.sort(key=lambda port: places[port[1:].partition("(")[0]])
    lines = [item[0]]
    if len(item[0]) > _WIDEST:
        start, _, rest = item[0].partition("#(")
        values, _, name = rest.rpartition(") ")
        lines = [
            f"{start}#(",
            *textwrap.wrap(values, _WIDEST, initial_indent="    ", subsequent_indent="    "),
            f"  ) {name}",
        ]
    head = len(lines)
    for number, port in enumerate(ports):
        text = port + "," * (number < len(ports) - 1)
        if len(lines) > head and len(lines[-1]) + 1 + len(text) <= _WIDEST:
            lines[-1] += " " + text
        else:
            lines.append(f"    {text}")
    return [*lines, item[-1]]


def _by_number(name: str) -> tuple[str, int]:
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)
