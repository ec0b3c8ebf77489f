"""The WAGE quantizers on whole tensors that floats carry.

Products come out of BLAS as floats that hold whole numbers exactly (`golden.products`). To scale
one by a power of two, to clip it and to round it to a whole number are exact in floats too, so
these give, value for value, what the integer functions of `golden.quantize` give.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.lfsr import Words, dither
from golden.quantize import limit, shift_exponent, update_weight
from golden.threads import each, scratch, slices
from golden.training.layers.windows import Tensor

#: Values taken at a time, so that all that is made of them stays in a core's cache.
_BLOCK = 1 << 17


def forward_weight(n: Codes, bits: int, stored: int) -> NDArray[np.float32]:
    """Q_W in float32: `golden.quantize.ternarise`."""
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
    """ReLU and Q_A: `golden.quantize.quantize_activation`; of the type of `acc`."""
    codes, top = np.empty_like(acc), limit(bits)

    def block(part: slice) -> None:
        scaled = codes[part]
        np.multiply(acc[part], acc.dtype.type(2.0**-shift), out=scaled)
        np.clip(scaled, 0, top, out=scaled)
        np.rint(scaled, out=scaled)

    each(block, _blocks(acc))
    return codes


def exponent(values: Tensor, ceil: bool) -> tuple[int, int]:
    """The largest magnitude and log2 of its Shift; 0 and 0 where all values are zero."""
    maximum = int(max(values.max(), -values.min()))
    return maximum, shift_exponent(maximum, ceil) if maximum else 0


def error(values: Tensor, scale: int, bits: int) -> Tensor:
    """Q_E over 2^`scale`, to nearest: `golden.quantize.quantize_error`; of the type of `values`."""
    codes, top = np.empty_like(values), limit(bits)

    def block(part: slice) -> None:
        scaled = codes[part]
        np.multiply(values[part], values.dtype.type(2.0 ** (bits - 1 - scale)), out=scaled)
        np.clip(scaled, -top, top, out=scaled)
        np.rint(scaled, out=scaled)

    each(block, _blocks(values))
    return codes


def keep(values: Tensor, where: NDArray[Any]) -> None:
    """Zeroes in place what is not to be kept."""

    def block(part: slice) -> None:
        values[part] *= where[part]

    each(block, _blocks(values))


def _blocks(values: Tensor) -> list[slice]:
    """Rows to take at a time."""
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
    """Q_G and the saturating update: `golden.quantize.update_weight`.

    Parameters
    ----------
    n
        Stored weights.
    gradient
        Sums, of the shape of `n`.
    maximum
        Their largest magnitude.
    dropped
        Bits that Q_G drops, exponent less rate; below zero it appends some.
    saturation
        Largest magnitude of a stored weight.
    words
        Draws of `draw` bits, of the shape of `n`.
    out
        Where the new weights go; `n` will do.
    """
    out = np.empty_like(n) if out is None else out
    largest = maximum + (1 << max(dropped, 0))
    if largest > 1 << 53:
        r = dither(words, dropped, draw)
        out[...] = update_weight(n, gradient.astype(np.int64), dropped, 0, saturation, r)
        return out
    kind = np.dtype(np.float32 if largest <= 1 << 24 else np.float64)
    whole = np.dtype(f"u{kind.itemsize}")
    sign = whole.type(1 << (8 * kind.itemsize - 1))  # the bit of a float that says it is negative

    def block(part: slice) -> None:
        steps = scratch(n[part].shape, kind, "steps")
        np.multiply(gradient[part], 2.0 ** min(draw - dropped, 0), out=steps, dtype=kind)
        if dropped > 0:
            # The draw grows the magnitude: it has the sign of the sum.
            r = scratch(steps.shape, kind, "draws")
            if dropped > draw:  # on top of the field, and a constant one below it
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
