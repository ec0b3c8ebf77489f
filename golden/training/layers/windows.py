"""What a convolution and a max-pooling look at, on tensors (batch, height, width, channels).

A product has one row per place, (batch, y, x) in that order; its terms are (ky, kx, channel), and
so are the rows of a stage's weights, (inputs, outputs). In that order what a window sees lies in
memory in long runs, which copy and add fast. All tensors hold whole numbers or reals of one type,
which is kept; nothing here rounds.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from golden.threads import scratch
from golden.training.layers.network import Shape, Window

#: A tensor of any number type.
Tensor = NDArray[Any]


def padded(x: Tensor, window: Window, value: float = 0) -> Tensor:
    """`x` with the window's padding around each image; `x` itself where there is none."""
    p = window.padding
    if not p:
        return x
    batch, height, width, channels = x.shape
    wide = np.full((batch, height + 2 * p, width + 2 * p, channels), value, x.dtype)
    wide[:, p : p + height, p : p + width] = x
    return wide


def views(x: Tensor, window: Window, abreast: int = 1) -> Tensor:
    """What the window sees, without a copy: (batch, rows, columns, channels, ky, kx); or what it
    sees from so many places of a row together.
    """
    width = window.width + (abreast - 1) * window.stride
    seen = sliding_window_view(padded(x, window), (window.height, width), axis=(1, 2))
    return seen[:, :: window.stride, :: abreast * window.stride]


def patches(x: Tensor, window: Window) -> Tensor:
    """What the window sees: (batch * places, height * width * channels), a copy or `x` itself."""
    seen = views(x, window).transpose(0, 1, 2, 4, 5, 3)
    return seen.reshape(-1, window.height * window.width * x.shape[3])


def scratch_patches(seen: Tensor) -> Tensor:
    """`patches` of what `views` returned image by image, (batch, places, terms), in any memory
    order; the thread's next call overwrites it.
    """
    batch, rows, columns, channels, height, width = seen.shape
    terms = channels * height * width
    by_term = channels * width < columns  # runs along a row of places are longer
    seen = seen.transpose((0, 4, 5, 3, 1, 2) if by_term else (0, 1, 2, 4, 5, 3))
    copy = scratch(seen.shape, seen.dtype, "patches")
    np.copyto(copy, seen)
    if by_term:
        return copy.reshape(batch, terms, rows * columns).swapaxes(1, 2)
    return copy.reshape(batch, rows * columns, terms)


def spread(seen: Tensor, window: Window, shape: Shape, batch: int, abreast: int = 1) -> Tensor:
    """The adjoint of `patches`, or of so many places of a row abreast: every element goes back to
    where it was seen, and they add up.

    Returns a tensor (batch, *shape).
    """
    (height, width, channels), (rows, columns) = shape, window.places(*shape[:2])
    p, step = window.padding, window.stride
    out = np.zeros((batch, height + 2 * p, width + 2 * p, channels), seen.dtype)
    across, wide = abreast * step * channels, (window.width + (abreast - 1) * step) * channels
    seen = seen.reshape(batch, rows, columns // abreast, window.height, wide)
    lines = out.reshape(batch, height + 2 * p, -1)
    for y, x in product(range(window.height), range(columns // abreast)):
        part = lines[:, y : y + step * rows : step, x * across : x * across + wide]
        part += seen[:, :, x, y]
    return out[:, p : p + height, p : p + width]


def spread_places(seen: Tensor, window: Window, shape: Shape) -> Tensor:
    """The same from (offsets in the window, rows, columns, batch, channels) to (height, width,
    batch, channels), in which runs are long.
    """
    (height, width, channels), (rows, columns) = shape, window.places(*shape[:2])
    p, step = window.padding, window.stride
    out = np.zeros((height + 2 * p, width + 2 * p, seen.shape[3], channels), seen.dtype)
    for offset, terms in enumerate(seen):
        y, x = divmod(offset, window.width)
        part = out[y : y + step * rows : step, x : x + step * columns : step]
        part += terms
    return out[p : p + height, p : p + width]


def _offsets(x: Tensor, window: Window) -> Iterator[Tensor]:
    """Parts of a tensor, padding and all, that stand at the same place of every window, in
    row-major order: (batch, rows, columns, channels) each.
    """
    step = window.stride
    rows = (x.shape[1] - window.height) // step + 1
    columns = (x.shape[2] - window.width) // step + 1
    for y in range(window.height):
        for column in range(window.width):
            yield x[:, y : y + step * rows : step, column : column + step * columns : step]


def max_pool(
    x: Tensor, window: Window, best: Tensor | None = None, first: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The largest value of each place, and where in its window it first stands in row-major order.

    Padding is below every value.

    Returns
    -------
    (batch, rows, columns, channels) each; the second one of unsigned integers. They are `best` and
    `first`, if those are given.
    """
    lowest = -np.inf if np.issubdtype(x.dtype, np.floating) else np.iinfo(x.dtype).min
    one, *others = _offsets(padded(x, window, lowest), window)
    kind = np.min_scalar_type(window.height * window.width - 1)
    best = np.empty(one.shape, x.dtype) if best is None else best
    first = np.empty(one.shape, kind) if first is None else first
    best[...] = one
    first[...] = 0
    for offset, other in enumerate(others, 1):
        other = np.ascontiguousarray(other)  # runs of a few channels are slow to take twice
        above = other > best
        np.maximum(best, other, out=best)
        np.maximum(first, above * kind.type(offset), out=first)  # a later one is above all before
    return best, first


def unpool(
    d: Tensor, first: Tensor, window: Window, shape: Shape, out: Tensor | None = None
) -> Tensor:
    """The adjoint of `max_pool`: every error goes to the place that was taken; overlaps add.

    Returns a tensor (batch, *shape): `out`, if it is given.
    """
    (height, width, channels), p = shape, window.padding
    if out is None:
        out = np.empty((len(d), *shape), d.dtype)
    whole = out
    if p:
        whole = np.empty((len(d), height + 2 * p, width + 2 * p, channels), d.dtype)
    tiled = window.height == window.width == window.stride
    if not tiled or whole.shape[1:3] != (window.height * d.shape[1], window.width * d.shape[2]):
        whole[...] = 0  # places of none are left between the windows, or those of several add up
    for offset, part in enumerate(_offsets(whole, window)):
        taken = first == offset
        if window.overlap == 1:
            np.multiply(d, taken, out=part)
        else:
            part += d * taken
    if p:
        out[...] = whole[:, p : p + height, p : p + width]
    return out
