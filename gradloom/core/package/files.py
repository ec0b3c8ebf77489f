"""The files of a core for a project: Verilog, programs, weights, registers, a testbench."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from golden.bus.axi_stream import Beat
from golden.core.beats import batch_of, packed, sample_beats, sample_size, weight_beats
from golden.core.edge import Edge, input_beat, output_beat, ports
from golden.core.lower import Compiled
from golden.core.program import Part, parts
from golden.core.registers import Registers, design_hash
from golden.core.schedule import predict
from golden.datasets import Dataset
from golden.fixed import Codes
from golden.settings import mapping
from gradloom.core.package import registers as register_texts
from gradloom.core.package.listing import c_programs, listing
from gradloom.core.package.readme import FILES, readme
from gradloom.core.package.testbench import Lesson, hex_beat, most_steps, testbench
from gradloom.core.start import lane_states, started, steps_from
from gradloom.rtl.names import checked_name
from gradloom.rtl.package import described, fusesoc_core, template
from gradloom.rtl.verilog import comment, made_by, verilog
from hdl.core.edge import EdgedCore

#: Name of the module, if none is given.
MODULE = "gradloom_core"
#: Steps that the testbench trains.
STEPS = 2


def names(name: str) -> list[str]:
    """Return the names of all files. They begin with the module's, so that cores of several names,
    and a user's own files, can be in one folder.

    Examples
    --------
    >>> names("mlp")[:2]
    ['mlp_readme.md', 'mlp.v']
    """
    return [name + end for end, _ in FILES]


def core_package(
    compiled: Compiled,
    dataset: Dataset,
    *,
    name: str | None = None,
    edge: Edge = Edge.NONE,
    run: Path | None = None,
    steps: int = STEPS,
) -> dict[str, str]:
    """Return the files of a network's core.

    Parameters
    ----------
    compiled
        The network on a core.
    dataset
        Images and classes that the testbench trains with.
    name
        Name of the module, with which all other names begin. The default is `gradloom_core`.
    edge
        The core's edge.
    run
        Folder of a run whose weights are taken; None for those of the recipe's seed.
    steps
        Steps that the testbench trains.

    Returns
    -------
    dict of str to str
        Name of a file to its text.

    Raises
    ------
    ValueError
        The name is not allowed, the testbench cannot count the clocks of the steps, or the run is
        of another recipe or of other data.
    """
    name = checked_name(MODULE if name is None else name)
    config = compiled.config
    table, own = Registers(config), ports(config, edge)
    summary = f"training core of {compiled.recipe.network or 'one layer'}, {edge.text}"
    listed = parts(compiled.programs)
    takes, gives = beats(compiled, edge)
    trainer = started(compiled, dataset, run)
    weights = _lines(takes, weight_beats(compiled, trainer.weights))
    lanes = lane_states(trainer)
    clocks, _ = predict(config, compiled.train)
    words = sum(len(part.words) for part in listed)
    most = most_steps(clocks, compiled.recipe.batch * sample_size(compiled), len(weights), words)
    if not 1 <= steps <= most:
        raise ValueError(
            f"steps = {steps}: allowed are 1 to {most}: the testbench waits for 20 times their "
            f"clocks, which it counts in 31 bits"
        )
    samples: list[str] = []
    rates: list[int] = []
    for rate, record in steps_from(trainer, dataset, steps):
        rates.append(rate)
        samples += _lines(takes, sample_beats(compiled, *batch_of(record)))
    expected = _lines(gives, weight_beats(compiled, trainer.weights))
    lesson = Lesson(
        rates=tuple((len(list(group)), rate) for rate, group in groupby(rates)),
        beats_in=len(weights) + len(samples),
        beats_out=len(expected),
        weights=len(weights),
        clocks=steps * clocks,
    )
    module = verilog(EdgedCore(config, edge), name, summary=summary, ports=own)
    memories = {
        f"{name}_program.mem": _program(listed),
        f"{name}_weights.mem": _memory("stored weights as beats, layer by layer", weights),
        f"{name}_lanes.mem": _memory(
            "states of the elementwise lanes' generators, lane 0 first",
            [f"{state:016x}" for state in lanes],
        ),
        f"{name}_tb_in.mem": _memory("samples as beats, step by step", samples),
        f"{name}_tb_out.mem": _memory("weights after these steps, as beats", expected),
    }
    title = f"Registers of {name}"
    return {
        f"{name}_readme.md": readme(name, compiled, edge, listed, takes, gives, clocks, steps),
        f"{name}.v": module,
        f"{name}.vh": template(name, own),
        f"{name}.json": _description(name, summary, compiled, edge, listed, takes, gives, clocks),
        f"{name}.h": _header(name, compiled, listed, takes, gives, len(weights)),
        f"{name}.rdl": register_texts.system_rdl(table, name, made_by()),
        f"{name}_registers.md": register_texts.page(table, title),
        f"{name}_listing.txt": listing(compiled.programs, f"Programs of {name}. {made_by()}"),
        f"{name}.core": fusesoc_core(name, summary, memories=tuple(memories)),
        f"{name}_tb.v": testbench(name, config, edge, listed, lesson),
        **memories,
    }


def beats(compiled: Compiled, edge: Edge) -> tuple[Beat, Beat]:
    """Return the beats of both streams; words of AXI4-Stream have whole bytes."""
    pair = input_beat(compiled.config), output_beat(compiled.config)
    if edge is Edge.NONE:
        return pair
    one, other = (Beat(words=each.words, width=8 * each.bytes) for each in pair)
    return one, other


def _lines(beat: Beat, rows: Codes) -> list[str]:
    """Return beats as lines for $readmemh. The last element of a row is that of its packet."""
    bits = beat.words * beat.width
    return [hex_beat(packed(words, beat.width), bits, bool(last)) for *words, last in rows.tolist()]


def _memory(title: str, lines: Sequence[str]) -> str:
    return comment([title]) + "".join(f"{line}\n" for line in lines)


def _program(listed: Sequence[Part]) -> str:
    """Return all words of all programs, for $readmemh."""
    lines = [comment(["words of the engines' lists; the listing says what they mean"])]
    for part in listed:
        lines.append(f"// {part.program}, {part.engine.name.lower()}: from word {part.at} on\n")
        lines += [f"{word:08x}\n" for word in part.words]
    return "".join(lines)


def _programs(listed: Sequence[Part]) -> dict[str, list[dict[str, Any]]]:
    """Return the lists of each program, as JSON has them."""
    return {
        program: [
            {
                "engine": part.engine.name.lower(),
                "at": part.at,
                "words": len(part.words),
                "last": part.last,
                "total": part.total,
            }
            for part in group
        ]
        for program, group in groupby(listed, key=lambda part: part.program)
    }


def _description(
    name: str,
    summary: str,
    compiled: Compiled,
    edge: Edge,
    listed: Sequence[Part],
    takes: Beat,
    gives: Beat,
    clocks: int,
) -> str:
    """Return the description in JSON, for programs."""
    config = compiled.config

    def stream(beat: Beat) -> dict[str, int]:
        return {"words": beat.words, "bits_of_word": beat.width}

    description = {
        "module": name,
        "summary": summary,
        "generator": {"name": "gradloom", "version": version("gradloom")},
        "license": "Apache-2.0",
        "recipe": {"system": compiled.recipe.SYSTEM, **mapping(compiled.recipe)},
        "image": list(compiled.shape),
        "classes": compiled.classes,
        "gradients": [str(each) for each in compiled.gradients],
        "clocks_of_a_step": clocks,
        "parameters": mapping(config),
        "design": f"{design_hash(config):016x}",
        "edge": edge.value,
        "ports": described(ports(config, edge)),
        "streams": {"in": stream(takes), "out": stream(gives)},
        "programs": _programs(listed),
        "registers": register_texts.as_json(Registers(config)),
    }
    return json.dumps(description, indent=2, ensure_ascii=False) + "\n"


def _header(
    name: str, compiled: Compiled, listed: Sequence[Part], takes: Beat, gives: Beat, weights: int
) -> str:
    """Return the header in C: registers, programs, streams."""
    prefix = name.upper()
    config = compiled.config
    lines = [
        f"/* Registers and programs of {name}. {made_by()} */",
        f"#ifndef {prefix}_H",
        f"#define {prefix}_H",
        "",
        "#include <stdint.h>",
        "",
        "/* Registers: byte addresses, places of their fields. */",
        *register_texts.header_lines(Registers(config), prefix),
        "",
        "/* The design, as its registers have it. */",
        f"#define {prefix}_DESIGN 0x{design_hash(config):016x}ull",
        "",
        "/* Streams: words of a beat, bits of a word; beats of all weights, of a sample with its",
        " * label; samples of a step. */",
    ]
    for macro, value in (
        ("IN_WORDS", takes.words),
        ("IN_BITS", takes.width),
        ("OUT_WORDS", gives.words),
        ("OUT_BITS", gives.width),
        ("WEIGHT_BEATS", weights),
        ("SAMPLE_BEATS", sample_size(compiled)),
        ("BATCH", compiled.recipe.batch),
        ("LANES", config.columns),
    ):
        lines.append(f"#define {prefix}_{macro} {value}")
    lines += [
        "",
        *c_programs(listed, prefix, name),
        "",
        f"#endif /* {prefix}_H */",
    ]
    return "\n".join(lines) + "\n"
