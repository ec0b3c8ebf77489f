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
from golden.fixed import Conversion, Fixed, Rounding
from golden.order import RowOrder, TileOrder, VectorOrder
from golden.training import Entry, LiRecipe, Recipe, Record, Trainer
from golden.training.step.operation import Kind, Operation
from golden.training.step.ops import (
    Convert,
    FineStep,
    FineUpdate,
    FixedPointUpdate,
    GridUpdate,
    GridWeight,
    Mask,
    OutputError,
    Pool,
    Product,
    QuantizeActivation,
    QuantizeError,
    QuantizeWeight,
    Relu,
    ShiftExponent,
    Sign,
    Softmax,
    Unpool,
    WageUpdate,
)
from golden.training.systems.hwgq.trainer import HwgqTrainer
from golden.twin import Trace
from gradloom.train.threshold_stimulus import threshold_stimulus
from gradloom.train.tile_stimulus import Expected, block_order, product_rows, product_stimulus
from gradloom.train.update_replay import (
    bits_of,
    grid_config,
    grid_factors,
    momentum_config,
    momentum_factors,
    of_biases,
    of_grid_update,
    with_gradient,
)
from gradloom.train.window_stimulus import pool_stimulus, unpool_stimulus
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

    def add(self, piece: Trace, expected: dict[str, Expected]) -> None:
        """Append an operation's stimulus and results."""
        self.pieces.append(piece)
        self.expected.append(expected)

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
        Arrays first, then pooling, then the other units in the order of their operations.
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

    result += _pooling(trainer, record)
    draws = start.elementwise
    turns: list[tuple[UnitReplay, int]] = []
    latest: dict[tuple[str, bool], int] = {}  # latest turn of a kind of unit
    for number, entry in enumerate(record):
        if of_grid_update(entry.operation):
            entry = with_gradient(entry, record)
        operation = entry.operation
        if isinstance(operation, Softmax):
            # The difference from the target and its rounding follow.
            generator = _moved(recipe.generator, draws)
            turns.append((_softmax(record[number : number + 3], recipe.columns, generator), draws))
        # A step is a part of its update.
        if isinstance(operation, FineStep) or not _elementwise(operation):
            continue
        key = (_title(operation), operation.draws)
        turn = latest.get(key)
        if turn is None or (operation.draws and turns[turn][1] != draws):
            generator = _moved(recipe.generator, draws)
            turns.append((_new_replay(entry, record, width, recipe, generator), draws))
            turn = latest[key] = len(turns) - 1
        draws += operation.leaps
        replay = turns[turn][0]
        turns[turn] = (replay, draws)
        _add(replay, entry)
    if isinstance(trainer, HwgqTrainer) and trainer.layers > 1:
        result.append(_thresholds(trainer, products, width))
    return [*result, *(replay for replay, _ in turns)]


#: Operations of elementwise units, and the units of those that are not rounders.
_ELEMENTWISE = (
    QuantizeWeight,
    QuantizeActivation,
    ShiftExponent,
    QuantizeError,
    WageUpdate,
    Sign,
    Convert,
    Relu,
    Mask,
    OutputError,
    FineUpdate,
)
_UNIT: dict[type, str] = {
    QuantizeWeight: "wage-weight",
    QuantizeActivation: "wage-activation",
    ShiftExponent: "wage-shift",
    QuantizeError: "wage-error",
    WageUpdate: "wage-update",
    Sign: "sign",
    Relu: "mask",
    Mask: "mask",
    OutputError: "output-error",
    FixedPointUpdate: "momentum-update",
    GridUpdate: "grid-update",
    GridWeight: "grid-update",
    FineUpdate: "grid-update",
}


def replays(operation: Operation) -> bool:
    """Return whether a unit carries out an operation.

    Examples
    --------
    >>> from gradloom.train.one_step import recorded_step
    >>> from golden.datasets import digits
    >>> from golden.training import load
    >>> _, record = recorded_step(load("li-sr", ["network=8FC", "batch=4"]), digits())
    >>> all(replays(entry.operation) for entry in record)
    True
    """
    more = isinstance(operation, Product | Pool | Unpool | Softmax) and operation.exact
    return more or _elementwise(operation)


def _elementwise(operation: Operation) -> bool:
    """Return whether an elementwise unit carries out an operation."""
    return isinstance(operation, _ELEMENTWISE) and operation.exact


def _title(operation: Operation) -> str:
    """Return what the unit of an elementwise operation is called, before any note on rounding.
    Units for weights and for biases differ.
    """
    name = _UNIT.get(type(operation), "rounder")
    return f"{name}, biases" if of_biases(operation) else name


def _conversion(entry: Entry) -> Conversion | None:
    """Return the conversion of an operation; None without rounding."""
    if isinstance(entry.operation, Product):
        return entry.operation.conversion
    assert isinstance(entry.operation, Convert)
    return entry.operation.conversion(entry.scalars)


def _draws(conversion: Conversion | None) -> bool | None:
    """Return whether a conversion draws random bits; None without a conversion."""
    return None if conversion is None else conversion.rounding is Rounding.STOCHASTIC


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
            a=Fixed(bits_of([entry.tensors["a"] for entry in products]), 0),
            b=Fixed(bits_of([entry.tensors["b"] for entry in products]), 0),
            depth=depth,
        ),
        conversions=conversions,
        generator=generator,
        multipliers=multipliers,
        ternary_depth=depth,
        saturated=any("unclipped" in entry.tensors for entry in products),
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
        rows = product_rows(config, out, order)
        if "unclipped" in entry.tensors:
            rows["saturated"] = product_rows(config, 1 - entry.tensors["unclipped"], order)["data"]
        replay.add(piece, rows)
    return replay


def _pooling(trainer: Trainer[Any], record: Record) -> list[UnitReplay]:
    """Return the replays of the max-poolings in `record`, and of the ways back through them, if
    there are any in integers.
    """
    entries = [entry for entry in record if entry.operation.exact]
    lanes, replays = trainer.recipe.columns, []
    forward = [(entry, op) for entry in entries if isinstance(op := entry.operation, Pool)]
    back = [(entry, op) for entry in entries if isinstance(op := entry.operation, Unpool)]
    if forward:
        pool = golden.PoolConfig(
            width=bits_of([entry.tensors["values"] for entry, _ in forward]),
            most_places=max(2, *(op.window.height * op.window.width for _, op in forward)),
            lanes=lanes,
        )
        replays.append(UnitReplay("pool", UNITS["pool"], pool))
        for entry, op in forward:
            replays[-1].add(*pool_stimulus(pool, trainer.stages[op.layer - 1], entry))
    if back:
        # A single error is in range, so that a unit that saturates serves its layer as well.
        limits = [op.limit for _, op in back if op.limit is not None]
        errors = [entry.tensors["errors"] for entry, _ in back]
        unpool = golden.UnpoolConfig(
            width=limits[0].width if limits else bits_of(errors),
            most_places=max(2, *(op.window.height * op.window.width for _, op in back)),
            most_windows=max(op.window.overlap for _, op in back),
            saturate=bool(limits),
            lanes=lanes,
        )
        replays.append(UnitReplay("unpool", UNITS["unpool"], unpool))
        for entry, op in back:
            replays[-1].add(*unpool_stimulus(unpool, trainer.stages[op.layer - 1], entry))
    return replays


def _thresholds(trainer: HwgqTrainer, products: Sequence[Entry], width: int) -> UnitReplay:
    """Return the replay of a step's sums on the threshold quantizer, layer after layer.

    Activations in training are floats, by statistics of the batch. The thresholds are those of an
    evaluation after the step.
    """
    columns = trainer.recipe.columns
    hidden = trainer.stages[:-1]
    config = golden.ThresholdQuantizerConfig(
        width=width,
        levels=len(trainer.recipe.quantizer.steps),
        channels=max(stage.outputs for stage in hidden),
        lanes=columns,
    )
    replay = UnitReplay("threshold", UNITS["threshold"], config)
    for layer, entry in zip(range(len(hidden)), products):
        replay.add(*threshold_stimulus(config, trainer.fold(layer), entry.tensors["out"]))
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
        outputs=Fixed(max(bits_of([y]) - fraction, 1), fraction),
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
    entry: Entry, record: Record, width: int, recipe: Recipe, generator: golden.Generator
) -> UnitReplay:
    """Return an empty replay for an elementwise operation and all of its kind in `record`."""
    operation, lanes = entry.operation, recipe.columns
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
        case Sign():
            words = [o.tensors["values"] for o in record if isinstance(o.operation, Sign)]
            fraction = operation.one.bit_length() - 1
            config = golden.SignQuantizerConfig(
                width=max(bits_of(words), fraction + 2), fraction=fraction, lanes=lanes
            )
        case Relu() | Mask():
            masked = [
                other.tensors["values"]
                for other in record
                if isinstance(other.operation, Relu | Mask)
            ]
            config = golden.MaskConfig(width=bits_of(masked), lanes=lanes)
        case OutputError():
            config = golden.OutputErrorConfig(
                width=bits_of([entry.tensors["outputs"]]),
                classes=operation.reads[0].matrix.shape[1],
                lanes=lanes,
                most_one=operation.one,
            )
        case FixedPointUpdate():
            config = momentum_config(_alike(entry, record), drawing)
        case GridUpdate() | GridWeight() | FineUpdate():
            assert isinstance(recipe, LiRecipe)
            entries = [with_gradient(other, record) for other in _alike(entry, record)]
            config = grid_config(entries, recipe, drawing)
        case _:
            config = _rounder(entry, record, drawing)
            title = "rounder" if operation.draws else "rounder, to nearest"
            return UnitReplay(title, UNITS["rounder"], config)
    return UnitReplay(_title(operation), UNITS[_UNIT[type(operation)]], config)


def _alike(entry: Entry, record: Record) -> list[Entry]:
    """Return the entries of a record for the same unit that draw like `entry`, or not."""
    title, draws = _title(entry.operation), entry.operation.draws
    return [
        other
        for other in record
        if isinstance(other.operation, Convert | FineUpdate)
        and not isinstance(other.operation, FineStep)
        and (_title(other.operation), other.operation.draws) == (title, draws)
    ]


def _rounder(entry: Entry, record: Record, drawing: dict[str, Any]) -> golden.RounderConfig:
    """Return a rounder for the conversions in `record` that draw like that of `entry`, or not."""
    converts = _alike(entry, record)
    conversions = tuple(dict.fromkeys(filter(None, map(_conversion, converts))))
    return golden.RounderConfig(
        width=max(
            bits_of([other.tensors["z"] for other in converts]),
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
    Sign: ({"values": "i_data", "out": "o_data", "active": "o_passes"}, ()),
    Relu: ({"values": "i_data", "out": "o_data", "active": "o_active"}, ()),
    Mask: ({"values": "i_data", "out": "o_data"}, ()),
    OutputError: ({"outputs": "i_data", "difference": "o_data"}, ()),
    FixedPointUpdate: (
        {
            "gradient": "i_gradient",
            "weight": "i_weight",
            "last": "i_update",
            "out": "o_update",
            "moved": "o_weight",
        },
        (),
    ),
    GridUpdate: ({"gradient": "i_gradient", "weight": "i_weight", "moved": "o_weight"}, ()),
    GridWeight: ({"gradient": "i_gradient", "buffer": "i_buffer", "code": "o_weight"}, ()),
    FineUpdate: ({"gradient": "i_gradient", "values": "i_buffer", "moved": "o_buffer"}, ()),
}


def _mask_of(operation: Relu | Mask) -> str:
    """Return the port that chooses the mask of an operation."""
    if isinstance(operation, Relu):
        return "relu"
    return "use_unclipped" if operation.reads[1].kind is Kind.UNCLIPPED else "use_active"


def _add(replay: UnitReplay, entry: Entry) -> None:
    """Append the stimulus and the results of an operation to a replay."""
    operation, config = entry.operation, replay.config
    order = operation.order
    if order is None:  # values that no unit rounds may come in any order
        order = RowOrder(matrix=operation.reads[0].matrix, first_lane=0, width=config.lanes)
    assert isinstance(order, VectorOrder)
    ports, scalars = _PORTS.get(type(operation), ({"z": "i_data", "out": "o_data"}, ()))
    vectors = order.leaps
    settings = {name: entry.scalars[name] for name in scalars}
    counted = order.vectors(np.ones(order.matrix.shape, np.bool_))
    piece: Trace = {"i_valid": np.ones(vectors, np.int64)}
    expected: dict[str, Expected] = {}
    there = {port.name for port in config.ports}
    for name, port in ports.items():
        if port not in there:  # an update is no result of a unit without momentum
            continue
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
        case Relu() | Mask():
            of = ("relu", "use_active", "use_unclipped")
            settings |= dict.fromkeys(of, 0) | {_mask_of(operation): 1}
            none = np.zeros((vectors, order.width), np.int64)
            piece |= {"i_active": none, "i_unclipped": none}
            if isinstance(operation, Mask):
                piece[_mask_of(operation).replace("use", "i")] = order.vectors(
                    entry.tensors["keep"]
                )
        case OutputError():
            settings["one"] = operation.one
            samples = vectors // config.blocks
            piece["i_label"] = np.repeat(entry.tensors["label"].ravel(), config.blocks)
            if config.block_bits:
                piece["i_block"] = np.tile(np.arange(config.blocks), samples)
            # Padding has a bit too, 0.
            expected["keep"] = Expected(counted.astype(np.int64), np.ones_like(counted))
        case FixedPointUpdate():
            piece |= momentum_factors(config, entry)
        case GridUpdate() | GridWeight() | FineUpdate():
            settings |= grid_factors(config, entry)
        case Convert() if len(config.conversions) > 1:
            settings["i_choice"] = config.conversions.index(_conversion(entry))
    piece |= {name: np.full(vectors, value, np.int64) for name, value in settings.items()}
    replay.add(piece, expected)
