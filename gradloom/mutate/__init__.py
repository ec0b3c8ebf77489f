# amaranth: UnusedElaboratable=no
# (a unit's component is made for its ports alone)
"""Does the stimulus find faults? A unit with hundreds of small changes, each of which must be seen.

Yosys's `mutate` changes one bit of one cell of a unit's netlist. A mutant is killed if what is at
the unit's ports differs from the twin at any clock: of the stimulus that the shipped testbench has,
or of the longer one of `gradloom compare`. One that lives is shown to do what the unit does, or an
input is found that tells them apart, or it stays undecided; and the proofs of `gradloom prove` are
put to what is left.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from boards.flow.tools import find_tool
from golden.port import inputs_of, outputs_of
from golden.settings import mapping
from golden.twin import Trace
from gradloom import jobs
from gradloom.mutate import equivalence, lanes, netlist
from gradloom.mutate.netlist import Gates, Mutation
from gradloom.stimulus import COMPARE_CLOCKS, TESTBENCH_CLOCKS, usual_inputs
from gradloom.units import UNITS, Unit
from gradloom.verilog import verilog

#: Runs in which registers of a mutant that lives are watched, and their clocks.
WATCHED = 64, 128

#: What became of a mutant. "survives": nothing killed it, and an input that would is known to
#: exist.
Fate = Literal["testbench", "compare", "proof", "equivalent", "survives", "undecided"]

#: Makes the stimulus of so many clocks.
Stimulus = Callable[[Unit, Any, int, int], Trace]


@dataclass(frozen=True)
class Mutant:
    """A mutation and what became of it.

    Parameters
    ----------
    mutation
        What is changed.
    fate
        What killed it, or what is known of it.
    clock
        The first clock of the stimulus that showed it, from 0; of one that survives, that of an
        input which was looked for.
    why
        More on a proof that killed it.
    """

    mutation: Mutation
    fate: Fate
    clock: int | None = None
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.mutation.as_dict(),
            "fate": self.fate,
            "clock": self.clock,
            "why": self.why,
        }


@dataclass(frozen=True)
class Report:
    """The mutants of one unit.

    Parameters
    ----------
    unit
        Its name.
    config
        Its configuration.
    seed
        Of the choice of mutations.
    yosys
        The Yosys that made them.
    mutants
        All of them.
    seconds
        That it took.
    """

    unit: str
    config: Any
    seed: int
    yosys: str
    mutants: tuple[Mutant, ...]
    seconds: float

    def count(self, *fates: Fate) -> int:
        """How many ended so."""
        return sum(mutant.fate in fates for mutant in self.mutants)

    @property
    def rate(self) -> float:
        """Part of the mutants that are not equivalent that the testbench kills."""
        others = len(self.mutants) - self.count("equivalent")
        return self.count("testbench") / others if others else 1.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON; of the mutants, those that no stimulus killed."""
        counts = Counter(mutant.fate for mutant in self.mutants)
        fates: tuple[Fate, ...] = Fate.__args__  # type: ignore[attr-defined]
        return {
            "unit": self.unit,
            "parameters": mapping(self.config),
            "mutants": len(self.mutants),
            "seed": self.seed,
            "yosys": self.yosys,
            **{fate: counts[fate] for fate in fates},
            "rate": round(self.rate, 5),
            "seconds": round(self.seconds, 1),
            "left": [m.as_dict() for m in self.mutants if m.fate != "testbench"],
        }


def mutate(
    unit: Unit,
    config: Any,
    *,
    count: int = 500,
    seed: int = 1,
    stimulus: Stimulus = usual_inputs,
    clocks: Sequence[int] = (TESTBENCH_CLOCKS, COMPARE_CLOCKS),
    patience: float = 20,
    scheduler: str | None = None,
    workers: int | None = None,
    listener: Callable[[int, str], None] = lambda number, text: None,
) -> Report:
    """Make mutants of a unit and see what finds them.

    Parameters
    ----------
    unit, config
        The unit and its parameters.
    count, seed
        Mutants, and the seed of their choice.
    stimulus
        What drives them.
    clocks
        Clock edges of the testbench, and of the comparison.
    patience
        Seconds for each question about a mutant that lives: two at most to ABC, and one a proof.
    scheduler, workers
        Where survivors are examined: see `gradloom.jobs.run`. Without either, in this process.
    listener
        Told a job's number and what it is doing.

    Raises
    ------
    boards.flow.tools.FlowError
        There is no Yosys, or it failed.
    gradloom.cxxrtl.BuildError
        There is no C++ compiler.
    gradloom.jobs.JobsError
        The jobs could not be run.
    RuntimeError
        The unit itself differs from its twin, or ABC says what is not so.
    """
    began = time.perf_counter()
    tool = find_tool("yosys")
    listener(0, "choosing mutations")
    text = verilog(unit.component(config))
    chosen = netlist.mutations(text, unit.module, count, seed)
    listener(0, "making gates of them")
    gates = netlist.gates(text, unit.module, chosen)
    ports = config.ports
    inputs, outputs = inputs_of(ports), outputs_of(ports)
    found: dict[int, Mutant] = {}
    names: tuple[Fate, Fate] = ("testbench", "compare")
    for name, cycles in zip(names, clocks):
        listener(0, f"{name}: {cycles} clocks")
        given = stimulus(unit, config, cycles, 0)
        expected = unit.twin(config).run(given)
        # The unit itself goes first.
        numbers = [0, *(m.number for m in chosen if m.number not in found)]
        killed = lanes.killed(gates, numbers, inputs, outputs, given, expected)
        if 0 in killed:
            raise RuntimeError(f"{unit.name} itself differs from its twin at clock {killed[0]}")
        found |= {n: Mutant(chosen[n - 1], name, clock) for n, clock in killed.items()}
    left = [m.number for m in chosen if m.number not in found]
    if left:
        parts = max(1, len(left) // 8) if workers or scheduler else 1
        common = unit.name, config, text, chosen, gates, patience
        tasks = [(*common, left[part::parts]) for part in range(parts)]
        for _, fates in jobs.run(
            _examine, tasks, scheduler=scheduler, workers=workers, listener=listener
        ):
            found |= {n: Mutant(chosen[n - 1], *fate) for n, fate in fates.items()}
    mutants = tuple(found[m.number] for m in chosen)
    return Report(unit.name, config, seed, str(tool), mutants, time.perf_counter() - began)


def _examine(
    name: str,
    config: Any,
    verilog: str,
    chosen: list[Mutation],
    gates: Gates,
    patience: float,
    numbers: list[int],
    say: jobs.Say,
) -> dict[int, tuple[Fate, int | None, str]]:
    """What the mutants `numbers` are, which live: what became of each, at which clock, and why."""
    unit = UNITS[name]
    ports = config.ports
    inputs, outputs = inputs_of(ports), outputs_of(ports)
    runs = [usual_inputs(unit, config, WATCHED[1], seed) for seed in range(WATCHED[0])]
    machine = equivalence.Machine(gates, inputs, outputs, runs)
    fates: dict[int, tuple[Fate, int | None, str]] = {}
    for place, number in enumerate(numbers):
        say(f"{place} of {len(numbers)} that live")
        answer = equivalence.decide(machine, number, patience)
        if answer.kind == "equivalent":
            fates[number] = "equivalent", None, ""
            continue
        clock = None
        if answer.inputs:
            expected = unit.twin(config).run(answer.inputs)
            seen = lanes.killed(gates, [0, number], inputs, outputs, answer.inputs, expected)
            if seen.keys() != {number}:
                raise RuntimeError(f"{unit.name}, mutant {number}: ABC's input does not show it")
            clock = seen[number]
        say(f"{place} of {len(numbers)} that live: proofs")
        if why := refuted(unit, config, verilog, chosen[number - 1], patience):
            fates[number] = "proof", clock, why
        else:
            fates[number] = "survives" if answer.inputs else "undecided", clock, ""
    return fates


def refuted(
    unit: Unit, config: Any, verilog: str, mutation: Mutation, patience: float
) -> str | None:
    """The proof that fails for a mutant, with the module; None if all hold or stay open."""
    from gradloom.prove import benches, prove_verilog

    *instances, cell = _path(mutation.cell)
    module = unit.module
    for instance in instances:
        at = re.search(rf"^module {module}\b.*?^endmodule", verilog, re.M | re.S)
        kind = at and re.search(rf"^ +(\w+) (?:#\([^;]*?\) )?{instance} \($", at[0], re.M)
        if not kind:
            return None
        module = kind[1]
    try:
        proved = [bench for bench in benches(unit, config) if bench.module == module]
    except ValueError:  # too large to be proved
        return None
    if not proved:
        return None
    command = re.sub(r"-module \S+ -cell \S+", "", mutation.command)
    script = (
        f"read_verilog unit.v\nhierarchy -check -top {unit.module}\nproc\nmemory_collect\n"
        f"{command} -module {module} -cell {cell}\nwrite_verilog -noattr mutant.v\n"
    )
    text = netlist.yosys(verilog, script, ["mutant.v"])["mutant.v"]
    for bench in proved:
        for proof in prove_verilog(text, bench, unit=unit.name, patience=patience):
            if proof.verdict == "failed":
                return f"{proof.module}, {proof.property}"
    return None


def _path(cell: str) -> list[str]:
    """The instances that a flattened cell is in, and its own name in the last of them."""
    # A name of Yosys's own has dots in it, and says itself how often it was flattened.
    depth = cell.count("$flatten\\") if "$" in cell else -1
    return cell.replace("$flatten\\", "").split(".", depth)
