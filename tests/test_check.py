"""Checks of numbers: any form of an integer gives the same array, and nothing else passes."""

import re

import numpy as np
import pytest
from forms import LAYOUTS, forms, holding, put
from hypothesis import given
from hypothesis import strategies as st

from golden import check

MATRIX = np.array([[0, 1, 2], [3, 100, 127]])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", holding(MATRIX))
def test_codes_of_any_form_are_int64(kind, layout):
    found = check.codes("z", put(MATRIX, kind, layout))
    assert found.dtype == np.int64 and found.dtype.isnative
    assert np.array_equal(found, MATRIX)


@given(st.data())
def test_every_form_holds_its_values(data):
    values = np.array(data.draw(st.lists(st.integers(-(1 << 61), (1 << 61) - 1), min_size=1)))
    assert np.array_equal(check.codes("z", data.draw(forms(values))), values)


def test_a_memory_map_is_an_array(tmp_path):
    MATRIX.astype(">i2").tofile(tmp_path / "map")
    mapped = np.memmap(tmp_path / "map", ">i2", "r", shape=MATRIX.shape)
    assert np.array_equal(check.codes("z", mapped), MATRIX)


REFUSED = [
    ([1.5], TypeError, "z has values of type float64: integers are wanted"),
    ([1.0, 2], TypeError, "z has values of type float64: integers are wanted"),
    (1.0, TypeError, "z has values of type float64: integers are wanted"),
    (np.float32(1), TypeError, "z has values of type float32: integers are wanted"),
    (np.zeros(0), TypeError, "z has values of type float64: integers are wanted"),
    ([True, False], TypeError, "z has values of type bool: integers are wanted"),
    (True, TypeError, "z has values of type bool: integers are wanted"),
    (np.array([1, True], object), TypeError, "z has values of type object: integers are wanted"),
    (np.zeros(0, object), TypeError, "z has values of type object: integers are wanted"),
    (["1"], TypeError, "z has values of type <U1: integers are wanted"),
    (None, TypeError, "z has values of type object: integers are wanted"),
    ([1j], TypeError, "z has values of type complex128: integers are wanted"),
    (np.array([1], "m8[s]"), TypeError, "z has values of type timedelta64[s]: integers are"),
    ([[1, 2], [3]], ValueError, "z: lists of equal lengths are wanted"),
    (1 << 61, ValueError, "z: 2305843009213693952 is out of range: allowed are 62 bits, -2^61 to"),
    (-(1 << 61) - 1, ValueError, "z: -2305843009213693953 is out of range"),
    (np.uint64(1 << 63), ValueError, "z: 9223372036854775808 is out of range"),
    ([1 << 63, -1], ValueError, "z: 9223372036854775808 is out of range"),
    ([1 << 64], ValueError, "z: 18446744073709551616 is out of range"),
    ([-(1 << 64), 5], ValueError, "z: -18446744073709551616 is out of range"),
]


@pytest.mark.parametrize(("values", "kind", "message"), REFUSED, ids=str)
def test_what_is_no_code_is_refused(values, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}") as error:
        check.codes("z", values)
    assert "\n" not in str(error.value)


def test_both_ends_are_allowed():
    ends = [-(1 << 61), (1 << 61) - 1]
    assert check.codes("z", ends).tolist() == ends
    assert check.codes("z", np.array([3, 200], np.uint8), 3, 200).tolist() == [3, 200]
    with pytest.raises(ValueError, match=r"^z: 201 is out of range: allowed are 3 to 200$"):
        check.codes("z", np.array([3, 201], np.uint8), 3, 200)


def test_no_codes_are_codes():
    assert check.codes("z", []).dtype == np.int64
    assert check.codes("z", np.zeros((0, 3), np.uint8)).shape == (0, 3)


def test_an_error_is_one_line_for_any_value():
    for value in (np.zeros((50, 50)), "a\nb", list(range(1000)), int, {"a": np.zeros(5)}):
        with pytest.raises(TypeError, match=r"^rows = .*: a whole number from 1 to 9 is wanted$"):
            check.whole("rows", value, 1, 9)
