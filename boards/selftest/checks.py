# amaranth: UnusedElaboratable=no
# (a check makes its component for its ports alone, too)
"""What a self-test sends through its units and what must come back: operands, the twins' answers.

Results are compared in order, whatever the clock at which they appear, so an answer is the
sequence of valid results of the unit's twin. Random numbers are raw words of PCG64, which NumPy
keeps as they are from version to version: the same parameters give the same memories.
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
from golden.twin import Trace, Twin
from golden.wage import RATE_BITS


@dataclass(frozen=True)
class Element:
    """One number in the payload of a result.

    Parameters
    ----------
    port
        Name of its field.
    lane
        Its number in the field, 0 where the field is one number.
    offset, width
        Its bits.
    signed
        Whether it is in two's complement.
    """

    port: str
    lane: int
    offset: int
    width: int
    signed: bool


def elements(layout: data.Layout) -> list[Element]:
    """The numbers of a payload, from its lowest bits on."""
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
    """Payloads as whole numbers; a field's values are (payloads,) or (payloads, lanes)."""
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
        What a report calls it.
    component
        Makes it: streams `i` and `o`, and plain input ports that are read with each operand.
    operands
        Fields of `i.payload` and values of plain ports by name, one entry an operand.
    results
        Fields of `o.payload` by name, one entry a result.
    latency
        Clocks that pass at most between an operand and what it causes, while nothing stalls.
    """

    name: str
    component: Callable[[], wiring.Component]
    operands: Trace
    results: Trace
    latency: int

    @property
    def depth(self) -> tuple[int, int]:
        """Numbers of operands and of results."""
        return len(next(iter(self.operands.values()))), len(next(iter(self.results.values())))

    def broken(self, result: int, port: str, lane: int, bit: int) -> "Check":
        """The check with one bit of one expected number wrong: right hardware must fail it."""
        results = {name: values.copy() for name, values in self.results.items()}
        values = results[port].reshape(self.depth[1], -1)  # a view: lanes last
        values[result, lane] ^= 1 << bit
        return replace(self, results=results)


class _Random:
    """Codes from raw random words."""

    def __init__(self, seed: int):
        self._source = np.random.PCG64(seed)

    def below(self, limit: int, shape: int | tuple[int, ...]) -> Codes:
        """Whole numbers from 0 to `limit` - 1."""
        raw = self._source.random_raw(int(np.prod(shape))) >> np.uint64(8)
        return (raw % np.uint64(limit)).astype(np.int64).reshape(shape)

    def codes(self, bits: int, shape: int | tuple[int, ...]) -> Codes:
        """Signed codes of any magnitude, one of 16 of them the lowest, the highest, 0 or -1."""
        values = self.below(1 << min(bits, 40), shape) << max(bits - 40, 0)
        values = (values - (1 << (bits - 1))) >> np.where(
            self.below(2, shape), self.below(bits, shape), 0
        )
        extremes = np.array([-(1 << (bits - 1)), (1 << (bits - 1)) - 1, 0, -1])
        return np.where(self.below(16, shape), values, extremes[self.below(4, shape)])

    def seldom(self, shape: int | tuple[int, ...]) -> Codes:
        """Ones among fifteen times as many zeros."""
        return (self.below(16, shape) == 0).astype(np.int64)


def _ends(depths: list[int], operands: int) -> Codes:
    """Marks of the last operands of tiles of these depths, in turn; the last of all is one."""
    marks = np.zeros(operands, np.int64)
    place, number = -1, 0
    while (place := place + depths[number % len(depths)]) < operands:
        marks[place] = 1
        number += 1
    marks[-1] = 1
    return marks


def _array(config: golden.ArrayConfig, random: _Random, operands: int) -> Trace:
    rows, deepest = config.rows, config.macc.depth
    # Tiles as deep as the array is high stream without a bubble; less deep ones wait for the drain.
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


#: A unit's name in reports, its component, its twin and its operands, by its configuration's type.
_UNITS: dict[type, tuple[str, Callable[[Any], wiring.Component], Callable[[Any], Twin], Any]] = {
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

#: Configurations that a self-test knows what to do with.
UnitConfig = (
    golden.ArrayConfig
    | golden.WeightQuantizerConfig
    | golden.ActivationQuantizerConfig
    | golden.ShiftExponentConfig
    | golden.ErrorQuantizerConfig
    | golden.WeightUpdateConfig
)


def make_check(config: UnitConfig, operands: int, seed: int) -> Check:
    """A check of the unit that `config` configures, on random operands.

    Parameters
    ----------
    config
        Configuration of an array or of one of WAGE's units.
    operands
        How many, at least 1.
    seed
        Of the random numbers.
    """
    if type(config) not in _UNITS:
        raise TypeError(f"{type(config).__name__}: the self-test has no operands for this unit")
    check.whole("operands", operands, 1, 1 << 16)
    name, component, twin, stimulus = _UNITS[type(config)]
    fields = stimulus(config, _Random(seed), operands)
    rows = config.rows if isinstance(config, golden.ArrayConfig) else 1
    results = _answers(twin(config), fields, config.latency, rows)
    return Check(name, lambda: component(config), fields, results, config.latency + rows)


def _answers(twin: Twin, fields: Trace, latency: int, rows: int) -> Trace:
    """Valid results of `twin` in order; operands come so slowly that none has to wait."""
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
