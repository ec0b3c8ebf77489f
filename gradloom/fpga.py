"""A unit on a device: what it takes and how fast it is. The flow itself is in `boards`."""

from collections.abc import Callable
from typing import Any

from boards.device import DSP
from boards.flow.nextpnr import Placement, place
from boards.flow.report import flow_report
from boards.flow.work import TooLarge
from boards.flow.yosys import synthesise
from boards.target import Target
from golden.array import ArrayConfig
from golden.macc import MaccConfig
from golden.settings import mapping
from gradloom import jobs
from gradloom.units import Unit
from gradloom.verilog import generate
from hdl.cells import CELLS, Cells

#: Told which run (0 is synthesis, else the seed) does what.
Listener = Callable[[int, str], None]

#: Tiles of a run, for the curves of what an array sustains.
_RUNS = (1, 8, 64)


def build(
    unit: Unit,
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
    """Build a unit out of context; the report, and the Verilog that it is about.

    Parameters
    ----------
    unit, config
        What is built.
    target
        For which device.
    seeds
        How many of nextpnr's seeds, from 1 on.
    frequency
        Clock in MHz that is asked for; the target's own without it.
    grade
        Speed grade; the target's first without it.
    cells
        What nodes are made of, by name; without it the target's own, or the generic ones if the
        target has none for these formats.
    placed
        Whether an array's multipliers stand where the target's description has them; else, or where
        it has no places for them, nextpnr decides.
    scheduler, workers
        Where the seeds run: see `gradloom.jobs.run`.
    listener
        Told what is being done.

    Raises
    ------
    boards.flow.tools.FlowError
        A tool is missing or failed, or the unit does not fit.
    gradloom.jobs.JobsError
        The seeds could not be run.
    """
    chosen_grade = target.device.grade(grade)
    asked = target.frequency if frequency is None else frequency
    # Hours of synthesis need not come before a refusal that multiplication can give.
    if problem := target.device.lacks(least(config, target)):
        raise TooLarge(f"{unit.name} {problem} ({target.device.title})")
    listener(0, "generating Verilog")
    made_of, said = _cells(unit, config, target, cells, placed)
    verilog = generate(unit, config, **made_of)
    synthesis = synthesise(verilog, unit.module, target, lambda text: listener(0, text))
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
        "cells": said,
        **flow_report(target, chosen_grade, synthesis, placements),
    }
    report["throughput"] = throughput(config, report["clock_mhz"])
    return report, verilog


def _cells(
    unit: Unit, config: Any, target: Target, name: str | None, placed: bool
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """What the component is called with beside its configuration, and what the report says."""
    if not unit.has_nodes:
        if name is not None:
            raise ValueError(f"cells = {name!r}: {unit.name} has no nodes")
        return {}, None
    node: MaccConfig = config.macc if isinstance(config, ArrayConfig) else config
    chosen = CELLS[target.device.cells if name is None else name]
    said: dict[str, Any] = {"cells": chosen.name, "placed": False, "note": None}
    if name is None and (problem := _problem(chosen, node)):
        chosen = CELLS["generic"]
        said |= {"cells": chosen.name, "note": problem}
    made_of: dict[str, Any] = {"cells": chosen}
    block = config.block if isinstance(config, ArrayConfig) else None
    if block and chosen.name == target.device.cells and target.device.places and placed:
        places = target.device.places.array(*block)
        if places is None:
            said["note"] = f"{target.name} has no pattern of places for this array"
        else:
            made_of["places"] = places
            said["placed"] = True
    return made_of, said


def _problem(cells: Cells, config: MaccConfig) -> str | None:
    """Why a node cannot be made of these cells."""
    try:
        cells.check(config)
    except ValueError as error:
        return str(error)
    return None


def least(config: Any, target: Target) -> dict[str, float]:
    """Resources that a unit certainly needs, as far as its configuration alone tells."""
    if not isinstance(config, ArrayConfig) or config.block is None:
        return {}
    product = target.device.product(config.macc.a.width, config.macc.b.width)
    rows, columns = config.block
    return {DSP: rows * columns * product}


def throughput(config: Any, clock: dict[str, float] | None) -> dict[str, Any] | None:
    """Multiply-accumulates a second of an array: the most, and what a run of tiles gets."""
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
