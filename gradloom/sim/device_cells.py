"""Cells of devices in a simulation: the models that gradloom ships take their places.

Amaranth leaves an instance of a vendor's cell as it is, and its own simulator takes the cell's
outputs for 0. Here Yosys puts a model, in Verilog, in the place of each cell of a design in RTLIL,
which then is a design like any other.
"""

import re
import tempfile
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path

from boards.flow import cache as results
from boards.flow.tools import find_tool, run

_SCRIPT = (
    # A model is read with the parameters that it is used with: others may end a simulation.
    "read_rtlil unit.il; read_verilog -defer models.v; hierarchy -check -top top; proc; "
    # A carry between bits of one vector would look like a loop.
    "flatten; opt_expr; opt_clean; splitnets -driver; clean; write_rtlil lowered.il"
)


@cache
def _shipped() -> tuple[str, ...]:
    """The text of each file of models, in the order of their names."""
    files = resources.files("gradloom.rtl") / "models"
    return tuple(
        file.read_text("utf-8") for file in sorted(files.iterdir(), key=lambda file: file.name)
    )


def _modules(verilog: str) -> set[str]:
    return set(re.findall(r"^module (\w+)", verilog, re.M))


def models(kinds: Iterable[str]) -> str:
    """Return the files with models of cells of these kinds, one after the other.

    Examples
    --------
    >>> models(["CCU2C"]).splitlines()[0].partition(",")[0]
    "// Models of ECP5's cells that gradloom's designs for it are made of"
    >>> models(["LUT4"])
    ''
    """
    wanted = set(kinds)
    return "".join(text for text in _shipped() if wanted & _modules(text))


def cells(rtlil: str) -> set[str]:
    """Return the kinds of cells of a design that are neither its modules nor Yosys's own cells."""
    instances = set(re.findall(r"^ *cell \\(\S+) ", rtlil, re.M))
    return instances - set(re.findall(r"^module \\(\S+)$", rtlil, re.M))


def lowered(rtlil: str, with_models: str | None = None) -> str:
    """Return a design with models in the places of devices' cells.

    Parameters
    ----------
    rtlil
        The design, whose top module is `top`. Without such a cell, it is returned as it is.
    with_models
        Verilog of the models; by default those that gradloom ships.

    Raises
    ------
    ValueError
        There is no model of a cell.
    FlowError
        Yosys is missing or failed.
    """
    kinds = cells(rtlil)
    if not kinds:
        return rtlil
    text = models(kinds) if with_models is None else with_models
    if unknown := kinds - _modules(text):
        raise ValueError(f"{', '.join(sorted(unknown))}: there is no model of this cell")
    yosys = find_tool("yosys")
    name = results.key("lowered", rtlil, text, _SCRIPT, str(yosys))
    kept = results.load(name)
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="gradloom-cells-") as place:
            folder = Path(place)
            (folder / "unit.il").write_text(rtlil, "utf-8")
            (folder / "models.v").write_text(text, "utf-8")
            run(yosys, ["-q", "-p", _SCRIPT], folder, lambda line: None)
            kept = (folder / "lowered.il").read_text("utf-8")
        results.store(name, kept)
    assert isinstance(kept, str)
    return kept
