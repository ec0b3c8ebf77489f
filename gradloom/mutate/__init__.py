# amaranth: UnusedElaboratable=no
# (a unit's component is made only for its ports)
"""Mutation testing: does the stimulus find small faults in a unit's netlist?

Yosys's `mutate` changes one bit of one cell of a unit's netlist. A mutant is killed if an output
port differs from the twin at any clock: first with the stimulus of the shipped testbench, then with
the longer one of `gradloom compare`. For each mutant that survives both, ABC either proves that it
is equivalent to the unit, or finds inputs with which it differs, or runs out of time. Mutants that
are not equivalent are then checked with the proofs of `gradloom prove`.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from boards.flow.tools import find_tool
from golden.port import inputs_of, outputs_of
from golden.settings import mapping
from golden.twin import Trace
from gradloom import jobs
from gradloom.mutate import equivalence, lanes, netlist
from gradloom.mutate.netlist import Gates, Mutation
from gradloom.rtl.verilog import verilog
from gradloom.sim.stimulus import COMPARE_CLOCKS, TESTBENCH_CLOCKS, usual_inputs
from gradloom.units import UNITS, Unit

#: Number of runs that compare registers of unit and mutant, and clocks of each.
WATCHED = 64, 128

#: Result for a mutant: "testbench", "compare" and "proof" name the check that killed it. One that
#: "survives" is not killed, although inputs are known with which it differs.
Fate = Literal["testbench", "compare", "proof", "equivalent", "survives", "undecided"]

#: Returns the stimulus for a unit, its configuration, a number of clocks and a seed.
Stimulus = Callable[[Unit, Any, int, int], Trace]


@dataclass(frozen=True)
class Mutant:
    """A mutation and its result.

    Parameters
    ----------
    mutation
        The change of the netlist.
    fate
        The result.
    clock
        Number of the first clock at which a port differs, in the stimulus that killed it or in the
        inputs that ABC found.
    why
        The proof that killed it.
    """

    mutation: Mutation
    fate: Fate
    clock: int | None = None
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
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
        Name of the unit.
    config
        Configuration of the unit.
    seed
        Seed of the choice of mutations.
    yosys
        Name and version of Yosys.
    mutants
        All mutants.
    seconds
        Time for all of them.
    """

    unit: str
    config: Any
    seed: int
    yosys: str
    mutants: tuple[Mutant, ...]
    seconds: float

    def count(self, *fates: Fate) -> int:
        """Return the number of mutants with one of these results."""
        return sum(mutant.fate in fates for mutant in self.mutants)

    @property
    def rate(self) -> float:
        """Fraction of the non-equivalent mutants that the testbench kills."""
        others = len(self.mutants) - self.count("equivalent")
        return self.count("testbench") / others if others else 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for JSON, and the mutants that the testbench did not kill."""
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
    """Make mutants of a unit and check which of them are found.

    Parameters
    ----------
    unit, config
        The unit and its configuration.
    count, seed
        Number of mutants, and the seed of their choice.
    stimulus
        Returns the stimulus.
    clocks
        Number of clock edges of the testbench, and of the comparison.
    patience
        Seconds for each call of a solver: at most two calls of ABC per mutant, and one per proof.
    scheduler, workers
        Where survivors are examined: see `gradloom.jobs.run`. Without either, in this process.
    listener
        Called with a job's number and a description of its present step.

    Returns
    -------
    Report
        The results of all mutants.

    Raises
    ------
    boards.flow.tools.FlowError
        There is no Yosys, or it failed.
    gradloom.sim.cxxrtl.BuildError
        There is no C++ compiler.
    gradloom.jobs.JobsError
        The jobs could not be run.
    RuntimeError
        The unit itself differs from its twin, or inputs that ABC found show no difference.
    """
    began = time.perf_counter()
    tool = find_tool("yosys")
    listener(0, "choosing mutations")
    text = verilog(unit.component(config))
    chosen = netlist.mutations(text, unit.module, count, seed)
    listener(0, "making gates")
    gates = netlist.gates(text, unit.module, chosen)
    ports = config.ports
    inputs, outputs = inputs_of(ports), outputs_of(ports)
    found: dict[int, Mutant] = {}
    names: tuple[Fate, Fate] = ("testbench", "compare")
    for name, cycles in zip(names, clocks):
        listener(0, f"{name}: {cycles} clocks")
        given = stimulus(unit, config, cycles, 0)
        expected = unit.twin(config).run(given)
        # Number 0 is the unit itself.
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
    """Examine the surviving mutants `numbers`.

    Returns
    -------
    dict
        Number of a mutant to its `fate`, `clock` and `why`: see `Mutant`. A mutant that differs for
        inputs that the unit does not allow is undecided, unless a proof fails, which allows none.
    """
    unit = UNITS[name]
    ports = config.ports
    inputs, outputs = inputs_of(ports), outputs_of(ports)
    runs = [usual_inputs(unit, config, WATCHED[1], seed) for seed in range(WATCHED[0])]
    machine = equivalence.Machine(gates, inputs, outputs, runs)
    free = unit.twin(config).legal(np.random.default_rng(0), 1) is None
    fates: dict[int, tuple[Fate, int | None, str]] = {}
    for place, number in enumerate(numbers):
        say(f"{place} of {len(numbers)} survivors")
        answer = equivalence.decide(machine, number, patience)
        if answer.kind == "equivalent":
            fates[number] = "equivalent", None, ""
            continue
        clock = None
        if answer.inputs:
            expected = unit.twin(config).run(answer.inputs)
            seen = lanes.killed(gates, [0, number], inputs, outputs, answer.inputs, expected)
            # Inputs that the unit does not allow show nothing.
            if free or 0 not in seen:
                if seen.keys() != {number}:
                    raise RuntimeError(
                        f"{unit.name}, mutant {number}: the inputs that ABC found show no "
                        "difference"
                    )
                clock = seen[number]
        say(f"{place} of {len(numbers)} survivors: proofs")
        if why := refuted(unit, config, verilog, chosen[number - 1], patience):
            fates[number] = "proof", clock, why
        else:
            fates[number] = "undecided" if clock is None else "survives", clock, ""
    return fates


def refuted(
    unit: Unit, config: Any, verilog: str, mutation: Mutation, patience: float
) -> str | None:
    """Return the module and the name of a proof that fails for a mutant; None if none fails."""
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
    """Return the instances that contain a flattened cell, outer ones first, and its own name."""
    # Names that Yosys made contain dots, and `$flatten\\` once for each level.
    depth = cell.count("$flatten\\") if "$" in cell else -1
    return cell.replace("$flatten\\", "").split(".", depth)
