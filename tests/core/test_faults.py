"""A fault planted in a module of the core's gates is found: by the comparison of its writes, or by
a test of its own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

#: Modules of hdl/core: what is written there, and what is put in its place.
FAULTS = {
    "a wrap of an index": (
        "indices",
        "index.low >= banks - lane if lane",
        "index.low > banks - lane if lane",
    ),
    "a lane table": ("operands", "with m.If(here[number]):", "with m.If(here[number - 1]):"),
    "a forward weight": ("products", "up = half & (rest.any() | floor[0])", "up = half"),
    "the order of loops": ("nest", "above = above & ~bit", "above = above & bit"),
    "a step's base": ("fetch", "base.eq(base + total)", "base.eq(base)"),
    "a step of a pass": ("pass_nest", "s + loop.s, k + loop.k,", "s + loop.s, k,"),
    "a mask": ("passes", "masked & ~unclipped[lane]", "masked & unclipped[lane]"),
    "a sample's row": ("move_nest", "row.eq(below),", "row.eq(at),"),
    "a memory": ("banks", "write=self.b_write[bank]", "write=self.b_write[0]"),
    "a flag of a loop": ("loops", "end.eq(self._near[k])", "end.eq(self._one[k])"),
    "a count that begins": (
        "engine",
        "m.d.sync += self.count.eq(0)",
        "m.d.sync += self.count.eq(1)",
    ),
    "a count": (
        "core",
        "fetch.counts[k].eq(self.engines[other].count)",
        "fetch.counts[k].eq(unit.count)",
    ),
}

#: Faults that change no write, with the tests that find them.
UNSEEN = {
    "a clock": (
        "clocks",
        "after.eq(present + self.counts)",
        "after.eq(present + 2)",
        "test_registers",
        "clocks",
    ),
    "a scalar": (
        "registers",
        "write.addr.eq(self.scalar)",
        "write.addr.eq(0)",
        "test_registers",
        "scalars",
    ),
    "a refused word": (
        "registers",
        "Array(words - 1 for",
        "Array(words for",
        "test_registers",
        "beyond",
    ),
    "a bound": (
        "legal",
        "made.s_end > self.config.s_rows",
        "made.s_end >= self.config.s_rows",
        "test_legal",
        "gates",
    ),
    "an update's end": (
        "control",
        "self.update_ends | self.reset",
        "self.reset",
        "test_stops",
        "status_says",
    ),
    "the end of a program": (
        "control",
        "over | (quiet & still)",
        "quiet & still",
        "test_stops",
        "status_says",
    ),
    "a rate that is late": (
        "control",
        "self.from_step < self.begun",
        "self.from_step > self.begun",
        "test_stops",
        "rate_holds",
    ),
    "a sloped wait": (
        "fetch",
        "limit + (wait.slope << 1)",
        "limit + wait.slope",
        "test_fetch",
        "limit",
    ),
    "a stride that is negative": (
        "fields",
        "shape = signed(made.width)",
        "shape = unsigned(made.width)",
        "test_field",
        "same_bits",
    ),
    "a tap outside an image": (
        "clips",
        "on & (low > 0), low, 0",
        "on & (low > 1), low, 0",
        "test_nest",
        "taps_outside",
    ),
    "the class of a lane": (
        "classify",
        "registered(m, first + lane,",
        "registered(m, first,",
        "test_stops",
        "several_resident",
    ),
    "the beat of a label": (
        "move_nest",
        "self.last_beat.eq(beats_left == 1)",
        "self.last_beat.eq(beats_left <= 1)",
        "test_move_nest",
        "label",
    ),
    "a cut batch": (
        "movers",
        "self.short.eq(accepted &",
        "self.short.eq(0 &",
        "test_stops",
        "whole_though",
    ),
}

#: Modules without a planted fault, and why.
WITHOUT = {
    "edge": "connects ports and has no gates of its own; the testbench of every package, in "
    "test_package.py, goes through it",
}

PROGRAM = """
import numpy as np
from test_core import compiled, compare_steps, random_images, small
from gradloom.core.errors import CoreError
core = compiled(small(network="9FC-5FC", batch=7), (2, 3, 1), 5, inputs=2)
try:
    found = compare_steps(core, random_images((2, 3, 1), 5), steps=3, simulator="pysim", most=4000)
except CoreError as error:
    print("found:", error)
else:
    print("found:" if found.differences else "agrees", *found.differences)
"""


def planted(folder, module, right, wrong):
    """Copy all packages, with a fault in one module."""
    for package in ("golden", "hdl", "boards", "gradloom"):
        shutil.copytree(ROOT / package, folder / package)
    file = folder / "hdl" / "core" / f"{module}.py"
    text = file.read_text(encoding="utf-8")
    assert right in text
    file.write_text(text.replace(right, wrong), encoding="utf-8")


def test_every_module_has_a_fault():
    """And what is to be replaced is there, once or more."""
    planted_in = {module: right for module, right, *_ in [*FAULTS.values(), *UNSEEN.values()]}
    modules = {file.stem for file in (ROOT / "hdl" / "core").glob("*.py")} - {"__init__"}
    assert planted_in.keys() | WITHOUT.keys() == modules
    assert not planted_in.keys() & WITHOUT.keys()
    for module, right, *_ in [*FAULTS.values(), *UNSEEN.values()]:
        text = (ROOT / "hdl" / "core" / f"{module}.py").read_text(encoding="utf-8")
        assert right in text, (module, right)


@pytest.mark.long
@pytest.mark.parametrize("name", UNSEEN)
def test_a_fault_that_changes_no_write_is_found(name, tmp_path):
    module, right, wrong, file, tests = UNSEEN[name]
    planted(tmp_path, module, right, wrong)
    chosen = ["-k", tests, "-m", "long or not long", "-p", "no:cacheprovider", "-q", "-x"]
    files = ["-c", str(ROOT / "pyproject.toml"), str(ROOT / "tests" / "core" / f"{file}.py")]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *chosen, *files],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1 and "1 failed" in ran.stdout, ran.stdout


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_gates_is_found(name, tmp_path):
    planted(tmp_path, *FAULTS[name])
    paths = [tmp_path, ROOT / "tests", ROOT / "tests" / "core"]
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        cwd=tmp_path,  # the first place where Python looks
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "found:" in ran.stdout


@pytest.mark.long
def test_without_a_fault_it_agrees():
    paths = [ROOT, ROOT / "tests", ROOT / "tests" / "core"]
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith("agrees")
