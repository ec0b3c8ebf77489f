"""Products of a convolution, exact, against sums over every pixel, term and batch."""

import itertools

import numpy as np
import pytest

import golden.threads
from golden.training.layers import convolution
from golden.training.layers.network import Stage, Window, stages
from golden.training.layers.windows import max_pool, unpool

CASES = [
    (shape, f"{outputs}C{height}x{width}s{stride}p{padding}")
    for shape, (height, width), stride, outputs in itertools.product(
        [(5, 4, 1), (4, 6, 3)], [(1, 1), (2, 3), (3, 2), (3, 3), (4, 4)], (1, 2, 3), (1, 3)
    )
    for padding in range(min(height, width, 3))
]


def stage_of(network, shape) -> Stage:
    return stages(network, shape, 2)[0]


def operands(stage, batch, seed=0, bound=9):
    random = np.random.default_rng(seed)
    x = random.integers(-bound, bound + 1, (batch, *stage.image))
    w = random.integers(-bound, bound + 1, (stage.inputs, stage.outputs))
    e = random.integers(-bound, bound + 1, (batch, *stage.sums))
    return x, w, e


def terms(stage):
    """(y, x) of a place, a row of the weights, and (y, x, channel) of the pixel that they meet."""
    window, (height, width, channels) = stage.window, stage.image
    rows, columns, _ = stage.sums
    for place in np.ndindex(rows, columns):
        kernel = np.ndindex(window.height, window.width, channels)
        for row, (ky, kx, c) in enumerate(kernel):
            y = place[0] * window.stride + ky - window.padding
            x = place[1] * window.stride + kx - window.padding
            if 0 <= y < height and 0 <= x < width:
                yield place, row, (y, x, c)


@pytest.mark.parametrize(("shape", "network"), CASES)
def test_products_are_the_sums_over_their_terms(shape, network):
    stage, batch = stage_of(network, shape), 3
    x, w, e = operands(stage, batch)
    sums = np.zeros((batch, *stage.sums), np.int64)
    gradient = np.zeros(w.shape, np.int64)
    error = np.zeros(x.shape, np.int64)
    for b in range(batch):
        for place, row, seen in terms(stage):
            sums[b][place] += x[b][seen] * w[row]
            gradient[row] += x[b][seen] * e[b][place]
            error[b][seen] += e[b][place] @ w[row]
    assert np.array_equal(convolution.forward(stage, x, w, 9, 9), sums)
    assert np.array_equal(convolution.gradient(stage, x, e, 9, 9), gradient)
    assert np.array_equal(convolution.error(stage, e, w, 9, 9), error)
    for function, left, right, product in (
        (convolution.forward_operands, x, w, sums),
        (convolution.gradient_operands, x, e, gradient),
    ):
        a, b = function(stage, left, right)
        assert np.array_equal(a @ b, product.reshape(len(a), -1))
    assert np.array_equal(by_operands(stage, e, w), error)
    places = [(y, x) for phase in stage.phases for y in phase.ys for x in phase.xs]
    assert sorted(places) == list(np.ndindex(stage.image[:2]))
    for phase in stage.phases:
        y, x = phase.ys[0] + stage.window.padding, phase.xs[0] + stage.window.padding
        assert (y % stage.window.stride, x % stage.window.stride) == (phase.top, phase.left)


def by_operands(stage, e, w):
    """The error product by what the array multiplies: one product, or one for each phase."""
    error = np.full((len(e), *stage.image), -1, np.int64)
    for phase in (None,) if stage.dense else stage.phases:
        a, b = convolution.error_operands(stage, e, w, phase)
        part = error
        if phase is not None:
            assert a.shape[1] == phase.taps * stage.outputs
            part = error[:, phase.ys.start :: phase.ys.step, phase.xs.start :: phase.xs.step]
        part[...] = (a @ b).reshape(part.shape)
    return error


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        *itertools.product(
            ["4C3-MP2", "4C3-MP3s2", "4C3-MP3s1p1", "4C2s2p1-MP2", "4C2s2p1-MP3s2"], [(7, 8, 2)]
        ),
        ("4C3-MP2s3", (7, 8, 1)),
        ("3C5x6-MP3s1p1", (5, 6, 2)),
        ("3C5x6-MP2s1p1", (5, 6, 2)),
    ],
)
def test_pooling_in_between_changes_only_where(network, shape):
    stage = stage_of(network, shape)
    x, w, _ = operands(stage, 4, bound=2)
    sums, first = convolution.forward_pooled(stage, x, w, 2, 2)
    whole = convolution.forward(stage, x, w, 2, 2)
    best, wanted = max_pool(whole, stage.pool)
    assert np.array_equal(sums, best) and np.array_equal(first, wanted)
    e = np.random.default_rng(1).integers(-9, 10, sums.shape)
    spread = unpool(e, first, stage.pool, stage.sums)
    overlapped = 9 * stage.pool.overlap
    gradient = convolution.gradient(stage, x, e, 2, 9, first)
    assert np.array_equal(gradient, convolution.gradient(stage, x, spread, 2, overlapped))
    error = convolution.error(stage, e, w, 9, 2, first)
    assert np.array_equal(error, convolution.error(stage, spread, w, overlapped, 2))


def test_nothing_is_pooled_where_there_is_no_pooling():
    stage = stage_of("4C3", (6, 6, 2))
    x, w, _ = operands(stage, 4)
    sums, first = convolution.forward_pooled(stage, x, w, 9, 9)
    assert first is None
    assert np.array_equal(sums, convolution.forward(stage, x, w, 9, 9))


@pytest.mark.parametrize("network", ["3C3", "3C3-MP2", "3C3-MP3s1", "5FC"])
@pytest.mark.parametrize(("batch", "bound"), [(70, 127), (3, 32768)])
def test_the_largest_operands_lose_nothing(network, batch, bound):
    """Every partial sum at its largest: float32 alone would have lost the last bits."""
    stage = stage_of(network, (12, 12, 2))
    x = np.full((batch, *stage.image), bound)
    x[-1, -1, -1, -1] -= 1  # makes the sums odd
    e = np.full((batch, *stage.pooled), bound)
    w = np.full((stage.inputs, stage.outputs), bound)
    _, first = convolution.forward_pooled(stage, x, w, bound, bound)
    whole = e if first is None else unpool(e, first, stage.pool, stage.sums)
    a, b = convolution.gradient_operands(stage, x, whole)
    assert np.array_equal(convolution.gradient(stage, x, e, bound, bound, first), a @ b)
    everywhere = np.full((batch, *stage.sums), bound)
    a, b = convolution.gradient_operands(stage, x, everywhere)
    assert np.array_equal(convolution.gradient(stage, x, everywhere, bound, bound), a @ b)
    error = convolution.error(stage, e, w, bound, bound, first)
    assert np.array_equal(error, by_operands(stage, whole, w))
    a, b = convolution.forward_operands(stage, x, w)
    assert np.array_equal(convolution.forward(stage, x, w, bound, bound).reshape(len(a), -1), a @ b)


def test_errors_of_overlapping_windows_lose_nothing():
    """Nine windows took each of four places, which one pixel sees: more than errors could add up to
    without a pooling, and more than float32 holds.
    """
    stage, bound = stage_of("3C5-MP3s1", (12, 12, 1)), 471
    place = np.arange(6)
    first = 3 * ((2 - place[:, None]) % 3) + (2 - place) % 3  # to 2 or 5, down and across
    first = np.broadcast_to(first[None, :, :, None], (1, *stage.pooled))
    e, w = np.full(first.shape, bound), np.full((stage.inputs, stage.outputs), bound)
    w[0, 0] -= 1
    whole = unpool(e, first, stage.pool, stage.sums)
    assert set(np.unique(whole)) == {0, 9 * bound}
    error = by_operands(stage, whole, w)
    assert np.max(error) > 1 << 24 > bound**2 * stage.inputs * stage.outputs
    assert np.array_equal(convolution.error(stage, e, w, bound, bound, first), error)


def test_sums_beyond_double_precision_are_refused():
    stage = stage_of("3C3", (12, 12, 2))
    x, w, e = operands(stage, 2)
    for product, left, right in (
        (convolution.forward, x, w),
        (convolution.gradient, x, e),
        (convolution.error, e, w),
    ):
        with pytest.raises(ValueError, match=r"float64 is not exact there"):
            product(stage, left, right, 1 << 26, 1 << 26)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("cache", [1, 5000, 1 << 30])
def test_neither_threads_nor_pieces_change_a_bit(monkeypatch, threads, cache):
    stage = stage_of("4C3-MP2", (9, 8, 3))
    x, w, _ = operands(stage, 11, bound=127)

    def products():
        sums, first = convolution.forward_pooled(stage, x, w, 127, 127)
        e = np.random.default_rng(1).integers(-127, 128, sums.shape)
        return (
            sums,
            first,
            convolution.forward(stage, x, w, 127, 127),
            convolution.gradient(stage, x, e, 127, 127, first),
            convolution.error(stage, e, w, 127, 127, first),
        )

    plain = products()
    monkeypatch.setattr(convolution, "_CACHE", cache)
    monkeypatch.setattr(golden.threads, "threads", lambda: threads)
    for one, other in zip(plain, products(), strict=True):
        assert np.array_equal(one, other) and one.dtype == other.dtype


def test_operands_of_any_type_will_do():
    stage = stage_of("4C2-MP2", (5, 5, 1))
    x, w, _ = operands(stage, 2, bound=5)
    wanted = convolution.forward(stage, x, w, 5, 5)
    assert wanted.dtype == np.float32
    for kind in (np.int8, np.float32, np.float64):
        assert np.array_equal(
            convolution.forward(stage, x.astype(kind), w.astype(kind), 5, 5), wanted
        )


def test_a_window_over_the_whole_image_is_a_dense_layer():
    stage = stage_of("4C5x4", (5, 4, 3))
    assert stage.dense and stage.window == Window(height=5, width=4)
    x, w, _ = operands(stage, 2)
    assert np.array_equal(
        convolution.forward(stage, x, w, 9, 9).reshape(2, -1),
        x.reshape(2, -1) @ w,
    )
