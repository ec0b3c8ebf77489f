"""Arrays on devices: clock, resources and what limits, as a table.

    python bench/arrays.py                      # every row, 5 seeds: hours
    python bench/arrays.py --seeds 1 8x8        # the rows whose names begin so

Figures are those of Yosys and nextpnr, out of context, at the fastest speed grade; the clock is the
median of the seeds with the lowest and the highest. What was built once is kept, so that a run that
is interrupted goes on where it was. Needs the extra `fpga`.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from boards.targets import find
from boards.tools import FlowError
from golden.array import ArrayConfig
from golden.fixed import Conversion, Fixed
from golden.macc import MaccConfig
from gradloom.fpga import build
from gradloom.units import UNITS

#: MHz to reach for: more than can be had, so that the tools do not rest.
ASKED = 400


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    name: str
    target: str
    config: ArrayConfig
    cells: str | None = None
    placed: bool = True


def array(size: int, bits: int, rounded: bool, depth: int = 511) -> ArrayConfig:
    """A square array of operands of `bits` bits, with one stochastic rounder a column or none."""
    operand = Fixed(2, 14) if bits == 16 else Fixed(1, bits - 1)
    conversion = Conversion(fraction=2 * operand.fl, target=operand)
    return ArrayConfig(
        rows=size,
        columns=size,
        macc=MaccConfig(a=operand, b=operand, depth=depth),
        conversions=(conversion,) if rounded else (),
    )


def cases() -> Iterator[Case]:
    """The rows."""
    for size, bits, rounded in ((3, 16, True), (8, 8, False), (8, 16, True), (12, 16, True)):
        name = f"{size}x{size} of {bits} bits, {'rounded' if rounded else 'raw'}"
        yield Case(name, "ecp5-85f", array(size, bits, rounded))
        if size == 8:
            config = array(size, bits, rounded)
            yield Case(f"{name}, no places", "ecp5-85f", config, placed=False)
            yield Case(f"{name}, generic cells", "ecp5-85f", config, cells="generic")


def row(case: Case, seeds: int, arguments: argparse.Namespace) -> list[str]:
    """The cells of a row."""
    report: dict[str, Any]
    try:
        report, _ = build(
            UNITS["array"],
            case.config,
            find(case.target),
            seeds=seeds,
            frequency=ASKED,
            cells=case.cells,
            placed=case.placed,
            scheduler=arguments.scheduler,
            workers=arguments.workers,
        )
    except FlowError as error:
        return [case.name, case.target, str(error), "", "", "", ""]
    clock, used = report["clock_mhz"], report["used"]
    worst = min(report["placements"], key=lambda each: each["clock_mhz"])
    return [
        case.name,
        case.target,
        f"{clock['median']:.0f} ({clock['worst']:.0f} to {clock['best']:.0f})",
        *(f"{used[resource][0]:,}" for resource in ("LUT", "FF", "DSP")),
        f"{worst['from']} to {worst['to']}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="rows whose names begin so; all without any")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="seeds side by side on this machine")
    parser.add_argument("--scheduler", help="dask scheduler whose workers run the seeds")
    arguments = parser.parse_args()
    print("| array | device | MHz, estimated | LUT | FF | DSP | slowest path |")
    print("|---|---|---|---|---|---|---|")
    for case in cases():
        if not arguments.names or case.name.startswith(tuple(arguments.names)):
            print(f"| {' | '.join(row(case, arguments.seeds, arguments))} |", flush=True)


if __name__ == "__main__":
    main()
