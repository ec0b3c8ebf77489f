"""A recorded training step as stimulus for the hardware:
the same operands, in the same order, with the same draws.

Each unit that a step needs becomes a `Station`: its configuration, the operands that the step sent
through it, one operation after another, and the results that training had. The generators start
where the step's lanes stood.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import golden
from golden.fixed import Codes, Conversion, Fixed, Rounding
from golden.order import Matrix, TileOrder, VectorOrder
from golden.training import Entry, Recipe, Record, Trainer
from golden.training.step.ops import (
    Convert,
    Product,
    QuantizeActivation,
    QuantizeError,
    QuantizeWeight,
    ShiftExponent,
    WageUpdate,
)
from golden.twin import Trace
from gradloom.units import UNITS, Unit


@dataclass
class Result:
    """What training had of an operation, by the vectors that leave its unit.

    Parameters
    ----------
    values
        By output field, (vectors, ...).
    real
        Which of them are of training; the others fill up vectors and tiles.
    """

    values: Codes
    real: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Values of training."""
        return int(np.count_nonzero(self.real))


@dataclass
class Station:
    """A unit with all that a step sends through it.

    Parameters
    ----------
    title
        What it is, for people.
    unit, config
        The unit and its configuration.
    pieces
        Stimulus, one piece per operation; nothing stalls, so they are played one after the other.
    expected
        What training had, by output field, one entry per operation.
    """

    title: str
    unit: Unit
    config: Any
    pieces: list[Trace] = field(default_factory=list)
    expected: list[dict[str, Result]] = field(default_factory=list)

    @property
    def inputs(self) -> Trace:
        """The whole stimulus, with clocks at its end in which the last results leave."""
        names = self.pieces[0]
        idle = self.config.latency + getattr(self.config, "rows", 1)
        trace = {}
        for name in names:
            values = np.concatenate([piece[name] for piece in self.pieces])
            trace[name] = np.concatenate([values, np.zeros((idle, *values.shape[1:]), np.int64)])
        return trace | {"o_ready": np.ones(len(trace["i_valid"]), np.int64)}

    @property
    def results(self) -> int:
        """Values that training had."""
        return sum(result.count for fields in self.expected for result in fields.values())

    def differences(self, outputs: Trace) -> int:
        """How many results among `outputs` are not those of training;
        a missing or extra vector counts for all.
        """
        left = outputs["o_valid"] != 0
        vectors = [len(next(iter(fields.values())).values) for fields in self.expected]
        if np.count_nonzero(left) != sum(vectors):
            return self.results
        wrong, at = 0, 0
        for count, fields in zip(vectors, self.expected):
            for name, wanted in fields.items():
                got = outputs[f"o_{name}"][left][at : at + count].reshape(wanted.values.shape)
                wrong += int(np.count_nonzero((got != wanted.values) & wanted.real))
            at += count
        return wrong


def stations(
    trainer: Trainer[Any], record: Record, multipliers: tuple[int, int] | None = None
) -> list[Station]:
    """The units that the step in `record`, the latest of `trainer`, went through.

    With `multipliers`, products without rounding go through a mixed array with a block of so many
    rows and columns: those with weights of -1, 0 and 1 on all nodes, others in the block.

    A unit that rounds stochastically moves its lanes for every value, so what is rounded to nearest
    goes through a unit of its own, which has none. Where units take turns in moving the lanes that
    they share in training, each turn is a station of its own, whose generator starts there.
    """
    recipe, start = trainer.recipe, trainer.step_start
    result = []
    products = [entry for entry in record if isinstance(entry.operation, Product)]
    for title, kind in (
        ("array with rounders", True),
        ("array, to nearest", False),
        ("array, raw sums", None),
    ):
        if chosen := [entry for entry in products if _draws(_conversion(entry)) is kind]:
            block = multipliers if kind is None else None
            generator = _moved(recipe.generator, start.array)
            result.append(_array(title, chosen, recipe, generator, block))
    width = max((station.config.macc.width for station in result), default=1) + 1  # and a target

    draws = start.elementwise
    turns: list[tuple[Station, int]] = []
    latest: dict[tuple[str, bool], int] = {}  # which turn a kind of unit had last
    for entry in record:
        operation = entry.operation
        if not isinstance(operation, _ELEMENTWISE):
            continue
        key = (_UNIT.get(type(operation), "rounder"), operation.draws)
        turn = latest.get(key)
        if turn is None or (operation.draws and turns[turn][1] != draws):
            generator = _moved(recipe.generator, draws)
            turns.append((_station(entry, record, width, recipe.columns, generator), draws))
            turn = latest[key] = len(turns) - 1
        draws += operation.leaps
        station = turns[turn][0]
        turns[turn] = (station, draws)
        _add(station, entry)
    return [*result, *(station for station, _ in turns)]


#: Operations of elementwise units, and the units of those that are no rounders.
_ELEMENTWISE = (
    QuantizeWeight,
    QuantizeActivation,
    ShiftExponent,
    QuantizeError,
    WageUpdate,
    Convert,
)
_UNIT: dict[type, str] = {
    QuantizeWeight: "wage-weight",
    QuantizeActivation: "wage-activation",
    ShiftExponent: "wage-shift",
    QuantizeError: "wage-error",
    WageUpdate: "wage-update",
}


def _conversion(entry: Entry) -> Conversion | None:
    """What rounders do in an operation; None where there are none."""
    if isinstance(entry.operation, Product):
        return entry.operation.conversion
    assert isinstance(entry.operation, Convert)
    return entry.operation.conversion(entry.scalars)


def _draws(conversion: Conversion | None) -> bool | None:
    """Whether a conversion takes random bits; None where there is none."""
    return None if conversion is None else conversion.rounding is Rounding.STOCHASTIC


def _bits(tensors: Sequence[Codes]) -> int:
    """Bits of a word that holds every code, 2 or more."""
    lowest = min(
        min(int(codes.min(initial=0)), -int(codes.max(initial=0)) - 1) for codes in tensors
    )
    return max((-lowest - 1).bit_length() + 1, 2)


def _moved(generator: golden.Generator, draws: int) -> golden.Generator:
    """The generator as its lanes are after so many draws: every lane is as far from its seed."""
    return replace(generator, seed=generator.advance(generator.seed, draws * generator.leap))


def _array(
    title: str,
    products: Sequence[Entry],
    recipe: Recipe,
    generator: golden.Generator,
    multipliers: tuple[int, int] | None,
) -> Station:
    """An array for `products`, its words as wide as these need."""
    conversions = tuple(dict.fromkeys(filter(None, map(_conversion, products))))
    depth = max(1, *(entry.tensors["a"].shape[1] for entry in products))
    config = golden.ArrayConfig(
        rows=recipe.rows,
        columns=recipe.columns,
        macc=golden.MaccConfig(
            a=Fixed(_bits([entry.tensors["a"] for entry in products]), 0),
            b=Fixed(_bits([entry.tensors["b"] for entry in products]), 0),
            depth=depth,
        ),
        conversions=conversions,
        generator=generator,
        multipliers=multipliers,
        ternary_depth=depth,
    )
    station = Station(title, UNITS["array"], config)
    for entry in products:
        a, b, out = (entry.tensors[name] for name in ("a", "b", "out"))
        multiply = multipliers is not None and bool(np.abs(b).max(initial=0) > 1)
        order = entry.operation.order
        if multiply or not isinstance(order, TileOrder):
            order = block_order(config, out.shape[0], out.shape[1], multiply)
        piece = product_stimulus(config, a, b, order, multiply)
        if len(conversions) > 1:
            choice = conversions.index(_conversion(entry))
            piece["i_choice"] = np.full(len(piece["i_valid"]), choice, np.int64)
        station.pieces.append(piece)
        station.expected.append(product_rows(config, out, order))
    return station


def block_order(
    config: golden.ArrayConfig, height: int, width: int, multiply: bool = False
) -> TileOrder:
    """An order for a product whose tiles may come in any, as they drain raw: by column blocks.

    To `multiply`, its tiles are those of a mixed array's block of multipliers.
    """
    block = config.multipliers if multiply and config.multipliers else (config.rows, config.columns)
    matrix = Matrix(samples=height, channels=width)
    return TileOrder(matrix=matrix, rows=block[0], columns=block[1], by_columns=True)


def product_stimulus(
    config: golden.ArrayConfig, a: Codes, b: Codes, order: TileOrder, multiply: bool = False
) -> Trace:
    """Operands of the product of `a` (M, K) and `b` (K, N), tile by tile in their order.

    To `multiply`, the order is of a mixed array's block of multipliers. A product of no terms has
    one of zeros. Tiles shallower than the array has rows are followed by idle clocks, so that no
    operand ever waits.
    """
    depth = max(a.shape[1], 1)
    clocks = max(depth, config.rows)
    down, across = order.tiles()

    def tiles(operands: Codes, chosen: Codes, before: int, after: int) -> Codes:
        """Vectors (K, M or N) of every tile, with zeros for padding and for lanes beyond it."""
        padded = np.zeros((clocks, operands.shape[1] + 1), np.int64)
        padded[: len(operands), :-1] = operands
        lanes = np.pad(chosen, ((0, 0), (before, after)), constant_values=-1)
        return padded[:, lanes].swapaxes(0, 1).reshape(-1, lanes.shape[1])

    clock = np.tile(np.arange(clocks), len(down))
    stimulus = {
        "i_valid": (clock < depth).astype(np.int64),
        "i_a": tiles(a.T, down, config.rows - order.rows, 0),
        "i_b": tiles(b, across, 0, config.columns - order.columns),
        "i_last": (clock == depth - 1).astype(np.int64),
    }
    if config.multipliers:
        stimulus["i_multiply"] = np.full(len(clock), int(multiply), np.int64)
    return stimulus


def product_rows(config: golden.ArrayConfig, out: Codes, order: TileOrder) -> dict[str, Result]:
    """Rows in which the array gives the product `out` (M, N), tile by tile in their order, a tile's
    bottom row first; 0 outside of the block that the order is of.
    """
    down, across = order.tiles()
    down = np.pad(down, ((0, 0), (config.rows - order.rows, 0)), constant_values=-1)[:, ::-1]
    across = np.pad(across, ((0, 0), (0, config.columns - order.columns)), constant_values=-1)
    real = (down >= 0)[:, :, None] & (across >= 0)[:, None]
    data = np.where(real, out[down[:, :, None], across[:, None]], 0)
    data, real = data.reshape(-1, config.columns), real.reshape(-1, config.columns)
    last = (np.arange(len(data)) % config.rows == config.rows - 1).astype(np.int64)
    return {"data": Result(data, real), "last": Result(last, np.ones(len(last), np.bool_))}


def _station(
    entry: Entry, record: Record, width: int, lanes: int, generator: golden.Generator
) -> Station:
    """The unit of an elementwise operation, set up for all of its kind in `record`."""
    operation = entry.operation
    drawing: dict[str, Any] = {"lanes": lanes, "first_lane": lanes, "generator": generator}
    config: Any
    match operation:
        case QuantizeWeight():
            config = golden.WeightQuantizerConfig(
                stored=operation.stored, bits=operation.bits, lanes=lanes
            )
        case QuantizeActivation():
            shifts = [
                other.operation.shift
                for other in record
                if isinstance(other.operation, QuantizeActivation)
            ]
            config = golden.ActivationQuantizerConfig(
                width=width, bits=operation.bits, most_shift=max(shifts), lanes=lanes
            )
        case ShiftExponent():
            config = golden.ShiftExponentConfig(width=width, ceil=operation.ceil, lanes=lanes)
        case QuantizeError():
            config = golden.ErrorQuantizerConfig(
                width=width, bits=operation.bits, rounding=operation.rounding, **drawing
            )
        case WageUpdate():
            config = golden.WeightUpdateConfig(
                width=width, bits=operation.bits, half=operation.half, **drawing
            )
        case _:
            config = _rounder(entry, record, drawing)
            title = "rounder" if operation.draws else "rounder, to nearest"
            return Station(title, UNITS["rounder"], config)
    name = _UNIT[type(operation)]
    return Station(name, UNITS[name], config)


def _rounder(entry: Entry, record: Record, drawing: dict[str, Any]) -> golden.RounderConfig:
    """A rounder for the conversions of `record` that take random bits as `entry` does, or not."""
    converts = [
        other
        for other in record
        if isinstance(other.operation, Convert) and other.operation.draws is entry.operation.draws
    ]
    conversions = tuple(dict.fromkeys(filter(None, map(_conversion, converts))))
    return golden.RounderConfig(
        width=max(
            _bits([other.tensors["z"] for other in converts]),
            *(conversion.dropped for conversion in conversions),
        ),
        conversions=conversions,
        **drawing,
    )


#: For each kind of operation: ports by the names of its tensors, and the scalars that are ports.
_PORTS: dict[type, tuple[dict[str, str], tuple[str, ...]]] = {
    QuantizeWeight: ({"n": "i_data", "code": "o_data"}, ()),
    QuantizeActivation: (
        {"acc": "i_data", "code": "o_data", "active": "o_active", "unclipped": "o_unclipped"},
        (),
    ),
    ShiftExponent: ({"values": "i_data"}, ()),
    QuantizeError: ({"values": "i_data", "keep": "i_keep", "code": "o_data"}, ("exponent",)),
    WageUpdate: (
        {"n": "i_weight", "gradient": "i_gradient", "out": "o_weight"},
        ("exponent", "rate"),
    ),
}


def _add(station: Station, entry: Entry) -> None:
    """Append an operation's stimulus and results to its station."""
    operation, config = entry.operation, station.config
    order = operation.order
    assert isinstance(order, VectorOrder)
    ports, scalars = _PORTS.get(type(operation), ({"z": "i_data", "out": "o_data"}, ()))
    vectors = order.leaps
    settings = {name: entry.scalars[name] for name in scalars}
    real = order.vectors(np.ones(order.matrix.shape, np.bool_))
    piece: Trace = {"i_valid": np.ones(vectors, np.int64)}
    expected: dict[str, Result] = {}
    for name, port in ports.items():
        values = order.vectors(entry.tensors[name])
        if port.startswith("i_"):
            piece[port] = values
        else:
            expected[port[2:]] = Result(values, real)
    match operation:
        case QuantizeActivation():
            settings["shift"] = operation.shift
        case QuantizeError() | WageUpdate():
            settings["zero"] = int(entry.scalars["maximum"] == 0)
        case ShiftExponent():  # one result per tensor
            piece["i_keep"] = np.ones_like(piece["i_data"])
            piece["i_last"] = (np.arange(vectors) == vectors - 1).astype(np.int64)
            zero = int(entry.scalars["maximum"] == 0)
            one = np.ones(1, np.bool_)
            expected = {
                name: Result(np.array([value]), one)
                for name, value in (*entry.scalars.items(), ("zero", zero))
            }
        case Convert() if len(config.conversions) > 1:
            settings["i_choice"] = config.conversions.index(_conversion(entry))
    piece |= {name: np.full(vectors, value, np.int64) for name, value in settings.items()}
    station.pieces.append(piece)
    station.expected.append(expected)
