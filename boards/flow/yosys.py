"""Synthesis: Yosys makes a netlist of Verilog, and the netlist is counted.

A unit is built out of context: its ports have no pads, so that a unit with more ports than the
package has pins can be built. The clock is the only port that stays connected. nextpnr then times
every path from a register to a register.
"""

import re
from dataclasses import asdict, dataclass

from boards.flow import cache
from boards.flow.netlist import BODY_MARK, Netlist
from boards.flow.tools import find_tool, run
from boards.flow.work import COMPILING, Progress, TooLarge, code, work_folder
from boards.target import Target


@dataclass(frozen=True)
class Synthesis:
    """The result of a synthesis.

    Parameters
    ----------
    target
        Name of the target.
    command
        Yosys's commands.
    tool
        Name, version and origin of Yosys.
    cells
        Number of cells by kind.
    resources
        Amount of each resource that the cells take, before place and route.
    by_part
        Number of cells by kind in every submodule, by its path; "" is the top module itself.
    netlist
        The netlist for nextpnr, JSON.
    """

    target: str
    command: str
    tool: str
    cells: dict[str, int]
    resources: dict[str, float]
    by_part: dict[str, dict[str, int]]
    netlist: str


def script(target: Target, top: str, *, infer: bool = True) -> str:
    """Return Yosys's commands for a unit without pads.

    Parameters
    ----------
    target
        The target.
    top
        Name of the top module, in `design.v`.
    infer
        Whether Yosys may infer multiplier blocks.

    Examples
    --------
    >>> from boards.target import find
    >>> "synth_ecp5 -top macc" in script(find("ecp5-25f"), "macc")
    True
    """
    ports = "w:* w:clk %d" if target.keep_clock else "w:*"
    options = [target.inferring if infer else "", target.inner, f"-top {top}"]
    commands = [
        "read_verilog design.v",
        # No check for unknown cells here: only the synthesis command knows the device's cells.
        f"hierarchy -top {top}",
        # Registers get names, and cells note their module, before the hierarchy is flattened: the
        # report needs both.
        "proc",
        # Registers take their resets and enables before equal gates are merged. Otherwise copies of
        # a register that are to stay apart would share one gate in front of them all.
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
    """Synthesise the module `top` out of context.

    The result is cached by Verilog, target, commands and version of Yosys.

    Parameters
    ----------
    verilog
        Text with the module and all that it instantiates; its clock is `clk`.
    top
        Name of the module.
    target
        The target.
    progress
        Called with a description of the present step.

    Returns
    -------
    Synthesis
        Cells, resources and netlist.

    Raises
    ------
    TooLarge
        The device has too few of some resource.
    FlowError
        Yosys is missing or failed.
    """
    yosys = find_tool("yosys")
    commands = script(target, top, infer=not target.device.multiplies(verilog))
    name = cache.key("synthesis", code(), verilog, target.name, commands, str(yosys))
    kept = cache.load(name)
    if kept is not None:
        synthesis = Synthesis(**kept)
    else:
        with work_folder() as work:
            (work / "design.v").write_text(verilog, "utf-8")
            run(yosys, ["-p", commands], work, lambda line: _yosys_stage(line, progress))
            text = (work / "design.json").read_text("utf-8")
        progress("counting cells")
        netlist = Netlist(text, target.device)
        synthesis = Synthesis(
            target=target.name,
            command=commands,
            tool=str(yosys),
            cells=netlist.cells,
            resources=target.device.needs(netlist.cells),
            by_part=netlist.by_part,
            netlist=netlist.without_tied_carries()
            if target.device.family.name == "nexus"
            else text,
        )
        cache.store(name, asdict(synthesis))
    if problem := target.device.lacks(synthesis.resources):
        raise TooLarge(f"{top} {problem} ({target.device.title})")
    return synthesis


def _yosys_stage(line: str, progress: Progress) -> None:
    if line.startswith("Preparing to run"):
        progress(COMPILING)
    elif match := re.match(r"[\d.]+ Executing ([\w$]+)", line):
        progress(f"synthesis: {match[1].lower()}")
