# amaranth: UnusedElaboratable=no
# (a component for its ports alone)
"""What the tests of generated files share: parameter sets, and the tools that read the files."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest

from gradloom.rtl.verilog import verilog
from gradloom.sim.toplevel import flatten
from gradloom.units import UNITS

#: Unit and command line: the defaults, and what makes other logic.
CASES = [
    ("lfsr", ""),
    ("lfsr", "--lanes 3 --first-lane 2 --lfsr-bits 17 --leap 4 --draw 3 --lfsr-seed 77"),
    ("bank", ""),
    ("bank", "--groups 3 --first-lane 2 --lfsr-bits 64 --leap 32 --draw 20 --lfsr-seed 77"),
    ("rounder", ""),
    (
        "rounder",
        "--width 21 --lanes 3 --conversion 12:3,5:nearest-even --conversion 14:2,6:stochastic "
        "--conversion 2:8,4:nearest-away --conversion 9:2,3:nearest-down",
    ),
    ("rounder", "--width 12 --lanes 2 --conversion 5:3,2:stochastic --saturated"),
    ("macc", ""),
    ("macc", "--a 1,7 --b 3,2 --depth 5 --segments 1"),
    ("macc", "--a 4,14 --b 2,16 --depth 1000 --segments 3"),
    ("macc", "--a 1,7 --ternary --depth 100 --segments 3"),
    ("array", ""),
    ("array", "--rows 1 --columns 1 --depth 4"),
    ("array", "--rows 2 --columns 5 --a 1,7 --b 2,6 --raw --segments 1"),
    (
        "array",
        "--rows 5 --columns 3 --a 2,6 --b 1,7 --segments 3 --conversion 13:2,6:stochastic "
        "--conversion 10:3,5:nearest-up --lfsr-bits 24 --leap 8 --draw 8",
    ),
    ("array", "--rows 3 --columns 4 --conversion 20:4,12:nearest-even"),
    (
        "array",
        "--rows 2 --columns 3 --a 2,6 --b 1,7 --random-port --conversion 13:2,6:stochastic "
        "--conversion 10:3,5:nearest-up --conversion 13:2,4:stochastic",
    ),
    (
        "array",
        "--rows 2 --columns 3 --a 2,4 --b 1,4 --random-port --saturated "
        "--conversion 8:2,4:stochastic --conversion 8:2,4:nearest-up",
    ),
    ("array", "--rows 3 --columns 2 --a 1,7 --ternary --depth 9 --raw"),
    ("array", "--rows 3 --columns 3 --a 1,7 --b 1,7 --multipliers 2,2 --ternary-depth 99 --raw"),
    ("wage-weight", ""),
    ("wage-weight", "--stored 9 --bits 4 --lanes 3"),
    ("wage-activation", ""),
    ("wage-activation", "--width 14 --bits 5 --most-shift 6 --lanes 3"),
    ("wage-shift", ""),
    ("wage-shift", "--width 17 --lanes 5 --ceil"),
    ("wage-error", ""),
    ("wage-error", "--width 18 --bits 6 --lanes 2 --rounding stochastic"),
    ("wage-update", ""),
    ("wage-update", "--width 20 --bits 6 --lanes 2 --half"),
    ("pool", ""),
    ("pool", "--width 5 --most-places 4 --lanes 3"),
    ("unpool", ""),
    ("unpool", "--width 5 --most-places 4 --most-windows 3 --saturate --lanes 3"),
    ("threshold", ""),
    ("threshold", "--width 9 --levels 5 --channels 10 --lanes 3 --read-clocks 1"),
    ("sign", ""),
    ("sign", "--width 9 --fraction 8 --bits 1 --lanes 3"),
    ("mask", ""),
    ("mask", "--width 9 --lanes 3"),
    ("output-error", ""),
    ("output-error", "--width 9 --lanes 3 --classes 7 --most-one 5"),
    ("output-error", "--width 12 --lanes 4 --classes 3"),
    ("grid-update", ""),
    ("grid-update", "--rule bc --binary --grid 0 --drawn --rate-bits 0 --width 20"),
    ("grid-update", "--rule fine --grid 0 --width 20 --rate-bits 4"),
    ("momentum-update", ""),
    ("momentum-update", "--power --momentum-bits 0 --decay-bits 0 --rounding nearest-down"),
    ("softmax", ""),
    ("softmax", "--classes 3 --outputs 2,5 --error 1,9 --rounding nearest-even"),
    ("banks", ""),
    ("banks", "--banks 3 --words 11 --width 5"),
    ("row-store", ""),
    ("row-store", "--rows 11 --lanes 1 --width 5"),
    ("product-nest", ""),
    ("product-nest", "--rows 5 --banks 1 --address-bits 3 --row-bits 4 --no-clips"),
    ("pass-nest", ""),
    ("pass-nest", "--banks 1 --address-bits 3 --s-bits 4 --k-bits 1"),
    ("move-nest", ""),
    ("move-nest", "--banks 1 --address-bits 3"),
    ("operand-stream", ""),
    ("operand-stream", "--banks 5 --lanes 3 --address-bits 4 --width 5 --stores 1"),
]


def configured(name, arguments=""):
    """The unit `name` and its configuration by the command line `arguments`."""
    unit = UNITS[name]
    command = click.Command(name, params=list(unit.options))
    return unit, unit.configure(**command.make_context(name, arguments.split()).params)


@cache
def text_of(name, arguments=""):
    """Its Verilog, made once in a run of the tests."""
    unit, config = configured(name, arguments)
    return verilog(unit.component(config))


def ports(unit, config):
    """The unit's plain ports, without `clk` and `rst`."""
    return flatten(unit.component(config))


def tool(name):
    """The path of `name`, beside this Python or on the PATH; the test is skipped without it."""
    found = shutil.which(
        name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(command, folder, **environment):
    """Run `command` in `folder`; what it wrote, and its exit status."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def gradloom(*arguments, folder=None, **environment):
    """Run the command line as a user would."""
    return run([sys.executable, "-m", "gradloom", *arguments], folder, **environment)
