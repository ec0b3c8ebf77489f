"""The same integers in every form that a caller may have: types, orders, strides, lists."""

import numpy as np
from hypothesis import strategies as st

#: Integer types of both byte orders.
KINDS = [f"{order}{sign}{size}" for order in "<>" for sign in "iu" for size in (1, 2, 4, 8)]


def holding(values):
    """Types that hold the values."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    return [k for k in KINDS if np.iinfo(k).min <= low and high <= np.iinfo(k).max]


def spread(values, axes):
    """A view of a larger array, with gaps along some axes, and another axis backward."""
    shape = tuple(3 * size for size in values.shape)
    whole = np.full(shape, 1, values.dtype)
    view = whole[tuple(slice(None, None, 3) for _ in shape)]
    view[...] = values
    if axes and values.ndim:
        turned = view[::-1].copy(order="F")  # backward in memory
        view = turned[::-1]
    return view


LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "a transposed matrix": lambda values: values.T.copy().T,
    "gaps": lambda values: spread(values, False),
    "backward": lambda values: spread(values, True),
    "objects": lambda values: values.astype(object),
    "lists": lambda values: values.tolist(),
}


def put(values, kind, layout):
    """`values` with this type and layout; what is an array cannot be written to."""
    found = LAYOUTS[layout](values.astype(kind))
    if isinstance(found, np.ndarray):
        found.flags.writeable = False
    return found


@st.composite
def forms(draw, values):
    """`values` in some form."""
    return put(values, draw(st.sampled_from(holding(values))), draw(st.sampled_from([*LAYOUTS])))
