"""A module of Verilog as lines of text, and the patterns that find its parts.

The patterns are those of Verilog as Yosys writes it: one statement per line, two spaces of
indentation, blocks that end with a line of their own.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

#: A name, but not that of a port in an instance's list, and not a part of a number.
WORD = re.compile(r"(?<![.\w$'])[A-Za-z_][\w$]*")
#: One bit or a range of bits of a vector.
SPAN = r"\[\d+(?::\d+)?\]"
ASSIGN = re.compile(r"  assign (\w+)(?:\[(\d+)(?::(\d+))?\])? = (.+);")
#: First line of an instance: its module and its name.
INSTANCE = re.compile(r"  (\w+) (?:#\(.*\) )?(\w+) \(")
#: A wire to which Yosys gave a number for a name.
TEMPORARY = re.compile(r"\b_\d+_\b")
#: Blocks of Yosys read this signal, so that simulators execute them once at the start.
START = "at_start"
#: Columns of a line.
WIDEST = 100
#: The attribute of an unchecked memory, for Yosys and for Quartus.
NO_CHECK = '  (* no_rw_check, ramstyle = "no_rw_check" *)\n'

#: The lines of a statement or an instance.
Item = list[str]


class UnknownTextError(RuntimeError):
    """Yosys wrote text of an unknown form: tidying it could change the circuit."""


@dataclass
class VerilogModule:
    """A module of Verilog.

    Parameters
    ----------
    name
        Its name.
    ports
        Names of the ports, in order.
    directions
        Port name to `input` or `output`.
    initial
        Port name to the initial value as text, ` = 1'h0`, for ports that are registers.
    widths
        Signal name to number of bits.
    registers
        Names of the signals that are declared `reg`.
    declarations
        Name to declaration, one line, for all signals that are not ports.
    body
        Statements and instances, each a list of lines.
    parameter
        Name, number of bits and default of the module's parameter, if it has one.
    kept
        Registers with the attribute `keep`: tools must not merge them with equal ones.
    places
        Instance name to its attribute `BEL` (its place in the device), as a string of Verilog.
    placed
        The places are parameters of the module: `PLACE`, `PLACE_2` and so on.
    unchecked
        Memories with the attribute `no_rw_check`: a word that is written is not read in the same
        clock, so that tools need no logic for it.
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
    unchecked: set[str] = field(default_factory=set)

    def counts(self) -> Counter[str]:
        """Return the number of mentions of each name in the body."""
        return Counter(word for item in self.body for line in item for word in WORD.findall(line))

    def slots(self) -> list[tuple[str, str]]:
        """Return pairs of an instance with a place and the parameter for this place."""
        return [
            (instance, "PLACE" if not number else f"PLACE_{number + 1}")
            for number, instance in enumerate(self.places)
        ]

    def render(self) -> str:
        """Return the module's text."""
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
        declarations = [
            NO_CHECK + line if name in self.unchecked else line
            for name, line in self.declarations.items()
        ]
        return "\n".join([f"{head}(\n{ports}\n);", *declarations, "", *body, "endmodule\n"])

    def remove(self, items: Iterable[Item]) -> None:
        """Remove these very items from the body: others of equal text stay."""
        gone = {id(item) for item in items}
        self.body = [item for item in self.body if id(item) not in gone]


def name_and_low(source: str) -> tuple[str, int]:
    """Return the name and the lowest bit of `name`, `name[3]` or `name[7:3]`."""
    name, _, span = source.partition("[")
    return name, int(span.rstrip("]").rpartition(":")[2] or 0)


def sliced(width: int, name: str, high: int, low: int) -> str:
    """Return the text of bits of a vector of `width` bits, without a range where it is all."""
    if low == 0 and high == width - 1:
        return name
    return f"{name}[{high}]" if high == low else f"{name}[{high}:{low}]"
