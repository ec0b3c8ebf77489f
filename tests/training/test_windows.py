"""Windows over images, against loops over every pixel."""

import itertools

import numpy as np
import pytest

from golden.training.layers.network import Window
from golden.training.layers.windows import (
    max_pool,
    padded,
    patches,
    scratch_patches,
    spread,
    spread_places,
    unpool,
    views,
)

SHAPES = [(5, 6, 1), (4, 7, 3), (6, 4, 2)]
WINDOWS = [
    Window(height=height, width=width, stride=stride, padding=padding)
    for height, width, stride in itertools.product((1, 2, 3, 4), (1, 2, 3), (1, 2, 3))
    for padding in range(min(height, width, 3))
]


def pixel(image, y, x):
    """Pixel of an image of (height, width, channels), None in the padding."""
    height, width, _ = image.shape
    return image[y, x] if 0 <= y < height and 0 <= x < width else None


def places(window, shape):
    """Where the window's corner stands, place by place, in row-major order."""
    rows, columns = window.places(*shape[:2])
    step, p = window.stride, window.padding
    return [(y * step - p, x * step - p) for y in range(rows) for x in range(columns)]


def tensor(shape, kind=np.int64, batch=2, seed=0):
    return np.random.default_rng(seed).integers(-9, 10, (batch, *shape)).astype(kind)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [np.int64, np.float32])
def test_patches_are_what_the_window_sees(shape, kind):
    x = tensor(shape, kind)
    for window in WINDOWS:
        rows = []
        for image in x:
            for top, left in places(window, shape):
                row = []
                for ky in range(window.height):
                    for kx in range(window.width):
                        seen = pixel(image, top + ky, left + kx)
                        row.extend([0] * shape[2] if seen is None else seen)
                rows.append(row)
        seen = patches(x, window)
        assert seen.dtype == kind
        assert np.array_equal(seen, rows)
        by_image = scratch_patches(views(x, window))
        assert np.array_equal(by_image.reshape(seen.shape), seen)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [np.int64, np.float32])
def test_spread_adds_up_where_it_was_seen(shape, kind):
    random = np.random.default_rng(1)
    for window in WINDOWS:
        size = (2, len(places(window, shape)), window.height, window.width, shape[2])
        seen = random.integers(-9, 10, size).astype(kind)
        wanted = np.zeros((2, *shape), kind)
        for b, (place, (top, left)) in itertools.product(
            range(2), enumerate(places(window, shape))
        ):
            for ky, kx in np.ndindex(size[2:4]):
                target = pixel(wanted[b], top + ky, left + kx)
                if target is not None:
                    target += seen[b, place, ky, kx]
        rows = size[0] * size[1]
        found = spread(seen.reshape(rows, -1), window, shape, 2)
        assert found.dtype == kind
        assert np.array_equal(found, wanted)
        by_place = seen.reshape(2, *window.places(*shape[:2]), -1, shape[2])
        by_place = by_place.transpose(3, 1, 2, 0, 4)
        spread_out = spread_places(by_place, window, shape)
        assert np.array_equal(spread_out.transpose(2, 0, 1, 3), wanted)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [np.int64, np.int8, np.float32, np.float64])
def test_pooling_takes_the_first_maximum(shape, kind):
    random = np.random.default_rng(2)
    x = random.integers(-3, 1, (2, *shape)).astype(kind)  # ties, and none above a padding of 0
    ties = 0
    for window in WINDOWS:
        best, first = max_pool(x, window)
        assert best.dtype == kind
        assert best.shape == first.shape == (2, *window.places(*shape[:2]), shape[2])
        d = random.integers(1, 10, best.shape).astype(kind)
        errors = np.zeros_like(x)
        for b, (place, (top, left)) in itertools.product(
            range(2), enumerate(places(window, shape))
        ):
            row, column = divmod(place, best.shape[2])
            for c in range(shape[2]):
                inside = []
                for offset, (ky, kx) in enumerate(np.ndindex(window.height, window.width)):
                    seen = pixel(x[b], top + ky, left + kx)
                    if seen is not None:
                        inside.append((-seen[c], offset, (top + ky, left + kx)))
                ties += len(inside) > 1 and sorted(inside)[0][0] == sorted(inside)[1][0]
                value, offset, (y, x_) = min(inside)
                assert best[b, row, column, c] == -value
                assert first[b, row, column, c] == offset
                errors[b, y, x_, c] += d[b, row, column, c]
        found = unpool(d, first, window, shape)
        assert found.dtype == kind
        assert np.array_equal(found, errors)
    assert ties > 100


def test_large_windows_have_room_for_their_places():
    x = np.zeros((1, 20, 20, 1))
    x[0, 19, 18] = 1
    window = Window(height=20, width=20)
    best, first = max_pool(x, window)
    assert best[0, 0, 0, 0] == 1 and first[0, 0, 0, 0] == 398
    assert np.array_equal(unpool(best, first, window, (20, 20, 1)), x)


def test_no_padding_is_no_copy():
    x = tensor((4, 4, 2))
    assert padded(x, Window(height=3, width=3)) is x
    wide = padded(x, Window(height=3, width=3, padding=2), -5)
    assert wide.shape == (2, 8, 8, 2) and np.array_equal(wide[:, 2:6, 2:6], x)
    assert np.count_nonzero(wide == -5) == (64 - 16) * 4 + np.count_nonzero(x == -5)
