"""Whether a mutant that no stimulus has killed does what the unit does.

Unit and mutant run side by side, on the same inputs from the reset state, as one sequential network
of ANDs with one output: whether a port of theirs differs. Registers that the mutation does not
reach are there once. ABC, which is a part of Yosys, decides: it merges what is equal at all times
(`scorr`), looks for an input that makes the output 1 (`bmc3`), or proves that there is none
(`pdr`). An input that it finds is run through the unit's twin, so it need not be believed.

Before that comes a question that is easier: of the registers that the mutation reaches, only those
that some runs have seen to differ may do so, the others are there once as well, and the output is 1
too if one of them would take something else. If that is never so, the mutant is equivalent.
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
from gradloom.packing import to_bits

#: What the mutant is.
Kind = Literal["equivalent", "differs", "undecided"]

# ABC starts from any design; what is asked is read afterwards. After every step that can answer,
# the answer is written, for the next one may run out of time.
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


class Runs:
    """What a netlist is evaluated in: words with a bit for each of some runs."""

    def __init__(self, number: int):
        self.ones = (1 << number) - 1

    def both(self, a: int, b: int) -> int:
        """A and b."""
        return a & b

    def choose(self, a: int, b: int, s: int) -> int:
        """B if s, or else a."""
        return a ^ (s & (a ^ b))

    def differ(self, a: int, b: int) -> int:
        """A xor b."""
        return a ^ b


class Network:
    """What a netlist is evaluated in: ANDs of two literals, each only once.

    A literal is twice a node, plus 1 inverted. Node 0 is the constant 0; a node without operands is
    a variable.
    """

    ones = 1

    def __init__(self) -> None:
        self.nodes: list[tuple[int, int] | None] = [None]
        self.inputs: list[int] = []
        #: Variables that are 0 at first, and what they take.
        self.latches: dict[int, int] = {}
        self._known: dict[tuple[int, int], int] = {}

    def variable(self) -> int:
        """A new variable."""
        self.nodes.append(None)
        return 2 * (len(self.nodes) - 1)

    def both(self, a: int, b: int) -> int:
        """A and b."""
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
        """B if s, or else a."""
        return self.both(self.both(s, b) ^ 1, self.both(s ^ 1, a) ^ 1) ^ 1

    def differ(self, a: int, b: int) -> int:
        """A xor b."""
        return self.choose(a, a ^ 1, b) if a > b else self.choose(b, b ^ 1, a)

    def any(self, literals: Iterable[int]) -> int:
        """Whether one of them is 1."""
        none = 1
        for literal in literals:
            none = self.both(none, literal ^ 1)
        return none ^ 1

    def aiger(self, output: int) -> bytes:
        """The network in the AIGER format (Biere 2007)."""
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
    """A netlist as a transition.

    Parameters
    ----------
    netlist
        With the mutations in it.
    inputs, outputs
        The unit's ports.
    runs
        Inputs of some runs of equal length, on which registers are watched.
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
        #: For every clock a word for each bit of the inputs, with a bit for each run.
        self.runs = [[int.from_bytes(word, "little") for word in clock] for clock in packed]
        self.algebra = Runs(len(runs))
        self.ins = [x >> 1 for port in inputs for x in netlist.ports[port.name]]
        #: Nets that are seen at a port.
        self.seen = {x >> 1 for port in outputs for x in netlist.ports[port.name]} - {0}
        self.rows = netlist.gates.tolist()
        self.registers = netlist.registers.tolist()

    def step(
        self,
        network: Network | Runs,
        state: Sequence[int],
        given: Sequence[int],
        number: int = 0,
        unit: Mapping[int, int] | None = None,
    ) -> tuple[dict[int, int], list[int]]:
        """What is seen at the ports, and what registers take, of the mutant `number` in a state.

        With what the `unit` shows, the mutant goes on with that in place of its own: at the clock
        at which they differ all is said.
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
        """Registers of the mutant that differ from the unit's in some run."""
        found: set[int] = set()
        for unit, mutant in zip(self._units_states, self._states(number)):
            found |= {k for k, (a, b) in enumerate(zip(unit, mutant)) if a != b}
        return found

    @cached_property
    def _units_states(self) -> list[list[int]]:
        return list(self._states(0))

    def _states(self, number: int) -> Iterator[list[int]]:
        """What registers hold after each clock of the runs."""
        state = [bit * self.algebra.ones for bit in self.netlist.initial.tolist()]
        for given in self.runs:
            _, state = self.step(self.algebra, state, given, number)
            yield state

    def trace(self, bits: Sequence[int]) -> Trace:
        """Inputs clock by clock from their bits, as the ports have them."""
        table = np.array(bits, np.int64).reshape(-1, len(self.ins))
        found, at = {}, 0
        for port in self.inputs:
            part = table[:, at : at + port.bits].reshape(len(table), -1, port.width)
            at += port.bits
            values = (part << np.arange(port.width)).sum(axis=2)
            if port.signed:
                values -= (values >> port.width - 1) << port.width
            found[port.name] = values.reshape(port.shape(len(table)))
        return found


def reached(machine: Machine, number: int) -> tuple[set[int], bool]:
    """Registers that the mutation reaches by whatever way, and whether it reaches a port."""
    loose: set[int] = set()
    while True:
        apart, _, differ = _side_by_side(machine, number, loose)
        if apart <= loose:
            return loose, bool(differ)
        loose |= apart


def miter(machine: Machine, number: int, loose: set[int]) -> bytes:
    """Unit and mutant side by side, in the AIGER format: the output is 1 if a port differs, or what
    a register takes that is not among the `loose` ones.
    """
    _, network, differ = _side_by_side(machine, number, loose)
    return network.aiger(differ)


def _side_by_side(machine: Machine, number: int, loose: set[int]) -> tuple[set[int], Network, int]:
    """Registers that may take something else, the network, and whether anything differs in it."""
    first = machine.netlist.initial.tolist()
    network = Network()
    given = [network.variable() for _ in machine.ins]
    # A latch is 0 at first.
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
    """What a mutant is; if it differs, inputs clock by clock that show it."""

    kind: Kind
    inputs: Trace | None = None


def decide(machine: Machine, number: int, patience: float) -> Answer:
    """What a mutant is, as far as twice `patience` seconds tell.

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
    """ABC's answer."""
    script = _ABC.format(short=max(1, int(patience) // 4), long=max(1, int(patience) // 2))
    with tempfile.TemporaryDirectory(prefix="gradloom-mutate-") as name:
        folder = Path(name)
        (folder / "any.v").write_text(_DESIGN)
        (folder / "script.ys").write_text(_YOSYS)
        (folder / "question.abc").write_text(script)
        (folder / "question.aig").write_bytes(question)
        # If time is up, what was found before that counts.
        with suppress(TimeoutError):
            run(find_tool("yosys"), ["-q", "script.ys"], folder, lambda line: None, patience)
        for status in ("found", "proved"):
            if not (folder / status).exists():
                continue
            said, *more = (folder / status).read_text().splitlines()
            if said.startswith("snl_SAT"):
                # The state at first, and the inputs of all clocks.
                return Answer("differs", machine.trace([int(bit) for bit in more[1]]))
            if said.startswith("snl_UNSAT"):
                return Answer("equivalent")
        if (folder / "merged.aig").exists() and _is_zero((folder / "merged.aig").read_bytes()):
            return Answer("equivalent")
    return Answer("undecided")


def _is_zero(aiger: bytes) -> bool:
    """Whether a network of one output is the constant 0."""
    head, *lines = aiger.split(b"\n")
    latches, ands = int(head.split()[3]), int(head.split()[5])
    return latches == ands == 0 and lines[0] == b"0"
