"""From Verilog to what it takes and how fast it is: Yosys, then nextpnr, a run for every seed.

A unit is built out of context: its ports have no pads, so that a wide one goes into a small
package. Inputs come from nowhere and outputs lead nowhere; the clock alone is real. What is timed
is every path from a register to a register.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache as once
from pathlib import Path
from typing import Any

from boards import cache
from boards.netlist import BODY_MARK, Netlist
from boards.targets import Target, too_large
from boards.tools import FlowError, find_tool, run

#: Told what is being done.
Progress = Callable[[str], None]


class TooLarge(FlowError):
    """The design does not fit the device."""


@dataclass(frozen=True)
class Synthesis:
    """What Yosys made.

    Parameters
    ----------
    target
        Name of the target.
    command
        What Yosys was told to do.
    tool
        Which Yosys.
    cells
        Number of cells by kind.
    resources
        What they take of the device, before place and route.
    by_part
        Number of cells by kind in every part of the unit; "" is its own body.
    netlist
        The netlist that nextpnr reads.
    """

    target: str
    command: str
    tool: str
    cells: dict[str, int]
    resources: dict[str, float]
    by_part: dict[str, dict[str, int]]
    netlist: str


@dataclass(frozen=True)
class Step:
    """A step of a path: clk-to-q, logic, routing or setup, its delay in ns, and where it ends."""

    kind: str
    delay: float
    place: str


@dataclass(frozen=True)
class Placement:
    """What nextpnr made with one seed.

    Parameters
    ----------
    seed
        The seed.
    tool
        Which nextpnr.
    command
        How it was called.
    clock
        Estimated clock in MHz; None where no path leads from a register to a register.
    asked
        The clock that was asked for.
    used
        Resources: how many are used and how many there are, by nextpnr's names.
    path
        The slowest path.
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
        """Where the slowest path begins and where it ends."""
        return (self.path[0].place, self.path[-1].place) if self.path else ("", "")


@once
def _code() -> str:
    """What reads the tools' answers: when its text changes, kept results are right no more."""
    here = Path(__file__).parent
    return "".join(
        (here / name).read_text() for name in ("flow.py", "netlist.py", "places.py", "targets.py")
    )


def script(target: Target, top: str, *, infer: bool = True) -> str:
    """Yosys's commands for a unit without pads; `infer` has multiplier blocks made of products."""
    ports = "w:* w:clk %d" if target.keep_clock else "w:*"
    options = [target.inferring if infer else "", target.inner, f"-top {top}"]
    commands = [
        "read_verilog design.v",
        # The device's own cells are known to the command below, which checks for unknown ones.
        f"hierarchy -top {top}",
        # The registers are named and their modules noted before the flattening, for the report.
        "proc",
        # Resets and enables are found before equal gates become one: of registers that are to stay
        # apart, each would else lose its own to a gate in front of all of them.
        "opt_dff",
        "autoname",
        f"setattr -set {BODY_MARK} 1 {top}/c:*",
        "flatten -scopename",
        *([target.before] if target.before else []),
        " ".join([target.synthesis, *filter(None, options)]),
        *([target.clock_pad] if target.clock_pad else []),
        "autoname",
        f"delete -port {ports}",
        "write_json design.json",
    ]
    return "; ".join(commands)


def synthesise(
    verilog: str, top: str, target: Target, progress: Progress = lambda text: None
) -> Synthesis:
    """Cells of the module `top`, out of context.

    Raises
    ------
    TooLarge
        The device has less than they need.
    FlowError
        Yosys is missing or failed.
    """
    yosys = find_tool("yosys")
    commands = script(target, top, infer=not target.multiplies(verilog))
    name = cache.key("synthesis", _code(), verilog, target.name, commands, str(yosys))
    kept = cache.load(name)
    if kept is not None:
        synthesis = Synthesis(**kept)
    else:
        with _work() as work:
            (work / "design.v").write_text(verilog)
            run(yosys, ["-p", commands], work, lambda line: _yosys_stage(line, progress))
            text = (work / "design.json").read_text()
        progress("counting cells")
        netlist = Netlist(text, target)
        synthesis = Synthesis(
            target=target.name,
            command=commands,
            tool=str(yosys),
            cells=netlist.cells,
            resources=target.needs(netlist.cells),
            by_part=netlist.by_part,
            netlist=netlist.without_tied_carries() if target.family == "nexus" else text,
        )
        cache.store(name, asdict(synthesis))
    if problem := too_large(target, synthesis.resources):
        raise TooLarge(f"{top} {problem} ({target.device})")
    return synthesis


def place(
    netlist: str,
    target: Target,
    seed: int,
    asked: float,
    grade: str,
    progress: Progress = lambda text: None,
) -> Placement:
    """Place and route a netlist of `synthesise` with a seed.

    Parameters
    ----------
    netlist
        Yosys's JSON.
    target
        What it was mapped to.
    seed
        nextpnr's seed.
    asked
        Clock in MHz that nextpnr shall reach for.
    grade
        Speed grade, "" where the device's name has it.
    progress
        Told what is being done.

    Raises
    ------
    TooLarge
        nextpnr finds no place for all cells.
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
    name = cache.key("placement", _code(), netlist, target.name, *arguments, str(nextpnr))
    report = cache.load(name)
    if report is None:
        progress("reading the netlist")
        design = Netlist(netlist, target)
        with _work() as work:
            (work / "design.json").write_text(netlist)
            (work / "pins.txt").write_text(target.pins)
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
                        for resource, number in target.needs(design.cells).items()
                        if number
                    )
                    raise TooLarge(f"no room on {target.device} for {needs}: {error}") from None
                raise
            report = parse_report((work / "report.json").read_text(), design)
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
    """Clock, utilisation and slowest path of nextpnr's report, in the unit's own names."""
    report = json.loads(text)
    clocks = report["fmax"]
    # One clock comes in; a report without any has no path between registers.
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


@contextmanager
def _work() -> Iterator[Path]:
    """A folder for a tool's files, gone afterwards whatever happens."""
    with tempfile.TemporaryDirectory(prefix="gradloom-build-") as name:
        yield Path(name)


#: YoWASP's own remark.
_COMPILING = "compiling the tool's WebAssembly, once for this installation"


def _yosys_stage(line: str, progress: Progress) -> None:
    if line.startswith("Preparing to run"):
        progress(_COMPILING)
    elif match := re.match(r"[\d.]+ Executing ([\w$]+)", line):
        progress(f"synthesis: {match[1].lower()}")


#: Times over that nextpnr's first router may rip up and route again what it had to route; two or
#: three are usual.
_ROUNDS = 30


class _Endless(Exception):
    """nextpnr's first router goes in circles: it rips up and routes the same wires for ever."""


class _Stages:
    """What nextpnr is doing, by the lines that it writes.

    Raises
    ------
    _Endless
        Routing will not end.
    """

    def __init__(self, progress: Progress):
        self._progress = progress
        self._arcs = 0

    def __call__(self, line: str) -> None:
        if line.startswith("Preparing to run"):
            self._progress(_COMPILING)
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
