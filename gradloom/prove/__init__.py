# amaranth: UnusedElaboratable=no
# (a component is made only for its ports)
"""Proofs that a unit's Verilog agrees with docs/numerics.md, for every input and every state.

The specification of a unit is one file here. It is written from that page as arithmetic on
integers, independent of the hardware and of the model. The proofs are about the modules in the
Verilog of `gradloom generate`. `prove` proves units, `prove_verilog` any bench on any Verilog.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from typing import Any

from gradloom import jobs
from gradloom.prove import streams
from gradloom.prove.bench import AnyState, Bench, Bounded, Induction
from gradloom.prove.counterexample import read, waveform, words
from gradloom.prove.engine import Verdict, decide
from gradloom.rtl.verilog import verilog
from gradloom.units import UNITS, Unit

__all__ = [
    "AnyState",
    "Bench",
    "Bounded",
    "Induction",
    "Proof",
    "benches",
    "prove",
    "prove_verilog",
]


@dataclass(frozen=True)
class Proof:
    """Result for one property of a unit.

    Parameters
    ----------
    unit, module, property
        Names of the unit, of the module in its Verilog, and of the property.
    statement
        The property as a sentence.
    verdict
        "proved" for all clocks, "bounded" (proved for a number of clocks after a reset), "failed",
        "vacuous" or "undecided".
    method
        Method of the proof.
    assumed
        Values that the proof leaves open.
    seconds
        Time of Yosys.
    why
        Reason for a verdict other than "proved" and "bounded".
    counterexample
        One line per clock, if the property failed.
    waveform
        Text of a VCD file, if the property failed.
    """

    unit: str
    module: str
    property: str
    statement: str
    verdict: Verdict
    method: str
    assumed: str
    seconds: float
    why: str
    counterexample: tuple[str, ...]
    waveform: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON, without the waveform."""
        values = asdict(self)
        del values["waveform"]
        return {**values, "seconds": round(self.seconds, 2)}


def benches(unit: Unit, config: Any) -> list[Bench]:
    """Return the benches of a unit, one for each module that is proved.

    A specification has `specify`, which adds properties to a bench: that of the pipeline for a unit
    between two streams (`BRINGS` is then the port of operands that have a result, if not all have
    one), else that of the whole unit. A unit of other parts has its own `benches`.

    Raises
    ------
    ValueError
        The unit has no specification, or not for this configuration.
    """
    if not unit.specification:
        raise ValueError(f"{unit.name} has no specification: nothing to prove")
    specification = import_module(f"gradloom.prove.{unit.specification}")
    component = unit.component(config)
    if hasattr(specification, "benches"):
        found: list[Bench] = specification.benches(unit.module, config, component)
        return found
    if hasattr(component, "pipeline"):
        brings = getattr(specification, "BRINGS", None)
        return streams.benches(unit.module, config, component, specification.specify, brings)
    bench = Bench(unit.module, config.ports)
    specification.specify(bench, config)
    return [bench]


def prove_verilog(
    verilog: str,
    bench: Bench,
    *,
    unit: str = "",
    patience: float = 120,
    only: str | None = None,
    say: jobs.Say = lambda text: None,
) -> list[Proof]:
    """Prove the properties of a bench for a module in the text `verilog`.

    Parameters
    ----------
    verilog
        Verilog of the unit.
    bench
        The module and its properties.
    unit
        Name of the unit in the results; by default that of the module.
    patience
        Seconds for one call of Yosys. A property takes at most three calls, and one for each case
        that must be reachable.
    only
        Name of the only property to prove; None for all.
    say
        Called with a description of the present step.

    Returns
    -------
    list of Proof
        One result per property.

    Raises
    ------
    boards.flow.tools.FlowError
        There is no Yosys, or it failed.
    """
    proofs = []
    for prop, answer in decide(verilog, bench, patience, say, only):
        signals = read(answer.vcd)
        holds = f"holds_{bench.properties.index(prop)}"
        why = answer.why
        if answer.verdict == "failed":
            why = f"counterexample from {answer.start}"
        proofs.append(
            Proof(
                unit=unit or bench.module,
                module=bench.module,
                property=prop.name,
                statement=prop.statement,
                verdict=answer.verdict,
                method=str(prop.method),
                assumed=bench.assumed,
                seconds=answer.seconds,
                why=why,
                counterexample=tuple(words(bench.ports, signals)),
                waveform=waveform(bench.ports, signals, {holds: "holds"}) if signals else "",
            )
        )
    return proofs


def _job(name: str, config: Any, number: int, patience: float, say: jobs.Say) -> list[Proof]:
    """Prove the bench `number` of a unit."""
    unit = UNITS[name]
    bench = benches(unit, config)[number]
    return prove_verilog(
        verilog(unit.component(config)), bench, unit=name, patience=patience, say=say
    )


def prove(
    configurations: Sequence[tuple[Unit, Any]],
    *,
    patience: float = 120,
    scheduler: str | None = None,
    workers: int | None = None,
    listener: Callable[[int, str], None] = lambda number, text: None,
) -> Iterator[tuple[int, list[Proof]]]:
    """Prove units, module by module.

    Parameters
    ----------
    configurations
        Units and their configurations.
    patience
        Seconds for one call of Yosys.
    scheduler, workers
        Where the proofs run: see `gradloom.jobs.run`. Without either, one after the other in this
        process.
    listener
        Called with a job's number and a description of its present step.

    Yields
    ------
    number : int
        Number of the module, counted over all units.
    proofs : list of Proof
        One result per property of the module.

    Raises
    ------
    ValueError
        A configuration is too large to be proved.
    boards.flow.tools.FlowError
        There is no Yosys, or it failed.
    gradloom.jobs.JobsError
        The jobs could not be run.
    """
    tasks = [
        (unit.name, config, number, patience)
        for unit, config in configurations
        for number in range(len(benches(unit, config)))
    ]
    if scheduler or (workers or 1) > 1:
        yield from jobs.run(_job, tasks, scheduler=scheduler, workers=workers, listener=listener)
        return
    for number, task in enumerate(tasks):
        yield number, _job(*task, partial(listener, number))
