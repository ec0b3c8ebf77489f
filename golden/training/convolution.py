"""Products of a layer with weights, exact: forward, gradient, error.

Tensors are (batch, height, width, channels), weights (inputs, outputs) with their rows in the order
(channel, ky, kx). All hold whole numbers, in any type; results are floats that hold them exactly
(`golden.products`). The `_operands` functions give the same product as the array multiplies it.

Sums of whole numbers do not depend on their order as long as none leaves the mantissa: products are
made from a few images at a time, so that what their windows see stays in a core's cache, and with
their terms in the order in which they copy fastest.
"""

import math
from threading import Lock

import numpy as np

from golden import threads
from golden.products import carrier
from golden.threads import each, scratch, slices
from golden.training.network import Stage, Window
from golden.training.windows import (
    Tensor,
    max_pool,
    patches,
    patches_last,
    spread_places,
    unpool,
    views,
)

#: Bytes that the windows of the images at hand may take up.
_CACHE = 3 << 19

#: Terms of a product that take as long as an element of another loop.
_TERMS = 16


def forward(stage: Stage, x: Tensor, w: Tensor, x_bound: int, w_bound: int) -> Tensor:
    """Sums of a layer, (batch, *stage.sums).

    `x_bound` and `w_bound` are the largest magnitudes that can come; the float type follows from
    them alone.
    """
    kind = carrier(x_bound * w_bound, stage.inputs)
    x, w = _seen(stage, x.astype(kind, copy=False)), _inner(stage, w.astype(kind, copy=False))
    sums = np.empty((len(x), *stage.sums), kind)
    if stage.dense:
        product(x, w, sums.reshape(len(x), -1))
        return sums

    def piece(part: slice) -> None:
        np.matmul(patches_last(x[part]), w, out=sums[part].reshape(-1, stage.outputs))

    each(piece, _pieces(stage, len(x), kind))
    return sums


def forward_pooled(
    stage: Stage, x: Tensor, w: Tensor, x_bound: int, w_bound: int
) -> tuple[Tensor, Tensor | None]:
    """Sums of a layer after its max-pooling, (batch, *stage.pooled), and which sum of a window was
    the first maximum (`golden.training.windows.max_pool`), None where nothing is pooled.
    """
    pool = stage.pool
    if pool is None:
        return forward(stage, x, w, x_bound, w_bound), None
    kind = carrier(x_bound * w_bound, stage.inputs)
    x, w = _seen(stage, x.astype(kind, copy=False)), _inner(stage, w.astype(kind, copy=False))
    sums = np.empty((len(x), *stage.pooled), kind)
    first = np.empty(sums.shape, np.min_scalar_type(pool.height * pool.width - 1))

    def piece(part: slice) -> None:
        seen = x[part] if stage.dense else patches_last(x[part])
        whole = np.matmul(seen, w, out=scratch((len(seen), stage.outputs), kind, "sums"))
        sums[part], first[part] = max_pool(whole.reshape(-1, *stage.sums), pool)

    each(piece, _pieces(stage, len(x), kind))
    return sums, first


def gradient(
    stage: Stage, x: Tensor, e: Tensor, x_bound: int, e_bound: int, first: Tensor | None = None
) -> Tensor:
    """Sums over batch and places of input times error, (inputs, outputs).

    With `first`, from `forward_pooled`, `e` is of the pooled sums and so is `e_bound`.
    """
    rows, columns, outputs = stage.sums if first is None else stage.pooled
    term = x_bound * e_bound * rows * columns  # no more errors of an image add up, pooled or not
    whole = carrier(term, len(x))
    if stage.dense:  # one product, and nothing to add it to
        x, e = x.astype(whole, copy=False), e.astype(whole, copy=False)
        return product(as_rows(stage, x).T, e.reshape(-1, outputs))
    exact = ((1 << 24) - 1) // max(term, 1)  # images whose sum float32 holds
    kind = np.float32 if exact else whole
    x, e = _seen(stage, x.astype(kind, copy=False)), e.astype(kind, copy=False)
    total, lock = np.zeros((stage.inputs, outputs), whole), Lock()

    def piece(part: slice) -> None:
        errors = _unpooled(stage, e, first, part).reshape(-1, outputs)
        sums = scratch(total.shape, kind, "sums")
        np.matmul(patches_last(x[part]).T, errors, out=sums)
        with lock:
            np.add(total, sums, out=total)

    each(piece, _pieces(stage, len(x), kind, exact or len(x)))
    return _outer(stage, total)


def error(
    stage: Stage, e: Tensor, w: Tensor, e_bound: int, w_bound: int, first: Tensor | None = None
) -> Tensor:
    """Sums of errors times weights for every input, as the array has them: rows (batch, y, x) and
    columns channels, but for a dense layer rows of the batch and columns inputs.

    `as_image` makes a tensor of it. With `first`, from `forward_pooled`, `e` is of the pooled sums
    and so is `e_bound`.
    """
    window = stage.window
    if first is not None and stage.pool is not None:
        e_bound *= stage.pool.overlap
    kind = carrier(e_bound * w_bound, window.height * window.width * stage.outputs)
    e, w = e.astype(kind, copy=False), w.astype(kind, copy=False)
    if stage.dense:
        return product(_unpooled(stage, e, first, slice(None)).reshape(len(e), -1), w.T)
    rows, columns, outputs = stage.sums
    channels = stage.image[2]
    by_offset = w.reshape(channels, window.height * window.width, outputs).transpose(1, 2, 0)
    back = np.ascontiguousarray(by_offset)
    sums = np.empty((len(e), *stage.image), kind)

    def piece(part: slice) -> None:
        errors = _unpooled(stage, e, first, part)
        images = len(errors)
        # Places first, images next: what an offset of the window adds is then long runs.
        by_place = scratch((rows, columns, images, outputs), kind, "errors")
        np.copyto(by_place, errors.transpose(1, 2, 0, 3))
        seen = scratch((len(back), rows * columns * images, channels), kind, "seen")
        np.matmul(by_place.reshape(-1, outputs), back, out=seen)
        seen = seen.reshape(-1, rows, columns, images, channels)
        sums[part] = spread_places(seen, window, stage.image).transpose(2, 0, 1, 3)

    each(piece, _pieces(stage, len(e), kind))
    return sums.reshape(-1, channels)


def pool(stage: Stage, y: Tensor) -> tuple[Tensor, Tensor | None]:
    """Outputs of a layer, (batch, *stage.sums), after its max-pooling: see `forward_pooled`."""
    window = stage.pool
    if window is None:
        return y, None
    best = np.empty((len(y), *stage.pooled), y.dtype)
    first = np.empty(best.shape, np.min_scalar_type(window.height * window.width - 1))

    def piece(part: slice) -> None:
        best[part], first[part] = max_pool(y[part], window)

    each(piece, _images(stage, y))
    return best, first


def unpooled(stage: Stage, e: Tensor, first: Tensor | None) -> Tensor:
    """Errors of a layer before its max-pooling, (batch, *stage.sums)."""
    if first is None:
        return e
    whole = np.empty((len(e), *stage.sums), e.dtype)

    def piece(part: slice) -> None:
        whole[part] = _unpooled(stage, e, first, part)

    each(piece, _images(stage, whole))
    return whole


def _images(stage: Stage, sums: Tensor) -> list[slice]:
    """Images whose sums a cache holds."""
    size = math.prod(stage.sums)
    return slices(len(sums), _cache() // (2 * size * sums.itemsize), size)


def _cache() -> int:
    """`_CACHE`, but more for threads, which hand the interpreter's lock over after every loop: the
    longer ones are, the less that costs.
    """
    return _CACHE if threads.threads() < 2 else 4 * _CACHE


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """`a` @ `b` of two matrices, by columns of `b` or rows of `a` on all threads."""
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
    """Images to take at a time, at most `most`."""
    rows, columns, outputs = stage.sums
    image = rows * columns * (stage.inputs + outputs) * np.dtype(kind).itemsize
    size = batch if stage.dense else max(_cache() // image, 1)
    return slices(batch, min(size, most or batch), image)


def _seen(stage: Stage, x: Tensor) -> Tensor:
    """What the windows see, image by image, without a copy where it is large."""
    return as_rows(stage, x) if stage.dense else views(x, stage.window)


def _unpooled(stage: Stage, e: Tensor, first: Tensor | None, part: slice) -> Tensor:
    """Errors of some images at every place of the sums, (images, *stage.sums)."""
    whole = e[part]
    if first is not None and stage.pool is not None:
        whole = unpool(whole, first[part], stage.pool, stage.sums)
    return whole


def _inner(stage: Stage, w: Tensor) -> Tensor:
    """Weights with the channel last in their rows; a dense layer's stay as they are."""
    if stage.dense:
        return w
    window, channels = stage.window, stage.image[2]
    by_channel = w.reshape(channels, window.height, window.width, stage.outputs)
    return by_channel.transpose(1, 2, 0, 3).reshape(-1, stage.outputs)


def _outer(stage: Stage, w: Tensor) -> Tensor:
    """The inverse of `_inner`."""
    if stage.dense:
        return w
    window, channels = stage.window, stage.image[2]
    by_place = w.reshape(window.height, window.width, channels, stage.outputs)
    return by_place.transpose(2, 0, 1, 3).reshape(-1, stage.outputs)


def as_image(stage: Stage, rows: Tensor) -> Tensor:
    """What `error` gave, or what was made of it, as a tensor (batch, *stage.image)."""
    height, width, channels = stage.image
    if stage.dense:
        return rows.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    return rows.reshape(-1, height, width, channels)


def as_rows(stage: Stage, image: Tensor) -> Tensor:
    """The inverse of `as_image`."""
    if stage.dense:
        return image.transpose(0, 3, 1, 2).reshape(len(image), -1)
    return image.reshape(-1, stage.image[2])


def forward_operands(stage: Stage, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """A and B of the forward product: rows (batch, y, x), columns outputs."""
    return patches(x, stage.window), w


def gradient_operands(stage: Stage, x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    """A and B of the gradient product: rows (channel, ky, kx), columns outputs."""
    return patches(x, stage.window).T, e.reshape(-1, stage.outputs)


def error_operands(stage: Stage, e: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """A and B of the error product, for the rows and columns of `error`.

    A convolution's errors are laid out with zeros between them (its stride) and around them, and
    seen through the same window; its weights stand in B turned by half a turn.
    """
    if stage.dense:
        return e.reshape(len(e), -1), w.T
    window, (height, width, channels) = stage.window, stage.image
    rows, columns = stage.sums[:2]
    step, p = window.stride, window.padding
    spaced = np.zeros(
        (len(e), height + window.height - 1, width + window.width - 1, stage.outputs), e.dtype
    )
    # An error of place (y, x) meets input (y * step + ky - p, x * step + kx - p) by weight
    # (ky, kx).
    top, left = window.height - 1 - p, window.width - 1 - p
    spaced[:, top : top + step * rows : step, left : left + step * columns : step] = e
    turned = w.reshape(channels, window.height, window.width, stage.outputs)[:, ::-1, ::-1]
    b = turned.transpose(3, 1, 2, 0).reshape(-1, channels)
    return patches(spaced, Window(height=window.height, width=window.width)), b
