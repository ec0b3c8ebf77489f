# amaranth: UnusedElaboratable=no
# (a check makes its component for its ports alone, too)
"""Stimulus of a self-test: the operands of each unit, and the results that its twin expects.

Results are compared in order, at whatever clock they appear, so the expected ones are the sequence
of the twin's valid results. Random numbers are raw words of PCG64, which do not change with NumPy's
version: the same parameters give the same memories.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data, wiring

import golden
import hdl
from golden import check
from golden.fixed import Codes
from golden.quantize import RATE_BITS
from golden.twin import Trace, Twin
from hdl.cells import CELLS


@dataclass(frozen=True)
class Element:
    """One number in the payload of a result.

    Parameters
    ----------
    port
        Name of the field.
    lane
        Lane in the field; 0 where the field is a scalar.
    offset, width
        Position of the lowest bit, and number of bits.
    signed
        Whether the number is in two's complement.
    """

    port: str
    lane: int
    offset: int
    width: int
    signed: bool


def elements(layout: data.Layout) -> list[Element]:
    """Return the numbers of a payload, from its lowest bits on.

    Examples
    --------
    >>> [each.width for each in elements(data.StructLayout({"data": data.ArrayLayout(8, 2)}))]
    [8, 8]
    """
    found = []
    for name, field in layout:
        shape = field.shape
        lanes = shape.length if isinstance(shape, data.ArrayLayout) else 1
        element = Shape.cast(shape.elem_shape if isinstance(shape, data.ArrayLayout) else shape)
        for lane in range(lanes):
            place = field.offset + lane * element.width
            found.append(Element(str(name), lane, place, element.width, element.signed))
    return found


def pack(layout: data.Layout, fields: Mapping[str, Codes]) -> tuple[int, ...]:
    """Return payloads as whole numbers.

    Parameters
    ----------
    layout
        The payload's layout.
    fields
        Values of each field, (payloads,) or (payloads, lanes).

    Examples
    --------
    >>> pack(data.StructLayout({"a": 4, "b": 4}), {"a": np.array([1, 2]), "b": np.array([3, 4])})
    (49, 66)
    """
    words = [0] * len(next(iter(fields.values())))
    for element in elements(layout):
        values = fields[element.port]
        lane = values[:, element.lane] if values.ndim == 2 else values
        mask = (1 << element.width) - 1
        for number, value in enumerate(lane.tolist()):
            words[number] |= (value & mask) << element.offset
    return tuple(words)


@dataclass(frozen=True)
class Check:
    """One unit of a self-test.

    Parameters
    ----------
    name
        Name in messages and reports.
    component
        Makes the component. It has streams `i` and `o`, and may have plain input ports that are
        read with each operand.
    operands
        Fields of `i.payload` and plain ports by name, one entry per operand.
    results
        Fields of `o.payload` by name, one entry per result.
    latency
        Most clocks from an operand to its last result, while nothing stalls.
    """

    name: str
    component: Callable[[], wiring.Component]
    operands: Trace
    results: Trace
    latency: int

    def __post_init__(self) -> None:
        check.whole_fields(self, 1, 1 << 16, "latency")
        for name, fields in (("operands", self.operands), ("results", self.results)):
            lengths = sorted({len(values) for values in fields.values()})
            if len(lengths) != 1 or lengths[0] == 0:
                raise ValueError(
                    f"{name} of {self.name} have {lengths} entries: one number from 1 on is wanted"
                )

    @property
    def depth(self) -> tuple[int, int]:
        """Number of operands, and number of results."""
        return len(next(iter(self.operands.values()))), len(next(iter(self.results.values())))

    def broken(self, result: int, port: str, lane: int, bit: int) -> "Check":
        """Return the check with one wrong bit in one expected number: right hardware fails it."""
        results = {name: values.copy() for name, values in self.results.items()}
        values = results[port].reshape(self.depth[1], -1)  # a view: lanes last
        values[result, lane] ^= 1 << bit
        return replace(self, results=results)


class _Random:
    """Random codes, made of raw random words."""

    def __init__(self, seed: int):
        self._source = np.random.PCG64(seed)

    def below(self, limit: int, shape: int | tuple[int, ...]) -> Codes:
        """Whole numbers from 0 to `limit` - 1."""
        raw = self._source.random_raw(int(np.prod(shape))) >> np.uint64(8)
        return (raw % np.uint64(limit)).astype(np.int64).reshape(shape)

    def codes(self, bits: int, shape: int | tuple[int, ...]) -> Codes:
        """Signed codes of any magnitude; one in 16 is the lowest, the highest, 0 or -1."""
        values = self.below(1 << min(bits, 40), shape) << max(bits - 40, 0)
        values = (values - (1 << (bits - 1))) >> np.where(
            self.below(2, shape), self.below(bits, shape), 0
        )
        extremes = np.array([-(1 << (bits - 1)), (1 << (bits - 1)) - 1, 0, -1])
        return np.where(self.below(16, shape), values, extremes[self.below(4, shape)])

    def seldom(self, shape: int | tuple[int, ...]) -> Codes:
        """Ones and zeros; one in 16 is a one."""
        return (self.below(16, shape) == 0).astype(np.int64)


def _ends(depths: list[int], operands: int) -> Codes:
    """Return marks of the last operands of tiles that have these depths in turn, (operands,)."""
    marks = np.zeros(operands, np.int64)
    place, number = -1, 0
    while (place := place + depths[number % len(depths)]) < operands:
        marks[place] = 1
        number += 1
    marks[-1] = 1
    return marks


def _array(config: golden.ArrayConfig, random: _Random, operands: int) -> Trace:
    rows, deepest = config.rows, config.macc.depth
    # Tiles with at least as many terms as the array has rows follow each other without a bubble;
    # those with fewer wait for the drain.
    depths = [2 * rows, rows, rows, 1, 4 * rows, 1, 2, rows + 1, 3 * rows, rows, max(rows - 1, 1)]
    last = _ends([min(depth, deepest) for depth in depths], operands)
    fields = {
        "a": random.codes(config.macc.a.width, (operands, rows)),
        "b": random.codes(config.macc.b.width, (operands, config.columns)),
        "last": last,
    }
    if len(config.conversions) > 1:
        fields["choice"] = random.below(len(config.conversions), operands)
    return fields


def _weight(config: golden.WeightQuantizerConfig, random: _Random, operands: int) -> Trace:
    return {"data": random.codes(config.stored, (operands, config.lanes))}


def _activation(config: golden.ActivationQuantizerConfig, random: _Random, operands: int) -> Trace:
    return {
        "data": random.codes(config.width, (operands, config.lanes)),
        "shift": random.below(config.most_shift + 1, operands),
    }


def _shift(config: golden.ShiftExponentConfig, random: _Random, operands: int) -> Trace:
    return {
        "data": random.codes(config.width, (operands, config.lanes)),
        "keep": 1 - random.seldom((operands, config.lanes)),
        "last": _ends([1, 2, 1, 4, 1, 1, 8, 3], operands),
    }


def _error(config: golden.ErrorQuantizerConfig, random: _Random, operands: int) -> Trace:
    return {
        "data": random.codes(config.width, (operands, config.lanes)),
        "keep": 1 - random.seldom((operands, config.lanes)),
        "exponent": random.below(config.width, operands),
        "zero": random.seldom(operands),
    }


def _update(config: golden.WeightUpdateConfig, random: _Random, operands: int) -> Trace:
    return {
        "weight": random.codes(config.bits, (operands, config.lanes)),
        "gradient": random.codes(config.width, (operands, config.lanes)),
        "exponent": random.below(config.width, operands),
        "zero": random.seldom(operands),
        "rate": random.codes(RATE_BITS, operands),
    }


#: Name, component, twin and operands of each kind of unit, by the type of its configuration.
_UNITS: dict[type, tuple[str, Callable[..., wiring.Component], Callable[[Any], Twin], Any]] = {
    golden.ArrayConfig: ("array", hdl.Array, golden.Array, _array),
    golden.WeightQuantizerConfig: (
        "wage-weight",
        hdl.WeightQuantizer,
        golden.WeightQuantizer,
        _weight,
    ),
    golden.ActivationQuantizerConfig: (
        "wage-activation",
        hdl.ActivationQuantizer,
        golden.ActivationQuantizer,
        _activation,
    ),
    golden.ShiftExponentConfig: ("wage-shift", hdl.ShiftExponent, golden.ShiftExponent, _shift),
    golden.ErrorQuantizerConfig: ("wage-error", hdl.ErrorQuantizer, golden.ErrorQuantizer, _error),
    golden.WeightUpdateConfig: ("wage-update", hdl.WeightUpdate, golden.WeightUpdate, _update),
}

#: Configurations of the units that a self-test can have.
UnitConfig = (
    golden.ArrayConfig
    | golden.WeightQuantizerConfig
    | golden.ActivationQuantizerConfig
    | golden.ShiftExponentConfig
    | golden.ErrorQuantizerConfig
    | golden.WeightUpdateConfig
)


def make_check(config: UnitConfig, operands: int, seed: int, cells: str = "generic") -> Check:
    """Return a check of a unit on random operands.

    Parameters
    ----------
    config
        Configuration of an array or of one of WAGE's units.
    operands
        Number of operands, 1 to 65536.
    seed
        Seed of the random operands.
    cells
        What an array's nodes are made of: a name of `hdl.cells.CELLS`.

    Raises
    ------
    TypeError
        The self-test has no operands for this kind of unit.

    Examples
    --------
    >>> make_check(golden.WeightQuantizerConfig(), 100, 1).depth
    (100, 100)
    """
    if type(config) not in _UNITS:
        raise TypeError(f"{type(config).__name__}: the self-test has no operands for this unit")
    operands = check.whole("operands", operands, 1, 1 << 16)
    name, component, twin, stimulus = _UNITS[type(config)]
    fields = stimulus(config, _Random(seed), operands)
    rows, made_of = 1, {}
    if isinstance(config, golden.ArrayConfig):
        rows, made_of = config.rows, {"cells": CELLS[cells]}
    results = _answers(twin(config), fields, config.latency, rows)
    latency = config.latency + rows
    return Check(name, lambda: component(config, **made_of), fields, results, latency)


def _answers(twin: Twin, fields: Trace, latency: int, rows: int) -> Trace:
    """Return the valid results of `twin` in order; operands are far enough apart not to wait."""
    last = fields.get("last")
    operands = len(next(iter(fields.values())))
    waits = np.zeros(operands, np.int64) if last is None else rows * np.cumsum(last)
    clocks = np.arange(operands) + waits
    total = int(clocks[-1]) + latency + rows + 1
    # A component's streams are `i` and `o`; its plain ports keep their names.
    plain = {"shift", "exponent", "zero", "rate"}
    inputs: Trace = {"i_valid": np.zeros(total, np.int64), "o_ready": np.ones(total, np.int64)}
    inputs["i_valid"][clocks] = 1
    for name, values in fields.items():
        port = np.zeros((total, *values.shape[1:]), np.int64)
        port[clocks] = values
        inputs[name if name in plain else f"i_{name}"] = port
    outputs = twin.run(inputs)
    if not outputs["i_ready"][clocks].all():
        raise RuntimeError("an operand of a check had to wait")
    valid = outputs["o_valid"] != 0
    return {
        name.removeprefix("o_"): values[valid]
        for name, values in outputs.items()
        if name.startswith("o_") and name != "o_valid"
    }
