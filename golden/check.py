"""Checks of parameters. An error is one line: the parameter, its value and what is allowed.

All numbers that come from outside go through here: single ones through `whole`, arrays of codes
through `codes` or, before a check of their own, `integers`. Results are Python integers and arrays
of a native integer type, so that no arithmetic depends on the types that a caller uses.
"""

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Errors that code raises where data from a file (JSON, TOML) has another form than it expects.
FOREIGN = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
)

#: Bits of the widest code: int64 holds it with room for a sum of two.
WIDEST = 62


def shown(value: Any) -> str:
    """Return a value for an error message, in one line.

    Examples
    --------
    >>> shown(np.zeros((2, 3))), shown(int), shown("a")
    ('an array of float64, (2, 3)', 'the class int', "'a'")
    """
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}, {value.shape}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    text = repr(value)
    readable = len(text) <= 300 and text.isprintable() and not text.startswith("<")
    return text if readable else _a(type(value).__name__)


def _a(name: str) -> str:
    """Return a name with its article."""
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number, of Python or of NumPy. A bool does not count."""
    return not isinstance(value, bool) and isinstance(value, Integral)


def is_real(value: Any) -> bool:
    """Return whether a value is a real number, of Python or of NumPy. A bool does not count."""
    return not isinstance(value, bool) and isinstance(value, Real)


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return `value` as an int if it is a whole number from `low` to `high`; None is no limit.

    Raises
    ------
    TypeError
        `value` is not a whole number. A bool does not count as one.
    ValueError
        `value` is outside the range.

    Examples
    --------
    >>> whole("lanes", np.uint8(8), 1, 255)
    8
    >>> whole("lanes", 300, 1, 255)
    Traceback (most recent call last):
        ...
    ValueError: lanes = 300: allowed are 1 to 255
    """
    if not is_whole(value):
        to = "on" if high is None else f"to {high}"
        raise TypeError(f"{name} = {shown(value)}: a whole number from {low} {to} is wanted")
    number = int(value)
    if number < low and high is None:
        raise ValueError(f"{name} = {number}: at least {low} is needed")
    if high is not None and not low <= number <= high:
        raise ValueError(f"{name} = {number}: allowed are {low} to {high}")
    return number


def whole_fields(owner: Any, low: int, high: int | None, *names: str) -> None:
    """Check that fields of a frozen dataclass are whole numbers, and make them Python's.

    Configurations with settings have `golden.settings.check_settings` instead.
    """
    for name in names:
        object.__setattr__(owner, name, whole(name, getattr(owner, name), low, high))


def truth(name: str, value: Any) -> bool:
    """Return `value` as a bool if it is one, of Python or of NumPy.

    Examples
    --------
    >>> truth("ceil", np.True_)
    True
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} = {shown(value)}: a bool is wanted")
    return bool(value)


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raise a ValueError unless `value` is one of `allowed`."""
    allowed = tuple(allowed)
    if isinstance(value, np.ndarray) or value not in allowed:
        raise ValueError(f"{name} = {shown(value)}: allowed are {', '.join(map(str, allowed))}")


def instance(name: str, value: Any, kind: type) -> None:
    """Raise a TypeError unless `value` is an instance of `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} = {shown(value)}: {_a(kind.__name__)} is wanted")


def table(name: str, value: Any, wanted: str) -> None:
    """Raise a TypeError unless `value` is a mapping; `wanted` describes its keys and values."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} = {shown(value)}: a mapping of {wanted} is wanted")


def integers(name: str, values: ArrayLike, bools: bool = False) -> NDArray[Any]:
    """Return `values` as an array of an integer type; without a copy if it is one.

    Parameters
    ----------
    name
        Name in an error.
    values
        Integers of any type, any shape.
    bools
        Whether bools are allowed, as 0 and 1.

    Raises
    ------
    TypeError
        Values are not integers. Floats do not count as such.
    ValueError
        Lists have unequal lengths, or an integer has more than 64 bits.

    Examples
    --------
    >>> integers("a", [[1, 2], [3, 4]]).dtype
    dtype('int64')
    >>> integers("a", [1.5])
    Traceback (most recent call last):
        ...
    TypeError: a has values of type float64: integers are wanted
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name}: lists of equal lengths are wanted") from None
    if array.dtype.kind in "iu":
        return array
    if bools and array.dtype.kind == "b":
        return array.view(np.uint8)
    if not array.size and not isinstance(values, np.ndarray):  # an empty list has no type
        return array.astype(np.int64)
    # NumPy has no type for integers that need more than 64 bits, or both a sign and bit 63.
    objects = array if array.dtype.kind == "O" else np.asarray(None)
    if array.dtype.kind == "f" and not isinstance(values, np.ndarray):
        objects = np.array(values, object)
    numbers = objects.ravel().tolist()
    if numbers and all(is_whole(number) for number in numbers):
        low, high = int(min(numbers)), int(max(numbers))
        for kind in (np.int64, np.uint64):
            if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                return objects.astype(kind)
        number = low if low < -(1 << 63) else high
        raise ValueError(f"{name}: {number} is out of range, more than 64 bits")
    raise TypeError(f"{name} has values of type {array.dtype}: integers are wanted")


def codes(
    name: str, values: ArrayLike, low: int = -1 << (WIDEST - 1), high: int = (1 << (WIDEST - 1)) - 1
) -> NDArray[np.int64]:
    """Return `values` as int64 if they are integers from `low` to `high`; by default, of 62 bits.

    Returns
    -------
    ndarray of int64
        Any shape; `values` itself if that is an array of int64.

    Raises
    ------
    TypeError, ValueError
        As in `integers`, or a value is outside the range.

    Examples
    --------
    >>> codes("z", np.array([1, 255], np.uint8)).tolist()
    [1, 255]
    >>> codes("z", [5, 1 << 61])
    Traceback (most recent call last):
        ...
    ValueError: z: 2305843009213693952 is out of range: allowed are 62 bits, -2^61 to 2^61 - 1
    """
    array = integers(name, values)
    kind = np.iinfo(array.dtype)
    if array.size and not (low <= kind.min and kind.max <= high):
        least, most = int(array.min()), int(array.max())
        if least < low or most > high:
            wrong = least if least < low else most
            if (low, high) == (-1 << (WIDEST - 1), (1 << (WIDEST - 1)) - 1):
                allowed = f"{WIDEST} bits, -2^{WIDEST - 1} to 2^{WIDEST - 1} - 1"
            else:
                allowed = f"{low} to {high}"
            raise ValueError(f"{name}: {wrong} is out of range: allowed are {allowed}")
    return array.astype(np.int64, copy=False)


def broadcast(**arrays: NDArray[Any] | int) -> None:
    """Raise a ValueError unless the arrays, by name, have shapes that broadcast.

    Examples
    --------
    >>> broadcast(z=np.zeros((4, 2)), r=np.zeros(3))
    Traceback (most recent call last):
        ...
    ValueError: z of (4, 2) and r of (3,): shapes that broadcast are wanted
    """
    shapes = [np.shape(array) for array in arrays.values()]
    if len(set(shapes)) == 1:
        return
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        pairs = " and ".join(f"{name} of {shape}" for name, shape in zip(arrays, shapes))
        raise ValueError(f"{pairs}: shapes that broadcast are wanted") from None
