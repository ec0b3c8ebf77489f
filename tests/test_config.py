"""Configurations: every parameter is used, none can change, a wrong one is refused by name."""

import dataclasses

import numpy as np
import pytest

import golden
import hdl
from golden.fixed import Conversion, Fixed
from golden.lfsr import Generator
from golden.settings import setting
from gradloom.sim.simulators import prepare
from gradloom.sim.stimulus import random_inputs

TWO = (
    Conversion(fraction=28, target=Fixed(2, 14)),
    Conversion(fraction=28, target=Fixed(2, 14), rounding="nearest-even"),
)

#: A configuration of every unit, with generators wherever there can be any.
UNITS = {
    "Lfsr": golden.LfsrConfig(),
    "Bank": golden.BankConfig(),
    "Rounder": golden.RounderConfig(conversions=TWO),
    "Macc": golden.MaccConfig(),
    "Array": golden.ArrayConfig(
        rows=2, columns=2, conversions=TWO, multipliers=(1, 1), ternary_depth=500
    ),
    "WeightQuantizer": golden.WeightQuantizerConfig(),
    "ActivationQuantizer": golden.ActivationQuantizerConfig(),
    "ShiftExponent": golden.ShiftExponentConfig(),
    "ErrorQuantizer": golden.ErrorQuantizerConfig(rounding="stochastic"),
    "WeightUpdate": golden.WeightUpdateConfig(),
    "Pool": golden.PoolConfig(),
    "Unpool": golden.UnpoolConfig(),
    "ThresholdQuantizer": golden.ThresholdQuantizerConfig(lanes=2),
    "SignQuantizer": golden.SignQuantizerConfig(),
    "Mask": golden.MaskConfig(),
    "OutputError": golden.OutputErrorConfig(),
    "MomentumUpdate": golden.MomentumUpdateConfig(),
    "GridUpdate": golden.GridUpdateConfig(),
    "Softmax": golden.SoftmaxConfig(),
    "Banks": golden.BanksConfig(banks=2),
    "RowStore": golden.RowStoreConfig(),
    "ProductNest": golden.ProductNestConfig(),
    "PassNest": golden.PassNestConfig(),
    "MoveNest": golden.MoveNestConfig(),
    "OperandStream": golden.OperandStreamConfig(),
}
UNIT_KINDS = [type(config) for config in UNITS.values()]
#: What a twin need not read, since its inputs have that shape.
SHAPES = {"width", "lanes"}
KINDS = [*UNIT_KINDS, Conversion, Generator]


def names(kind):
    return {field.name for field in dataclasses.fields(kind)}


class Reads:
    """Notes every attribute that is read of a configuration, but for what its own checks read."""

    def __init__(self, monkeypatch):
        self.seen = set()
        self.checking = 0
        for kind in [*KINDS, Fixed]:
            monkeypatch.setattr(kind, "__getattribute__", self.noting(kind))
            monkeypatch.setattr(kind, "__post_init__", self.silent(kind.__post_init__))

    def noting(self, kind):
        def read(instance, name):
            if not self.checking:
                self.seen.add((kind, name))
            return object.__getattribute__(instance, name)

        return read

    def silent(self, check):
        def checked(instance):
            self.checking += 1
            check(instance)
            self.checking -= 1

        return checked

    def of(self, kind):
        return {name for owner, name in self.seen if owner is kind} & names(kind)


def parts(value):
    """A configuration and those it is made of."""
    if isinstance(value, tuple):
        for part in value:
            yield from parts(part)
    elif dataclasses.is_dataclass(value):
        yield type(value)
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name))


@pytest.mark.parametrize("name", UNITS)
def test_every_field_is_read_by_the_hardware_and_by_the_twin(name, monkeypatch):
    config = UNITS[name]
    kinds = set(parts(config))
    inputs = random_inputs(config.ports, 300, 1)
    prepare(getattr(hdl, name)(config))
    with monkeypatch.context() as patch:
        reads = Reads(patch)
        prepare(getattr(hdl, name)(config))
        for kind in kinds:
            assert reads.of(kind) == names(kind), f"{kind.__name__} in the hardware"
        reads.seen.clear()
        getattr(golden, name)(config).run(inputs)
        for kind in kinds:
            assert reads.of(kind) >= names(kind) - SHAPES, f"{kind.__name__} in the twin"


def test_a_field_that_nothing_reads_would_be_found(monkeypatch):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(golden.LfsrConfig):
        unread: int = setting(0, "Nothing", low=0, high=9)

    monkeypatch.setitem(globals(), "KINDS", [*KINDS, Config])
    reads = Reads(monkeypatch)
    prepare(hdl.Lfsr(Config()))
    assert names(Config) - reads.of(Config) == {"unread"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_configurations_are_frozen_and_take_keywords_alone(kind):
    assert kind.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(kind))
    with pytest.raises(TypeError):
        kind(1)


def test_formats_are_values():
    assert Fixed.__dataclass_params__.frozen
    assert Fixed(2, 14) == Fixed(2, 14) != Fixed(3, 13)
    assert len({Fixed(2, 14), Fixed(2, 14)}) == 1


@pytest.mark.parametrize("name", UNITS)
def test_equal_configurations_are_one(name):
    config = UNITS[name]
    again = dataclasses.replace(config)
    assert again == config
    assert hash(again) == hash(config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, next(iter(names(type(config)))), 1)


@pytest.mark.parametrize("name", UNITS)
def test_latency_and_throughput_are_said(name):
    config = UNITS[name]
    assert config.latency >= 1
    assert "clock" in config.FIGURES["latency"].lower()
    assert "per clock" in config.throughput
    with pytest.raises(AttributeError):
        object.__setattr__(config, "latency", 1)


DRAWING = ["Lfsr", "Rounder", "ErrorQuantizer", "WeightUpdate", "MomentumUpdate", "GridUpdate"]
LANES = [*DRAWING, "WeightQuantizer", "ActivationQuantizer", "ShiftExponent", "Pool", "Unpool"]
LANES += ["ThresholdQuantizer", "SignQuantizer", "Mask", "OutputError"]

#: Configuration, parameter, its lowest and its highest value.
RANGES = [
    (Generator, "bits", 8, 64),
    (Generator, "leap", 1, 64),
    (Generator, "draw", 1, 16),
    (Generator, "seed", 1, (1 << 32) - 1),
    (Generator, "mask", 1, (1 << 32) - 1),
    (Conversion, "fraction", 0, 62),
    *((type(UNITS[name]), "lanes", 1, 255) for name in LANES),
    *((type(UNITS[name]), "first_lane", 0, 254) for name in DRAWING),
    (golden.RounderConfig, "width", 2, 62),
    (golden.MaccConfig, "depth", 1, 1 << 24),
    (golden.MaccConfig, "segments", 1, 4),
    (golden.ArrayConfig, "rows", 1, 255),
    (golden.ArrayConfig, "columns", 1, 255),
    (golden.ArrayConfig, "ternary_depth", 1, 1 << 24),
    (golden.WeightQuantizerConfig, "stored", 3, 24),
    (golden.WeightQuantizerConfig, "bits", 2, 8),
    (golden.ActivationQuantizerConfig, "width", 2, 62),
    (golden.ActivationQuantizerConfig, "bits", 2, 24),
    (golden.ActivationQuantizerConfig, "most_shift", 1, 24),
    (golden.ShiftExponentConfig, "width", 2, 62),
    (golden.ErrorQuantizerConfig, "width", 2, 62),
    (golden.ErrorQuantizerConfig, "bits", 2, 24),
    (golden.WeightUpdateConfig, "width", 2, 54),
    (golden.WeightUpdateConfig, "bits", 3, 24),
    (golden.PoolConfig, "width", 2, 62),
    (golden.PoolConfig, "most_places", 2, 1024),
    (golden.UnpoolConfig, "width", 2, 62),
    (golden.UnpoolConfig, "most_places", 2, 1024),
    (golden.UnpoolConfig, "most_windows", 1, 1024),
    (golden.SignQuantizerConfig, "width", 2, 62),
    (golden.SignQuantizerConfig, "bits", 1, 2),
    (golden.ThresholdQuantizerConfig, "width", 2, 61),
    (golden.ThresholdQuantizerConfig, "levels", 2, 16),
    (golden.ThresholdQuantizerConfig, "channels", 1, 1 << 16),
    (golden.ThresholdQuantizerConfig, "read_clocks", 1, 2),
    (golden.MaskConfig, "width", 2, 62),
    (golden.OutputErrorConfig, "width", 2, 61),
    (golden.OutputErrorConfig, "classes", 2, 1024),
    (golden.OutputErrorConfig, "most_one", 1, 40),
    (golden.MomentumUpdateConfig, "width", 2, 54),
    (golden.MomentumUpdateConfig, "rate_bits", 1, 37),
    (golden.MomentumUpdateConfig, "momentum_bits", 0, 37),
    (golden.MomentumUpdateConfig, "decay_bits", 0, 37),
    (golden.GridUpdateConfig, "rate_bits", 0, 24),
    (golden.GridUpdateConfig, "most_shift", 1, 62),
    (golden.SoftmaxConfig, "classes", 2, 1024),
    (golden.SoftmaxConfig, "generators", 1, 255),
    (golden.SoftmaxConfig, "first_lane", 0, 254),
]

#: What else a configuration must be given.
REST = {Conversion: {"fraction": 28, "target": Fixed(2, 14)}}


def make(kind, **given):
    return kind(**{**REST.get(kind, {}), **given})


def label(value):
    return value.__name__ if isinstance(value, type) else str(value)


@pytest.mark.parametrize(("kind", "name", "low", "high"), RANGES, ids=label)
def test_a_value_out_of_range_is_refused_by_name_value_and_range(kind, name, low, high):
    for wrong in (low - 1, high + 1, -5, 1 << 70):
        which = r"( \(at most [^()]+\))?"  # the setting on which the end depends
        message = f"^{name} = {wrong}: allowed are {low} to {high}{which}$"
        with pytest.raises(ValueError, match=message):
            make(kind, **{name: wrong})


@pytest.mark.parametrize(("kind", "name", "low", "high"), RANGES, ids=label)
@pytest.mark.parametrize("wrong", [8.0, "8", True, [8], np.float64(8)], ids=repr)
def test_what_is_no_whole_number_is_refused(kind, name, low, high, wrong):
    message = f"^{name} = .*: a whole number from {low} to {high} is wanted$"
    with pytest.raises(TypeError, match=message):
        make(kind, **{name: wrong})


@pytest.mark.parametrize(("kind", "name", "low", "high"), RANGES, ids=label)
def test_both_ends_of_a_range_are_allowed(kind, name, low, high):
    """With what else there must be for them."""
    others = {
        (Generator, "bits", low): {"leap": 4, "draw": 4},
        (Generator, "leap", low): {"draw": 1},
        (golden.WeightQuantizerConfig, "stored", low): {"bits": 2},
        (golden.UnpoolConfig, "width", high): {"most_windows": 1},
        (golden.SignQuantizerConfig, "width", low): {"fraction": 0},
        (golden.RounderConfig, "width", low): {
            "conversions": (Conversion(fraction=2, target=Fixed(2, 0)),)
        },
    }
    for value in (low, high):
        if (kind, name) == (Generator, "mask"):
            continue  # few masks are of maximal length
        more = others.get((kind, name, value), {})
        if name == "first_lane" and kind is not golden.SoftmaxConfig:
            more = {"lanes": 1}
        given = make(kind, **{name: value}, **more)
        assert getattr(given, name) == value


#: Configuration, parameter, a value of the wrong kind, the kind that is wanted.
KIND_TABLE = [
    (Conversion, "target", (2, 14), "Fixed"),
    (golden.LfsrConfig, "generator", 32, "Generator"),
    (golden.RounderConfig, "generator", None, "Generator"),
    (golden.RounderConfig, "conversions", list(TWO), "tuple"),
    (golden.MaccConfig, "a", "2,14", "Fixed"),
    (golden.MaccConfig, "b", 16, "Fixed"),
    (golden.MaccConfig, "ternary", 1, "bool"),
    (golden.ArrayConfig, "macc", Fixed(2, 14), "MaccConfig"),
    (golden.ArrayConfig, "generator", None, "Generator"),
    (golden.ArrayConfig, "multipliers", 4, "tuple"),
    (golden.ArrayConfig, "conversions", None, "tuple"),
    (golden.ShiftExponentConfig, "ceil", 1, "bool"),
    (golden.ErrorQuantizerConfig, "generator", "32", "Generator"),
    (golden.WeightUpdateConfig, "half", "no", "bool"),
    (golden.UnpoolConfig, "saturate", 1, "bool"),
    (golden.WeightUpdateConfig, "generator", 1, "Generator"),
    (golden.MomentumUpdateConfig, "word", "2,14", "Fixed"),
    (golden.MomentumUpdateConfig, "power", 1, "bool"),
    (golden.GridUpdateConfig, "fine", "4,20", "Fixed"),
    (golden.GridUpdateConfig, "drawn", 1, "bool"),
]


@pytest.mark.parametrize(("kind", "name", "wrong", "wanted"), KIND_TABLE, ids=label)
def test_a_value_of_another_kind_is_refused(kind, name, wrong, wanted):
    with pytest.raises(TypeError, match=rf"^{name} = .*: a {wanted} is wanted$"):
        make(kind, **{name: wrong})


#: Configuration, what it is given, and what the refusal says.
REFUSED = [
    (
        Generator,
        {"bits": 11},
        "bits = 11: allowed are 8, 9, 10, 12, 14, 16, 17, 18, 20, 24, 32, 64",
    ),
    (Generator, {"leap": 24}, "leap = 24: a power of two is wanted"),
    (Generator, {"leap": 4}, "draw = 16: allowed are 1 to 4 (at most leap)"),
    (Generator, {"bits": 8, "draw": 8}, "draw = 8: allowed are 1 to 7 (at most bits - 1)"),
    (
        Generator,
        {"bits": 8, "draw": 7, "seed": 256},
        "seed = 256: allowed are 1 to 255 (at most 2^bits - 1)",
    ),
    (Generator, {"leap": 64, "bits": 64, "draw": 33}, "draw = 33: allowed are 1 to 32"),
    (
        Generator,
        {"mask": 0x80000000},
        "mask = 80000000: not of maximal length at 32 bits; A3000000",
    ),
    (Conversion, {"rounding": "up"}, "rounding = 'up': allowed are stochastic, nearest-down"),
    (
        golden.LfsrConfig,
        {"lanes": 2, "first_lane": 254},
        "lanes of one seed = 256: allowed are 1 to",
    ),
    (golden.RounderConfig, {"conversions": ()}, "number of conversions = 0: allowed are 1 to 16"),
    (
        golden.RounderConfig,
        {"conversions": TWO * 9},
        "number of conversions = 18: allowed are 1 to 16",
    ),
    (golden.RounderConfig, {"width": 13}, "drops 28 - 14 = 14 bits: codes of 13 bits have no more"),
    (golden.RounderConfig, {"lanes": 255, "first_lane": 1}, "lanes of one seed = 256"),
    (
        golden.MaccConfig,
        {"a": Fixed(12, 12), "b": Fixed(12, 12), "depth": 1 << 15},
        "= 63 bits: at most 62",
    ),
    (golden.MaccConfig, {"ternary": True}, "b = <2,14>: a ternary node's b has 2 bits, as <1,1>"),
    (
        golden.MaccConfig,
        {"ternary": True, "a": Fixed(1, 1), "b": Fixed(2, 0), "depth": 1, "segments": 3},
        "segments = 3: an accumulator of 2 bits has at most 2",
    ),
    (
        golden.ArrayConfig,
        {"conversions": TWO * 9},
        "number of conversions = 18: allowed are 1 to 16",
    ),
    (
        golden.ArrayConfig,
        {"multipliers": (9, 2)},
        "rows of multipliers = 9: allowed are 1 to 8",
    ),
    (
        golden.ArrayConfig,
        {"multipliers": (8, 0)},
        "columns of multipliers = 0: allowed are 1 to 8",
    ),
    (golden.ArrayConfig, {"multipliers": (8, 1, 1)}, "multipliers = (8, 1, 1): rows and columns"),
    (
        golden.ArrayConfig,
        {
            "macc": golden.MaccConfig(b=Fixed(1, 1), ternary=True),
            "multipliers": (2, 2),
            "conversions": (),
        },
        "multipliers: a ternary node has none",
    ),
    (
        golden.ArrayConfig,
        {
            "macc": golden.MaccConfig(depth=1),
            "multipliers": (2, 2),
            "ternary_depth": 1 << 24,
            "conversions": (),
        },
        "ternary_depth = 16777216: sums of 40 bits would drain through nodes of 32, which macc's",
    ),
    (
        golden.WeightQuantizerConfig,
        {"stored": 4, "bits": 5},
        "bits = 5: allowed are 2 to 4 (at most stored)",
    ),
    (
        golden.ErrorQuantizerConfig,
        {"rounding": "nearest-up"},
        "rounding = 'nearest-up': allowed are nearest-e",
    ),
    (
        golden.UnpoolConfig,
        {"width": 61, "most_windows": 3},
        "most_windows = 3: sums of errors of 61 bits would have 63 bits, at most 62 are allowed",
    ),
    (
        golden.MomentumUpdateConfig,
        {"fraction": 30},
        "sums of 62 fraction bits, of which 48 are dropped for words <2,14>: at most 60 fraction",
    ),
    (golden.WeightUpdateConfig, {"lanes": 250, "first_lane": 6}, "lanes of one seed = 256"),
]


@pytest.mark.parametrize(("kind", "given", "message"), REFUSED, ids=label)
def test_values_that_do_not_go_together_are_refused(kind, given, message):
    with pytest.raises(ValueError) as caught:
        make(kind, **given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_conversions_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="conversion = 'nearest': a Conversion is wanted"):
        golden.RounderConfig(conversions=("nearest",))


@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_whole_numbers_of_numpy_are_whole_numbers(kind):
    assert (
        golden.ArrayConfig(rows=kind(4), columns=kind(3)).latency
        == golden.ArrayConfig(rows=4, columns=3).latency
    )
