"""A build's report: a plain dictionary that is ready for JSON, and its form for a terminal.

`boards/flow/page.py` makes an HTML page of the same dictionary.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from boards.device import RESOURCES, Device
from boards.flow.nextpnr import Placement
from boards.flow.yosys import Synthesis
from boards.target import Target

#: Note under the figures of every report.
ESTIMATES = (
    "Estimates of open tools, out of context: ports have no pads, and what is timed is every path "
    "from a register to a register. Nothing has been measured on silicon."
)
#: The row of cells that are in no submodule, in the table of parts.
BODY = "its own body"


def parts(synthesis: Synthesis, device: Device) -> list[dict[str, Any]]:
    """Return cells and resources by part of the unit, the largest part first.

    Instances whose names differ only in their numbers are one part.
    """
    groups: dict[str, list[dict[str, int]]] = defaultdict(list)
    for path, cells in synthesis.by_part.items():
        groups[re.sub(r"(_\d+)+(?=\.|$)", "", path)].append(cells)
    rows = []
    for part, members in groups.items():
        together: dict[str, int] = defaultdict(int)
        for member in members:
            for kind, number in member.items():
                together[kind] += number
        rows.append(
            {
                "part": part or BODY,
                "instances": len(members),
                "cells": dict(together),
                "resources": device.needs(together),
            }
        )
    return sorted(rows, key=lambda row: -sum(row["resources"].values()))


def flow_report(
    target: Target, grade: str, synthesis: Synthesis, placements: list[Placement]
) -> dict[str, Any]:
    """Return the part of a report that every design has.

    Parameters
    ----------
    target
        The target.
    grade
        Speed grade; "" where the device's name fixes it.
    synthesis, placements
        The results of the tools.

    Returns
    -------
    dict
        `estimates`, `target`, `tools`, `synthesis`, `placements`, `used`, `clock_mhz`: strings,
        numbers, lists and dictionaries only.
    """
    report: dict[str, Any] = {
        "estimates": ESTIMATES,
        "target": {
            "name": target.name,
            "device": target.device.title,
            "speed_grade": grade or None,
            "available": target.device.available,
            "notes": list(target.notes),
        },
        "tools": list(dict.fromkeys([synthesis.tool, *(each.tool for each in placements)])),
        "synthesis": {
            "command": synthesis.command,
            "cells": synthesis.cells,
            "resources": synthesis.resources,
            "parts": parts(synthesis, target.device),
        },
        "placements": [],
        "used": {},
        "clock_mhz": None,
    }
    placements = sorted(placements, key=lambda each: each.seed)
    for each in placements:
        start, stop = each.ends
        report["placements"].append(
            {
                "seed": each.seed,
                "command": each.command,
                "clock_mhz": each.clock,
                "from": start,
                "to": stop,
                "path": [vars(step) for step in each.path],
            }
        )
    clocks = [each.clock for each in placements if each.clock is not None]
    if clocks:
        report["clock_mhz"] = {
            "asked": placements[0].asked,
            "best": max(clocks),
            "median": round(median(clocks), 2),
            "worst": min(clocks),
        }
    if placements:
        report["used"] = {
            resource: _used(placements[0], target, resource) for resource in target.bels
        }
    return report


def _used(placement: Placement, target: Target, resource: str) -> tuple[float, float]:
    """Return how many of a resource are used, and how many there are."""
    amounts = [
        (used * amount, there * amount)
        for name, amount in target.bels[resource].items()
        for used, there in [placement.used.get(name, (0, 0))]
        if there
    ]
    if not amounts:
        return 0, target.device.available.get(resource, 0)
    return sum(used for used, _ in amounts), amounts[0][1]


def cells_line(report: dict[str, Any]) -> str | None:
    """Return a line about the cells of a unit; None if it can have none of a device."""
    if not (used := report.get("cells")):
        return None
    where = "places by the target's description" if used["placed"] else "no places"
    note = f" ({used['note']})" if used["note"] else ""
    return f"made of {used['cells']} cells, {where}{note}"


def number_text(value: float) -> str:
    """Return a number with thousands separated, and one decimal if it is not whole."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def rate_text(value: float) -> str:
    """Return multiply-accumulates per second in words."""
    return f"{value / 1e9:.2f} GMAC/s"


def clock_line(report: dict[str, Any]) -> str:
    """Return the clock in words."""
    clock = report["clock_mhz"]
    if clock is None:
        return (
            "no path from a register to a register"
            if report["placements"]
            else "not placed: no clock"
        )
    if len(report["placements"]) == 1:
        return f"{clock['best']:.1f} MHz"
    return (
        f"{clock['best']:.1f} MHz at best, {clock['median']:.1f} median, "
        f"{clock['worst']:.1f} at worst"
    )


def delay_of(placement: dict[str, Any], *kinds: str) -> float:
    """Return the sum of the delays of a path's steps of some kinds, in ns."""
    return sum(step["delay"] for step in placement["path"] if step["kind"] in kinds)


def throughput_line(report: dict[str, Any]) -> str:
    """Return an array's throughput in words."""
    rate = report["throughput"]
    return (
        f"peak {rate_text(rate['peak_macs_per_second'])}; "
        f"sustained {rate_text(rate['sustained_macs_per_second'])} ({rate['efficiency']:.1%}) "
        f"for {rate['shape']}"
    )


def training_line(report: dict[str, Any]) -> str:
    """Return the training of a core in words, at the best clock if there is one."""
    steps = report["training"]
    line = (
        f"{steps['network']}: {steps['clocks']:,} clocks a step of {steps['samples']} samples, "
        f"{steps['utilisation']:.1%} useful"
    )
    if clock := report["clock_mhz"]:
        rate = steps["samples"] * clock["best"] * 1e6 / steps["clocks"]
        line += f"; {rate:,.0f} samples per second at the best clock"
    return line


def terminal(report: dict[str, Any]) -> RenderableType:
    """Return the report in a form that rich prints."""
    target = report["target"]
    grade = f", speed grade {target['speed_grade']}" if target["speed_grade"] else ""
    lines: list[RenderableType] = [
        Text(f"{report['unit']} on {target['device']}{grade}", style="bold"),
        Text(f"clock, estimated: {clock_line(report)}"),
    ]
    if made_of := cells_line(report):
        lines.append(Text(made_of))
    if report.get("throughput"):
        lines.append(Text(f"at the best clock: {throughput_line(report)}"))
    if report.get("training"):
        lines.append(Text(training_line(report)))

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("resource")
    for head in ("used", "available", "%"):
        table.add_column(head, justify="right")
    for resource, used, there in resource_usage(report):
        share = f"{used / there:.1%}" if there else ""
        table.add_row(resource, number_text(used), number_text(there), share)
    lines.append(table)

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("part")
    table.add_column("instances", justify="right")
    for resource in RESOURCES:
        table.add_column(resource, justify="right")
    for row in report["synthesis"]["parts"]:
        numbers = [number_text(row["resources"][resource]) for resource in RESOURCES]
        table.add_row(row["part"], str(row["instances"]), *numbers)
    table.add_section()
    total = report["synthesis"]["resources"]
    table.add_row("all, after synthesis", "", *(number_text(total[each]) for each in RESOURCES))
    lines.append(table)

    if report["placements"]:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for head in ("seed", "MHz", "slowest path: from", "to", "logic ns", "wires ns"):
            named = "path" in head or head == "to"
            table.add_column(head, justify="left" if named else "right", overflow="fold")
        for each in report["placements"]:
            mhz = "" if each["clock_mhz"] is None else f"{each['clock_mhz']:.1f}"
            logic = f"{delay_of(each, 'clk-to-q', 'logic', 'setup'):.2f}"
            wires = f"{delay_of(each, 'routing'):.2f}"
            table.add_row(str(each["seed"]), mhz, each["from"], each["to"], logic, wires)
        lines.append(table)
    lines += [Text(note) for note in target["notes"]]
    lines += [Text(report["estimates"]), Text(f"by {'; '.join(report['tools'])}")]
    return Group(*lines)


def resource_usage(report: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Yield resource, used and available: nextpnr's numbers, or those of synthesis without it."""
    if report["used"]:
        for resource, (used, there) in report["used"].items():
            yield resource, used, there
        return
    for resource, there in report["target"]["available"].items():
        yield resource, report["synthesis"]["resources"][resource], there
