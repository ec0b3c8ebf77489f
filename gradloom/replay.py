"""A recorded training step as stimulus for the hardware:
the same operands, in the same order, with the same draws.

Each unit that a step needs becomes a `Station`: its configuration, the operands that the step sent
through it, one operation after another, and the results that training had. The generators start
where the step's lanes stood.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import golden
from golden.fixed import Codes, Conversion, Fixed, Rounding
from golden.products import elementwise_leaps
from golden.training import Convert, Product, Quantize, Recipe, Record, Trainer
from golden.twin import Trace
from gradloom.units import UNITS, Unit


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
        Stimulus, one piece an operation; nothing stalls, so they are played one after the other.
    expected
        What training had: for each operation the vectors that leave, and by output field their
        values in order. Where the last vector is filled up, its further lanes are not among them.
    """

    title: str
    unit: Unit
    config: Any
    pieces: list[Trace] = field(default_factory=list)
    expected: list[tuple[int, dict[str, Codes]]] = field(default_factory=list)

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
        return sum(values.size for _, fields in self.expected for values in fields.values())

    def differences(self, outputs: Trace) -> int:
        """How many results among `outputs` are not those of training;
        a missing or extra vector counts for all.
        """
        left = outputs["o_valid"] != 0
        if np.count_nonzero(left) != sum(vectors for vectors, _ in self.expected):
            return self.results
        wrong, at = 0, 0
        for vectors, fields in self.expected:
            for name, wanted in fields.items():
                got = outputs[f"o_{name}"][left][at : at + vectors].reshape(-1)
                wrong += int(np.count_nonzero(got[: wanted.size] != wanted))
            at += vectors
        return wrong


def stations(
    trainer: Trainer[Any], record: Record, multipliers: tuple[int, int] | None = None
) -> list[Station]:
    """The units that the step in `record`, the latest of `trainer`, went through.

    With `multipliers`, products without rounding go through a mixed array with a block of so many
    rows and columns: those with weights of -1, 0 and 1 on all nodes, others in the block.

    A unit that rounds stochastically moves its lanes for every value, so what is rounded to nearest
    goes through a unit of its own, which has none.
    """
    recipe, start = trainer.recipe, trainer.step_start
    result = []
    products = [entry for entry in record if isinstance(entry, Product)]
    for title, kind in (
        ("array with rounders", True),
        ("array, to nearest", False),
        ("array, raw sums", None),
    ):
        if chosen := [product for product in products if _draws(product.conversion) is kind]:
            block = multipliers if kind is None else None
            generator = _moved(recipe.generator, start.array)
            result.append(_array(title, chosen, recipe, generator, block))
    width = max(station.config.macc.width for station in result) + 1  # a sum, and a target off it

    draws = start.elementwise
    elementwise: dict[str, Station] = {}
    moved: dict[str, int] = {}
    for entry in record:
        if isinstance(entry, Product):
            continue
        key = entry.unit if isinstance(entry, Quantize) else f"rounder {_draws(entry.conversion)}"
        if key not in elementwise:
            generator = _moved(recipe.generator, draws)
            if isinstance(entry, Convert):
                elementwise[key] = _rounder(entry, record, recipe.columns, generator)
            else:
                elementwise[key] = _quantizer(entry, record, width, recipe.columns, generator)
        station = elementwise[key]
        if leaps := _leaps(entry, recipe.columns):
            # The lanes are shared in training;
            # here a unit has its own, and they must be where training's were.
            if moved.setdefault(key, draws) != draws:
                raise ValueError(
                    f"{entry.name}: another unit used the lanes since this one's operation before"
                )
            draws += leaps
            moved[key] = draws
        _add(station, entry)
    return [*result, *elementwise.values()]


def _draws(conversion: Conversion | None) -> bool | None:
    """Whether a conversion takes random bits; None where there is none."""
    return None if conversion is None else conversion.rounding is Rounding.STOCHASTIC


def _bits(tensors: Iterable[Codes]) -> int:
    """Bits of a word that holds every code, 2 or more."""
    lowest = min(
        min(int(codes.min(initial=0)), -int(codes.max(initial=0)) - 1) for codes in tensors
    )
    return max((-lowest - 1).bit_length() + 1, 2)


def _moved(generator: golden.Generator, draws: int) -> golden.Generator:
    """The generator as its lanes are after so many draws: every lane is as far from its seed."""
    return replace(generator, seed=generator.advance(generator.seed, draws * generator.leap))


def _leaps(entry: Convert | Quantize, lanes: int) -> int:
    """How often an operation made the element-wise lanes leap."""
    if isinstance(entry, Convert):
        return elementwise_leaps(lanes, entry.z.size) if _draws(entry.conversion) else 0
    if entry.unit == "update" or entry.settings.get("stochastic"):
        return elementwise_leaps(lanes, next(iter(entry.inputs.values())).size)
    return 0


def _array(
    title: str,
    products: Sequence[Product],
    recipe: Recipe,
    generator: golden.Generator,
    multipliers: tuple[int, int] | None,
) -> Station:
    """An array for `products`, its words as wide as these need."""
    conversions = tuple(dict.fromkeys(p.conversion for p in products if p.conversion is not None))
    config = golden.ArrayConfig(
        rows=recipe.rows,
        columns=recipe.columns,
        macc=golden.MaccConfig(
            a=Fixed(_bits(product.a for product in products), 0),
            b=Fixed(_bits(product.b for product in products), 0),
            depth=max(product.a.shape[1] for product in products),
        ),
        conversions=conversions,
        generator=generator,
        multipliers=multipliers,
        ternary_depth=max(product.a.shape[1] for product in products),
    )
    station = Station(title, UNITS["array"], config)
    for product in products:
        choice = 0 if product.conversion is None else conversions.index(product.conversion)
        multiply = multipliers is not None and bool(np.abs(product.b).max() > 1)
        piece = product_stimulus(config, product.a, product.b, multiply)
        if len(conversions) > 1:
            piece["i_choice"] = np.full(len(piece["i_valid"]), choice, np.int64)
        station.pieces.append(piece)
        rows = product_rows(config, product.out, multiply)
        station.expected.append((len(rows["data"]), {k: v.reshape(-1) for k, v in rows.items()}))
    return station


def _padded(matrix: Codes, rows: int, columns: int) -> Codes:
    """`matrix` with zeros up to whole blocks of `rows` x `columns`."""
    return np.pad(matrix, ((0, -matrix.shape[0] % rows), (0, -matrix.shape[1] % columns)))


def _block(config: golden.ArrayConfig, multiply: bool) -> tuple[int, int]:
    """Rows and columns of a tile: of the array, or of a mixed array's multipliers."""
    return config.multipliers if multiply and config.multipliers else (config.rows, config.columns)


def product_stimulus(
    config: golden.ArrayConfig, a: Codes, b: Codes, multiply: bool = False
) -> Trace:
    """Operands of the product of `a` (M, K) and `b` (K, N), tile by tile, row block by row block.

    To `multiply`, the tiles are those of a mixed array's block of multipliers. Tiles shallower than
    the array has rows are followed by idle clocks, so that no operand ever waits.
    """
    (rows, columns), depth = _block(config, multiply), a.shape[1]
    left = _padded(a, rows, 1).reshape(-1, 1, rows, depth).swapaxes(2, 3)
    right = _padded(b, 1, columns).reshape(depth, 1, -1, columns).transpose(1, 2, 0, 3)
    blocks = (left.shape[0], right.shape[1])
    clocks = max(depth, config.rows)

    def tiles(operands: Codes, before: int, after: int) -> Codes:
        """With zeros for the lanes before and after the block."""
        spread = np.broadcast_to(operands, (*blocks, *operands.shape[2:]))
        gapped = np.pad(spread, ((0, 0), (0, 0), (0, clocks - depth), (before, after)))
        return gapped.reshape(-1, gapped.shape[3])

    clock = np.tile(np.arange(clocks), blocks[0] * blocks[1])
    stimulus = {
        "i_valid": (clock < depth).astype(np.int64),
        "i_a": tiles(left, config.rows - rows, 0),
        "i_b": tiles(right, 0, config.columns - columns),
        "i_last": (clock == depth - 1).astype(np.int64),
    }
    if config.multipliers:
        stimulus["i_multiply"] = np.full(len(clock), int(multiply), np.int64)
    return stimulus


def product_rows(config: golden.ArrayConfig, out: Codes, multiply: bool = False) -> Trace:
    """Rows in which the array gives the product `out` (M, N):
    tile by tile, a tile's bottom row first; 0 outside of the block that is to `multiply`.
    """
    rows, columns = _block(config, multiply)
    whole = _padded(out, rows, columns)
    tiles = whole.reshape(whole.shape[0] // rows, rows, -1, columns).swapaxes(1, 2)
    around = ((0, 0), (0, 0), (config.rows - rows, 0), (0, config.columns - columns))
    data = np.pad(tiles, around)[:, :, ::-1].reshape(-1, config.columns)
    last = np.arange(len(data)) % config.rows == config.rows - 1
    return {"data": data, "last": last.astype(np.int64)}


def _rounder(entry: Convert, record: Record, lanes: int, generator: golden.Generator) -> Station:
    """A rounder for the conversions of `record` that take random bits as `entry` does, or not."""
    stochastic = _draws(entry.conversion)
    converts = [
        other
        for other in record
        if isinstance(other, Convert) and _draws(other.conversion) is stochastic
    ]
    conversions = tuple(dict.fromkeys(convert.conversion for convert in converts))
    config = golden.RounderConfig(
        width=max(
            _bits(convert.z for convert in converts),
            *(conversion.dropped for conversion in conversions),
        ),
        conversions=conversions,
        lanes=lanes,
        first_lane=lanes,
        generator=generator,
    )
    return Station("rounder" if stochastic else "rounder, to nearest", UNITS["rounder"], config)


def _quantizer(
    entry: Quantize, record: Record, width: int, lanes: int, generator: golden.Generator
) -> Station:
    """The unit of a quantizer's operation, set up for all of its operations in `record`."""
    settings = entry.settings
    drawing: dict[str, Any] = {"lanes": lanes, "first_lane": lanes, "generator": generator}
    config: Any
    match entry.unit:
        case "weight":
            config = golden.WeightQuantizerConfig(
                stored=settings["stored"], bits=settings["bits"], lanes=lanes
            )
        case "activation":
            shifts = [
                other.settings["shift"]
                for other in record
                if isinstance(other, Quantize) and other.unit == "activation"
            ]
            config = golden.ActivationQuantizerConfig(
                width=width, bits=settings["bits"], most_shift=max(shifts), lanes=lanes
            )
        case "shift":
            config = golden.ShiftExponentConfig(
                width=width, ceil=bool(settings["ceil"]), lanes=lanes
            )
        case "error":
            rounding = Rounding.STOCHASTIC if settings["stochastic"] else Rounding.NEAREST_EVEN
            config = golden.ErrorQuantizerConfig(
                width=width, bits=settings["bits"], rounding=rounding, **drawing
            )
        case "update":
            config = golden.WeightUpdateConfig(
                width=width, bits=settings["bits"], half=bool(settings["half"]), **drawing
            )
        case _:
            raise ValueError(f"{entry.name}: there is no unit {entry.unit}")
    return Station(f"wage-{entry.unit}", UNITS[f"wage-{entry.unit}"], config)


#: Ports by the names that records use for inputs and results, where they differ.
_PORTS = {"acc": "data", "values": "data", "code": "data"}


def _add(station: Station, entry: Convert | Quantize) -> None:
    """Append an operation's stimulus and results to its station."""
    config, lanes = station.config, station.config.lanes
    tensors: dict[str, Codes]
    results: dict[str, Codes]
    settings: dict[str, int]
    if isinstance(entry, Convert):
        tensors, results, settings = {"data": entry.z}, {"data": entry.out}, {}
        if len(config.conversions) > 1:
            settings["i_choice"] = config.conversions.index(entry.conversion)
    else:
        names = _PORTS | {"n": "weight" if entry.unit == "update" else "data"}
        tensors = {names.get(name, name): values for name, values in entry.inputs.items()}
        results = {names.get(name, name): values for name, values in entry.out.items()}
        settings = {k: v for k, v in entry.settings.items() if k in ("shift", "exponent", "rate")}
        if entry.unit in ("error", "update"):
            settings["zero"] = int(
                not tensors["data" if entry.unit == "error" else "gradient"].any()
            )
        if entry.unit == "shift":
            tensors["keep"] = np.ones_like(tensors["data"])

    piece: Trace = {
        f"i_{name}": np.pad(values.reshape(-1), (0, -values.size % lanes)).reshape(-1, lanes)
        for name, values in tensors.items()
    }
    vectors = len(next(iter(piece.values())))
    piece["i_valid"] = np.ones(vectors, np.int64)
    piece |= {name: np.full(vectors, value, np.int64) for name, value in settings.items()}
    if "maximum" in results:  # one result a tensor
        piece["i_last"] = (np.arange(vectors) == vectors - 1).astype(np.int64)
        vectors = 1
    station.pieces.append(piece)
    station.expected.append(
        (vectors, {name: values.reshape(-1) for name, values in results.items()})
    )
