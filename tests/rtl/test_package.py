"""The folder that `generate` writes: its testbench in other simulators, its descriptions."""

import hashlib
import json
import re
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from generated import CASES, configured, gradloom, ports, run, tool

import golden
from golden import settings
from golden.files import write
from golden.fixed import Fixed
from golden.port import outputs_of
from gradloom.rtl.package import package
from gradloom.sim.stimulus import usual_inputs
from gradloom.units import UNITS
from hdl.cells import CELLS

CYCLES = 1200
IDS = [f"{name} {arguments}".strip() for name, arguments in CASES]
#: Verilator takes some ten seconds a unit; these are enough to see that it reads the same language.
QUICK = [("lfsr", ""), ("array", "--rows 2 --columns 3 --a 1,7 --b 1,7")]


def made(name, arguments, folder, cycles=CYCLES, seed=0):
    """The files of a unit, in `folder`."""
    unit, config = configured(name, arguments)
    files = package(unit, config, cycles, seed)
    write(files, folder)
    return unit, config, files


def icarus(module, folder, *plusargs, place=None):
    """Exit status and output of the testbench in Icarus Verilog, by the commands in its header."""
    vvp = tool("vvp")
    sources = [f"{module}.v", f"{module}_tb.v"]
    built = run([tool("iverilog"), "-g2005", "-Wall", "-o", "tb.vvp", *sources], folder)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    ran = run([vvp, "-N", folder / "tb.vvp", *plusargs], place or folder)
    return ran.returncode, ran.stdout + ran.stderr


def verilator(module, folder, *plusargs, place=None):
    """The same in Verilator."""
    command = f"--binary --top-module {module}_tb {module}.v {module}_tb.v".split()
    built = run([tool("verilator"), *command], folder)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "Warning" not in built.stdout + built.stderr
    ran = run([folder / f"obj_dir/V{module}_tb", *plusargs], place or folder)
    return ran.returncode, ran.stdout + ran.stderr


def values_of(unit, config):
    return sum(port.lanes or 1 for port in outputs_of(ports(unit, config)))


def passes(simulate, name, arguments, folder):
    unit, config, _ = made(name, arguments, folder)
    status, output = simulate(unit.module, folder)
    values = CYCLES * values_of(unit, config)
    assert f"PASS: {unit.module}, {CYCLES} clocks, {values} values compared" in output
    assert status == 0, output


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_passes_in_icarus(name, arguments, tmp_path):
    passes(icarus, name, arguments, tmp_path)


@pytest.mark.parametrize(("name", "arguments"), QUICK)
def test_passes_in_verilator(name, arguments, tmp_path):
    passes(verilator, name, arguments, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_passes_in_verilator_with_all_parameters(name, arguments, tmp_path):
    passes(verilator, name, arguments, tmp_path)


@pytest.mark.long
def test_a_large_array_passes_in_icarus(tmp_path):
    passes(icarus, "array", "--rows 24 --columns 24 --a 1,7 --b 1,7", tmp_path)


#: Digests of Verilog, template and description of units, without gradloom's version, from before
#: there was the setting `saturated`.
BEFORE = {
    ("rounder", ""): ("94f315be9d889aa888c8631c050cd2accfc8abace08093a3d8df5e13dbc9b70b"),
    ("array", "--rows 3 --columns 4 --conversion 20:4,12:nearest-even"): (
        "f61f7f05ab8d8db59039e824c8c151fca1bad61f5e763b54e74c4e8bb259fba4"
    ),
}


@pytest.mark.parametrize(("name", "arguments"), BEFORE)
def test_a_setting_that_is_off_changes_no_byte(name, arguments):
    """A change on purpose of what is generated changes the digests."""
    unit, config = configured(name, arguments)
    files = package(unit, config, 20)
    texts = [files[f"{unit.module}{end}"] for end in (".v", ".vh", ".json")]
    text = "".join(texts).replace(version("gradloom"), "")
    assert hashlib.sha256(text.encode()).hexdigest() == BEFORE[name, arguments]
    assert "saturated =" not in text and "o_saturated" not in text
    on = package(unit, replace(config, saturated=True), 20)
    assert "//   saturated = True\n" in on[f"{unit.module}.v"]
    assert '"saturated": true' in on[f"{unit.module}.json"]
    assert "o_saturated" in on[f"{unit.module}.vh"]


# A wrong constant, and where it shows first: by the expected values alone.

ROUNDED = "--rows 2 --columns 3 --a 1,7 --b 1,7"


def first_saturated(config, stimulus):
    """Where a highest code of 126 in the place of 127 shows first: where a format with room for it
    has a higher one.
    """
    (conversion,) = config.conversions
    room = replace(conversion, target=Fixed(8, 7))
    wide = golden.Array(replace(config, conversions=(room,))).run(stimulus)
    clock, lane = np.argwhere(wide["o_data"] > 127)[0]
    return clock, f"port o_data, lane {lane}: expected 127, got 126"


def first_drawn(config, stimulus):
    """Where the seed 2 in the place of 1 shows first: at once."""
    return 0, "port o_data: expected 1, got 2"


def after_reset(config, stimulus):
    """Where the same in the reset alone shows first: a clock after the first reset."""
    return np.flatnonzero(stimulus["rst"])[0] + 1, "port o_data: expected 1, got 2"


MUTANTS = {
    "the highest code": ("array", ROUNDED, "8'h7f", "8'h7e", first_saturated),
    "the seed": ("lfsr", "", "state_0 = 32'd1;", "state_0 = 32'd2;", first_drawn),
    "the reset": ("lfsr", "", "state_0 <= 32'd1;", "state_0 <= 32'd2;", after_reset),
}


def fails(simulate, mutant, folder):
    name, arguments, right, wrong, where = MUTANTS[mutant]
    unit, config, files = made(name, arguments, folder)
    source = files[f"{unit.module}.v"]
    assert source.count(right) == 1
    (folder / f"{unit.module}.v").write_text(source.replace(right, wrong))
    stimulus = usual_inputs(unit, config, CYCLES, 0)
    clock, text = where(config, stimulus)
    status, output = simulate(unit.module, folder)
    assert status != 0
    first, last = re.findall(r"^(clock .*|(?:PASS|FAIL).*)$", output, re.M)
    assert first.startswith(f"clock {clock}, {text} (hex")
    assert last == f"FAIL: {unit.module}"


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_constant_fails_at_its_clock_in_icarus(mutant, tmp_path):
    fails(icarus, mutant, tmp_path)


@pytest.mark.parametrize(
    "mutant",
    [
        "the reset",
        *(pytest.param(name, marks=pytest.mark.long) for name in MUTANTS if name != "the reset"),
    ],
)
def test_a_wrong_constant_fails_at_its_clock_in_verilator(mutant, tmp_path):
    fails(verilator, mutant, tmp_path)


def test_another_seed_and_length_make_another_testbench(tmp_path):
    unit, _, files = made("rounder", "", tmp_path, cycles=333, seed=5)
    assert icarus(unit.module, tmp_path)[1].startswith("PASS: gradloom_rounder, 333 clocks")
    _, _, others = made("rounder", "", tmp_path, cycles=333, seed=6)
    assert files["gradloom_rounder_tb_in.mem"] != others["gradloom_rounder_tb_in.mem"]
    assert files["gradloom_rounder.v"] == others["gradloom_rounder.v"]
    assert all(
        len(text.splitlines()) == 334 for name, text in files.items() if name.endswith("mem")
    )


def test_the_memory_files_can_be_elsewhere(tmp_path):
    place = tmp_path / "elsewhere"
    place.mkdir()
    unit, _, _ = made("lfsr", "", tmp_path / "files")
    status, output = icarus(unit.module, tmp_path / "files", f"+data={tmp_path}/files", place=place)
    assert status == 0 and output.startswith("PASS")
    status, output = icarus(unit.module, tmp_path / "files", place=place)
    assert status != 0
    assert "no gradloom_lfsr_tb_out.mem: give its folder by +data=FOLDER" in output


def test_waves_are_written_on_demand(tmp_path):
    unit, _, _ = made("lfsr", "", tmp_path, cycles=20)
    assert icarus(unit.module, tmp_path)[0] == 0
    assert not (tmp_path / "gradloom_lfsr_tb.vcd").exists()
    assert icarus(unit.module, tmp_path, "+waves")[0] == 0
    assert (tmp_path / "gradloom_lfsr_tb.vcd").stat().st_size


def test_the_commands_in_the_header_are_those_that_work(tmp_path):
    tool("iverilog")
    made("wage-activation", "", tmp_path)
    header = (tmp_path / "gradloom_wage_activation_tb.v").read_text()
    commands = re.findall(r"^// +\$ (.*)$", header, re.M)
    assert [command.split()[0] for command in commands] == [
        "iverilog",
        "vvp",
        "verilator",
        "obj_dir/Vgradloom_wage_activation_tb",
        "fusesoc",
    ]
    result = run(["sh", "-c", " && ".join(commands[:2])], tmp_path)
    assert (result.returncode, result.stdout[:4]) == (0, "PASS")


def test_the_template_is_a_working_instance(tmp_path):
    iverilog = tool("iverilog")
    for name, arguments in [("array", ROUNDED), ("lfsr", ""), ("macc", "")]:
        unit, _, _ = made(name, arguments, tmp_path)
        outer = f'module outer;\n`include "{unit.module}.vh"\nendmodule\n'
        (tmp_path / "outer.v").write_text(outer)
        sources = ["outer.v", f"{unit.module}.v"]
        result = run([iverilog, "-g2005", "-s", "outer", "-o", "outer.vvp", *sources], tmp_path)
        assert (result.returncode, result.stderr) == (0, "")


def test_the_example_in_the_documentation_multiplies_its_matrices(tmp_path):
    iverilog, vvp = tool("iverilog"), tool("vvp")
    page = (Path(__file__).parents[2] / "docs/verilog.md").read_text()
    (made_by,) = re.findall(r"^gradloom generate (.* -o product/)$", page, re.M)
    assert gradloom("generate", *made_by.split(), folder=tmp_path).returncode == 0
    folder = tmp_path / "product"
    (example,) = re.findall(r"```verilog\n(.*?)```", page, re.S)
    (folder / "example.v").write_text(example)
    sources = ["gradloom_array.v", "example.v"]
    built = run([iverilog, "-g2005", "-Wall", "-o", "example.vvp", *sources], folder)
    assert (built.returncode, built.stderr) == (0, "")
    ran = run([vvp, "-n", "example.vvp"], folder)
    product = np.array([[1, 2, 3], [4, 5, -6]]) @ np.array([[7, 8], [9, 10], [11, 12]])
    said = [f"row {row}: {product[row, 0]} {product[row, 1]}" for row in (1, 0)]
    assert ran.stdout.splitlines() == said
    assert "\n".join(said) in page


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_the_description_is_that_of_the_unit(name, arguments):
    unit, config = configured(name, arguments)
    files = package(unit, config, 1)
    description = json.loads(files[f"{unit.module}.json"])
    assert description["module"] == unit.module
    assert settings.made(type(config), description["parameters"]) == config
    assert description["latency"]["clocks"] == config.latency
    assert description["throughput"] == config.throughput
    assert description["generator"]["name"] == "gradloom"
    clk, rst, *rows = description["ports"]
    assert (clk["name"], rst["name"]) == ("clk", "rst")
    for row, port in zip(rows, ports(unit, config), strict=True):
        assert row.pop("meaning")
        assert row == {
            "name": port.name,
            "direction": port.direction,
            "bits": port.bits,
            "lanes": port.lanes,
            "width": port.width,
            "signed": port.signed,
        }
    if name == "macc" and not arguments:
        assert description["parameters"] == {
            "a": "2,14",
            "b": "2,14",
            "depth": 511,
            "segments": 2,
            "ternary": False,
        }


@pytest.mark.parametrize("name", UNITS)
def test_the_core_names_its_files(name):
    yaml = pytest.importorskip("yaml")
    unit, config = configured(name)
    files = package(unit, config, 1)
    text = files[f"{unit.module}.core"]
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.partition("\n")[2])
    assert core["description"] == unit.summary
    assert {"sim", "sim_verilator", "lint", "synth"} <= core["targets"].keys()
    named = {
        file for group in core["filesets"].values() for entry in group["files"] for file in entry
    }
    assert named == {file for file in files if file.endswith((".v", ".mem"))}


@pytest.mark.parametrize(("cells", "family"), [("ecp5", "ecp5"), ("xc7", "xilinx")])
def test_the_core_synthesizes_for_the_family_of_the_cells(cells, family):
    files = package(*configured("macc"), 1, cells=CELLS[cells])
    assert f"\n      arch: {family}\n" in files["gradloom_macc.core"]


def fusesoc(folder, target, core="gradloom:generated:gradloom_array"):
    command = f"--cores-root . run --target={target} {core}".split()
    return run([tool("fusesoc"), *command], folder, XDG_CONFIG_HOME=str(folder), HOME=str(folder))


@pytest.mark.parametrize(
    "target", ["sim", "lint", pytest.param("sim_verilator", marks=pytest.mark.long)]
)
def test_fusesoc_runs_it(target, tmp_path):
    for name in ("iverilog",) if target == "sim" else ("verilator",):
        tool(name)
    _, _, files = made("array", ROUNDED, tmp_path)
    result = fusesoc(tmp_path, target)
    assert result.returncode == 0, result.stdout + result.stderr
    if target == "lint":
        assert "Warning" not in result.stdout + result.stderr
        return
    assert "PASS: gradloom_array" in result.stdout
    (tmp_path / "gradloom_array.v").write_text(files["gradloom_array.v"].replace("8'h7f", "8'h7e"))
    result = fusesoc(tmp_path, target)
    assert result.returncode != 0
    assert "FAIL: gradloom_array" in result.stdout


def test_fusesoc_synthesizes_it(tmp_path):
    tool("yosys")  # the one of YoWASP has no Tcl, which FuseSoC wants
    made("array", ROUNDED, tmp_path)
    result = fusesoc(tmp_path, "synth")
    assert result.returncode == 0, result.stdout + result.stderr
    (netlist,) = tmp_path.rglob("gradloom_generated_gradloom_array_*.json")
    cells = json.loads(netlist.read_text())["modules"]["gradloom_array"]["cells"]
    kinds = [cell["type"] for cell in cells.values()]
    assert kinds.count("MULT18X18D") == 6


# What `generate` does with its option --output.


def generate(folder, *arguments):
    return gradloom("generate", *arguments, folder=folder)


def test_a_folder_is_made_and_only_its_own_files_are_written(tmp_path):
    result = generate(tmp_path, "lfsr", "-o", "a/b/", "--cycles", "10")
    assert result.returncode == 0, result.stderr
    (tmp_path / "a/b/notes.txt").write_text("mine")
    names = {file.name for file in (tmp_path / "a/b").iterdir()}
    ends = (".v", ".vh", ".json", ".core", "_tb.v", "_tb_in.mem", "_tb_out.mem")
    assert names == {*(f"gradloom_lfsr{end}" for end in ends), "notes.txt"}
    assert result.stdout.splitlines()[0].startswith("a/b/gradloom_lfsr.v: ")
    assert generate(tmp_path, "lfsr", "-o", "a/b").returncode == 0
    assert (tmp_path / "a/b/notes.txt").read_text() == "mine"
    assert {file.name for file in (tmp_path / "a/b").iterdir()} == names
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_one_file_alone(tmp_path):
    result = generate(tmp_path, "macc", "-o", "node.v")
    assert result.returncode == 0, result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["node.v"]
    assert "module gradloom_macc (" in (tmp_path / "node.v").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-o file", "file is a file: give a folder"),
        ("-o file/inside", "file/inside"),
        ("-o nowhere/x.v", "nowhere is not a folder"),
        ("-o folder.v", "folder.v"),
        ("-o blocked", "blocked/gradloom_lfsr.json"),
        ("-o new --cycles 0", "--cycles"),
        ("-o new --cycles many", "--cycles"),
        ("-o new --seed -1", "--seed"),
        ("-o x.v --cycles 5", "--cycles: the testbench is written into a folder"),
        ("-o new --lanes 0", "lanes = 0"),
        ("", "--output"),
    ],
)
def test_a_bad_output_is_one_line_and_leaves_nothing(arguments, message, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.v").mkdir()
    (tmp_path / "blocked/gradloom_lfsr.json").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    result = generate(tmp_path, "lfsr", *arguments.split())
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_nothing_is_half_written(error, tmp_path, monkeypatch):
    files = {"one.v": "new", "two.v": "new"}
    write({"one.v": "old", "two.v": "old"}, tmp_path)

    def fail(self, data):
        if "two.v" in self.name:
            raise error
        return original(self, data)

    original = type(tmp_path).write_bytes
    monkeypatch.setattr(type(tmp_path), "write_bytes", fail)
    with pytest.raises(type(error)):
        write(files, tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "one.v": "old",
        "two.v": "old",
    }
