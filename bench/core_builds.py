"""What the training core takes of devices and how fast it is there: one command makes every table.

    python bench/core_builds.py                     # everything, 3 seeds: hours on two cores
    python bench/core_builds.py --seeds 1 clock     # one table, one seed
    python bench/core_builds.py --only 64-128 clock # the rows whose names have this in them
    python bench/core_builds.py fit                 # the coefficients of gradloom/core/resources.py

Figures are those of Yosys and nextpnr, out of context: estimates. A clock is the median of the
seeds, with the lowest and the highest. What was built once is kept, so that a run that is
interrupted goes on where it was. Needs the extra `fpga`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from arrays import Options, attempt, header, row, run, spread, used

from boards.device import FF, LUT, MEMORY
from boards.target import find
from golden.core.lower import Compiled, compiled
from golden.core.lowering import Gradients
from golden.training import load
from gradloom.core.build import CoreDesign, training
from gradloom.core.estimate import all_block_rams, block_rams, memories
from gradloom.core.resources import features
from gradloom.fpga import build

#: MHz to reach for.
ASKED = 150


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, and what its core is built for."""

    name: str
    target: str = "ecp5-85f"
    settings: tuple[str, ...] = ()
    shape: tuple[int, int, int] = (8, 8, 1)
    gradients: Gradients = Gradients.STORED
    grade: str | None = None
    wanted: str = ""

    @property
    def network(self) -> Compiled:
        """The network on its core."""
        recipe = load("digits-wage", list(self.settings))
        return compiled(recipe, self.shape, 10, gradients=self.gradients)

    def build(self, options: Options) -> dict[str, Any]:
        """Its report."""
        target = find(self.target)
        report, _ = build(
            CoreDesign(),
            self.network.config,
            target,
            frequency=ASKED,
            grade=self.grade,
            **options,
        )
        return report


DIGITS = "64-128-10, batch 64, 8 x 8"
MNIST = "784-128-10 twice, batch 64, 8 x 8"


def clocks() -> Iterator[Case]:
    """Cores that are placed and routed."""
    for grade in ("8", "6"):
        yield Case(name=DIGITS, settings=("batch=64",), grade=grade, wanted=">= 150 at grade 8, 48")
        yield Case(
            name=MNIST,
            settings=("batch=64",),
            shape=(28, 28, 1),
            gradients=Gradients.TWICE,
            grade=grade,
            wanted=">= 150 at grade 8, 120",
        )
    small = ("batch=64", "rows=4", "columns=4")
    for target in ("ecp5-85f", "ecp5-25f"):
        yield Case(name="64-128-10, batch 64, 4 x 4", target=target, settings=small)


def fitted() -> Iterator[Case]:
    """Cores of several sizes, of which LUTs and flip-flops are fitted."""
    for rows, columns, settings in (
        (2, 2, ("batch=3", "network=5FC")),
        (4, 4, ("batch=6", "network=9FC")),
        (8, 8, ("batch=64",)),
    ):
        yield Case(
            name=f"{rows} x {columns}, {', '.join(settings)}",
            settings=(*settings, f"rows={rows}", f"columns={columns}"),
        )


def clock_table(options: Options, wanted: Callable[[str], bool]) -> None:
    """Clock and resources, and samples a second at the median clock."""
    header(
        "network", "device", "grade", "MHz", "LUT", "FF", "DSP", "block RAMs", "samples/s", "wanted"
    )
    for case in clocks():
        if not wanted(case.name):
            continue
        report = attempt(case, options)
        if report is None:
            continue
        steps = training(case.network)
        clock = report["clock_mhz"]
        rate = steps["samples"] * clock["median"] * 1e6 / steps["clocks"]
        row(
            case.name,
            case.target,
            report["target"]["speed_grade"],
            spread(clock),
            *(f"{number:,.0f}" for number in used(report)),
            f"{report['synthesis']['resources'][MEMORY]:.0f}",
            f"{rate:,.0f}",
            case.wanted,
        )


def memory_table(options: Options, wanted: Callable[[str], bool]) -> None:
    """Block RAMs before any synthesis; on a UP5K they are the question."""
    header("network", "device", "memory", "block RAMs")
    for target, size, settings in (
        ("ecp5-25f", 8, ("batch=64",)),
        ("ice40-up5k", 4, ("batch=16",)),
        ("ice40-up5k", 4, ("batch=16", "network=16FC")),
    ):
        case = Case(
            name=f"{size} x {size}, {', '.join(settings)}",
            target=target,
            settings=(*settings, f"rows={size}", f"columns={size}"),
        )
        if not wanted(case.name):
            continue
        total = 0
        for name, number, words, width, kind in memories(case.network.config):
            blocks = number * block_rams(words, width, kind, find(target))
            total += blocks
            row(case.name, target, f"{name}: {number} x {words:,} x {width}", f"{blocks}")
        row(case.name, target, f"of {find(target).device.block_rams}", f"**{total}**")


def fit_table(options: Options, wanted: Callable[[str], bool]) -> None:
    """LUTs and flip-flops after synthesis, by features of the configuration: least squares."""
    header("core", "LUT", "FF", "block RAMs", "estimated")
    known, found = [], []
    for case in fitted():
        if not wanted(case.name):
            continue
        report = attempt(case, {**options, "seeds": 0})
        if report is None:
            continue
        taken = report["synthesis"]["resources"]
        config = case.network.config
        blocks = all_block_rams(config, find(case.target))
        row(
            case.name,
            f"{taken[LUT]:,.0f}",
            f"{taken[FF]:,.0f}",
            f"{taken[MEMORY]:.0f}",
            f"{blocks}",
        )
        known.append(features(config))
        found.append([taken[LUT], taken[FF]])
    matrix, values = np.array(known), np.array(found)
    # Relative errors count.
    for name, column in zip((LUT, FF), values.T):
        solved, *_ = np.linalg.lstsq(matrix / column[:, None], np.ones(len(column)), rcond=None)
        away = np.abs(matrix @ solved / column - 1).max()
        left_out = []
        for k in range(len(column)):
            rest = np.arange(len(column)) != k
            other, *_ = np.linalg.lstsq(
                matrix[rest] / column[rest, None], np.ones(rest.sum()), rcond=None
            )
            left_out.append(abs(matrix[k] @ other / column[k] - 1))
        print(
            f"\n{name}: {', '.join(f'{each:.1f}' for each in solved)}; at most {away:.1%} away, "
            f"{max(left_out):.1%} where a core is left out of the fit"
        )


TABLES: dict[str, Callable[[Options, Callable[[str], bool]], None]] = {
    "clock": clock_table,
    "memory": memory_table,
    "fit": fit_table,
}


if __name__ == "__main__":
    run(
        TABLES,
        "What the training core takes of devices and how fast it is there.",
        seeds=3,
        workers=1,
    )
