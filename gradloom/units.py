# amaranth: UnusedElaboratable=no
# (a unit's description needs a component for its ports alone)
"""The units by name: component, twin, configuration, and the command-line options that make one.

`generate`, `compare` and their help are all made from this table; a new unit is one entry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
from amaranth.lib import wiring

import golden
import hdl
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import MASKS
from golden.twin import Twin
from gradloom.ports import described


class FormatType(click.ParamType):
    """A format on the command line: IL,FL."""

    name = "IL,FL"

    def convert(self, value: Any, param: Any, ctx: Any) -> Fixed:
        """The format that the text names."""
        if isinstance(value, Fixed):
            return value
        try:
            return Fixed.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SizeType(click.ParamType):
    """Rows and columns on the command line: ROWS,COLUMNS."""

    name = "ROWS,COLUMNS"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """The numbers that the text names."""
        if isinstance(value, tuple):
            return value
        try:
            rows, columns = (int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: {self.name} is wanted, as in 4,4", param, ctx)
        return rows, columns


class GroupsType(click.ParamType):
    """Sizes of groups on the command line: N,N,..."""

    name = "N,N,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """The numbers that the text names."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: {self.name} is wanted, as in 1,1,4", param, ctx)


class HexType(click.ParamType):
    """A mask on the command line, in hexadecimal."""

    name = "HEX"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """The number that the text names."""
        if isinstance(value, int):
            return value
        try:
            return int(value, 16)
        except ValueError:
            self.fail(f"{value!r} is not a hexadecimal number", param, ctx)


class ConversionType(click.ParamType):
    """A conversion on the command line: FRACTION:IL,FL:ROUNDING."""

    name = "FRACTION:IL,FL:ROUNDING"

    def convert(self, value: Any, param: Any, ctx: Any) -> Conversion:
        """The conversion that the text names."""
        if isinstance(value, Conversion):
            return value
        parts = value.split(":")
        try:
            if len(parts) != 3:
                raise ValueError(f"{value!r}: {self.name} is wanted, as in 28:2,14:stochastic")
            if not parts[0].isdecimal():
                raise ValueError(f"fraction {parts[0]!r} of {value!r}: a whole number is wanted")
            if parts[2] not in list(Rounding):
                raise ValueError(f"rounding = {parts[2]!r}: allowed are {', '.join(Rounding)}")
            return Conversion(
                fraction=int(parts[0]), target=Fixed.parse(parts[1]), rounding=Rounding(parts[2])
            )
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True)
class Unit:
    """A unit that the command line can make.

    Parameters
    ----------
    name
        Name on the command line and of the generated module.
    summary
        One line: what it does.
    component, twin
        The hardware and its twin; both are called with a configuration.
    configure
        The configuration that the options make.
    options
        Command-line options, by which `configure` is called.
    has_nodes
        Whether it has nodes: its component takes `cells`.
    """

    name: str
    summary: str
    component: Callable[..., wiring.Component]
    twin: Callable[[Any], Twin]
    configure: Callable[..., Any]
    options: tuple[click.Option, ...]
    has_nodes: bool = False

    @property
    def module(self) -> str:
        """Name of the Verilog module."""
        return self.name.replace("-", "_")

    def describe(self, config: Any) -> str:
        """Ports, latency and throughput of the unit in a configuration."""
        rows = described(config.ports)
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = [
            f"{name:{widths[0]}}  {direction:{widths[1]}}  {bits:>{widths[2]}}  {text}"
            for name, direction, bits, text in rows
        ]
        latency = " ".join(type(config).latency.__doc__.split())
        return "\n".join(
            [
                "Ports:",
                *(f"  {line}".rstrip() for line in lines),
                f"Latency: {config.latency} clocks. {latency}",
                f"Throughput: {config.throughput}.",
            ]
        )


def _option(name: str, kind: Any, default: Any, text: str, **more: Any) -> click.Option:
    return click.Option([name], type=kind, default=default, show_default=True, help=text, **more)


def _flag(name: str, text: str) -> click.Option:
    return click.Option([name], is_flag=True, help=text)


_LANES = _option("--lanes", int, 1, "Values side by side.")
_FIRST_LANE = _option("--first-lane", int, 0, "Number of the first lane's generator.")
_GENERATOR = (
    _option("--lfsr-bits", int, 32, f"Width of the generators: {', '.join(map(str, MASKS))}."),
    _option("--lfsr-mask", HexType(), None, "Feedback mask; the default is the width's first one."),
    _option("--leap", int, 16, "Steps a draw, a power of two."),
    _option("--draw", int, 16, "Random bits a draw, at most as many as --leap."),
    _option("--lfsr-seed", int, 1, "State of lane 0 before its first draw."),
)
_MACC = (
    _option("--a", FormatType(), "2,14", "Format of the operands a."),
    click.Option(
        ["--b"],
        type=FormatType(),
        default=None,
        show_default="2,14; 1,1 with --ternary",
        help="Format of the operands b.",
    ),
    _option("--depth", int, 511, "The most terms of a sum; sets the accumulator's width."),
    _option("--segments", int, 2, "Pieces into which the accumulator's carry is cut."),
    _flag("--ternary", "No multipliers: b is -1, 0 or 1."),
)


def _conversions(text: str) -> click.Option:
    return click.Option(
        ["--conversion", "conversions"], type=ConversionType(), multiple=True, help=text
    )


def _generator(given: dict[str, Any]) -> golden.Generator:
    names = {
        "lfsr_bits": "bits",
        "lfsr_mask": "mask",
        "leap": "leap",
        "draw": "draw",
        "lfsr_seed": "seed",
    }
    return golden.Generator(**{name: given.pop(option) for option, name in names.items()})


def _lfsr(**given: Any) -> golden.LfsrConfig:
    return golden.LfsrConfig(generator=_generator(given), **given)


def _bank(**given: Any) -> golden.BankConfig:
    return golden.BankConfig(generator=_generator(given), **given)


def _rounder(**given: Any) -> golden.RounderConfig:
    conversions = given.pop("conversions") or golden.RounderConfig().conversions
    return golden.RounderConfig(generator=_generator(given), conversions=conversions, **given)


def _macc(*, b: Fixed | None, ternary: bool, **given: Any) -> golden.MaccConfig:
    b = b or (Fixed(1, 1) if ternary else golden.MaccConfig().b)
    return golden.MaccConfig(b=b, ternary=ternary, **given)


def _array(
    *,
    rows: int,
    columns: int,
    conversions: tuple,
    raw: bool,
    multipliers: tuple[int, int] | None,
    ternary_depth: int,
    random_port: bool,
    **given: Any,
) -> golden.ArrayConfig:
    generator, macc = _generator(given), _macc(**given)
    if raw and conversions:
        raise ValueError("--raw and --conversion: a raw drain has no rounders, give one of them")
    if not raw and not conversions:
        conversions = (Conversion(fraction=macc.a.fl + macc.b.fl, target=macc.a),)
    return golden.ArrayConfig(
        rows=rows,
        columns=columns,
        macc=macc,
        conversions=conversions,
        generator=generator,
        random_port=random_port,
        multipliers=multipliers,
        ternary_depth=ternary_depth,
    )


def _wage_error(**given: Any) -> golden.ErrorQuantizerConfig:
    return golden.ErrorQuantizerConfig(generator=_generator(given), **given)


def _wage_update(**given: Any) -> golden.WeightUpdateConfig:
    return golden.WeightUpdateConfig(generator=_generator(given), **given)


_ALL = (
    Unit(
        "lfsr",
        "Leap-forward Galois LFSRs: random bits, a draw of every lane a clock.",
        hdl.Lfsr,
        golden.Lfsr,
        _lfsr,
        (_LANES, _FIRST_LANE, *_GENERATOR),
    ),
    Unit(
        "bank",
        "A bank of LFSRs for several units: lanes leap in groups, states can be set and read.",
        hdl.Bank,
        golden.Bank,
        _bank,
        (
            _option(
                "--groups",
                GroupsType(),
                ",".join(map(str, golden.BankConfig().groups)),
                "Sizes of the groups of lanes that leap together.",
            ),
            _FIRST_LANE,
            *_GENERATOR,
        ),
    ),
    Unit(
        "rounder",
        "Convert: stochastic or nearest rounding of wide codes, then saturation.",
        hdl.Rounder,
        golden.Rounder,
        _rounder,
        (
            _option("--width", int, 40, "Bits of a wide code."),
            _conversions(
                "What the rounder does, as in 28:2,14:stochastic (the default); several give a "
                f"choice at run time. ROUNDING is one of {', '.join(Rounding)}."
            ),
            _LANES,
            _FIRST_LANE,
            *_GENERATOR,
        ),
    ),
    Unit(
        "macc",
        "One multiply-accumulate node of the array.",
        hdl.Macc,
        golden.Macc,
        _macc,
        _MACC,
        has_nodes=True,
    ),
    Unit(
        "array",
        "R x C systolic array: tile products back to back, with a rounder a column or a raw drain.",
        hdl.Array,
        golden.Array,
        _array,
        (
            _option("--rows", int, 8, "Rows R."),
            _option("--columns", int, 8, "Columns C."),
            *_MACC,
            _option(
                "--multipliers",
                SizeType(),
                None,
                "A mixed array: only the nodes of this block, bottom left, have multipliers; the "
                "others are ternary.",
            ),
            _option("--ternary-depth", int, 8192, "--depth of a mixed array's ternary nodes."),
            _conversions(
                "What the rounders do, as in 28:2,14:stochastic; several give a choice a tile. "
                "The default rounds stochastically to the format of a."
            ),
            _flag("--raw", "No rounders: sums leave at the accumulator's width."),
            _flag(
                "--random-port",
                "No generators: random words come from a port, as a bank's, which is told when to "
                "leap.",
            ),
            *_GENERATOR,
        ),
        has_nodes=True,
    ),
    Unit(
        "wage-weight",
        "WAGE Q_W: stored weights to forward weights, ternary by default.",
        hdl.WeightQuantizer,
        golden.WeightQuantizer,
        golden.WeightQuantizerConfig,
        (
            _option("--stored", int, 8, "Bits of a stored weight, k_G."),
            _option("--bits", int, 2, "Bits of a forward weight, k_W."),
            _LANES,
        ),
    ),
    Unit(
        "wage-activation",
        "WAGE ReLU and Q_A: sums to activations and the masks of the backward pass.",
        hdl.ActivationQuantizer,
        golden.ActivationQuantizer,
        golden.ActivationQuantizerConfig,
        (
            _option("--width", int, 21, "Bits of a sum."),
            _option("--bits", int, 8, "Bits of an activation, k_A."),
            _option("--most-shift", int, 8, "The largest shift that the port can ask for."),
            _LANES,
        ),
    ),
    Unit(
        "wage-shift",
        "WAGE Shift: the maximum of a tensor and its exponent.",
        hdl.ShiftExponent,
        golden.ShiftExponent,
        golden.ShiftExponentConfig,
        (
            _option("--width", int, 32, "Bits of a value."),
            _flag("--ceil", "Round the exponent up, not to nearest."),
            _LANES,
        ),
    ),
    Unit(
        "wage-error",
        "WAGE Q_E: errors over the power of two of their tensor.",
        hdl.ErrorQuantizer,
        golden.ErrorQuantizer,
        _wage_error,
        (
            _option("--width", int, 32, "Bits of an error."),
            _option("--bits", int, 8, "Bits of a result, k_E."),
            _option(
                "--rounding",
                click.Choice([Rounding.NEAREST_EVEN.value, Rounding.STOCHASTIC.value]),
                Rounding.NEAREST_EVEN.value,
                "Rounding of the errors.",
            ),
            _LANES,
            _FIRST_LANE,
            *_GENERATOR,
        ),
    ),
    Unit(
        "wage-update",
        "WAGE Q_G and update: stored weights less their stochastically rounded steps.",
        hdl.WeightUpdate,
        golden.WeightUpdate,
        _wage_update,
        (
            _option("--width", int, 32, "Bits of a gradient."),
            _option("--bits", int, 8, "Bits of a stored weight, k_G."),
            _flag("--half", "Saturate at 2^(bits-2), as the released code of WAGE does."),
            _LANES,
            _FIRST_LANE,
            *_GENERATOR,
        ),
    ),
)

#: Every unit, by name.
UNITS: dict[str, Unit] = {unit.name: unit for unit in _ALL}
