# amaranth: UnusedElaboratable=no
"""Names of modules: units of several names in one design, and the names that are refused."""

import re
from itertools import combinations

import pytest
from amaranth.hdl import Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Out
from generated import configured, gradloom, run, tool

from golden.files import write
from gradloom.rtl.names import LONGEST
from gradloom.rtl.package import ENDS, package
from gradloom.rtl.verilog import verilog
from hdl.cells import CELLS

CYCLES = 300
#: Two arrays of other parameters, and a unit whose name was a part's of the first one's.
UNITS = {
    "product": ("array", "--rows 2 --columns 2 --a 1,7 --b 1,7"),
    "product_wide": ("array", "--rows 2 --columns 3 --a 1,5 --b 2,5 --segments 1"),
    "product_macc": ("macc", ""),
}


def packages(folder, cells=None):
    """The files of `UNITS`, each in a folder of its name; their texts by file name."""
    texts = {}
    for name, (unit, arguments) in UNITS.items():
        made_of = {"cells": CELLS[cells]} if cells else {}
        files = package(*configured(unit, arguments), CYCLES, name=name, **made_of)
        write(files, folder / name)
        texts |= files
    return texts


def sources(ending):
    return [f"{name}/{name}{ending}" for name in UNITS]


def modules(text):
    return set(re.findall(r"^module (\w+)", text, re.M))


def test_packages_of_several_names_share_no_name(tmp_path):
    texts = packages(tmp_path)
    groups = [
        {file for file in texts if re.match(rf"{name}(_tb|_cells)?[._]", file)} for name in UNITS
    ]
    for one, other in combinations(UNITS, 2):
        mine, others = (
            modules("".join(texts[f"{name}{end}"] for end in (".v", "_tb.v")))
            for name in (one, other)
        )
        assert mine and not mine & others
    assert all(groups)
    assert len(texts) == 7 * len(UNITS), "nor a file"


@pytest.mark.parametrize("cells", [None, "ecp5"])
def test_packages_of_several_names_simulate_in_one_design_in_icarus(cells, tmp_path):
    """All modules, all testbenches and all models of cells in one call of the compiler."""
    vvp = tool("vvp")
    packages(tmp_path, cells)
    endings = (".v", "_tb.v", *(["_cells.v"] if cells else []))
    files = [file for end in endings for file in sources(end)]
    for name in UNITS:
        command = [tool("iverilog"), "-g2005", "-s", f"{name}_tb", "-o", "all.vvp"]
        built = run([*command, *files], tmp_path)
        assert (built.returncode, built.stdout + built.stderr) == (0, "")
        ran = run([vvp, "-N", "../all.vvp"], tmp_path / name)
        assert ran.stdout.startswith(f"PASS: {name}, {CYCLES} clocks")


#: A design of all of them: instances by the templates, one after the other in one module.
TOP = """
`timescale 1ns / 1ps
module top;
{includes}
  reg clk = 0;
{clocks}
  initial begin
    repeat (20) begin
      #5 clk = 1;
      #5 clk = 0;
    end
    $display("done");
    $finish;
  end
endmodule
"""


def top():
    includes = "".join(f'`include "{name}/{name}.vh"\n' for name in UNITS)
    clocks = "".join(f"  assign {name}_clk = clk;\n" for name in UNITS)
    return TOP.format(includes=includes, clocks=clocks)


def test_a_design_includes_the_templates_of_several_names_in_icarus(tmp_path):
    packages(tmp_path)
    (tmp_path / "top.v").write_text(top())
    command = [tool("iverilog"), "-g2005", "-s", "top", "-o", "top.vvp", "top.v", *sources(".v")]
    built = run(command, tmp_path)
    assert (built.returncode, built.stderr) == (0, "")
    assert run([tool("vvp"), "-n", "top.vvp"], tmp_path).stdout.splitlines()[0] == "done"


def test_a_design_of_several_names_runs_in_verilator(tmp_path):
    packages(tmp_path)
    (tmp_path / "top.v").write_text(top())
    command = [tool("verilator"), "--binary", "-Wno-fatal", "--top-module", "top", "top.v"]
    built = run([*command, *sources(".v")], tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "done" in run([tmp_path / "obj_dir/Vtop"], tmp_path).stdout


def test_verilator_reads_the_models_of_several_packages(tmp_path):
    packages(tmp_path, "ecp5")
    command = [tool("verilator"), "--lint-only", "-Wno-fatal", "--top-module", "product"]
    files = [*sources(".v"), *sources("_cells.v")]
    result = run([*command, "-Wno-MULTITOP", *files], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


CORE = """CAPI=2:
name: "::both:1"
filesets:
  all:
    files: [top.v: {file_type: verilogSource-2005}]
    depend: ["gradloom:generated:product", "gradloom:generated:product_wide"]
targets:
  sim:
    filesets: [all]
    toplevel: top
    flow: sim
    flow_options: {tool: icarus, iverilog_options: ["-g2005"]}
"""


def test_cores_of_several_names_live_under_one_root(tmp_path):
    fusesoc = tool("fusesoc")
    tool("iverilog")
    packages(tmp_path)
    instances = "".join(f"  {name} {name}_0 ();\n" for name in ("product", "product_wide"))
    (tmp_path / "top.v").write_text(
        f'module top;\n{instances}  initial $display("done");\nendmodule\n'
    )
    (tmp_path / "both.core").write_text(CORE)
    surroundings = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    listed = run([fusesoc, "--cores-root", ".", "core", "list"], tmp_path, **surroundings).stdout
    for name in UNITS:
        assert re.search(rf"^gradloom:generated:{name}:", listed, re.M)
    for core, said in [
        *((f"gradloom:generated:{name}", f"PASS: {name}, ") for name in UNITS),
        ("::both", "done"),
    ]:
        command = [fusesoc, "--cores-root", ".", "run", "--target=sim", core]
        result = run(command, tmp_path, **surroundings)
        assert result.returncode == 0, result.stdout + result.stderr
        assert said in result.stdout


def test_the_default_has_the_prefix_and_its_parts_too(tmp_path):
    arguments = ["array", "--rows", "1", "--columns", "1", "-o", "a.v"]
    result = gradloom("generate", *arguments, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    found = modules((tmp_path / "a.v").read_text())
    assert "gradloom_array" in found and len(found) > 2
    assert all(re.fullmatch(r"gradloom_array(__\w+)?", name) for name in found)


def test_the_name_of_the_command_line_names_all_files(tmp_path):
    arguments = ["lfsr", "--name", "noise", "--cycles", "50"]
    assert gradloom("generate", *arguments, "-o", "out", folder=tmp_path).returncode == 0
    files = {file.name: file.read_text() for file in (tmp_path / "out").iterdir()}
    assert files.keys() == {f"noise{end}" for end in ENDS if end != "_cells.v"}
    assert not any("gradloom_lfsr" in text for text in files.values())
    assert gradloom("generate", "lfsr", "--name", "noise", "-o", "x.v", folder=tmp_path).stdout
    assert (tmp_path / "x.v").read_text() == files["noise.v"]


#: What a name may not be, and a word of the reason.
BAD = {
    "array": "VHDL",
    "Entity": "VHDL",
    "logic": "Verilog",
    "small": "Verilog",
    "module": "Verilog",
    "MODULE": "Verilog",
    "": "a letter",
    "_x": "a letter",
    "x_": "a letter",
    "x__y": "a letter",
    "2x": "a letter",
    "x-y": "a letter",
    "x.y": "a letter",
    "x$y": "a letter",
    "x\n": "a letter",
    "größe": "a letter",
    "../x": "a letter",
    "x" * (LONGEST + 1): "letters",
    "x_tb": "testbenches",
}


@pytest.mark.parametrize(("name", "word"), BAD.items())
def test_a_bad_name_is_refused_in_one_line(name, word, tmp_path):
    unit, config = configured("lfsr")
    with pytest.raises(ValueError, match=r"^name = .*" + word):
        verilog(unit.component(config), name)
    with pytest.raises(ValueError, match=r"^name = .*" + word):
        package(unit, config, 10, name=name)
    result = gradloom("generate", "lfsr", "-o", "out", "--name", name, folder=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "--name" in result.stderr and word in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_no_string_is_refused():
    unit, config = configured("lfsr")
    with pytest.raises(TypeError, match="name = 5: a str is wanted"):
        verilog(unit.component(config), 5)


@pytest.mark.parametrize(
    ("cells", "name"), [("ecp5", "MULT18X18D"), ("ecp5", "CCU2C"), ("ice40", "SB_MAC16")]
)
def test_a_unit_cannot_have_the_name_of_a_cell_in_it(cells, name):
    unit, config = configured("array", "--rows 1 --columns 1 --a 1,7 --b 1,7 --segments 1")
    with pytest.raises(ValueError, match=f"name = '{name}': a cell"):
        verilog(unit.component(config, cells=CELLS[cells]), name)


@pytest.mark.parametrize("name", ["clk", "dut", "tb_clock", "i_valid", "top", "o", "TB_CLOCKS"])
def test_names_of_the_testbench_and_of_ports_are_not_in_the_way(name, tmp_path):
    write(package(*configured("wage-weight"), 50, name=name), tmp_path)
    files = [f"{name}.v", f"{name}_tb.v"]
    built = run([tool("iverilog"), "-g2005", "-Wall", "-o", "tb.vvp", *files], tmp_path)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    assert run([tool("vvp"), "-N", "tb.vvp"], tmp_path).stdout.startswith(f"PASS: {name}, ")


# A user's own components.


class _Counter(wiring.Component):
    """A component whose name begins with an underscore."""

    q: Out(4)

    def elaborate(self, platform):
        m = Module()
        count = Signal(4)
        m.d.sync += count.eq(count + 1)
        m.d.comb += self.q.eq(count)
        return m


class Always(_Counter):
    """A component whose name is a keyword in Verilog."""


class Fifo(_Counter):
    """A component of the name that another submodule has."""


class Queues(wiring.Component):
    """A FIFO of Amaranth's library and a component, whose modules' names would be equal."""

    q: Out(4)
    r: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.submodules.counter = counter = Fifo()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=4, depth=4)
        m.d.comb += [fifo.w_en.eq(1), fifo.w_data.eq(counter.q), fifo.r_en.eq(1)]
        m.d.comb += [self.q.eq(fifo.r_data), self.r.eq(counter.q)]
        return m


class Vendors(wiring.Component):
    """A cell of a vendor, in a component."""

    q: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.cell = Instance("oscillator", o_q=self.q)
        return m


def test_components_of_a_users_own_have_names_that_are_allowed():
    assert modules(verilog(_Counter())) == {"counter"}
    with pytest.raises(ValueError, match="name = 'always': a keyword of Verilog"):
        verilog(Always())
    assert modules(verilog(Always(), "mine")) == {"mine"}
    with pytest.raises(ValueError, match="name = 'oscillator': a cell in Vendors has this name"):
        verilog(Vendors(), "oscillator")


def test_submodules_of_two_kinds_do_not_share_a_name(tmp_path):
    text = verilog(Queues())
    heads = re.findall(r"^module (\w+)", text, re.M)
    assert len(heads) == len(set(heads)) >= 3
    assert all(re.match("queues(__|$)", head) for head in heads)
    (tmp_path / "queues.v").write_text(text)
    result = run([tool("verilator"), "--lint-only", "-Wall", "queues.v"], tmp_path)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
