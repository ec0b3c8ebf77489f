"""What the pages say of a unit: ports, parameters, timing, commands, resources. All but the
formulas comes from the unit itself, and those are tried on it.
"""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from golden.settings import leaves
from gradloom import UNITS, Unit
from gradloom.descriptions import described
from gradloom.options import name as option
from gradloom_docs.timing import configuration, scripts

#: Cells of a table.
Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Formula:
    """A figure of a unit, as text for the reader and as a function for the check.

    Parameters
    ----------
    text
        In the parameters of the unit.
    value
        The same, of a configuration.
    """

    text: str
    value: Callable[[Any], int]


def _fixed(clocks: int) -> Formula:
    return Formula(str(clocks), lambda config: clocks)


def _pairs(width: int, bits: int) -> int:
    """Products of limbs of a signed operand and a factor."""
    return max(-(-(width - 1) // 17), 1) * -(-bits // 17)


def _products(config: Any) -> int:
    """⌈log2⌉ of the products of the larger tree of a momentum-update."""
    loses = 1 if config.power else _pairs(config.width, config.rate_bits)
    loses += _pairs(config.word.width, config.decay_bits)
    gains = _pairs(config.word.width, config.momentum_bits)
    return (max(loses, gains) - 1).bit_length()


#: Latency of every unit in clocks.
LATENCY: dict[str, Formula] = {
    "lfsr": _fixed(1),
    "bank": _fixed(2),
    "rounder": _fixed(7),
    "macc": Formula("7; of a ternary node, 3", lambda config: 3 if config.ternary else 7),
    "array": Formula(
        "`rows` + `columns` + `segments` + 12; 5 less with a raw drain, 4 less with ternary nodes",
        lambda config: (
            config.rows
            + config.columns
            + config.macc.segments
            + (12 if config.conversions else 7)
            - (4 if config.macc.ternary else 0)
        ),
    ),
    "wage-weight": _fixed(3),
    "wage-activation": _fixed(5),
    "wage-shift": Formula("7 + ⌈log2 `lanes`⌉", lambda config: 7 + (config.lanes - 1).bit_length()),
    "wage-error": _fixed(7),
    "wage-update": _fixed(8),
    "pool": _fixed(4),
    "unpool": Formula("4; saturated, 5", lambda config: 4 + config.saturate),
    "threshold": Formula("`read_clocks` + 4", lambda config: config.read_clocks + 4),
    "sign": _fixed(4),
    "mask": _fixed(3),
    "output-error": _fixed(6),
    "momentum-update": Formula(
        "13 + ⌈log2 n⌉, n the products of limbs that are added in one tree; 1 more where sums can "
        "have more than 62 bits",
        lambda config: 13 + _products(config) + (config.sum_width > 62),
    ),
    "grid-update": Formula(
        "17 + ⌈log2 n⌉, n the products of limbs, or 15 without a rate; 1 more with a buffer, and 4 "
        "less where its weight is drawn, or 6 less without a grid",
        lambda config: (
            (15, 17 + (_pairs(config.width, config.rate_bits) - 1).bit_length())[
                config.rate_bits > 0
            ]
            + config.buffered
            - 4 * config.drawn
            - 6 * (config.rule == "fine")
        ),
    ),
    "softmax": Formula("`classes` + 37", lambda config: config.classes + 37),
    "banks": _fixed(2),
    "row-store": _fixed(2),
    "product-nest": _fixed(1),
    "operand-stream": _fixed(7),
    "pass-nest": _fixed(1),
    "move-nest": _fixed(1),
}


#: Clocks for T tiles of depth K through an array, first operand to last row.
RUN = "T·K + (T-1)·max(R-K, 0) + latency + R - 1"


def formula(unit: Unit) -> Formula:
    """The latency of `unit`; a formula that its default configuration contradicts is an error."""
    config, found = configuration(unit), LATENCY[unit.name]
    if found.value(config) != config.latency:
        raise ValueError(
            f"{unit.name}: latency is {config.latency}, and {found.text} says {found.value(config)}"
        )
    return found


def timing(unit: Unit) -> Rows:
    """Latency and throughput: formula, at the defaults, meaning."""
    config = configuration(unit)
    meaning = config.FIGURES["latency"]
    rate, unit_of_rate, value = _rate(unit, config)
    clocks = f"{config.latency} clock{'s' * (config.latency != 1)}"
    rows: Rows = [
        ("latency", formula(unit).text, clocks, meaning),
        (
            "throughput",
            f"{rate} {unit_of_rate}{'s' * (rate != '1')} a clock",
            f"{value} {unit_of_rate}{'s' * (value != 1)} a clock",
            f"{config.throughput[0].upper()}{config.throughput[1:]}.",
        ),
    ]
    if unit.name == "macc":
        for name in ("first_delay", "load_delay"):
            late = getattr(config, name)
            rows.append((f"`{name}`", str(late), f"{late} clocks", config.FIGURES[name]))
    if unit.name == "array":
        tiles, depth = 64, 64
        whole = config.clocks(tiles, depth)
        rows.append(
            (
                "T tiles of depth K",
                RUN,
                f"{tiles} tiles of depth {depth}: {whole:,} clocks, "
                f"{tiles * depth / whole:.1%} of the nodes' peak",
                "Clocks without gaps, from the one that accepts the first operand to the one "
                "that shows the last row, both counted.",
            )
        )
    return rows


def _rate(unit: Unit, config: Any) -> tuple[str, str, int]:
    """What a clock gives: formula, of what, value."""
    if unit.name == "array":
        return "`rows` · `columns`", "product", config.rows * config.columns
    if unit.name == "macc":
        return "1", "product", 1
    if unit.name == "bank":
        return "sum of `groups`", "word", config.lanes
    if unit.name == "softmax":
        return "1", "output", 1
    if unit.name == "banks":
        return "2 · `banks`", "word", 2 * config.banks
    if unit.name == "row-store":
        return "2", "row", 2
    if unit.name == "product-nest":
        return "1", "term", 1
    if unit.name == "pass-nest":
        return "1", "vector", 1
    if unit.name == "move-nest":
        return "1", "beat", 1
    if unit.name == "operand-stream":
        return "`lanes`", "word", config.lanes
    return "`lanes`", "word" if unit.name == "lfsr" else "value", config.lanes


def ports(unit: Unit) -> Rows:
    """Every plain port at the defaults, one row each."""
    return [(f"`{name}`", *row) for name, *row in described(configuration(unit).ports)]


def parameter_table(unit: Unit) -> Rows:
    """Every setting: name in Python, on the command line, default, meaning."""
    config = configuration(unit)
    rows: Rows = []
    for leaf in leaves(unit.config):
        default = _default(leaf.show(leaf.of(config)))
        meaning = leaf.setting.description
        rows.append((f"`{leaf.name}`", f"`{option(leaf.name)}`", default, meaning))
    for one in unit.more:
        rows.append(("`conversions=()`", f"`{one.opts[0]}`", "no", one.help or ""))
    return rows


def _default(text: str) -> str:
    return f"`{text}`" if re.search(r"[,:]", text) else text


def commands(unit: Unit) -> str:
    """Command lines that generate and compare the unit, at its defaults and as in the diagram."""
    arguments = shlex.join(scripts()[unit.name].arguments)
    lines = [
        f"gradloom generate {unit.name} -o {unit.module}.v     # the module alone",
        f"gradloom generate {unit.name} -o {unit.module}/      # with a testbench that checks it",
        f"gradloom compare {unit.name} --cycles 20000",
        f"gradloom compare {unit.name} --simulator cxxrtl --cycles 1000000",
        f"gradloom generate {unit.name} --help",
    ]
    if arguments:
        lines += ["", "# as in the diagram", f"gradloom compare {unit.name} {arguments}"]
    width = max(len(line.partition("#")[0].rstrip()) for line in lines[:2])
    lines[:2] = [
        f"{line.partition('#')[0].rstrip():{width}}  # {line.partition('#')[2].strip()}"
        for line in lines[:2]
    ]
    return "\n".join(lines)


def python(unit: Unit) -> str:
    """The comparison of unit and twin from Python."""
    component, config = unit.component.__name__, configuration(unit)
    given = ", ".join(
        f"{field.name}={getattr(config, field.name)!r}"
        for field in fields(config)
        if getattr(config, field.name) != field.default
    )
    names, inputs = "compare, random_inputs", "random_inputs(config.ports, cycles=5_000, seed=0)"
    if unit.twin(config).legal(np.random.default_rng(0), 1) is not None:
        names = "UNITS, compare, usual_inputs"
        inputs = f'usual_inputs(UNITS["{unit.name}"], config, cycles=5_000, seed=0)'
    return f"""import golden
import hdl
from gradloom import {names}

config = golden.{type(config).__name__}({given})
component = hdl.{component}(config)
inputs = {inputs}
print(compare(component, inputs).report())"""


def resources(folder: Path, unit: Unit) -> tuple[str, Rows] | None:
    """Measured resources, if `resources.json` in `folder` has some: a note, and a table.

    The file maps a unit's name to a list of rows, each a mapping from column to value. A key `note`
    next to the units says how the figures came about.
    """
    path = folder / "resources.json"
    if not path.is_file():
        return None
    measured = json.loads(path.read_text())
    rows = measured.get(unit.name)
    if not rows:
        return None
    head = tuple(dict.fromkeys(column for row in rows for column in row))
    body = [tuple(_figure(row.get(column, "")) for column in head) for row in rows]
    return measured.get("note", ""), [head, *body]


def _figure(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def overview() -> Rows:
    """A row for every unit: link, what it does, latency at the defaults."""
    return [
        (
            f"[{unit.name}]({unit.name}.md)",
            unit.summary,
            str(configuration(unit).latency),
        )
        for unit in UNITS.values()
    ]
