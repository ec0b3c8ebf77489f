"""Exact products of a layer: forward, gradient and error products.

Tensors are (batch, height, width, channels). Weights are (inputs, outputs), their rows in the order
(ky, kx, channel). All values are integers, in any type; results are exact integers in a float type
(`golden.products`). The `_operands` functions return the operands of the array's products.

Integer sums that fit the mantissa do not depend on the order of the terms. So products are computed
for a few images at a time, whose patches fit a core's cache, with terms in the order that is copied
fastest. A patch is the part of an image in a window, at one place.
"""

import math
from threading import Lock

import numpy as np

from golden import threads
from golden.products import carrier
from golden.threads import each, scratch, slices
from golden.training.layers.network import Phase, Stage
from golden.training.layers.windows import (
    Tensor,
    max_pool,
    patches,
    scratch_patches,
    spread,
    spread_places,
    unpool,
    views,
)

#: Bytes of the patches of the images that are processed at a time.
_CACHE = 3 << 19

#: Number of multiplications up to which BLAS does not copy the operands of a product, which would
#: take half of the time with few outputs (OpenBLAS, on processors with AVX-512).
_SMALL = 1_000_000

#: Number of outputs of a product above which BLAS is not faster per output.
_OUTPUTS = 32

#: Number of terms of a product that take as long as one element of another loop.
_TERMS = 16


def forward(
    stage: Stage,
    x: Tensor,
    w: Tensor,
    x_bound: int,
    w_bound: int,
    biases: Tensor | None = None,
) -> Tensor:
    """Return the sums of a layer.

    Parameters
    ----------
    stage
        The layer.
    x
        Inputs, (batch, *stage.image).
    w
        Weights, (inputs, outputs).
    x_bound, w_bound
        Upper bounds of the magnitudes. They determine the float type.
    biases
        Addends, (outputs,), in that type.

    Returns
    -------
    Tensor
        Sums, (batch, *stage.sums).
    """
    kind = carrier(x_bound * w_bound, stage.inputs)
    x = _seen(stage, x.astype(kind, copy=False))
    w = _wide(stage, w.astype(kind, copy=False), _abreast(stage))
    sums = np.empty((len(x), *stage.sums), kind)
    if stage.dense:
        product(x, w, sums.reshape(len(x), -1))
        return sums if biases is None else np.add(sums, biases, out=sums)
    of_row = None if biases is None else np.tile(biases, stage.sums[1])

    def piece(part: slice) -> None:
        seen = _patches(stage, x[part])
        np.matmul(seen, w, out=sums[part].reshape(len(seen), -1, w.shape[1]))
        if of_row is not None:
            rows = sums[part].reshape(-1, len(of_row))
            rows += of_row

    each(piece, _pieces(stage, len(x), kind))
    return sums


def forward_pooled(
    stage: Stage, x: Tensor, w: Tensor, x_bound: int, w_bound: int
) -> tuple[Tensor, Tensor | None]:
    """Return the sums of a layer after its max-pooling.

    Parameters
    ----------
    stage, x, w, x_bound, w_bound
        As in `forward`.

    Returns
    -------
    sums : Tensor
        Sums, (batch, *stage.pooled).
    first : Tensor or None
        Positions of the first maxima in their windows (`golden.training.layers.windows.max_pool`),
        in the same shape; None without a pooling.
    """
    pool = stage.pool
    if pool is None:
        return forward(stage, x, w, x_bound, w_bound), None
    kind = carrier(x_bound * w_bound, stage.inputs)
    x = _seen(stage, x.astype(kind, copy=False))
    w = _wide(stage, w.astype(kind, copy=False), _abreast(stage))
    sums = np.empty((len(x), *stage.pooled), kind)
    first = np.empty(sums.shape, np.min_scalar_type(pool.height * pool.width - 1))

    def piece(part: slice) -> None:
        seen = _patches(stage, x[part])
        whole = scratch((*seen.shape[:2], w.shape[1]), kind, "sums")
        np.matmul(seen, w, out=whole)
        max_pool(whole.reshape(-1, *stage.sums), pool, sums[part], first[part])

    each(piece, _pieces(stage, len(x), kind))
    return sums, first


def gradient(
    stage: Stage, x: Tensor, e: Tensor, x_bound: int, e_bound: int, first: Tensor | None = None
) -> Tensor:
    """Return the sums of inputs times errors over batch and places.

    Parameters
    ----------
    stage
        The layer.
    x
        Inputs, (batch, *stage.image).
    e
        Errors of the sums, (batch, *stage.sums); with `first`, of the pooled sums.
    x_bound, e_bound
        Upper bounds of the magnitudes.
    first
        Positions of the maxima, from `forward_pooled`.

    Returns
    -------
    Tensor
        Gradients, (inputs, outputs).
    """
    rows, columns, outputs = stage.sums if first is None else stage.pooled
    term = x_bound * e_bound * rows * columns  # bound of the sum over one image
    whole = carrier(term, len(x))
    if stage.dense:  # a single product
        # A pooling with padding has several windows around the only place.
        x, e = x.astype(whole, copy=False), e.astype(whole, copy=False)
        e = _unpooled(stage, e, first, slice(None))
        return product(x.reshape(len(x), -1).T, e.reshape(-1, outputs))
    exact = ((1 << 24) - 1) // max(term, 1)  # images whose sum is exact in float32
    kind = np.float32 if exact else whole
    x, e = _seen(stage, x.astype(kind, copy=False)), e.astype(kind, copy=False)
    total, lock = np.zeros((math.prod(x.shape[3:]), _abreast(stage) * outputs), whole), Lock()

    def piece(part: slice) -> None:
        seen = _patches(stage, x[part])
        errors = _unpooled(stage, e, first, part).reshape(len(seen), -1, total.shape[1])
        sums = scratch((len(seen), *total.shape), kind, "sums")
        np.matmul(seen.swapaxes(1, 2), errors, out=sums)
        of_piece = sums[0] if len(sums) == 1 else sums.sum(axis=0)
        with lock:
            np.add(total, of_piece, out=total)

    each(piece, _pieces(stage, len(x), kind, exact or len(x)))
    of_place, *others = _of_places(stage, total, _abreast(stage))
    return sum(others, start=of_place).reshape(-1, outputs)


def error(
    stage: Stage, e: Tensor, w: Tensor, e_bound: int, w_bound: int, first: Tensor | None = None
) -> Tensor:
    """Return the sums of errors times weights for every input.

    Parameters
    ----------
    stage
        The layer.
    e
        Errors of the sums, (batch, *stage.sums); with `first`, of the pooled sums.
    w
        Weights, (inputs, outputs).
    e_bound, w_bound
        Upper bounds of the magnitudes.
    first
        Positions of the maxima, from `forward_pooled`.

    Returns
    -------
    Tensor
        Errors of the inputs, (batch, *stage.image).
    """
    window = stage.window
    if first is not None and stage.pool is not None:
        e_bound *= stage.pool.overlap
    kind = carrier(e_bound * w_bound, window.height * window.width * stage.outputs)
    e, w = e.astype(kind, copy=False), w.astype(kind, copy=False)
    if stage.dense:
        errors = _unpooled(stage, e, first, slice(None)).reshape(len(e), -1)
        return product(errors, w.T).reshape(-1, *stage.image)
    sums = np.empty((len(e), *stage.image), kind)
    abreast = _abreast(stage, 2 * _OUTPUTS)  # here a limit of terms
    if abreast > 1 and stage.outputs < _OUTPUTS:
        back = np.ascontiguousarray(_wide(stage, w, abreast).T)

        def piece(part: slice) -> None:
            errors = _unpooled(stage, e, first, part)
            seen = scratch((len(errors), errors[0].size // len(back), back.shape[1]), kind, "seen")
            np.matmul(errors.reshape(*seen.shape[:2], -1), back, out=seen)
            sums[part] = spread(seen, window, stage.image, len(errors), abreast)

    else:
        rows, columns, outputs = stage.sums
        channels = stage.image[2]
        by_offset = w.reshape(window.height * window.width, channels, outputs)
        back = np.ascontiguousarray(by_offset.transpose(0, 2, 1))

        def piece(part: slice) -> None:
            errors = _unpooled(stage, e, first, part)
            images = len(errors)
            # With places before images, the addends of each window offset are contiguous.
            by_place = scratch((rows, columns, images, outputs), kind, "errors")
            np.copyto(by_place, errors.transpose(1, 2, 0, 3))
            seen = scratch((len(back), rows * columns * images, channels), kind, "seen")
            np.matmul(by_place.reshape(-1, outputs), back, out=seen)
            seen = seen.reshape(-1, rows, columns, images, channels)
            sums[part] = spread_places(seen, window, stage.image).transpose(2, 0, 1, 3)

    each(piece, _pieces(stage, len(e), kind))
    return sums


def pool(stage: Stage, y: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the sums of a layer, (batch, *stage.sums), after its max-pooling.

    Returns
    -------
    values : Tensor
        (batch, *stage.pooled).
    first : Tensor or None
        As in `forward_pooled`.
    """
    window = stage.pool
    if window is None:
        return y, None
    best = np.empty((len(y), *stage.pooled), y.dtype)
    first = np.empty(best.shape, np.min_scalar_type(window.height * window.width - 1))

    def piece(part: slice) -> None:
        max_pool(y[part], window, best[part], first[part])

    each(piece, _images(stage, y))
    return best, first


def unpooled(stage: Stage, e: Tensor, first: Tensor | None) -> Tensor:
    """Return the errors of a layer before its max-pooling, (batch, *stage.sums)."""
    if first is None:
        return e
    whole = np.empty((len(e), *stage.sums), e.dtype)

    def piece(part: slice) -> None:
        _unpooled(stage, e, first, part, whole[part])

    each(piece, _images(stage, whole))
    return whole


def _images(stage: Stage, sums: Tensor) -> list[slice]:
    """Return slices of images whose sums fit a cache."""
    size = math.prod(stage.sums)
    return slices(len(sums), _cache() // (2 * size * sums.itemsize), size)


def _cache() -> int:
    """Return the number of bytes to process at a time.

    With threads it is larger than `_CACHE`: longer loops release the interpreter's lock less often.
    """
    return _CACHE if threads.threads() < 2 else 4 * _CACHE


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """Return the product of two matrices; threads share the rows of `a` or the columns of `b`."""
    (height, depth), width = a.shape, b.shape[1]
    if out is None:
        out = np.empty((height, width), np.result_type(a, b))

    def of_rows(part: slice) -> None:
        np.matmul(a[part], b, out=out[part])

    def of_columns(part: slice) -> None:
        np.matmul(a, b[:, part], out=out[:, part])

    if height > width:
        each(of_rows, slices(height, height, depth * width // _TERMS))
    else:
        each(of_columns, slices(width, width, depth * height // _TERMS))
    return out


def _pieces(
    stage: Stage, batch: int, kind: type[np.floating], most: int | None = None
) -> list[slice]:
    """Return slices of images to process at a time, each of at most `most` images."""
    rows, columns, outputs = stage.sums
    image = rows * columns * (stage.inputs + outputs) * np.dtype(kind).itemsize
    size = batch if stage.dense else max(_cache() // image, 1)
    return slices(batch, min(size, most or batch), image)


def _seen(stage: Stage, x: Tensor) -> Tensor:
    """Return the patches of every image, for `_patches`; for a convolution, as a view."""
    return x.reshape(len(x), -1) if stage.dense else views(x, stage.window, _abreast(stage))


def _abreast(stage: Stage, most: int = _OUTPUTS) -> int:
    """Return the number of adjacent places whose sums are one row of a product.

    The patches of adjacent places overlap, so one wide patch needs less copying, and BLAS computes
    more outputs at a time.
    """
    _, columns, outputs = stage.sums
    return max(n for n in range(1, 5) if n == 1 or (columns % n == 0 and n * outputs <= most))


def _wide(stage: Stage, w: Tensor, abreast: int) -> Tensor:
    """Return the weights for `abreast` adjacent places, (terms of the patch, places * outputs).

    They are 0 where a place's window does not cover the wide patch.
    """
    window = stage.window
    if abreast == 1:
        return w
    width = window.width + (abreast - 1) * window.stride
    shape = (window.height * width * stage.image[2], abreast * stage.outputs)
    wide = np.zeros(shape, w.dtype)
    for part in _of_places(stage, wide, abreast):
        part[...] = w.reshape(part.shape)
    return wide


def _of_places(stage: Stage, wide: Tensor, abreast: int) -> list[Tensor]:
    """Return views of the weights of each place in `_wide`, (ky, kx, channels, outputs)."""
    window = stage.window
    by_place = wide.reshape(window.height, -1, stage.image[2], abreast, stage.outputs)
    starts = range(0, abreast * window.stride, window.stride)
    return [
        by_place[:, start : start + window.width, :, place] for place, start in enumerate(starts)
    ]


def _patches(stage: Stage, x: Tensor) -> Tensor:
    """Return the patches of some images of `_seen`, (products, rows, terms).

    Small products are separate for each image; large ones are one product for all images.
    """
    if stage.dense:
        return x[None]
    seen = scratch_patches(x)
    small = seen[0].size * _abreast(stage) * stage.outputs <= _SMALL
    return seen if small or not seen.flags.c_contiguous else seen.reshape(1, -1, seen.shape[2])


def _unpooled(
    stage: Stage, e: Tensor, first: Tensor | None, part: slice, out: Tensor | None = None
) -> Tensor:
    """Return the errors of the sums of some images, (images, *stage.sums)."""
    whole = e[part]
    if first is not None and stage.pool is not None:
        whole = unpool(whole, first[part], stage.pool, stage.sums, out)
    return whole


def forward_operands(stage: Stage, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Return A and B of the forward product: rows (batch, y, x), columns outputs."""
    return patches(x, stage.window), w


def gradient_operands(stage: Stage, x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    """Return A and B of the gradient product: rows (ky, kx, channel), columns outputs."""
    return patches(x, stage.window).T, e.reshape(-1, stage.outputs)


def error_operands(
    stage: Stage, e: Tensor, w: Tensor, phase: Phase | None = None
) -> tuple[Tensor, Tensor]:
    """Return A and B of an error product.

    For a dense layer, rows are (batch,) and columns (y, x, channel). For a phase of a convolution,
    rows are (batch, y, x), columns channels, and terms (ky, kx, output).
    """
    if phase is None:
        return e.reshape(len(e), -1), w.T
    window, (rows, columns, outputs) = stage.window, stage.sums
    # At input (y, x), weight (ky, kx) is the factor of the error of place
    # ((y + p - ky) / s, (x + p - kx) / s).
    y, x = (
        (np.array(places)[:, None] + window.padding - np.array(taps, int)) // window.stride
        for places, taps in ((phase.ys, phase.kys), (phase.xs, phase.kxs))
    )
    inside = ((y >= 0) & (y < rows))[:, None, :, None] & ((x >= 0) & (x < columns))[:, None]
    y, x = y.clip(0, rows - 1), x.clip(0, columns - 1)
    met = e[:, y[:, None, :, None], x[:, None]] * inside[..., None]
    by_tap = w.reshape(window.height, window.width, -1, outputs)
    taps = by_tap[phase.kys.start :: window.stride, phase.kxs.start :: window.stride]
    terms = phase.taps * outputs
    b = taps.transpose(0, 1, 3, 2).reshape(terms, stage.image[2])
    return met.reshape(len(e) * phase.places, terms), b
