"""A unit's netlist with many mutations, and the input `mutsel` that selects one of them.

The netlist is made from the Verilog of `gradloom generate` and flattened, so that a mutation
changes one place of one instance. Yosys's `mutate` chooses the mutations: it inverts a bit of a
cell's port, ties it to 0 or 1, or inverts it if another bit of the port is 0 or 1. All mutations
are put into one netlist, which is then mapped to gates. With `mutsel` = 0, no mutation is active.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boards.flow.tools import find_tool, run

#: Name of the input that selects a mutation.
SELECT = "mutsel"

#: Kinds of gates.
AND, XOR, MUX = range(3)

#: From Verilog to the netlist that is mutated, with cells for words and for whole memories.
ELABORATE = """read_verilog unit.v
hierarchy -check -top {top}
proc
memory_collect
flatten
opt_clean
"""
#: From there to gates. Registers keep their names, by which their initial values are found.
_GATES = """memory_map
dffunmap
opt_expr
opt_clean
techmap t:$dff %n
techmap t:$dff %n
simplemap t:$dff %n
opt_expr
opt_merge
opt_clean
write_json -noscopeinfo gates.json
"""


@dataclass(frozen=True)
class Mutation:
    """One change of a netlist.

    Parameters
    ----------
    number
        Value of `mutsel` that activates it, from 1.
    mode
        Yosys's name of the change: inv, const0, const1, cnot0 or cnot1.
    cell, port, bit
        The cell of the flattened netlist, its port, and the bit of the port.
    wire
        The named wire at this bit, with its own bit; empty if there is none.
    source
        Lines of the Verilog from which the cell is made.
    command
        Yosys's whole command, without `-ctrl`.
    """

    number: int
    mode: str
    cell: str
    port: str
    bit: int
    wire: str
    source: str
    command: str

    def __str__(self) -> str:
        at = f" at {self.wire}" if self.wire else ""
        return f"{self.mode} of {self.port}[{self.bit}] of {self.cell}{at} ({self.source})"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return {
            "number": self.number,
            "mode": self.mode,
            "cell": self.cell,
            "port": self.port,
            "bit": self.bit,
            "wire": self.wire,
            "source": self.source,
        }


def mutations(verilog: str, top: str, count: int, seed: int) -> list[Mutation]:
    """Return `count` mutations of the module `top`, or all if there are fewer. The same seed gives
    the same mutations. Clock inputs are not mutated.

    Raises
    ------
    FlowError
        There is no Yosys, or it failed.
    """
    # Some of the mutations are of clocks and are left out below.
    ask = count + count // 4 + 8
    script = ELABORATE.format(top=top) + f"mutate -list {ask} -seed {seed} -o list.txt\n"
    text = yosys(verilog, script, ["list.txt"])["list.txt"]
    found: list[Mutation] = []
    seen = set()
    for line in text.splitlines():
        options: dict[str, list[str]] = {}
        for name, value in re.findall(r"-(\w+) (\S+)", line):
            options.setdefault(name, []).append(value)
        if re.search(r"CLK|ARST|SRST|RD_EN|CE_OVER|INIT", options["port"][0]):
            continue
        command = re.sub(r" -(wire|wirebit|src) \S+", "", line)
        if command in seen:
            continue
        seen.add(command)
        wire = ""
        if "wire" in options:
            wire = options["wire"][0].lstrip("\\") + f"[{options['wirebit'][0]}]"
        found.append(
            Mutation(
                number=len(found) + 1,
                mode=options["mode"][0],
                cell=options["cell"][0].lstrip("\\"),
                port=options["port"][0].lstrip("\\"),
                bit=int(options["portbit"][0]),
                wire=wire,
                source=", ".join(options.get("src", [])).replace("unit.v:", ""),
                command=command,
            )
        )
        if len(found) == count:
            break
    return found


def yosys(verilog: str, script: str, results: Sequence[str]) -> dict[str, str]:
    """Return the contents of the files `results` after Yosys's `script`, which reads unit.v."""
    with tempfile.TemporaryDirectory(prefix="gradloom-mutate-") as name:
        folder = Path(name)
        (folder / "unit.v").write_text(verilog, "utf-8")
        (folder / "script.ys").write_text(script, "utf-8")
        run(find_tool("yosys"), ["-q", "script.ys"], folder, lambda line: None)
        return {result: (folder / result).read_text("utf-8") for result in results}


def select_bits(chosen: Sequence[Mutation]) -> int:
    """Return the number of bits of `mutsel`."""
    return max((mutation.number for mutation in chosen), default=1).bit_length()


def applied(chosen: Sequence[Mutation]) -> str:
    """Return Yosys's commands that put mutations, selected by `mutsel`, into a netlist."""
    bits = select_bits(chosen)
    return "".join(
        mutation.command.replace("mutate ", f"mutate -ctrl {SELECT} {bits} {mutation.number} ", 1)
        + "\n"
        for mutation in chosen
    )


@dataclass(frozen=True)
class Gates:
    """A netlist of gates with one output each, in an order in which they can be evaluated.

    An operand is twice a net's number, plus 1 if it is inverted. Net 0 is the constant 0.

    Parameters
    ----------
    gates
        One row per gate: kind, output net, and three operands a, b, c. The kinds are a AND b, a XOR
        b, c ? b : a. Shape (gates, 5).
    still
        Number of gates, the first ones, that depend on `mutsel` only.
    registers
        One row per register: its net, and the operand of its next value. Shape (registers, 2).
    initial
        Initial values of the registers. Shape (registers,).
    ports
        Port name to the operands of its bits, lowest first.
    nets
        Number of nets.
    """

    gates: NDArray[np.uint32]
    still: int
    registers: NDArray[np.uint32]
    initial: NDArray[np.uint8]
    ports: dict[str, list[int]]
    nets: int


def gates(verilog: str, top: str, chosen: Sequence[Mutation]) -> Gates:
    """Return the netlist of `top` as gates, with the mutations `chosen`.

    Raises
    ------
    FlowError
        There is no Yosys, or it failed.
    """
    script = (
        ELABORATE.format(top=top)
        + "write_json -noscopeinfo whole.json\n"
        + applied(chosen)
        + _GATES
    )
    texts = yosys(verilog, script, ["whole.json", "gates.json"])
    whole, flat = (json.loads(texts[name])["modules"][top] for name in ("whole.json", "gates.json"))
    return _read(flat, _initial(whole))


def _initial(module: Any) -> dict[str, list[str]]:
    """Return the initial values of registers by their cells' names, lowest bit first."""
    values = _first_values(module)
    return {
        name: [values.get(bit, "0") for bit in cell["connections"]["Q"]]
        for name, cell in module["cells"].items()
        if cell["type"] == "$dff"
    }


def _first_values(module: Any) -> dict[Any, str]:
    """Return the initial values by net."""
    values: dict[Any, str] = {}
    for net in module["netnames"].values():
        if text := net["attributes"].get("init"):
            for bit, value in zip(net["bits"], reversed(text)):
                if value in "01":
                    values[bit] = value
    return values


def _read(module: Any, initial: dict[str, list[str]]) -> Gates:
    """Read a module of Yosys's JSON, in which all cells but registers are simple gates.

    The wire of a register whose output is mutated has no initial value any more. It is in
    `initial`.
    """
    operands: dict[Any, int] = {"0": 0, "1": 1, "x": 0, "z": 0}
    nets = 1

    def net(bit: Any) -> int:
        nonlocal nets
        operands[bit] = 2 * nets
        nets += 1
        return nets - 1

    for port in module["ports"].values():
        if port["direction"] == "input":
            for bit in port["bits"]:
                net(bit)
    late = _first_values(module)
    cells = {}
    pending, firsts = [], []
    for name, cell in module["cells"].items():
        ways = cell["connections"]
        if cell["type"] == "$dff":
            known = initial.get(name)
            for k, (d, q) in enumerate(zip(ways["D"], ways["Q"])):
                pending.append((net(q), d))
                firsts.append(int(known[k] if known else late.get(q, "0")))
            continue
        cells[ways["Y"][0]] = cell["type"], [ways[key][0] for key in "ABS" if key in ways]
    # A memory has no words for some addresses if their number is no power of two.
    needed = {bit for _, inputs in cells.values() for bit in inputs} | {d for _, d in pending}
    operands |= {bit: 0 for bit in needed if bit not in cells and bit not in operands}
    rows: list[tuple[int, int, int, int, int]] = []

    def emit(bit: Any, kind: str, inputs: list[Any]) -> None:
        nonlocal nets
        at = [operands[x] for x in inputs]
        match kind:
            case "$_BUF_":
                operands[bit] = at[0]
            case "$_NOT_":
                operands[bit] = at[0] ^ 1
            case "$_XOR_" | "$_XNOR_":
                rows.append((XOR, net(bit), at[0], at[1], 0))
                operands[bit] ^= kind == "$_XNOR_"
            case "$_MUX_":
                rows.append((MUX, net(bit), *at))  # type: ignore[arg-type]
            case "$_AND_" | "$_NAND_":
                rows.append((AND, net(bit), *at, 0))  # type: ignore[arg-type]
                operands[bit] ^= kind == "$_NAND_"
            case "$_OR_" | "$_NOR_":
                rows.append((AND, net(bit), at[0] ^ 1, at[1] ^ 1, 0))
                operands[bit] ^= kind == "$_OR_"
            case "$_ANDNOT_":
                rows.append((AND, net(bit), at[0], at[1] ^ 1, 0))
            case "$_ORNOT_":
                rows.append((AND, net(bit), at[0] ^ 1, at[1], 0))
                operands[bit] ^= 1
            case _:
                raise ValueError(f"the netlist has a cell of unknown type {kind}")

    for root in [*cells]:
        for bit in _order(root, cells, operands):
            emit(bit, *cells[bit])
    select = module["ports"].get(SELECT, {"bits": []})["bits"]
    quiet = {operands[bit] >> 1 for bit in select} | {0}
    still, moving = [], []
    for row in rows:
        uses = row[2:4] if row[0] != MUX else row[2:5]
        if all(operand >> 1 in quiet for operand in uses):
            quiet.add(row[1])
            still.append(row)
        else:
            moving.append(row)
    return Gates(
        gates=np.array(still + moving, np.uint32).reshape(-1, 5),
        still=len(still),
        registers=np.array([(q, operands[d]) for q, d in pending], np.uint32).reshape(-1, 2),
        initial=np.array(firsts, np.uint8),
        ports={
            name: [operands[bit] for bit in port["bits"]] for name, port in module["ports"].items()
        },
        nets=nets,
    )


def _order(root: Any, cells: dict[Any, Any], done: dict[Any, int]) -> Iterator[Any]:
    """Yield the bits that `root` depends on and that are not in `done`, operands first."""
    stack, open_ = [(root, False)], set()
    while stack:
        bit, ready = stack.pop()
        if ready:
            if bit not in done:
                yield bit
            continue
        if bit in done:
            continue
        if bit in open_:
            raise ValueError("the mutated netlist has a loop of gates")
        open_.add(bit)
        stack.append((bit, True))
        stack += [(need, False) for need in cells[bit][1] if need not in done]
