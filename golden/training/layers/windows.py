"""Patches of convolutions, and max-pooling, on tensors (batch, height, width, channels).

A patch is the part of an image in a window at one place. A product has one row per patch, in the
order (batch, y, x). Its terms, and the rows of a stage's weights, have the order (ky, kx, channel),
in which long runs of a patch are contiguous in memory: they are copied and added fast. Results have
the type of the operands; nothing is rounded.
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
    """Return `x` with the window's padding around each image; `x` itself if there is none."""
    p = window.padding
    if not p:
        return x
    batch, height, width, channels = x.shape
    wide = np.full((batch, height + 2 * p, width + 2 * p, channels), value, x.dtype)
    wide[:, p : p + height, p : p + width] = x
    return wide


def views(x: Tensor, window: Window, abreast: int = 1) -> Tensor:
    """Return a view of all patches, (batch, rows, columns, channels, ky, kx).

    With `abreast`, a patch covers that many adjacent places of a row.
    """
    width = window.width + (abreast - 1) * window.stride
    seen = sliding_window_view(padded(x, window), (window.height, width), axis=(1, 2))
    return seen[:, :: window.stride, :: abreast * window.stride]


def patches(x: Tensor, window: Window) -> Tensor:
    """Return all patches, (batch * places, height * width * channels).

    Examples
    --------
    >>> x = np.arange(9).reshape(1, 3, 3, 1)
    >>> patches(x, Window(height=2, width=2)).tolist()
    [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]
    """
    seen = views(x, window).transpose(0, 1, 2, 4, 5, 3)
    return seen.reshape(-1, window.height * window.width * x.shape[3])


def scratch_patches(seen: Tensor) -> Tensor:
    """Return a copy of the view of `views`, (batch, places, terms).

    Its order in memory depends on its shape. The thread's next call overwrites it.
    """
    batch, rows, columns, channels, height, width = seen.shape
    terms = channels * height * width
    by_term = channels * width < columns  # contiguous runs along a row of places are longer
    seen = seen.transpose((0, 4, 5, 3, 1, 2) if by_term else (0, 1, 2, 4, 5, 3))
    copy = scratch(seen.shape, seen.dtype, "patches")
    np.copyto(copy, seen)
    if by_term:
        return copy.reshape(batch, terms, rows * columns).swapaxes(1, 2)
    return copy.reshape(batch, rows * columns, terms)


def spread(seen: Tensor, window: Window, shape: Shape, batch: int, abreast: int = 1) -> Tensor:
    """Add every element of all patches to its pixel: the adjoint of `patches`.

    Parameters
    ----------
    seen
        Patches, (batch * places, terms).
    window
        The window.
    shape
        Shape of an image.
    batch
        Number of images.
    abreast
        Number of places that a patch covers, as in `views`.

    Returns
    -------
    Tensor
        (batch, *shape).
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
    """Add every element of all patches to its pixel, with other orders of the axes than `spread`.

    Parameters
    ----------
    seen
        Patches, (offsets in the window, rows, columns, batch, channels).
    window, shape
        As in `spread`.

    Returns
    -------
    Tensor
        (height, width, batch, channels).
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
    """Yield, for each offset in the window, a view of its pixels at all places of a padded tensor.

    Offsets are in row-major order; views are (batch, rows, columns, channels).
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
    """Return the maximum of each window, and the position of its first occurrence.

    Parameters
    ----------
    x
        Values, (batch, height, width, channels).
    window
        The window. Its padding is lower than all values.
    best, first
        Arrays for the results; None allocates them.

    Returns
    -------
    best : Tensor
        Maxima, (batch, rows, columns, channels).
    first : Tensor
        Positions in the window, in row-major order; unsigned, in the same shape.

    Examples
    --------
    >>> x = np.array([[1, 7], [7, 2]]).reshape(1, 2, 2, 1)
    >>> best, first = max_pool(x, Window(height=2, width=2))
    >>> best.item(), first.item()
    (7, 1)
    """
    lowest = -np.inf if np.issubdtype(x.dtype, np.floating) else np.iinfo(x.dtype).min
    one, *others = _offsets(padded(x, window, lowest), window)
    kind = np.min_scalar_type(window.height * window.width - 1)
    best = np.empty(one.shape, x.dtype) if best is None else best
    first = np.empty(one.shape, kind) if first is None else first
    best[...] = one
    first[...] = 0
    for offset, other in enumerate(others, 1):
        other = np.ascontiguousarray(other)  # it is read twice, and few channels are slow to read
        above = other > best
        np.maximum(best, other, out=best)
        np.maximum(first, above * kind.type(offset), out=first)  # later maxima have larger offsets
    return best, first


def unpool(
    d: Tensor, first: Tensor, window: Window, shape: Shape, out: Tensor | None = None
) -> Tensor:
    """Add every error to the pixel of its maximum: the adjoint of `max_pool`.

    Parameters
    ----------
    d
        Errors of the maxima, (batch, rows, columns, channels).
    first
        Positions from `max_pool`.
    window
        The window.
    shape
        Shape of an image.
    out
        Array for the result; None allocates it.

    Returns
    -------
    Tensor
        Errors of the pixels, (batch, *shape).
    """
    (height, width, channels), p = shape, window.padding
    if out is None:
        out = np.empty((len(d), *shape), d.dtype)
    whole = out
    if p:
        whole = np.empty((len(d), height + 2 * p, width + 2 * p, channels), d.dtype)
    tiled = window.height == window.width == window.stride
    if not tiled or whole.shape[1:3] != (window.height * d.shape[1], window.width * d.shape[2]):
        whole[...] = 0  # some pixels are in no window, or in several, whose errors are added
    for offset, part in enumerate(_offsets(whole, window)):
        taken = first == offset
        if window.overlap == 1:
            np.multiply(d, taken, out=part)
        else:
            part += d * taken
    if p:
        out[...] = whole[:, p : p + height, p : p + width]
    return out
