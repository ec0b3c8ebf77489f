"""Builds a unit for a device, and reports resources and clock. The flow itself is in `boards`."""

from collections.abc import Callable
from typing import Any, Protocol

from amaranth.lib import wiring

from boards.device import DSP
from boards.flow.nextpnr import Placement, place
from boards.flow.report import flow_report
from boards.flow.work import TooLarge
from boards.flow.yosys import synthesise
from boards.target import Target
from golden.array import ArrayConfig
from golden.core.config import CoreConfig
from golden.macc import MaccConfig
from golden.settings import mapping
from gradloom import jobs
from gradloom.rtl.verilog import verilog
from hdl.cells import CELLS, Cells

#: Called with the run (0 is synthesis, another number a seed) and its present step.
Listener = Callable[[int, str], None]

#: Numbers of tiles of a run, for the curves of an array's sustained throughput.
_RUNS = (1, 8, 64)


class Buildable(Protocol):
    """What can be built: a unit of `gradloom.units`, or the training core."""

    @property
    def name(self) -> str:
        """Name in reports."""

    @property
    def module(self) -> str:
        """Name of the Verilog module."""

    @property
    def component(self) -> Callable[..., wiring.Component]:
        """Makes the hardware of a configuration."""

    @property
    def has_cells(self) -> bool:
        """Whether it can be made of a device's own cells: `component` takes `cells`."""


def build(
    unit: Buildable,
    config: Any,
    target: Target,
    *,
    seeds: int = 1,
    frequency: float | None = None,
    grade: str | None = None,
    cells: str | None = None,
    placed: bool = True,
    scheduler: str | None = None,
    workers: int | None = None,
    listener: Listener = lambda number, text: None,
) -> tuple[dict[str, Any], str]:
    """Build a unit out of context: synthesis, then place and route once for each seed.

    Parameters
    ----------
    unit, config
        The unit, or the core, and its configuration.
    target
        The target.
    seeds
        Number of nextpnr's seeds; they are 1, 2 and so on.
    frequency
        Clock in MHz that nextpnr tries to reach; the target's default without it.
    grade
        Speed grade; the device's first without it.
    cells
        Name of the cells, generic or the device's own. Without it they are the device's own, or the
        generic ones if those cannot have these formats.
    placed
        Whether an array's multipliers get the positions of the device's table. If not, or if the
        array does not fit them, nextpnr chooses.
    scheduler, workers
        Where the seeds run: see `gradloom.jobs.run`.
    listener
        Called with a run and its present step.

    Returns
    -------
    report : dict
        `unit`, `parameters`, `cells`, `throughput`, and all of `boards.flow.report.flow_report`.
    verilog : str
        The Verilog that was built.

    Raises
    ------
    ValueError
        The cells are those of another family, or cannot have these formats.
    boards.flow.tools.FlowError
        A tool is missing or failed, or the unit does not fit.
    gradloom.jobs.JobsError
        The seeds could not be run.
    """
    chosen_grade = target.device.grade(grade)
    asked = target.frequency if frequency is None else frequency
    made_of, cells_used = _cells(unit, config, target, cells, placed)
    # A product of three numbers may show that the unit does not fit, before hours of synthesis.
    if problem := target.device.lacks(least(config, target)):
        raise TooLarge(f"{unit.name} {problem} ({target.device.title})")
    listener(0, "generating Verilog")
    source = verilog(unit.component(config, **made_of), unit.module)
    synthesis = synthesise(source, unit.module, target, lambda text: listener(0, text))
    listener(0, "done")
    placements: list[Placement] = []
    if target.nextpnr:
        numbers = range(1, seeds + 1)
        tasks = [(synthesis.netlist, target, seed, asked, chosen_grade) for seed in numbers]
        for number, placement in jobs.run(
            place,
            tasks,
            scheduler=scheduler,
            workers=workers,
            listener=lambda number, text: listener(numbers[number], text),
        ):
            clock = placement.clock
            listener(numbers[number], "done" if clock is None else f"done, {clock:.1f} MHz")
            placements.append(placement)
    report = {
        "unit": unit.name,
        "parameters": mapping(config),
        "cells": cells_used,
        **flow_report(target, chosen_grade, synthesis, placements),
    }
    report["throughput"] = throughput(config, report["clock_mhz"])
    return report, source


def _cells(
    unit: Buildable, config: Any, target: Target, name: str | None, placed: bool
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the component's arguments beside its configuration, and the report's `cells`."""
    if not unit.has_cells:
        if name is not None:
            raise ValueError(f"cells = {name!r}: {unit.name} has none of a device's own cells")
        return {}, None
    allowed = list(dict.fromkeys(["generic", target.device.cells]))
    if name is not None and name not in allowed:
        raise ValueError(
            f"cells = {name!r}: {target.name} has no such cells, allowed are {', '.join(allowed)}"
        )
    chosen = CELLS[target.device.cells if name is None else name]
    cells_used: dict[str, Any] = {"cells": chosen.name, "placed": False, "note": None}
    array = _array(config)
    node = array.macc if array else config
    if isinstance(node, MaccConfig) and (problem := _problem(chosen, node)):
        if name is not None:
            raise ValueError(problem)
        chosen = CELLS["generic"]
        cells_used |= {"cells": chosen.name, "note": problem}
    made_of: dict[str, Any] = {"cells": chosen}
    block = array.block if array else None
    if block and chosen.name == target.device.cells and target.device.places and placed:
        places = target.device.places.array(*block)
        if places is None:
            cells_used["note"] = f"{target.name} has no pattern of places for this array"
        else:
            made_of["places"] = places
            cells_used["placed"] = True
    return made_of, cells_used


def _array(config: Any) -> ArrayConfig | None:
    """Return the configuration of the array that a unit is or has; None without one."""
    if isinstance(config, CoreConfig):
        return config.array
    return config if isinstance(config, ArrayConfig) else None


def _problem(cells: Cells, config: MaccConfig) -> str | None:
    """Return why a node cannot be made of these cells; None if it can."""
    try:
        cells.check(config)
    except ValueError as error:
        return str(error)
    return None


def least(config: Any, target: Target) -> dict[str, float]:
    """Return a lower bound of the resources that a unit needs, from its configuration alone.

    Examples
    --------
    >>> from boards.target import find
    >>> least(ArrayConfig(rows=4, columns=5), find("ecp5-85f"))
    {'DSP': 20}
    """
    array = _array(config)
    if array is None or array.block is None:
        return {}
    product = target.device.product(array.macc.a.width, array.macc.b.width)
    rows, columns = array.block
    return {DSP: rows * columns * product}


def throughput(config: Any, clock: dict[str, float] | None) -> dict[str, Any] | None:
    """Return an array's multiply-accumulates per second: at most, and over a run of tiles.

    Parameters
    ----------
    config
        Configuration of a unit; there is a result for arrays only.
    clock
        The report's `clock_mhz`, or None.

    Examples
    --------
    >>> made = throughput(ArrayConfig(rows=2, columns=2), {"best": 100.0})
    >>> made["peak_macs_per_second"]
    400000000.0
    """
    if not isinstance(config, ArrayConfig) or clock is None:
        return None
    nodes, hertz = config.rows * config.columns, clock["best"] * 1e6
    tiles, depth = _RUNS[1], config.macc.depth

    def efficiency(tiles: int, depth: int) -> float:
        return tiles * depth / config.clocks(tiles, depth)

    depths = [1 << power for power in range(2, depth.bit_length() + 1) if 1 << power <= depth]
    return {
        "clock_mhz": clock["best"],
        "peak_macs_per_second": nodes * hertz,
        "shape": f"{tiles} tiles of depth {depth}, back to back",
        "clocks": config.clocks(tiles, depth),
        "overhead_clocks": config.clocks(tiles, depth) - tiles * depth,
        "efficiency": efficiency(tiles, depth),
        "sustained_macs_per_second": nodes * hertz * efficiency(tiles, depth),
        "curves": [
            {
                "tiles": run,
                "depth": depths,
                "efficiency": [efficiency(run, each) for each in depths],
            }
            for run in _RUNS
        ],
    }
