"""Decides whether a mutant that no stimulus killed is equivalent to the unit.

Unit and mutant become a miter: one sequential network of AND gates with the same inputs, whose
output is 1 if a port differs. Both start in the reset state. Registers that the mutation does not
reach are in the network only once. ABC, which is a part of Yosys, decides: it merges nodes that are
always equal (`scorr`), looks for inputs that make the output 1 (`bmc3`), and proves that there are
none (`pdr`). Inputs that it finds are checked with the unit's twin.

An easier question comes first. Of the registers that the mutation reaches, only those that differed
in some simulated runs are in the network twice. The output is also 1 if any other register would
take different values. If the output is never 1, the mutant is equivalent.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from boards.flow.tools import find_tool, run
from golden.port import Port
from golden.twin import Trace
from gradloom.mutate.netlist import AND, SELECT, XOR, Gates
from gradloom.sim.packing import from_bits, to_bits

#: The answer for a mutant.
Kind = Literal["equivalent", "differs", "undecided"]

# ABC needs a design to start from; the miter is read afterwards. Every step that can answer writes
# its answer, because the next one may run out of time.
_DESIGN = "module any(input a, b, output y); assign y = a & b; endmodule\n"
_YOSYS = "read_verilog any.v\nproc\nsimplemap\nabc -g AND -script question.abc\n"
_ABC = """write_blif any.blif
read_aiger question.aig
scorr
write_aiger merged.aig
bmc3 -F 24 -T {short}
write_status found
scorr -F 3
write_aiger merged.aig
pdr -T {long}
write_status proved
read_blif any.blif
"""


class WordOperations:
    """Operations on words with one bit per run, to evaluate a netlist in many runs at once."""

    def __init__(self, number: int):
        self.ones = (1 << number) - 1

    def both(self, a: int, b: int) -> int:
        """Return a AND b."""
        return a & b

    def choose(self, a: int, b: int, s: int) -> int:
        """Return b if s, else a."""
        return a ^ (s & (a ^ b))

    def differ(self, a: int, b: int) -> int:
        """Return a XOR b."""
        return a ^ b


class Network:
    """Operations that build a network of AND gates with two operands, without duplicates.

    A literal is twice the number of a node, plus 1 if it is inverted. Node 0 is the constant 0. A
    node without operands is a variable.
    """

    ones = 1

    def __init__(self) -> None:
        self.nodes: list[tuple[int, int] | None] = [None]
        self.inputs: list[int] = []
        #: Variables that are 0 at first, and the literals of their next values.
        self.latches: dict[int, int] = {}
        self._known: dict[tuple[int, int], int] = {}

    def variable(self) -> int:
        """Return the literal of a new variable."""
        self.nodes.append(None)
        return 2 * (len(self.nodes) - 1)

    def both(self, a: int, b: int) -> int:
        """Return a AND b."""
        a, b = min(a, b), max(a, b)
        if a == 0 or a == b ^ 1:
            return 0
        if a == 1 or a == b:
            return b
        if (a, b) not in self._known:
            self.nodes.append((a, b))
            self._known[a, b] = 2 * (len(self.nodes) - 1)
        return self._known[a, b]

    def choose(self, a: int, b: int, s: int) -> int:
        """Return b if s, else a."""
        return self.both(self.both(s, b) ^ 1, self.both(s ^ 1, a) ^ 1) ^ 1

    def differ(self, a: int, b: int) -> int:
        """Return a XOR b."""
        return self.choose(a, a ^ 1, b) if a > b else self.choose(b, b ^ 1, a)

    def any(self, literals: Iterable[int]) -> int:
        """Return the literal of an OR of all."""
        none = 1
        for literal in literals:
            none = self.both(none, literal ^ 1)
        return none ^ 1

    def aiger(self, output: int) -> bytes:
        """Return the network in the AIGER format (Biere 2007)."""
        inputs, latches = self.inputs, self.latches
        numbers = {0: 0}
        for variable in [*inputs, *latches]:
            numbers[variable >> 1] = 2 * len(numbers)
        rows = []
        for node, operands in enumerate(self.nodes):
            if operands:
                numbers[node] = 2 * len(numbers)
                low, high = sorted(numbers[x >> 1] ^ x & 1 for x in operands)
                rows.append((numbers[node] - high, high - low))
        sizes = len(inputs) + len(latches) + len(rows), len(inputs), len(latches), 1, len(rows)
        lines = ["aig " + " ".join(map(str, sizes))]
        lines += [str(numbers[x >> 1] ^ x & 1) for x in [*latches.values(), output]]
        text = bytearray("\n".join(lines).encode() + b"\n")
        for row in rows:
            for number in row:
                while number >= 0x80:
                    text.append(number & 0x7F | 0x80)
                    number >>= 7
                text.append(number)
        return bytes(text)


class Machine:
    """A netlist with mutations as a state machine.

    Parameters
    ----------
    netlist
        The netlist.
    inputs, outputs
        The unit's ports.
    runs
        Inputs of some runs of equal length, in which registers of unit and mutant are compared.
    """

    def __init__(
        self,
        netlist: Gates,
        inputs: Sequence[Port],
        outputs: Sequence[Port],
        runs: Sequence[Trace],
    ):
        self.netlist = netlist
        self.inputs = inputs
        bits = np.stack([to_bits(inputs, run) for run in runs], axis=2)
        packed = np.packbits(bits, axis=2, bitorder="little")
        #: For every clock, one word per input bit, with one bit per run.
        self.runs = [[int.from_bytes(word, "little") for word in clock] for clock in packed]
        self.operations = WordOperations(len(runs))
        self.ins = [x >> 1 for port in inputs for x in netlist.ports[port.name]]
        #: Nets of the output ports.
        self.seen = {x >> 1 for port in outputs for x in netlist.ports[port.name]} - {0}
        self.rows = netlist.gates.tolist()
        self.registers = netlist.registers.tolist()

    def step(
        self,
        network: Network | WordOperations,
        state: Sequence[int],
        given: Sequence[int],
        number: int = 0,
        unit: Mapping[int, int] | None = None,
    ) -> tuple[dict[int, int], list[int]]:
        """Evaluate one clock of the mutant `number`.

        Parameters
        ----------
        network
            The operations.
        state
            One value per register.
        given
            One value per input bit.
        number
            Number of the mutation; 0 is the unit.
        unit
            Values of the unit's output nets, which replace those of the mutant wherever they are
            used. This is allowed because a difference at an output is the answer already.

        Returns
        -------
        shown : dict of int to int
            Values of the output nets.
        taken : list of int
            Next value of each register.
        """
        values = [0] * self.netlist.nets
        shown = {}

        def put(net: int, value: int) -> None:
            if net in self.seen:
                shown[net] = value
                value = unit[net] if unit else value
            values[net] = value

        for position, operand in enumerate(self.netlist.ports.get(SELECT, [])):
            values[operand >> 1] = (number >> position & 1) * network.ones
        for net, value in zip(self.ins, given):
            values[net] = value
        for (net, _), value in zip(self.registers, state):
            put(net, value)
        for kind, out, *operands in self.rows:
            a, b, c = (values[x >> 1] ^ (x & 1) * network.ones for x in operands)
            if kind == AND:
                put(out, network.both(a, b))
            elif kind == XOR:
                put(out, network.differ(a, b))
            else:
                put(out, network.choose(a, b, c))
        return shown, [values[x >> 1] ^ (x & 1) * network.ones for _, x in self.registers]

    def apart(self, number: int) -> set[int]:
        """Return the numbers of the registers that differ between unit and mutant in some run."""
        found: set[int] = set()
        for unit, mutant in zip(self._units_states, self._states(number)):
            found |= {k for k, (a, b) in enumerate(zip(unit, mutant)) if a != b}
        return found

    @cached_property
    def _units_states(self) -> list[list[int]]:
        return list(self._states(0))

    def _states(self, number: int) -> Iterator[list[int]]:
        """Yield the values of all registers after each clock of the runs."""
        state = [bit * self.operations.ones for bit in self.netlist.initial.tolist()]
        for given in self.runs:
            _, state = self.step(self.operations, state, given, number)
            yield state

    def trace(self, bits: Sequence[int]) -> Trace:
        """Return the inputs, one row per clock and port, given their bits clock by clock."""
        return from_bits(self.inputs, np.array(bits, np.uint8).reshape(-1, len(self.ins)))


def reached(machine: Machine, number: int) -> tuple[set[int], bool]:
    """Return the registers that the mutation can reach, and whether it can reach a port."""
    loose: set[int] = set()
    while True:
        apart, _, differ = _side_by_side(machine, number, loose)
        if apart <= loose:
            return loose, bool(differ)
        loose |= apart


def miter(machine: Machine, number: int, loose: set[int]) -> bytes:
    """Return unit and mutant as one network in the AIGER format. The output is 1 if a port differs,
    or the next value of a register that is not in `loose`.
    """
    _, network, differ = _side_by_side(machine, number, loose)
    return network.aiger(differ)


def _side_by_side(machine: Machine, number: int, loose: set[int]) -> tuple[set[int], Network, int]:
    """Return the registers that may differ, the network, and the literal of its output."""
    first = machine.netlist.initial.tolist()
    network = Network()
    given = [network.variable() for _ in machine.ins]
    # Latches of the format start at 0.
    own = [network.variable() for _ in first]
    other = {k: network.variable() for k in sorted(loose)}
    state = [x ^ flip for x, flip in zip(own, first)]
    state_too = [other.get(k, own[k]) ^ flip for k, flip in enumerate(first)]
    shown, takes = machine.step(network, state, given)
    shown_too, takes_too = machine.step(network, state_too, given, number, shown)
    apart = {k for k, (a, b) in enumerate(zip(takes, takes_too)) if a != b}
    differ = [network.differ(shown[net], shown_too[net]) for net in shown]
    differ += [network.differ(takes[k], takes_too[k]) for k in apart - loose]
    latches = {x: take ^ flip for x, take, flip in zip(own, takes, first)}
    latches |= {x: takes_too[k] ^ first[k] for k, x in other.items()}
    network.inputs, network.latches = given, latches
    return apart, network, network.any(differ)


@dataclass(frozen=True)
class Answer:
    """The answer for a mutant; if it differs, inputs that show it, one row per clock."""

    kind: Kind
    inputs: Trace | None = None


def decide(machine: Machine, number: int, patience: float) -> Answer:
    """Decide whether a mutant is equivalent to the unit, within twice `patience` seconds.

    Returns
    -------
    Answer
        "undecided" if time ran out.

    Raises
    ------
    boards.flow.tools.FlowError
        There is no Yosys, or it failed.
    """
    loose, seen = reached(machine, number)
    if not seen:
        return Answer("equivalent")
    apart = machine.apart(number)
    if (
        apart < loose
        and _ask(machine, miter(machine, number, apart), patience).kind == "equivalent"
    ):
        return Answer("equivalent")
    return _ask(machine, miter(machine, number, loose), patience)


def _ask(machine: Machine, question: bytes, patience: float) -> Answer:
    """Return ABC's answer for a miter."""
    script = _ABC.format(short=max(1, int(patience) // 4), long=max(1, int(patience) // 2))
    with tempfile.TemporaryDirectory(prefix="gradloom-mutate-") as name:
        folder = Path(name)
        (folder / "any.v").write_text(_DESIGN, "utf-8")
        (folder / "script.ys").write_text(_YOSYS, "utf-8")
        (folder / "question.abc").write_text(script, "utf-8")
        (folder / "question.aig").write_bytes(question)
        # If it runs out of time, the answers of the earlier steps count.
        with suppress(TimeoutError):
            run(find_tool("yosys"), ["-q", "script.ys"], folder, lambda line: None, patience)
        for status in ("found", "proved"):
            if not (folder / status).exists():
                continue
            text = (folder / status).read_text("utf-8")
            answer, *more = text.split("\n")
            # The third line has the inputs of all clocks, and is the last one. A tool that is ended
            # while it writes leaves a part of this.
            if answer.startswith("snl_SAT") and len(more) == 3:
                return Answer("differs", machine.trace([int(bit) for bit in more[1]]))
            if answer.startswith("snl_UNSAT"):
                return Answer("equivalent")
        if (folder / "merged.aig").exists() and _is_zero((folder / "merged.aig").read_bytes()):
            return Answer("equivalent")
    return Answer("undecided")


def _is_zero(aiger: bytes) -> bool:
    """Return whether the only output of a network is the constant 0."""
    head, *lines = aiger.split(b"\n")
    latches, ands = int(head.split()[3]), int(head.split()[5])
    return latches == ands == 0 and lines[0] == b"0"
