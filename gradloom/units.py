# amaranth: UnusedElaboratable=no
# (a unit's description makes a component only for its ports)
"""The registry of units: name, component, twin and configuration.

The command line and its help are made from this table. A new unit is one entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import click
from amaranth.lib import wiring

import golden
import hdl
from golden import check
from golden.fixed import Conversion, Fixed
from golden.twin import Twin
from gradloom import options
from gradloom.descriptions import port_table, timing


def _nothing(values: dict[str, Any]) -> None:
    """Change nothing: every setting has a default of its own."""


@dataclass(frozen=True)
class Unit:
    """An entry of the registry.

    Parameters
    ----------
    name
        Name on the command line; that of the generated module has `gradloom_` in front.
    summary
        Description, one line.
    component, twin
        Classes of the hardware and of its twin; both are called with a configuration.
    config
        Class of the configurations. Every setting has a default.
    specification
        Module in `gradloom.prove` with the unit's specification; empty if there is none.
    has_cells
        The unit can be made of a device's own cells: its component takes `cells`.
    choose
        Sets defaults that depend on other settings. It is called with the given values by dotted
        name, which it changes, and with the values of the options `more`.
    chosen
        Descriptions, for the help, of the defaults that `choose` sets, by dotted name.
    more
        Options beside those of the settings.

    Examples
    --------
    >>> unit = UNITS["array"]
    >>> unit.module, unit.component.__name__, unit.twin.__module__
    ('gradloom_array', 'Array', 'golden.array')
    >>> unit.configure(rows=2, raw=True).conversions
    ()
    """

    name: str
    summary: str
    component: Callable[..., wiring.Component]
    twin: Callable[[Any], Twin]
    config: type
    specification: str = ""
    has_cells: bool = False
    choose: Callable[..., None] = _nothing
    chosen: Mapping[str, str] = field(default_factory=dict, hash=False)
    more: tuple[click.Option, ...] = ()

    @property
    def module(self) -> str:
        """Name of the Verilog module, unless another is given."""
        return f"gradloom_{self.name.replace('-', '_')}"

    @cached_property
    def options(self) -> tuple[click.Option, ...]:
        """Command-line options, whose values are the arguments of `configure`: one for every
        setting, and `--set`.
        """
        *settings, by_name = options.derived(self.config, self.chosen)
        return (*settings, *self.more, by_name)

    def configure(self, **given: Any) -> Any:
        """Return the configuration for values of `options`, given by click's names.

        Raises
        ------
        ValueError
            A value is not allowed; the error names the option, or `--set` and the setting.
        """
        values = options.collected(self.name, self.config, given)
        self.choose(values, **{one.name: given[one.name] for one in self.more if one.name in given})
        return options.made(self.name, self.config, values, given)

    def describe(self, config: Any) -> str:
        """Return a text with the ports, latency and throughput for a configuration."""
        table = (f"  {line}".rstrip() for line in port_table(config.ports))
        return "\n".join(["Ports:", *table, *timing(config)])


def _with_ternary(values: dict[str, Any], prefix: str = "") -> None:
    """Set the default of a ternary node's b: 2 bits."""
    if values.get(f"{prefix}ternary"):
        values.setdefault(f"{prefix}b", Fixed(1, 1))


def _array(values: dict[str, Any], raw: bool = False) -> None:
    """Set the default of an array's conversions: stochastic, to the format of a; none if raw."""
    _with_ternary(values, "macc.")
    if raw and values.get("conversions"):
        raise ValueError("--raw and --conversion: a raw drain has no rounders, give one of them")
    if raw:
        values["conversions"] = ()
    elif "conversions" not in values:
        macc = golden.MaccConfig()
        a, b = values.get("macc.a", macc.a), values.get("macc.b", macc.b)
        values["conversions"] = (Conversion(fraction=a.fl + b.fl, target=a),)


_TERNARY_B = "2,14; 1,1 with --ternary"

_ALL = (
    Unit(
        "lfsr",
        "Leap-forward Galois LFSRs: random bits, one draw per lane and clock.",
        hdl.Lfsr,
        golden.Lfsr,
        golden.LfsrConfig,
        "lfsr",
    ),
    Unit(
        "bank",
        "A bank of LFSRs for several units: lanes leap in groups, states can be set and read.",
        hdl.Bank,
        golden.Bank,
        golden.BankConfig,
        "bank",
    ),
    Unit(
        "rounder",
        "Convert: stochastic or nearest rounding of wide codes, then saturation.",
        hdl.Rounder,
        golden.Rounder,
        golden.RounderConfig,
        "rounder",
        has_cells=True,
        chosen={"conversions": Conversion.EXAMPLE},
    ),
    Unit(
        "macc",
        "One multiply-accumulate node of the array.",
        hdl.Macc,
        golden.Macc,
        golden.MaccConfig,
        "macc",
        has_cells=True,
        choose=_with_ternary,
        chosen={"b": _TERNARY_B},
    ),
    Unit(
        "array",
        "R x C systolic array: tile products back to back, rounded or as raw sums.",
        hdl.Array,
        golden.Array,
        golden.ArrayConfig,
        "array",
        has_cells=True,
        choose=_array,
        chosen={"macc.b": _TERNARY_B, "conversions": "stochastic, to the format of a"},
        more=(
            click.Option(
                ["--raw"],
                is_flag=True,
                help="No rounders: sums leave at the accumulator's width.",
            ),
        ),
    ),
    Unit(
        "wage-weight",
        "WAGE Q_W: stored weights to forward weights, ternary by default.",
        hdl.WeightQuantizer,
        golden.WeightQuantizer,
        golden.WeightQuantizerConfig,
        "quantize.weight",
    ),
    Unit(
        "wage-activation",
        "WAGE ReLU and Q_A: sums to activations and the masks of the backward pass.",
        hdl.ActivationQuantizer,
        golden.ActivationQuantizer,
        golden.ActivationQuantizerConfig,
        "quantize.activation",
    ),
    Unit(
        "wage-shift",
        "WAGE Shift: the maximum of a tensor and its exponent.",
        hdl.ShiftExponent,
        golden.ShiftExponent,
        golden.ShiftExponentConfig,
        "quantize.exponent",
    ),
    Unit(
        "wage-error",
        "WAGE Q_E: errors, scaled by a power of two for their tensor, and quantized.",
        hdl.ErrorQuantizer,
        golden.ErrorQuantizer,
        golden.ErrorQuantizerConfig,
        "quantize.error",
    ),
    Unit(
        "wage-update",
        "WAGE Q_G and update: stored weights minus stochastically rounded steps.",
        hdl.WeightUpdate,
        golden.WeightUpdate,
        golden.WeightUpdateConfig,
        "quantize.update",
    ),
    Unit(
        "pool",
        "Max-pooling: the maximum of each window, and the place where it is first.",
        hdl.Pool,
        golden.Pool,
        golden.PoolConfig,
        "pool",
    ),
    Unit(
        "unpool",
        "The way back through max-pooling: errors added at the place of their maximum.",
        hdl.Unpool,
        golden.Unpool,
        golden.UnpoolConfig,
        "unpool",
    ),
    Unit(
        "threshold",
        "HWGQ: sums to codes by thresholds of their channels, and the mask of the backward pass.",
        hdl.ThresholdQuantizer,
        golden.ThresholdQuantizer,
        golden.ThresholdQuantizerConfig,
        "quantize.threshold",
    ),
    Unit(
        "sign",
        "BNN: words to their signs, and the mask of the straight-through gradient.",
        hdl.SignQuantizer,
        golden.SignQuantizer,
        golden.SignQuantizerConfig,
        "quantize.sign",
    ),
    Unit(
        "mask",
        "ReLU of words, and the masks of errors by activation and saturation.",
        hdl.Mask,
        golden.Mask,
        golden.MaskConfig,
        "mask",
    ),
    Unit(
        "output-error",
        "Outputs of a network minus the target of their sample's class.",
        hdl.OutputError,
        golden.OutputError,
        golden.OutputErrorConfig,
        "output_error",
    ),
    Unit(
        "momentum-update",
        "Gupta's update: momentum, decay and gradient in one exact sum, rounded once.",
        hdl.MomentumUpdate,
        golden.MomentumUpdate,
        golden.MomentumUpdateConfig,
        "quantize.momentum",
    ),
    Unit(
        "grid-update",
        "Updates of weights on a grid: rounded, stochastic or BinaryConnect; and of biases.",
        hdl.GridUpdate,
        golden.GridUpdate,
        golden.GridUpdateConfig,
        "quantize.grid",
    ),
    Unit(
        "softmax",
        "Softmax of a sample's outputs, and their errors, rounded.",
        hdl.Softmax,
        golden.Softmax,
        golden.SoftmaxConfig,
        "softmax",
    ),
    Unit(
        "banks",
        "Memory in banks of words: each has a port that reads and one that reads or writes.",
        hdl.Banks,
        golden.Banks,
        golden.BanksConfig,
        "core.banks",
    ),
    Unit(
        "row-store",
        "Memory of rows: one is written and one is read per clock.",
        hdl.RowStore,
        golden.RowStore,
        golden.RowStoreConfig,
        "core.rows",
    ),
    Unit(
        "product-nest",
        "The loops of a product: two flat indices per clock, with clipped loops.",
        hdl.ProductNest,
        golden.ProductNest,
        golden.ProductNestConfig,
    ),
    Unit(
        "operand-stream",
        "An operand of a product: flat indices to addresses at banks, and words back to lanes.",
        hdl.OperandStream,
        golden.OperandStream,
        golden.OperandStreamConfig,
        "core.operands",
    ),
    Unit(
        "pass-nest",
        "The loops of a pass: rows of sums and masks, and a flat index, vector by vector.",
        hdl.PassNest,
        golden.PassNest,
        golden.PassNestConfig,
    ),
    Unit(
        "move-nest",
        "The loops of a move: a flat index, beat by beat and row by row.",
        hdl.MoveNest,
        golden.MoveNest,
        golden.MoveNestConfig,
        "core.move_nest",
    ),
)

#: Registry of all units, by name.
UNITS: dict[str, Unit] = {unit.name: unit for unit in _ALL}


def unit_of(component: wiring.Component) -> Unit | None:
    """Return the entry of `UNITS` for a component; None for a user's own component."""
    check.instance("component", component, wiring.Component)
    kind = type(component)
    return next((unit for unit in UNITS.values() if unit.component is kind), None)


def twin_of(component: wiring.Component) -> Twin:
    """Return the twin of a unit, with the unit's configuration.

    Returns
    -------
    Twin
        See `golden.twin.Twin`.

    Raises
    ------
    TypeError
        The component is not one of gradloom's units.

    Examples
    --------
    >>> import golden, hdl
    >>> twin_of(hdl.Lfsr(golden.LfsrConfig(lanes=3))).config.lanes
    3
    """
    unit = unit_of(component)
    if unit is None:
        known = ", ".join(sorted(unit.component.__name__ for unit in UNITS.values()))
        raise TypeError(
            f"{type(component).__name__} has no twin here; the units are {known}: "
            "give the twin of a component of your own"
        )
    return unit.twin(component.config)  # type: ignore[attr-defined]  # every unit has one
