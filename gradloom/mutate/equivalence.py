"""Whether a mutant that nothing has killed does what the unit does.

Unit and mutant are one transition on the same inputs, written down once: what the mutation does not
reach is shared by construction, and what is left to ask is small. They are equivalent if from
registers that agree, outputs agree and registers agree again; registers that may differ for ever
without being seen are found on the way. Yosys's `sat` answers. A mutant that this does not show to
be equivalent is run from the reset for some clocks, with every input left open: if an output
can differ, it is a survivor that a better stimulus would kill.
"""

import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from boards.tools import LAUNCH, FlowError, find_tool, own_words
from gradloom.mutate.netlist import AND, SELECT, XOR, Gates
from gradloom.ports import Port

Fate = Literal["equivalent", "survives", "undecided"]

#: Questions that one call of Yosys gets.
_BATCH = 400


class Graph:
    """ANDs and XORs of two literals, each only once; a literal is twice a node, plus 1 inverted.

    Node 0 is the constant 0. A node of no operands is a variable.
    """

    def __init__(self) -> None:
        self.nodes: list[tuple[str, int, int]] = [("0", 0, 0)]
        self.names: dict[int, str] = {}
        self._known: dict[tuple[str, int, int], int] = {}

    def variable(self, name: str) -> int:
        """A new variable."""
        self.nodes.append(("v", 0, 0))
        self.names[len(self.nodes) - 1] = name
        return 2 * (len(self.nodes) - 1)

    def _node(self, kind: str, a: int, b: int) -> int:
        key = (kind, a, b)
        if key not in self._known:
            self.nodes.append(key)
            self._known[key] = 2 * (len(self.nodes) - 1)
        return self._known[key]

    def both(self, a: int, b: int) -> int:
        """A and b."""
        if a > b:
            a, b = b, a
        if a == 0 or a == b ^ 1:
            return 0
        if a == 1 or a == b:
            return b
        return self._node("&", a, b)

    def differ(self, a: int, b: int) -> int:
        """A xor b."""
        flip = (a & 1) ^ (b & 1)
        a, b = sorted((a & ~1, b & ~1))
        if a == b:
            return flip
        if a == 0:
            return b ^ flip
        return self._node("^", a, b) ^ flip

    def choose(self, a: int, b: int, s: int) -> int:
        """B if s, or else a."""
        if s <= 1 or a == b:
            return b if s & 1 and s <= 1 else a
        if a == 0:
            return self.both(s, b)
        if b == 0:
            return self.both(s ^ 1, a)
        if a == 1:
            return self.both(s, b ^ 1) ^ 1
        if b == 1:
            return self.both(s ^ 1, a ^ 1) ^ 1
        return self.differ(a, self.both(s, self.differ(a, b)))

    def any(self, literals: Iterable[int]) -> int:
        """Whether one of them is 1."""
        found = 1
        for literal in literals:
            found = self.both(found, literal ^ 1)
        return found ^ 1


class Machine:
    """A netlist as a transition.

    Parameters
    ----------
    netlist
        With the mutations in it.
    inputs, outputs
        The unit's ports.
    """

    def __init__(self, netlist: Gates, inputs: Sequence[Port], outputs: Sequence[Port]):
        self.netlist = netlist
        self.rows = netlist.gates.tolist()
        self.registers = netlist.registers.tolist()
        self.ins = [
            (f"{port.name}_{k}", operand)
            for port in inputs
            for k, operand in enumerate(netlist.ports[port.name])
        ]
        #: Of the outputs, those of one bit.
        self.flags = [
            k for k, port in enumerate(p for p in outputs for _ in range(p.bits)) if port.bits == 1
        ]
        self.outs = [operand for port in outputs for operand in netlist.ports[port.name]]

    def step(
        self, graph: Graph, state: Sequence[int], given: Sequence[int], number: int
    ) -> tuple[list[int], list[int]]:
        """Outputs, and what registers take, of the mutant `number` in a state, on inputs."""
        values = [0] * self.netlist.nets
        for position, operand in enumerate(self.netlist.ports.get(SELECT, [])):
            values[operand >> 1] = number >> position & 1
        for (_, operand), literal in zip(self.ins, given):
            values[operand >> 1] = literal
        for (q, _), literal in zip(self.registers, state):
            values[q] = literal
        for kind, out, a, b, c in self.rows:
            x, y = values[a >> 1] ^ (a & 1), values[b >> 1] ^ (b & 1)
            if kind == AND:
                values[out] = graph.both(x, y)
            elif kind == XOR:
                values[out] = graph.differ(x, y)
            else:
                values[out] = graph.choose(x, y, values[c >> 1] ^ (c & 1))
        answers = [values[x >> 1] ^ (x & 1) for x in self.outs]
        return answers, [values[d >> 1] ^ (d & 1) for _, d in self.registers]


@dataclass
class Question:
    """Whether a literal can be 1."""

    graph: Graph
    goal: int


def solve(questions: Sequence[Question], patience: float) -> list[bool | None]:
    """Answers: it can be, it cannot, or None where that took longer than `patience` seconds."""
    answers: list[bool | None] = [None] * len(questions)
    left = []
    for k, question in enumerate(questions):
        if question.goal <= 1:
            answers[k] = bool(question.goal)
        else:
            left.append(k)
    while left:
        now, left = left[:_BATCH], left[_BATCH:]
        done = _asked([questions[k] for k in now], patience)
        for position, answer in done.items():
            answers[now[position]] = answer
        # One that took too long has taken Yosys with it.
        left = [k for position, k in enumerate(now) if position not in done] + left
    return answers


def _verilog(number: int, question: Question) -> str:
    """The question as a module with one output."""
    graph = question.graph
    goal = question.goal
    needed = _cone(graph, goal)

    def text(literal: int) -> str:
        return f"{'~' * (literal & 1)}n{literal >> 1}"

    ports, lines = ["goal"], []
    for node in sorted(needed):
        kind, a, b = graph.nodes[node]
        if kind == "v":
            ports.append(f"n{node}")
            lines.append(f"input n{node};")
        elif kind == "0":
            lines.append(f"wire n{node} = 1'b0;")
        else:
            lines.append(f"wire n{node} = {text(a)} {kind} {text(b)};")
    lines.append(f"output goal; assign goal = {text(goal)};")
    return f"module q{number} ({', '.join(ports)});\n" + "\n".join(lines) + "\nendmodule\n"


def _asked(questions: Sequence[Question], patience: float) -> dict[int, bool | None]:
    """What Yosys says, up to the first question that takes too long, which is None."""
    tool = find_tool("yosys")
    script = "read_verilog questions.v\n" + "".join(
        f"log @begin {k}\nsat -prove goal 0 q{k}\nlog @end {k}\n" for k in range(len(questions))
    )
    found: dict[int, bool | None] = {}
    late = threading.Event()
    lines: list[str] = []
    current: int | None = None
    with tempfile.TemporaryDirectory(prefix="gradloom-mutate-") as name:
        folder = Path(name)
        (folder / "questions.v").write_text(
            "".join(_verilog(k, question) for k, question in enumerate(questions))
        )
        (folder / "script.ys").write_text(script)
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *tool.command, "-Q", "-T", "script.ys"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

        def kill() -> None:
            late.set()
            process.kill()

        timer: threading.Timer | None = None
        try:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    lines.append(line)
                    if begun := re.match(r"@begin (\d+)", line):
                        current = int(begun[1])
                        timer = threading.Timer(patience, kill)
                        timer.start()
                    elif line.startswith("@end") and timer:
                        timer.cancel()
                    elif "SAT proof finished - no model found: SUCCESS!" in line:
                        assert current is not None
                        found[current] = False
                    elif "SAT proof finished - model found: FAIL!" in line:
                        assert current is not None
                        found[current] = True
            status = process.wait()
        finally:
            if timer:
                timer.cancel()
            if process.poll() is None:
                process.kill()
                process.wait()
    if late.is_set() and current is not None and current not in found:
        found[current] = None
    elif len(found) < len(questions) and not late.is_set():
        raise FlowError(f"{tool.name} failed: {own_words(lines, status)}")
    return found


@dataclass
class _Attempt:
    """How far the proof of one mutant is."""

    loose: frozenset[int] = frozenset()
    fate: Fate | None = None
    pairs: list[tuple[int | None, Question]] = field(default_factory=list)


def equivalent(
    machine: Machine,
    numbers: Sequence[int],
    patience: float = 20,
    warm: int = 0,
    states: "States | None" = None,
    together: "Mapping[int, States] | None" = None,
) -> set[int]:
    """Those of the mutants that are shown to do what the unit does, for all time.

    Parameters
    ----------
    machine
        The netlist.
    numbers
        Of the mutants that are asked for.
    patience
        Seconds for a question.
    warm
        Clocks that the unit has run from any state whatever before it is compared: its registers
        then hold what can be there together. The clocks before that are looked at from the reset.
    states
        Those that control registers can be in, if not any whatever.
    together
        For each mutant those that it and the unit can be in together: its control registers then
        need not agree. Only with `warm` = 0.
    """
    attempts = {number: _Attempt() for number in numbers}
    for number, attempt in attempts.items():
        if not warm and not together and _unseen(machine, number):
            attempt.fate = "equivalent"
    while open_ := {n: a for n, a in attempts.items() if a.fate is None}:
        for number, attempt in open_.items():
            attempt.pairs = _pairs(
                machine, number, attempt.loose, warm, states, together[number] if together else None
            )
        # First whether anything differs at all; what it is, only then.
        whole = {n: _any(a.pairs) for n, a in open_.items()}
        same = solve([q for questions in whole.values() for q in questions], patience)
        said = iter(same)
        for number, questions in whole.items():
            answers = [next(said) for _ in questions]
            if all(answer is False for answer in answers):
                attempts[number].pairs = []
        asked = [(n, where, q) for n, a in open_.items() for where, q in a.pairs]
        separate = solve([question for _, _, question in asked], patience)
        wrong: dict[int, set[int | None]] = {}
        for (number, where, _), answer in zip(asked, separate):
            if answer is not False:
                wrong.setdefault(number, set()).add(where)
        for number, attempt in open_.items():
            seen = wrong.get(number, set())
            if not seen:
                attempt.fate = "equivalent"
            elif None in seen:
                attempt.fate = "undecided"
            else:
                attempt.loose |= {where for where in seen if where is not None}
    return {number for number, attempt in attempts.items() if attempt.fate == "equivalent"}


def _unseen(machine: Machine, number: int) -> bool:
    """Whether what a mutation reaches never reaches an output, which takes no solver to see."""
    loose: frozenset[int] = frozenset()
    while pairs := _pairs(machine, number, loose, 0, None, None):
        reached = {where for where, _ in pairs}
        if None in reached:
            return False
        loose |= {where for where in reached if where is not None}
    return True


def _any(pairs: Sequence[tuple[int | None, Question]]) -> list[Question]:
    """The questions of a graph as one."""
    goals: dict[int, tuple[Graph, list[int]]] = {}
    for _, question in pairs:
        goals.setdefault(id(question.graph), (question.graph, []))[1].append(question.goal)
    return [Question(graph, graph.any(literals)) for graph, literals in goals.values()]


def _pairs(
    machine: Machine,
    number: int,
    loose: frozenset[int],
    warm: int,
    states: "States | None",
    together: "States | None",
) -> list[tuple[int | None, Question]]:
    """What may differ after a clock: an output (None) or a register, from registers that agree but
    for the loose ones.
    """
    pairs: list[tuple[int | None, Question]] = []
    graph = Graph()
    state = [graph.variable(f"r{k}") for k in range(len(machine.registers))]
    possible = states.holds(graph, state) if states else 1
    for clock in range(warm):
        given = [graph.variable(f"{name}_{clock}") for name, _ in machine.ins]
        _, state = machine.step(graph, state, given, 0)
    apart = loose | set(together.registers) if together else loose
    other = [graph.variable(f"s{k}") if k in apart else x for k, x in enumerate(state)]
    if together:
        possible, loose = together.holds(graph, state, other), apart
    for where, question in _apart(machine, graph, state, other, number, loose)[0]:
        if goal := graph.both(question.goal, possible):
            pairs.append((where, Question(graph, goal)))
    if warm:
        graph = Graph()
        state = [int(bit) for bit in machine.netlist.initial]
        other = list(state)
        for _ in range(warm):
            more, state, other = _apart(machine, graph, state, other, number, loose)
            pairs += more
    return pairs


def _apart(
    machine: Machine,
    graph: Graph,
    state: list[int],
    other: list[int],
    number: int,
    loose: frozenset[int],
) -> tuple[list[tuple[int | None, Question]], list[int], list[int]]:
    """What may differ after a clock of unit and mutant, and the states after it."""
    given = [graph.variable(name) for name, _ in machine.ins]
    outs, nexts = machine.step(graph, state, given, 0)
    outs_too, nexts_too = machine.step(graph, other, given, number)
    pairs: list[tuple[int | None, Question]] = []
    if seen := graph.any(graph.differ(a, b) for a, b in zip(outs, outs_too)):
        pairs.append((None, Question(graph, seen)))
    for k, (a, b) in enumerate(zip(nexts, nexts_too)):
        if k not in loose and (apart := graph.differ(a, b)):
            pairs.append((k, Question(graph, apart)))
    return pairs, nexts, nexts_too


@dataclass(frozen=True)
class States:
    """What a unit's control registers can hold.

    Parameters
    ----------
    registers
        Which ones they are: those that no data reach.
    words
        Every state that can be reached from the first one, the first register in the lowest bit;
        of a mutant, the unit's state and then its own, as they occur together.
    """

    registers: tuple[int, ...]
    words: NDArray[np.uint64]

    def holds(self, graph: Graph, *states: Sequence[int]) -> int:
        """Whether a state, or the two of unit and mutant, is one of them."""
        bits = [state[register] for state in states for register in self.registers]
        known: dict[tuple[int, bytes], int] = {}

        def part(words: NDArray[np.uint64], level: int) -> int:
            if not len(words):
                return 0
            if level < 0:
                return 1
            key = level, words.tobytes()
            if key not in known:
                bit = words >> np.uint64(level) & np.uint64(1)
                mask = np.uint64((1 << level) - 1)
                low, high = words[bit == 0] & mask, words[bit == 1] & mask
                known[key] = graph.choose(part(low, level - 1), part(high, level - 1), bits[level])
            return known[key]

        return part(np.sort(self.words), len(bits) - 1)


def reachable(
    machine: Machine, inputs: Sequence[Port], number: int | None = None, limit: int = 1 << 15
) -> States | None:
    """The states of the unit's control registers; None if there are more than `limit`.

    Control is what depends on inputs of one bit alone. With the `number` of a mutant, the states of
    both side by side, on the same inputs.
    """
    graph = Graph()
    given = [graph.variable(name) for name, _ in machine.ins]
    places = [port for port in inputs for _ in range(port.bits)]
    quiet = [x for x, port in zip(given, places) if port.bits == 1]
    sides = []
    flags: set[int] = set()
    for which in (0,) if number is None else (0, number):
        state = [graph.variable(f"r{k}") for k in range(len(machine.registers))]
        outs, nexts = machine.step(graph, state, given, which)
        sides.append((state, nexts))
        flags |= set().union(*(_support(graph, outs[k]) for k in machine.flags))
    support = [[_support(graph, x) for x in nexts] for _, nexts in sides]
    # What outputs of one bit depend on; a generator's state, for one, is no control.
    control: set[int] = set()
    while True:
        more = {k for k in range(len(support[0])) if any(s[k] >> 1 in flags for s, _ in sides)}
        if more == control:
            break
        control = more
        flags |= set().union(*(of[k] for of in support for k in control))
    while True:
        allowed = {x >> 1 for x in quiet} | {state[k] >> 1 for state, _ in sides for k in control}
        kept = {k for k in control if all(of[k] <= allowed for of in support)}
        if kept == control:
            break
        control = kept
    registers = tuple(sorted(control))
    held = [state[k] for state, _ in sides for k in registers]
    taken = [nexts[k] for _, nexts in sides for k in registers]
    if not held or len(held) > 62 or len(quiet) > 6:
        return None
    needed = sorted(set().union(*(_cone(graph, literal) for literal in taken)))
    first = sum(int(machine.netlist.initial[k]) << bit for bit, k in enumerate(registers))
    if number is not None:
        first |= first << len(registers)
    known = edge = np.array([first], np.uint64)
    choices = np.arange(1 << len(quiet))
    while len(edge):
        # Every state of the edge with every input.
        words, picks = np.repeat(edge, len(choices)), np.tile(choices, len(edge))
        values: dict[int, NDArray[np.bool_]] = {0: np.zeros(len(words), np.bool_)}
        for bit, x in enumerate(quiet):
            values[x >> 1] = (picks >> bit & 1).astype(np.bool_)
        for bit, x in enumerate(held):
            values[x >> 1] = (words >> np.uint64(bit) & np.uint64(1)).astype(np.bool_)
        for node in needed:
            kind, a, b = graph.nodes[node]
            if kind in "&^":
                left, right = (values[o >> 1] ^ bool(o & 1) for o in (a, b))
                values[node] = left & right if kind == "&" else left ^ right
        after = np.zeros(len(words), np.uint64)
        for bit, x in enumerate(taken):
            value = values[x >> 1] ^ bool(x & 1)
            after |= value.astype(np.uint64) << np.uint64(bit)
        edge = np.setdiff1d(after, known)
        known = np.union1d(known, edge)
        if len(known) > limit:
            return None
    return States(registers, known)


def follow(
    machine: Machine, inputs: Sequence[Port], numbers: Sequence[int], limit: int
) -> dict[int, States]:
    """For each of the mutants, the control states of unit and mutant that occur together; those
    that have more than `limit` are left out.
    """
    found = {number: reachable(machine, inputs, number, limit) for number in numbers}
    return {number: states for number, states in found.items() if states is not None}


def _cone(graph: Graph, literal: int) -> set[int]:
    """Nodes that a literal depends on, itself among them."""
    found, stack = set(), [literal >> 1]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            kind, a, b = graph.nodes[node]
            if kind in "&^":
                stack += [a >> 1, b >> 1]
    return found


def _support(graph: Graph, literal: int) -> set[int]:
    """Variables that a literal depends on."""
    return {node for node in _cone(graph, literal) if graph.nodes[node][0] == "v"}


def distinguished(
    machine: Machine, numbers: Sequence[int], clocks: int, patience: float = 20
) -> Mapping[int, int]:
    """Mutants that some input tells from the unit within `clocks` clocks of the reset state, each
    with how many it takes.
    """
    found: dict[int, int] = {}
    runs = {}
    for number in numbers:
        graph = Graph()
        state = [int(bit) for bit in machine.netlist.initial]
        runs[number] = graph, list(state), list(state)
    for clock in range(clocks):
        asked = []
        for number, (graph, state, other) in runs.items():
            given = [graph.variable(f"{name}_{clock}") for name, _ in machine.ins]
            outs, nexts = machine.step(graph, state, given, 0)
            outs_too, nexts_too = machine.step(graph, other, given, number)
            runs[number] = graph, nexts, nexts_too
            seen = graph.any(graph.differ(a, b) for a, b in zip(outs, outs_too))
            if seen:
                asked.append((number, Question(graph, seen)))
        for (number, _), answer in zip(asked, solve([q for _, q in asked], patience)):
            if answer:
                found[number] = clock + 1
                del runs[number]
            elif answer is None:
                del runs[number]
        if not runs:
            break
    return found
