"""Numbers and arrays at the doors of golden and hdl: the result is that of Python's integers and of
int64, whatever the caller has, or the argument is named.
"""

import dataclasses
import gc
import json

import numpy as np
import pytest
from forms import KINDS, forms
from generated import CASES, configured
from hypothesis import given, settings
from hypothesis import strategies as st

import golden
import hdl
from golden import carried, lfsr, products
from golden.borders import Course, Operands, around, lone, rounded_at
from golden.fixed import (
    WIDEST,
    Conversion,
    Fixed,
    Rounding,
    accumulator_width,
    convert,
    round_shift,
    saturate,
)
from golden.lfsr import Generator, Lanes, dither
from golden.order import ColumnOrder, Matrix, RowOrder, TileOrder
from golden.port import Port
from golden.quantize import (
    alpha_exponent,
    quantize_activation,
    quantize_error,
    quantize_sign,
    shift_exponent,
    ternarise,
    update_weight,
)
from golden.quantize.folding import Folded, fold
from golden.quantize.threshold import quantize
from golden.settings import made, mapping
from golden.softmax.integers import exponentials, softmax
from golden.training import (
    SYSTEMS,
    Bits,
    DorefaBits,
    GuptaRecipe,
    LiRecipe,
    WageRecipe,
    load,
    toml,
)
from golden.training.runs.samples import epoch_key, lfsr_order, table_width
from golden.training.trainers.trainer import pixel_table

some = settings(max_examples=40, deadline=None)


def scalars(number):
    """The number in every type of NumPy that holds it."""
    types = {np.dtype(kind).type for kind in KINDS}
    return [kind(number) for kind in types if np.iinfo(kind).min <= number <= np.iinfo(kind).max]


# Configurations.


def with_numpy(value, narrow):
    """A configuration, or a part of one, with its whole numbers as NumPy's."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return scalars(value)[0 if narrow else -1] if value < 1 << 63 else np.uint64(value)
    if isinstance(value, tuple):
        return tuple(with_numpy(part, narrow) for part in value)
    if dataclasses.is_dataclass(value):
        changed = {
            field.name: with_numpy(getattr(value, field.name), narrow)
            for field in dataclasses.fields(value)
        }
        return type(value)(**changed)
    return value


def plain(value):
    """Whether all numbers in a configuration are of Python's own types."""
    if isinstance(value, tuple):
        return all(plain(part) for part in value)
    if dataclasses.is_dataclass(value):
        return all(plain(getattr(value, field.name)) for field in dataclasses.fields(value))
    return not isinstance(value, np.generic) and not isinstance(value, np.ndarray)


CONFIGS = {
    **{f"{name} {arguments}": configured(name, arguments)[1] for name, arguments in CASES},
    **{name: load(name) for name in toml.names()},
    "bits": WageRecipe(bits=Bits(activation=9), rates=((1, 0), (3, -2))),
    "dorefa": DorefaBits(weight=2),
}


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_of_numpy_s_numbers_is_one_of_python_s(config, narrow):
    found = with_numpy(config, narrow)
    assert plain(found)
    assert found == config and hash(found) == hash(config) and repr(found) == repr(config)
    assert json.dumps(mapping(found)) == json.dumps(mapping(config))


def test_every_number_of_the_smallest_types_is_kept():
    for kind in (np.uint8, np.int8):
        assert Fixed(kind(2), kind(14)) == Fixed(2, 14)
        assert Fixed(kind(2), kind(14)).maximum == 32767
    groups = golden.BankConfig(groups=(np.uint8(200), np.uint8(55)))
    assert groups.lanes == 255
    assert Generator(seed=np.uint8(200)).lane_seed(np.uint8(254)) == Generator(seed=200).lane_seed(
        254
    )
    wide = golden.LfsrConfig(lanes=np.uint8(200))
    assert wide == golden.LfsrConfig(lanes=200) and wide.lane(np.uint8(199)).first_lane == 199
    assert golden.ArrayConfig().clocks(np.uint8(255), np.uint8(255)) == golden.ArrayConfig().clocks(
        255, 255
    )
    assert Port("x", "in", np.uint8(8), np.bool_(False), np.uint8(200)).maximum == 255
    assert Port("x", "in", np.uint8(8), True, np.uint8(200)).bits == 1600
    assert accumulator_width(np.uint8(24), np.uint8(24), np.uint8(255)) == 55
    recipe = GuptaRecipe(learning_rate=np.float32(0.1), momentum=np.float64(0.5), seed=np.uint8(3))
    assert recipe == dataclasses.replace(recipe, learning_rate=0.1, momentum=0.5, seed=3)
    assert (type(recipe.learning_rate), type(recipe.momentum)) == (float, float)


def test_a_table_of_numpy_s_numbers_is_read():
    values = {"rows": np.int16(4), "macc": {"depth": np.uint8(200), "ternary": np.bool_(False)}}
    assert made(golden.ArrayConfig, values) == golden.ArrayConfig(
        rows=4, macc=golden.MaccConfig(depth=200)
    )
    with pytest.raises(ValueError, match=r"^rows = .*: a whole number is wanted$"):
        made(golden.ArrayConfig, {"rows": np.float64(4)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WageRecipe(c=6.0), "c = 6.0: a whole number is wanted"),
        (lambda: WageRecipe(c=True), "c = True: a whole number is wanted"),
        (lambda: DorefaBits(gradient=True), "gradient = True: a whole number is wanted"),
        (lambda: WageRecipe(rates=((1, 0.5),)), "rate from epoch 1 on = 0.5: a whole number from"),
        (lambda: WageRecipe(rates=((True, 0),)), "epoch of a rate = True: a whole number from"),
        (lambda: golden.BankConfig(groups=(1.0,)), "size of a group = 1.0: a whole number from"),
        (lambda: golden.BankConfig(groups=np.array([1, 2])), "groups = an array of int64, (2,): a"),
        (lambda: golden.ShiftExponentConfig(ceil=1), "ceil = 1: a bool is wanted"),
        (lambda: golden.ErrorQuantizerConfig(rounding=np.array(["up"])), "rounding = an array of"),
        (lambda: golden.ArrayConfig(macc=golden.MaccConfig), "macc = the class MaccConfig: a Macc"),
        (lambda: GuptaRecipe(learning_rate=True), "learning_rate = True: a number from 0 to 16"),
        (lambda: GuptaRecipe(learning_rate=np.array(0.1)), "learning_rate = an array of float64"),
        (lambda: GuptaRecipe(learning_rate=float("nan")), "learning_rate = nan: a number from 0"),
        (lambda: LiRecipe(batch=np.float64(8)), "batch = np.float64(8.0): a whole number from 1"),
        (lambda: Port("x", "in", 0), "port x: width = 0: at least 1 is needed"),
        (lambda: Port("x", "in", 8.0), "port x: width = 8.0: a whole number from 1 on"),
        (lambda: Port("x", "by", 8), "port x: direction = 'by': allowed are in, out"),
        (lambda: Port("x", "in", 8, lanes=True), "port x: lanes = True: a whole number from 1"),
    ],
)
def test_what_is_no_setting_is_named(make, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


# Units and twins.

UNITS = [name for name in hdl.__all__ if name != "Buffer"]


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("room", [golden, hdl], ids=lambda room: room.__name__)
@pytest.mark.parametrize("name", UNITS)
def test_a_unit_takes_its_own_configuration_alone(name, room):
    own = getattr(golden, f"{name}Config")
    other = golden.LfsrConfig() if name != "Lfsr" else golden.BankConfig()
    for wrong in (other, own, None, 8):
        with pytest.raises(TypeError, match=rf"^config = .*: an? {name}Config is wanted$") as error:
            getattr(room, name)(wrong)
        assert "\n" not in str(error.value)
        del error
    gc.collect()  # here, where what was refused may go without a warning


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_sizes_of_numpy_make_hardware():
    for n in np.arange(2, 5):
        config = golden.ArrayConfig(rows=n, columns=n)
        assert hdl.Array(config).config == golden.ArrayConfig(rows=int(n), columns=int(n))
    assert hdl.Buffer(8, depth=np.uint8(5), rows=np.int64(2)).depth == 5
    for wrong in ({"depth": 5.0}, {"depth": 5, "rows": 0}, {"depth": True}):
        with pytest.raises((TypeError, ValueError), match=r"^(depth|rows) = "):
            hdl.Buffer(8, **wrong)
        with pytest.raises((TypeError, ValueError), match=r"^(depth|rows) = "):
            golden.Buffer(**wrong)
    with pytest.raises(TypeError, match=r"^cells = 'ecp5': a Cells is wanted$"):
        hdl.Macc(golden.MaccConfig(), cells="ecp5")
    with pytest.raises(TypeError, match=r"^cells = 'ecp5': a Cells is wanted$"):
        hdl.Array(golden.ArrayConfig(), cells="ecp5")
    gc.collect()


# Arithmetic.

CODES = st.lists(st.integers(-200, 30_000), min_size=1, max_size=8).map(np.array)


@some
@given(st.data(), CODES)
def test_conversions_of_any_form(data, z):
    z = z.reshape(1, -1)
    r = np.arange(z.size).reshape(z.shape) % 16
    (il,), (fl,), (fraction,), (s,) = (
        data.draw(st.permutations(scalars(number)).map(lambda them: them[:1]))
        for number in (6, 2, 6, 4)
    )
    target = Fixed(il, fl)
    for rounding in Rounding:
        expected = convert(z, 6, Fixed(6, 2), rounding, r)
        got = convert(data.draw(forms(z)), fraction, target, rounding, data.draw(forms(r)))
        assert got.dtype == np.int64 and np.array_equal(got, expected)
        assert np.array_equal(convert(z, 6, Fixed(6, 2), str(rounding), r), expected)
        conversion = Conversion(fraction=fraction, target=target, rounding=rounding)
        assert np.array_equal(conversion(data.draw(forms(z)), data.draw(forms(r))), expected)
        shifted = round_shift(data.draw(forms(z)), s, rounding, data.draw(forms(r)))
        assert np.array_equal(shifted, round_shift(z, 4, rounding, r))
    assert np.array_equal(saturate(data.draw(forms(z)), target), np.clip(z, -128, 127))


@some
@given(st.data(), CODES)
def test_quantizers_of_any_form(data, z):
    def one(number):
        return data.draw(st.sampled_from(scalars(number)))

    r = np.arange(z.size) % 8
    n = np.clip(z, -128, 127)
    pairs = [
        (ternarise(data.draw(forms(z)), one(2), one(8)), ternarise(z, 2, 8)),
        (quantize_activation(data.draw(forms(z)), one(5), one(9)), quantize_activation(z, 5, 9)),
        *zip(quantize_sign(data.draw(forms(z)), one(5)), quantize_sign(z, 5)),
        (quantize_error(data.draw(forms(z)), one(3), one(8)), quantize_error(z, 3, 8)),
        (
            quantize_error(data.draw(forms(z)), one(10), one(8), "stochastic", data.draw(forms(r))),
            quantize_error(z, 10, 8, Rounding.STOCHASTIC, r),
        ),
        (
            update_weight(
                data.draw(forms(n)),
                data.draw(forms(z)),
                one(4),
                one(1),
                one(100),
                data.draw(forms(r)),
            ),
            update_weight(n, z, 4, 1, 100, r),
        ),
        (update_weight(n, data.draw(forms(z)), one(0), one(7)), update_weight(n, z, 0, 7)),
        (dither(data.draw(forms(r)), one(6), one(3)), dither(r, 6, 3)),
        (alpha_exponent(one(200), one(2), one(6)), alpha_exponent(200)),
        (shift_exponent(one(200), np.True_), shift_exponent(200, True)),
        (exponentials(data.draw(forms(r)), one(2)), exponentials(r, 2)),
        (softmax(data.draw(forms(z[None])), one(8)), softmax(z[None], 8)),
    ]
    for got, expected in pairs:
        assert np.array_equal(got, expected)


@some
@given(st.data(), st.integers(1, 4), st.integers(1, 4))
def test_products_and_thresholds_of_any_form(data, rows, columns):
    a = np.arange(rows * 3).reshape(rows, 3) * 9 - 5
    b = np.arange(3 * columns).reshape(3, columns) * 11 - 3
    bound = np.int16(32767)
    got = products.matmul(data.draw(forms(a)), data.draw(forms(b)), bound, bound)
    assert np.array_equal(got, a @ b)
    folded = Folded(
        thresholds=np.tile([0, 20, 90], (columns, 1)), negative=np.arange(columns) % 2 == 1
    )
    for found, expected in zip(quantize(data.draw(forms(b)), folded), quantize(b, folded)):
        assert np.array_equal(found, expected)


def test_bounds_of_narrow_types_do_not_wrap():
    """In int16 the product of the bounds would be 1, and float32 would not be exact."""
    wide = np.array([[32767] * 9])
    got = products.matmul(wide, wide.T, np.int16(32767), np.int16(32767))
    assert got[0, 0] == 9 * 32767**2
    assert products.carrier(np.int32(1 << 30), np.int32(1 << 10)) is np.float64
    assert not carried.fits(np.int64((1 << 53) - 1), Conversion(fraction=16, target=Fixed(2, 14)))
    assert around(np.array([250], np.uint8), 0, 999) == (248, 249, 250, 251, 252)
    assert rounded_at(np.array([200], np.uint8), np.uint8(3)) == [1600, 1604]
    assert lone(np.uint8(5), np.uint8(8), np.uint8(2)) == lone(5, 8, 2)
    assert Matrix(samples=np.uint8(200), row_places=np.uint8(2), channels=3).shape == (400, 3)
    order = TileOrder(
        matrix=Matrix(samples=200, channels=200), rows=np.uint8(200), columns=2, by_columns=True
    )
    assert order.leaps == 20_000
    assert lfsr_order(np.uint8(200), np.uint8(255)).tolist() == lfsr_order(200, 255).tolist()
    assert epoch_key(np.uint8(12), np.uint8(200)) == epoch_key(12, 200)
    assert table_width(np.uint8(200)) == 8
    assert pixel_table(np.uint8(200), np.uint8(128), np.int8(-127), np.int8(127)).tolist() == (
        pixel_table(200, 128, -127, 127).tolist()
    )
    columns = {"gamma": [1, 2], "beta": [0, 1], "mean": [3, 1], "variance": [1, 2]}
    expected = fold(**columns, epsilon=0.5, scale=2, steps=(0, 1.5), width=62)
    for kind in (np.uint8, np.int64):
        found = fold(
            **{name: np.array(column, kind) for name, column in columns.items()},
            epsilon=np.float32(0.5),
            scale=kind(2),
            steps=(kind(0), np.float32(1.5)),
            width=kind(62),
        )
        assert found.thresholds.tolist() == expected.thresholds.tolist()


@some
@given(st.data())
def test_generators_of_any_form(data):
    generator = Generator(bits=24, leap=16, draw=8)

    def one(number):
        return data.draw(st.sampled_from(scalars(number)))

    assert generator.advance(one(200), one(100)) == generator.advance(200, 100)
    assert type(generator.advance(one(200), one(100))) is int
    assert lfsr.step(one(0xB400), one(0xB400)) == lfsr.step(0xB400, 0xB400)
    assert lfsr.is_maximal(one(16), one(0xB400))
    lanes = Lanes(generator, one(3), one(2))
    assert np.array_equal(lanes.take(one(100)), Lanes(generator, 3, 2).take(100))
    states = data.draw(forms(np.array([5, 200])))
    again = Lanes.at(generator, np.asarray(states), one(1))
    assert again.states == [5, 200] and all(type(state) is int for state in again.states)


WRONG = [
    (lambda: convert((1 << 63) - 1, 14, Fixed(2, 14), "nearest-up"), "z: 9223372036854775807 is"),
    (lambda: convert(np.uint64(1 << 63), 14, Fixed(2, 14), "nearest-up"), "z: 92233720368547758"),
    (lambda: convert(1.7, 14, Fixed(2, 14), "nearest-up"), "z has values of type float64: int"),
    (lambda: convert([True], 14, Fixed(2, 14), "nearest-up"), "z has values of type bool"),
    (lambda: convert(1, 63, Fixed(2, 14), "nearest-up"), "fraction = 63: allowed are 0 to 62"),
    (lambda: convert(1, 1.0, Fixed(2, 14), "nearest-up"), "fraction = 1.0: a whole number from 0"),
    (lambda: convert(1, 14, (2, 14), "nearest-up"), "target = (2, 14): a Fixed is wanted"),
    (lambda: convert(1, 14, Fixed(2, 14), "up"), "rounding = 'up': allowed are stochastic, near"),
    (
        lambda: convert(1, 18, Fixed(2, 14), "stochastic", 16),
        "r: 16 is out of range: allowed are 0",
    ),
    (lambda: convert(1, 18, Fixed(2, 14), "stochastic", -1), "r: -1 is out of range"),
    (lambda: convert(1, 18, Fixed(2, 14), "stochastic", 0.5), "r has values of type float64"),
    (
        lambda: convert([1, 2], 18, Fixed(2, 14), "stochastic", [1, 2, 3]),
        "z of (2,) and r of (3,): shapes that broadcast are wanted",
    ),
    (lambda: round_shift(1 << 61, 1, "nearest-up"), "z: 2305843009213693952 is out of range"),
    (lambda: round_shift(1, 63, "nearest-up"), "s: 63 is out of range: allowed are 0 to 62"),
    (lambda: round_shift(1, -1, "nearest-up"), "s: -1 is out of range"),
    (lambda: round_shift([1, 1], [1, 3], "stochastic", [2, 2]), "r is out of range"),
    (lambda: round_shift(1, 1, "up"), "rounding = 'up': allowed are"),
    (lambda: saturate(0.5, Fixed(2, 6)), "y has values of type float64"),
    (lambda: saturate(1 << 62, Fixed(2, 6)), "y: 4611686018427387904 is out of range"),
    (lambda: saturate(1, "2,6"), "target = '2,6': a Fixed is wanted"),
    (lambda: dither(16, 3, 4), "words: 16 is out of range: allowed are 0 to 15"),
    (lambda: dither(1.0, 3, 4), "words has values of type float64"),
    (lambda: dither(1, 63, 4), "dropped: 63 is out of range"),
    (lambda: dither(1, 3, 0), "draw = 0: allowed are 1 to 32"),
    (lambda: ternarise([0.5]), "n has values of type float64"),
    (lambda: ternarise([1], 9, 8), "stored = 8: allowed are 9 to 24"),
    (lambda: quantize_activation(1.5, 4), "acc has values of type float64"),
    (lambda: quantize_activation(1, -4), "shift = -4: allowed are 0 to 62"),
    (lambda: quantize_sign(1.5, 4), "x has values of type float64"),
    (lambda: quantize_sign(1, 63), "fraction = 63: allowed are 0 to 62"),
    (lambda: quantize_error(1, 4.0), "exponent = 4.0: a whole number from 0 to 62"),
    (lambda: quantize_error(1, 9, 8, "nearest-up"), "rounding = 'nearest-up': allowed are near"),
    (lambda: quantize_error(1, 9, 8, "stochastic", 4), "r: 4 is out of range: allowed are 0 to 3"),
    (lambda: update_weight(1, 1.0, 6, 0), "gradient has values of type float64"),
    (lambda: update_weight(1 << 24, 1, 6, 0), "n: 16777216 is out of range"),
    (lambda: update_weight(1, 1, 6, 0, 0), "saturation = 0: allowed are 1 to 8388607"),
    (lambda: update_weight(1, 1, 6, 0, r=64), "r: 64 is out of range: allowed are 0 to 63"),
    (lambda: shift_exponent(0), "maximum = 0: allowed are 1 to 4611686018427387904"),
    (lambda: shift_exponent(5.7), "maximum = 5.7: a whole number from 1"),
    (lambda: alpha_exponent(0), "inputs = 0: at least 1 is needed"),
    (lambda: accumulator_width(16, 16, 0), "depth = 0: allowed are 1 to"),
    (lambda: products.matmul([[1.0]], [[1]]), "a has values of type float64"),
    (lambda: products.matmul([[1]], [[1]], 1.5), "a_bound = 1.5: a whole number from 0 on"),
    (lambda: products.carrier(1.5, 1), "term = 1.5: a whole number from 0 on is wanted"),
    (lambda: Generator().advance(1, -5), "steps = -5: at least 0 is needed"),
    (lambda: Generator().advance(1 << 32, 5), "state = 4294967296: allowed are 0 to 4294967295"),
    (lambda: Generator().lane_seed(1.0), "lane = 1.0: a whole number from 0 to 254"),
    (lambda: Lanes(Generator(), 0, 0), "count = 0: allowed are 1 to 255"),
    (lambda: Lanes(Generator(), 0, 2).take(1.5), "draws = 1.5: a whole number from 0 on"),
    (lambda: Lanes.at(Generator(), [1.0]), "state of lane 0 = 1.0: a whole number from 1"),
    (lambda: Lanes("32", 0, 2), "generator = '32': a Generator is wanted"),
    (lambda: lfsr.is_maximal(16, 0), "mask = 0: allowed are 1 to 65535"),
    (lambda: golden.LfsrConfig(lanes=4).lane(4), "lane = 4: allowed are 0 to 3"),
    (lambda: golden.ArrayConfig().node(8, 0), "row = 8: allowed are 0 to 7"),
    (lambda: golden.ArrayConfig().clocks(1.5, 2), "tiles = 1.5: a whole number from 1 on"),
    (lambda: Matrix(samples=1.5, channels=2), "samples = 1.5: a whole number from 0 on"),
    (
        lambda: Matrix(samples=3, channels=2).of(np.zeros(5)),
        "tensor of (5,): values of a matrix of",
    ),
    (
        lambda: RowOrder(matrix=Matrix(samples=1, channels=3), first_lane=0, width=0),
        "width = 0: allowed are 1 to 255",
    ),
    (
        lambda: ColumnOrder(matrix=Matrix(samples=2, channels=3), first_lane=8, width=2).values(
            np.zeros((3, 2))
        ),
        "vectors of (3, 2): (4, 2) are wanted",
    ),
    (lambda: Operands(lanes={"i_data": (1.5,)}), "i_data has values of type float64"),
    (lambda: Operands(lanes={"a": (1,), "b": (1, 2)}), "b has 2 values: 1 are wanted"),
    (lambda: Operands(lanes={"a": (1,)}, settings={"s": 0.5}), "s = 0.5: a whole number"),
    (lambda: Course(ports={"a": [0.5]}), "a has values of type float64"),
    (lambda: softmax([[0.5]], 8), "y has values of type float64"),
    (lambda: softmax([1, 2], 8), "y of (2,): logits (batch, classes) are wanted"),
    (lambda: lfsr_order(5, -1), "epoch = -1: at least 0 is needed"),
    (lambda: quantize([0.5], None), "acc has values of type float64"),
    (
        lambda: SYSTEMS["wage"].trainer(WageRecipe(), shape=(8, 8), classes=2, pixel_max=1),
        "shape =",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_no_number_here_is_named(call, message):
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_the_widest_codes_are_exact():
    top = (1 << (WIDEST - 1)) - 1
    ties = {"nearest-down": -1, "nearest-even": 0, "nearest-away": -1, "nearest-up": 0}
    for rounding, tie in ties.items():  # the lowest code is half of 2^62
        assert round_shift([top, -top - 1], WIDEST, rounding).tolist() == [0, tie]
        assert round_shift([top, -top - 1], 0, rounding).tolist() == [top, -top - 1]
    assert round_shift(top, WIDEST, "stochastic", (1 << WIDEST) - 1) == 1
    assert quantize_activation([top], 61, 24).tolist() == [1]
    assert quantize_activation([top], 62, 24).tolist() == [0]
    assert quantize_error([top, -top - 1], 62, 2).tolist() == [1, -1]
    assert update_weight([0, 5], [top, -top - 1], 0, 0).tolist() == [-127, 127]
    assert ternarise([top, -top - 1]).tolist() == [1, -1]


def test_results_are_arrays_of_their_own():
    z, n = np.array([1, 2, 3]), np.array([1, 2, 3])
    for found in (
        convert(z, 0, Fixed(6, 0), "nearest-up"),
        convert(z, 0, Fixed(6, 2), "nearest-up"),
        round_shift(z, 0, "stochastic"),
        saturate(z, Fixed(6, 2)),
        ternarise(z, 8, 8),
        quantize_activation(z, 0),
        quantize_error(z, 7),
        update_weight(z, n, 0, 0),
        dither(z, 2, 2),
        products.matmul(z[None], z[:, None]),
    ):
        assert not np.shares_memory(found, z) and not np.shares_memory(found, n)
        found[...] = 9
    assert z.tolist() == n.tolist() == [1, 2, 3]


def test_what_lanes_give_out_does_not_lead_back():
    lanes = Lanes(Generator(), 0, 2)
    expected = lanes.copy().take(5)
    for found in (lanes.peek(), lanes.copy().take(5)):
        found[...] = 0
    assert np.array_equal(lanes.take(5), expected)
