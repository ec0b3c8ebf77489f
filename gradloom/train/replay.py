"""Replay of a recorded training step on the hardware: the same operands, order and random bits.

Each unit that the step needs has a `UnitReplay`: its configuration, the operands of its operations
one after the other, and the results of the training model. The generators start in the states that
the lanes had in the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import golden
from golden.fixed import Codes, Conversion, Fixed, Rounding
from golden.order import TileOrder, VectorOrder
from golden.training import Entry, Recipe, Record, Trainer
from golden.training.step.ops import (
    Convert,
    Product,
    QuantizeActivation,
    QuantizeError,
    QuantizeWeight,
    ShiftExponent,
    Softmax,
    WageUpdate,
)
from golden.twin import Trace
from gradloom.train.tile_stimulus import Expected, block_order, product_rows, product_stimulus
from gradloom.units import UNITS, Unit


@dataclass
class UnitReplay:
    """A unit with the stimulus and the results of a training step.

    Parameters
    ----------
    title
        Description.
    unit, config
        The unit and its configuration.
    pieces
        Stimulus of each operation. Nothing stalls, so the pieces follow each other directly.
    expected
        Results of each operation in the training model, by output field.
    """

    title: str
    unit: Unit
    config: Any
    pieces: list[Trace] = field(default_factory=list)
    expected: list[dict[str, Expected]] = field(default_factory=list)

    @property
    def inputs(self) -> Trace:
        """The whole stimulus by port, one row per clock, until the last result has left."""
        names = self.pieces[0]
        idle = self.config.buffer
        trace = {}
        for name in names:
            values = np.concatenate([piece[name] for piece in self.pieces])
            trace[name] = np.concatenate([values, np.zeros((idle, *values.shape[1:]), np.int64)])
        return trace | {"o_ready": np.ones(len(trace["i_valid"]), np.int64)}

    @property
    def results(self) -> int:
        """Number of results of the training model."""
        return sum(result.count for fields in self.expected for result in fields.values())

    def differences(self, outputs: Trace) -> int:
        """Return the number of results in `outputs` that differ from the training model, which is
        all of them, and never 0, if a vector is missing or extra.
        """
        left = outputs["o_valid"] != 0
        vectors = [len(next(iter(fields.values())).values) for fields in self.expected]
        if np.count_nonzero(left) != sum(vectors):
            return max(self.results, 1)
        wrong, at = 0, 0
        for count, fields in zip(vectors, self.expected):
            for name, wanted in fields.items():
                got = outputs[f"o_{name}"][left][at : at + count].reshape(wanted.values.shape)
                wrong += int(np.count_nonzero((got != wanted.values) & wanted.counted))
            at += count
        return wrong


def unit_replays(
    trainer: Trainer[Any], record: Record, multipliers: tuple[int, int] | None = None
) -> list[UnitReplay]:
    """Return the units that the latest step of `trainer` uses, with their stimulus and results.

    A unit that rounds stochastically draws random bits for every value. So values that are rounded
    to nearest go through another unit, without random bits. Units that share lanes in training draw
    in turns; each turn is a replay of its own, whose generator starts in the state at this turn.

    Parameters
    ----------
    trainer
        The trainer.
    record
        The record of its latest step.
    multipliers
        Rows and columns of a mixed array's block of multipliers, for the products without rounding:
        weights of -1, 0 and 1 use all nodes, others the block.

    Returns
    -------
    list of UnitReplay
        Arrays first, then the other units in the order of their operations.
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
    width = (
        max((replay.config.macc.width for replay in result), default=1) + 1
    )  # of a sum and a target

    draws = start.elementwise
    turns: list[tuple[UnitReplay, int]] = []
    latest: dict[tuple[str, bool], int] = {}  # latest turn of a kind of unit
    for number, entry in enumerate(record):
        operation = entry.operation
        if isinstance(operation, Softmax):
            # The difference from the target and its rounding follow.
            generator = _moved(recipe.generator, draws)
            turns.append((_softmax(record[number : number + 3], recipe.columns, generator), draws))
        if not isinstance(operation, _ELEMENTWISE):
            continue
        key = (_UNIT.get(type(operation), "rounder"), operation.draws)
        turn = latest.get(key)
        if turn is None or (operation.draws and turns[turn][1] != draws):
            generator = _moved(recipe.generator, draws)
            turns.append((_new_replay(entry, record, width, recipe.columns, generator), draws))
            turn = latest[key] = len(turns) - 1
        draws += operation.leaps
        replay = turns[turn][0]
        turns[turn] = (replay, draws)
        _add(replay, entry)
    return [*result, *(replay for replay, _ in turns)]


#: Operations of elementwise units, and the units of those that are not rounders.
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
    """Return the conversion of an operation; None without rounding."""
    if isinstance(entry.operation, Product):
        return entry.operation.conversion
    assert isinstance(entry.operation, Convert)
    return entry.operation.conversion(entry.scalars)


def _draws(conversion: Conversion | None) -> bool | None:
    """Return whether a conversion draws random bits; None without a conversion."""
    return None if conversion is None else conversion.rounding is Rounding.STOCHASTIC


def _bits(tensors: Sequence[Codes]) -> int:
    """Return the number of bits, at least 2, of a word for every code."""
    lowest = min(
        min(int(codes.min(initial=0)), -int(codes.max(initial=0)) - 1) for codes in tensors
    )
    return max((-lowest - 1).bit_length() + 1, 2)


def _moved(generator: golden.Generator, draws: int) -> golden.Generator:
    """Return a generator whose lanes start where those of `generator` are after so many draws."""
    return replace(generator, seed=generator.advance(generator.seed, draws * generator.leap))


def _array(
    title: str,
    products: Sequence[Entry],
    recipe: Recipe,
    generator: golden.Generator,
    multipliers: tuple[int, int] | None,
) -> UnitReplay:
    """Return the replay of `products` on an array with operands as wide as needed."""
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
    replay = UnitReplay(title, UNITS["array"], config)
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
        replay.pieces.append(piece)
        replay.expected.append(product_rows(config, out, order))
    return replay


def _softmax(entries: Sequence[Entry], lanes: int, generator: golden.Generator) -> UnitReplay:
    """Return the replay of softmax, of the difference from the target, and of its rounding."""
    softmax, difference, convert = entries
    y, probability = softmax.tensors["outputs"], softmax.tensors["probability"]
    conversion, operation = _conversion(convert), softmax.operation
    assert conversion is not None and isinstance(operation, Softmax)
    classes, fraction = y.shape[1], operation.fraction
    config = golden.SoftmaxConfig(
        classes=classes,
        outputs=Fixed(max(_bits([y]) - fraction, 1), fraction),
        error=conversion.target,
        rounding=conversion.rounding,
        generators=lanes,
        first_lane=lanes,
        generator=generator,
    )
    piece = {
        "i_valid": np.ones(y.size, np.int64),
        "i_data": y.ravel(),
        "i_label": np.repeat(difference.tensors["label"], classes),
    }
    results = {"data": convert.tensors["out"], "probability": probability}
    every = np.ones(y.size, np.bool_)
    expected = {name: Expected(values.ravel(), every) for name, values in results.items()}
    return UnitReplay("softmax", UNITS["softmax"], config, [piece], [expected])


def _new_replay(
    entry: Entry, record: Record, width: int, lanes: int, generator: golden.Generator
) -> UnitReplay:
    """Return an empty replay for an elementwise operation and all of its kind in `record`."""
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
            return UnitReplay(title, UNITS["rounder"], config)
    name = _UNIT[type(operation)]
    return UnitReplay(name, UNITS[name], config)


def _rounder(entry: Entry, record: Record, drawing: dict[str, Any]) -> golden.RounderConfig:
    """Return a rounder for the conversions in `record` that draw like that of `entry`, or not."""
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


#: For each kind of operation: its tensors' names to ports, and the scalars that are ports.
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


def _add(replay: UnitReplay, entry: Entry) -> None:
    """Append the stimulus and the results of an operation to a replay."""
    operation, config = entry.operation, replay.config
    order = operation.order
    assert isinstance(order, VectorOrder)
    ports, scalars = _PORTS.get(type(operation), ({"z": "i_data", "out": "o_data"}, ()))
    vectors = order.leaps
    settings = {name: entry.scalars[name] for name in scalars}
    counted = order.vectors(np.ones(order.matrix.shape, np.bool_))
    piece: Trace = {"i_valid": np.ones(vectors, np.int64)}
    expected: dict[str, Expected] = {}
    for name, port in ports.items():
        values = order.vectors(entry.tensors[name])
        if port.startswith("i_"):
            piece[port] = values
        else:
            expected[port[2:]] = Expected(values, counted)
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
                name: Expected(np.array([value]), one)
                for name, value in (*entry.scalars.items(), ("zero", zero))
            }
        case Convert() if len(config.conversions) > 1:
            settings["i_choice"] = config.conversions.index(_conversion(entry))
    piece |= {name: np.full(vectors, value, np.int64) for name, value in settings.items()}
    replay.pieces.append(piece)
    replay.expected.append(expected)
