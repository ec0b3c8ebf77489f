"""The page that explains a core's files."""

from collections.abc import Sequence

from golden.bus.axi_stream import Beat
from golden.core.beats import sample_size
from golden.core.edge import Edge
from golden.core.lower import Compiled
from golden.core.program import Part
from golden.core.registers import Registers
from golden.training import toml
from gradloom.core.package.registers import BYTES
from gradloom.rtl.package import commands
from gradloom.rtl.verilog import made_by

#: What follows the module's name in a file's name, and what the file is.
FILES = (
    ("_readme.md", "this page"),
    (".v", "the core, Verilog-2005 without a vendor's primitives"),
    (".vh", "an instance and wires for its ports, to copy or to include"),
    (".json", "all of this for programs: ports, parameters, programs, registers"),
    (".h", "registers and programs in C"),
    (".rdl", "registers in SystemRDL 2.0"),
    ("_registers.md", "registers, to be read"),
    ("_listing.txt", "the programs' instructions, field by field"),
    ("_program.mem", "the programs' words, for `$readmemh`"),
    ("_weights.mem", "stored weights as beats of the input stream: `last_data`, hexadecimal"),
    ("_lanes.mem", "states of the elementwise lanes' generators that belong to them"),
    (".core", "a FuseSoC core: targets `sim`, `sim_verilator`, `lint`, `synth`"),
    ("_tb.v", "a testbench that trains some steps and checks the weights"),
    ("_tb_in.mem", "its samples"),
    ("_tb_out.mem", "the golden trainer's weights after these steps"),
)


def readme(
    name: str,
    compiled: Compiled,
    edge: Edge,
    listed: Sequence[Part],
    takes: Beat,
    gives: Beat,
    clocks: int,
    steps: int,
) -> str:
    """Return the page, in Markdown."""
    recipe, config = compiled.recipe, compiled.config
    table = Registers(config)
    inputs = compiled.layout.x[0].columns
    beats = sample_size(compiled) - 1

    # AXI counts bytes, the other buses words.
    scale = BYTES if edge is Edge.AXI else 1

    def at(register: str) -> str:
        return f"`{register}` ({scale * table.named(register).address:#05x})"

    size = " x ".join(map(str, compiled.shape))
    lines = [
        f"# {name}: a training core",
        "",
        f"{made_by()} It trains {recipe.network or 'one layer'} on images of {size} in "
        f"{compiled.classes} classes, {recipe.batch} samples a step: forward pass, errors, "
        "gradients and updates, bit for bit as the golden trainer does. A step takes "
        f"{clocks:,} clocks in the steady state.",
        "",
        f"Recipe: `{' '.join(toml.keys(recipe))}`",
        "",
        "| file | what it is |",
        "|---|---|",
        *(f"| `{name}{end}` | {text} |" for end, text in FILES),
        "",
        "## Check it",
        "",
        f"The testbench trains {steps} steps. It prints PASS and ends with exit status 0, or "
        "prints what is wrong and FAIL and ends with another one.",
        *_indented(commands(name, False)),
        "",
        "## Connect it",
        "",
        f"Edge: {edge.text}. One clock, `clk`; `rst` is synchronous and active high, for two "
        "clocks or more" + (", so give it `!aresetn`." if edge is Edge.AXI else "."),
        "The head of the Verilog and the JSON file describe every port.",
        "",
        *_edge(edge, takes, gives),
        "",
        "## Use it",
        "",
        f"Addresses here count {'bytes' if edge is Edge.AXI else 'words'}.",
        "",
        f"1. Read {at('id')} and `design_low`, `design_high`; compare them with the header.",
        f"2. Write a program: the number of the engine's list into {at('program_at')}, then its "
        f"words into {at('program')}; for each engine `first_`, `last_` and `total_`, and "
        f"{at('engines')}. The programs are in `{name}_program.mem`:",
        "",
        "   | program | what it does | engine: words |",
        "   |---|---|---|",
        *_programs(listed),
        "",
        "   `train`, `infer` and `test` fit into the lists together, one behind the other: then "
        "`first_` and `last_` are those of the program plus the place where it was written.",
        f"3. Run `load` for 1 step: {at('steps')}, then 1 into {at('control')}. Send the beats of "
        f"`{name}_weights.mem`. It has ended when bit 0 of {at('status')} is 0. Before the first "
        f"step, write the states of `{name}_lanes.mem` by `lane`, `lane_high`, `lane_low` if they "
        "are not those of a reset.",
        f"4. Write the learning rate, log2 of it, into {at('rate')}, after the step from which it "
        f"holds into {at('rate_step')}. Run `train` for as many steps as there are batches, and "
        f"send the samples: of each, {beats} beats of {takes.words} words, {inputs} words in all, "
        "and a beat with the number of its class: the low bits in the first word, and further ones "
        "in the next words. The last beat of a batch is marked.",
        f"5. Read {at('fault')}, {at('steps_done')} and {at('undefined')}. Run `dump` for 1 step: "
        "the weights come in the order and in the form in which they were sent, one word in each "
        "word of a beat.",
        "",
    ]
    return "\n".join(lines)


def _indented(lines: Sequence[str]) -> list[str]:
    """Return commands, and what is said of each, as Markdown has them."""
    found: list[str] = []
    for line in lines:
        text = line.strip()
        if text.startswith("$ "):
            found.append(f"    {text[2:]}")
        elif text:
            found += ["", text, ""]
    return found


def _programs(listed: Sequence[Part]) -> list[str]:
    """Return the rows of a table of the programs."""
    texts = {
        "train": "training steps, each with a batch of samples",
        "infer": "scores of batches, to the output stream",
        "test": "counts the wrong classes of batches, in the register `wrong`",
        "load": "stored weights in",
        "dump": "stored weights out",
    }
    rows = []
    for program in dict.fromkeys(part.program for part in listed):
        lists = ", ".join(
            f"{part.engine.name.lower()} ({int(part.engine)}): {len(part.words)}"
            for part in listed
            if part.program == program
        )
        rows.append(f"   | `{program}` | {texts[program]} | {lists} |")
    return rows


def _edge(edge: Edge, takes: Beat, gives: Beat) -> list[str]:
    """Return what is to be known of the buses."""

    def words(port: str, beat: Beat) -> str:
        return (
            f"`{port}` has {beat.words} words of {beat.width} bits, the first one lowest, in two's "
            "complement."
        )

    if edge is Edge.NONE:
        return [
            "A register is written in the clock in which `bus_write` is high, and read by "
            "`bus_read`; its value is at `bus_data` some clocks later, as the port says. An "
            "address counts words. In the streams, a beat moves at a rising edge at which `valid` "
            "and `ready` are both high.",
            "",
            words("i_words", takes),
            words("o_words", gives),
        ]
    registers = (
        "AXI4-Lite: one access in each clock; reads and writes take turns. A write with some of "
        "its strobes low, and an access where there is no register, does nothing and is answered "
        "by SLVERR."
        if edge is Edge.AXI
        else "Wishbone B4, classic cycles, words of 32 bits, `wb_adr` counts words. A write with "
        "some of `wb_sel` low, and an access where there is no register, does nothing and is "
        "answered by `wb_err`."
    )
    return [
        registers,
        "",
        words("s_axis_tdata", takes),
        words("m_axis_tdata", gives),
        "Only the low bits of a word count that the core's own words have; the others are ignored "
        "in the input stream, and copies of the sign in the output stream.",
    ]
