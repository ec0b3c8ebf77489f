# amaranth: UnusedElaboratable=no
# (a component is made for its ports alone)
"""Proofs that a unit's Verilog does what docs/numerics.md says, for every input and state.

A unit's specification is one file here, written from that page as arithmetic on integers, without
the hardware's or the model's. What is proved is the module in the Verilog that `gradloom generate`
writes. `prove` does it for units, `prove_verilog` for any bench on any Verilog.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from typing import Any

from gradloom import jobs
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
    """What became of one property of a unit.

    Parameters
    ----------
    unit, module, property
        Of what: the unit's name, the module in its Verilog, the property's name.
    says
        The property as a sentence.
    verdict
        "proved" for all time, "bounded" to the clocks of the method, "failed", "vacuous" or
        "undecided".
    method
        How.
    assumed
        What is left out of the proof.
    seconds
        Of Yosys.
    why
        More on a verdict that is none of the first two.
    counterexample
        A line a clock, of a failed one.
    waveform
        A VCD file's text, of a failed one.
    """

    unit: str
    module: str
    property: str
    says: str
    verdict: Verdict
    method: str
    assumed: str
    seconds: float
    why: str
    counterexample: tuple[str, ...]
    waveform: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the waveform."""
        values = asdict(self)
        del values["waveform"]
        return {**values, "seconds": round(self.seconds, 2)}


def benches(unit: Unit, config: Any) -> list[Bench]:
    """Return the benches of a unit, one for each module that is proved.

    Raises
    ------
    ValueError
        The unit has no specification, or it has none for a configuration like this.
    """
    if not unit.specification:
        raise ValueError(f"{unit.name} has no specification: nothing to prove")
    specification = import_module(f"gradloom.prove.{unit.specification}")
    found: list[Bench] = specification.benches(unit.module, config, unit.component(config))
    return found


def prove_verilog(
    verilog: str,
    bench: Bench,
    *,
    unit: str = "",
    patience: float = 120,
    only: str | None = None,
    say: jobs.Say = lambda text: None,
) -> list[Proof]:
    """Decide what a bench demands of a module in the text `verilog`.

    Parameters
    ----------
    verilog
        The unit as its user gets it.
    bench
        The module and its properties.
    unit
        The unit's name, for the results; the module's without it.
    patience
        Seconds that Yosys may take for one call; a property has three, and one a case that must be
        reachable.
    only
        The name of a property, if not all are wanted.
    say
        Told what is being decided.

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
                says=prop.says,
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
    """Prove units, a module at a time; what became of each as it is done, with its number.

    Parameters
    ----------
    configurations
        Units and their configurations.
    patience
        Seconds that Yosys may take for one call.
    scheduler, workers
        Where the proofs run: see `gradloom.jobs.run`. Without either they come one after the other.
    listener
        Told a job's number and what it is doing.

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
