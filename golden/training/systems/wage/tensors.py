"""The WAGE quantizers on integers stored in floats.

BLAS computes products as exact integers in a float type (`golden.products`). Scaling by a power of
two, clipping and rounding to an integer are exact too, so all results are equal to those of the
integer functions in `golden.quantize`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.lfsr import Words, dither
from golden.quantize import limit, shift_exponent, update_weight
from golden.threads import each, scratch, slices
from golden.training.layers.windows import Tensor

#: Number of values that are processed at a time; they and their results fit a core's cache.
_BLOCK = 1 << 17


def forward_weight(n: Codes, bits: int, stored: int) -> NDArray[np.float32]:
    """Return Q_W, as `golden.quantize.ternarise`, in float32."""
    codes, top = np.empty(n.shape, np.float32), limit(bits)

    def block(part: slice) -> None:
        scaled = codes[part]
        np.copyto(scaled, n[part], casting="unsafe")
        scaled *= np.float32(2.0 ** (bits - stored))
        np.rint(scaled, out=scaled)
        np.clip(scaled, -top, top, out=scaled)

    each(block, _blocks(n))
    return codes


def activation(acc: Tensor, shift: int, bits: int) -> Tensor:
    """Return ReLU and Q_A, as `golden.quantize.quantize_activation`, in the type of `acc`."""
    codes, top = np.empty_like(acc), limit(bits)

    def block(part: slice) -> None:
        scaled = codes[part]
        np.multiply(acc[part], acc.dtype.type(2.0**-shift), out=scaled)
        np.clip(scaled, 0, top, out=scaled)
        np.rint(scaled, out=scaled)

    each(block, _blocks(acc))
    return codes


def exponent(values: Tensor, ceil: bool) -> tuple[int, int]:
    """Return the largest magnitude and log2 of its Shift; both are 0 if all values are 0."""
    maximum = int(max(values.max(), -values.min()))
    return maximum, shift_exponent(maximum, ceil) if maximum else 0


def error(values: Tensor, scale: int, bits: int) -> Tensor:
    """Return Q_E to nearest, as `golden.quantize.quantize_error`, in the type of `values`."""
    codes, top = np.empty_like(values), limit(bits)

    def block(part: slice) -> None:
        scaled = codes[part]
        np.multiply(values[part], values.dtype.type(2.0 ** (bits - 1 - scale)), out=scaled)
        np.clip(scaled, -top, top, out=scaled)
        np.rint(scaled, out=scaled)

    each(block, _blocks(values))
    return codes


def keep(values: Tensor, where: NDArray[Any]) -> None:
    """Set values to 0 in place, except where the mask is 1."""

    def block(part: slice) -> None:
        values[part] *= where[part]

    each(block, _blocks(values))


def _blocks(values: Tensor) -> list[slice]:
    """Return slices of rows that are processed at a time."""
    width = max(values.size // max(len(values), 1), 1)
    return slices(len(values), _BLOCK // width, width)


def update(
    n: Codes,
    gradient: Tensor,
    maximum: int,
    dropped: int,
    saturation: int,
    words: Words,
    draw: int,
    out: Codes | None = None,
) -> Codes:
    """Return Q_G and the saturating update, as `golden.quantize.update_weight`.

    Parameters
    ----------
    n
        Stored weights, any shape.
    gradient
        Gradient sums, in the shape of `n`.
    maximum
        Largest magnitude of the sums.
    dropped
        Number of bits that Q_G drops, exponent - rate; bits are appended if it is negative.
    saturation
        Largest magnitude of a stored weight.
    words
        Random words, in the shape of `n`.
    draw
        Bits of a random word.
    out
        Array for the new weights, which may be `n`; None allocates it.

    Returns
    -------
    Codes
        The new weights, in the shape of `n`.
    """
    out = np.empty_like(n) if out is None else out
    largest = maximum + (1 << max(dropped, 0))
    if largest > 1 << 53:
        r = dither(words, dropped, draw)
        out[...] = update_weight(n, gradient.astype(np.int64), dropped, 0, saturation, r)
        return out
    kind = np.dtype(np.float32 if largest <= 1 << 24 else np.float64)
    whole = np.dtype(f"u{kind.itemsize}")
    sign = whole.type(1 << (8 * kind.itemsize - 1))  # the sign bit of a float

    def block(part: slice) -> None:
        steps = scratch(n[part].shape, kind, "steps")
        np.multiply(gradient[part], 2.0 ** min(draw - dropped, 0), out=steps, dtype=kind)
        if dropped > 0:
            # The draw is added to the magnitude, so it gets the sign of the sum.
            r = scratch(steps.shape, kind, "draws")
            if dropped > draw:  # the highest dropped bits, and a constant 1 below them
                np.add(words[part], 0.5, out=r, dtype=kind, casting="unsafe")
            else:
                np.copyto(r, words[part] & words.dtype.type((1 << dropped) - 1), casting="unsafe")
            bits = scratch(steps.shape, whole, "signs")
            np.bitwise_and(steps.view(whole), sign, out=bits)
            bits |= r.view(whole)
            steps += bits.view(kind)
        steps *= kind.type(2.0 ** -min(dropped, draw))
        np.trunc(steps, out=steps)
        np.subtract(n[part], steps, out=steps, dtype=kind, casting="unsafe")
        np.clip(steps, -saturation, saturation, out=steps)
        np.copyto(out[part], steps, casting="unsafe")

    each(block, _blocks(n))
    return out
