"""Place and route: nextpnr with one seed, its estimate of the clock, and the slowest path."""

import json
import re
from dataclasses import dataclass
from typing import Any

from boards.flow import cache
from boards.flow.netlist import Netlist
from boards.flow.tools import FlowError, find_tool, run
from boards.flow.work import COMPILING, Progress, TooLarge, code, work_folder
from boards.target import Target


@dataclass(frozen=True)
class Step:
    """One step of a path.

    Parameters
    ----------
    kind
        clk-to-q, logic, routing or setup.
    delay
        Delay in ns.
    place
        Where the step ends: a register's bit, or a cell and its port.
    """

    kind: str
    delay: float
    place: str


@dataclass(frozen=True)
class Placement:
    """The result of place and route with one seed.

    Parameters
    ----------
    seed
        nextpnr's seed.
    tool
        Name, version and origin of nextpnr.
    command
        The command line.
    clock
        Estimated clock in MHz; None if no path leads from a register to a register.
    asked
        The clock in MHz that was asked for.
    used
        How many of each resource are used and how many there are, by nextpnr's names.
    path
        The slowest path from a register to a register.
    """

    seed: int
    tool: str
    command: str
    clock: float | None
    asked: float
    used: dict[str, tuple[int, int]]
    path: tuple[Step, ...]

    @property
    def ends(self) -> tuple[str, str]:
        """Begin and end of the slowest path; empty texts if there is none."""
        return (self.path[0].place, self.path[-1].place) if self.path else ("", "")


def place(
    netlist: str,
    target: Target,
    seed: int,
    asked: float,
    grade: str,
    progress: Progress = lambda text: None,
) -> Placement:
    """Place and route a netlist of `boards.flow.yosys.synthesise`.

    The result is cached by netlist, target, arguments and version of nextpnr.

    Parameters
    ----------
    netlist
        Yosys's JSON.
    target
        The target that it was synthesised for.
    seed
        nextpnr's seed.
    asked
        Clock in MHz that nextpnr tries to reach.
    grade
        Speed grade; "" where the device's name fixes it.
    progress
        Called with a description of the present step.

    Returns
    -------
    Placement
        Clock, utilisation and slowest path.

    Raises
    ------
    TooLarge
        nextpnr finds no position for some cell.
    FlowError
        nextpnr is missing or failed, or there is none for the target.
    """
    if target.nextpnr is None:
        raise FlowError(f"{target.name}: there is no open place and route on PyPI")
    nextpnr = find_tool(target.nextpnr)
    arguments = [argument.format(grade=grade) for argument in target.arguments]
    arguments += target.unconstrained
    if target.pins:
        arguments += [part.format(file="pins.txt") for part in target.pin_option]
    arguments += ["--freq", f"{asked:g}", "--timing-allow-fail", "--seed", str(seed)]
    arguments += ["--json", "design.json", "--report", "report.json"]
    name = cache.key("placement", code(), netlist, target.name, *arguments, str(nextpnr))
    report = cache.load(name)
    if report is None:
        progress("reading the netlist")
        design = Netlist(netlist, target.device)
        with work_folder() as work:
            (work / "design.json").write_text(netlist, "utf-8")
            (work / "pins.txt").write_text(target.pins, "utf-8")
            try:
                more: list[str] = []
                try:
                    run(nextpnr, arguments, work, _Stages(progress))
                except _Endless:
                    progress("routing goes in circles: again, with nextpnr's other router")
                    more = ["--router", "router2"]
                    run(nextpnr, arguments + more, work, _Stages(progress))
            except FlowError as error:
                if re.search(
                    r"(unable|failed) to (find a )?plac\w*|no .*BELs? remaining", str(error), re.I
                ):
                    needs = ", ".join(
                        f"{number:,.0f} {resource}"
                        for resource, number in target.device.needs(design.cells).items()
                        if number
                    )
                    raise TooLarge(
                        f"no room on {target.device.title} for {needs}: {error}"
                    ) from None
                raise
            report = parse_report((work / "report.json").read_text("utf-8"), design)
            report["more"] = more
        cache.store(name, report)
    return Placement(
        seed=seed,
        tool=str(nextpnr),
        command=" ".join([nextpnr.name, *arguments, *report["more"]]),
        asked=asked,
        clock=report["clock"],
        used={name: (used, there) for name, (used, there) in report["used"].items()},
        path=tuple(Step(**step) for step in report["path"]),
    )


def parse_report(text: str, netlist: Netlist) -> dict[str, Any]:
    """Read a report of nextpnr.

    Parameters
    ----------
    text
        The report, JSON.
    netlist
        The netlist that was placed: it has the unit's own names.

    Returns
    -------
    dict
        `clock` in MHz or None; `used`, pairs of used and available by resource; `path`, a list of
        `Step`s as dictionaries.
    """
    report = json.loads(text)
    clocks = report["fmax"]
    # The design has one clock. Without a path between registers the report names no clock.
    clock = min((each["achieved"] for each in clocks.values()), default=None)
    path = []
    for each in report["critical_paths"]:
        inside = each["from"].startswith(("posedge", "negedge")) and each["from"] == each["to"]
        if inside:
            path = [
                {
                    "kind": step["type"],
                    "delay": round(step["delay"], 3),
                    "place": netlist.place_of(
                        step["to"]["cell"],
                        step["to"]["port"],
                        end=step["type"] in ("clk-to-q", "setup"),
                    ),
                }
                for step in each["path"]
            ]
            break
    return {
        "clock": None if clock is None else round(clock, 2),
        "used": {
            name: [size["used"], size["available"]]
            for name, size in sorted(report["utilization"].items())
            if size["used"]
        },
        "path": path,
    }


#: How often nextpnr's first router may route again as many wires as the design has, before routing
#: counts as endless; two or three times are usual.
_ROUNDS = 30


class _Endless(Exception):
    """nextpnr's first router rips up and routes the same wires again and again."""


class _Stages:
    """Reports nextpnr's steps, read from the lines that it writes.

    Raises
    ------
    _Endless
        Routing does not come to an end.
    """

    def __init__(self, progress: Progress):
        self._progress = progress
        self._arcs = 0

    def __call__(self, line: str) -> None:
        if line.startswith("Preparing to run"):
            self._progress(COMPILING)
        elif line.startswith("Info: Packing"):
            self._progress("packing")
        elif match := re.match(r"Info:\s+at iteration #(\d+)", line):
            self._progress(f"placing, round {match[1]}")
        elif match := re.match(r"Info: Routing (\d+) arcs", line):
            self._arcs = int(match[1])
            self._progress("routing")
        elif match := re.match(r"Info:\s+(\d+) \|[^|]*\|[^|]*\|\s+(\d+)\|", line):
            if int(match[1]) > _ROUNDS * max(self._arcs, 1000):
                raise _Endless
            done = 1 - int(match[2]) / max(self._arcs, 1)
            self._progress(f"routing, {max(done, 0):.0%} done")
        elif match := re.match(r"Info:\s+iter=(\d+) wires=\d+ overused=(\d+)", line):
            self._progress(f"routing, round {match[1]}, {int(match[2]):,} wires too many")
