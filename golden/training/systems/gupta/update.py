"""The update of Gupta's training: an exact sum a weight, rounded once, in slabs that a cache holds.

A dense layer's gradient is multiplied slab by slab too, and never stands in memory as a whole.

A sum is saturated to 62 bits, the widest code. That changes no update: at most 46 bits are dropped
from it, so what is cut lies beyond all words and would have been saturated by Convert.
"""

from typing import NamedTuple

import numpy as np

from golden.carried import Carried, fits, lead, round_led, saturate_carried
from golden.fixed import WIDEST, Codes, Conversion
from golden.lfsr import Words, dither
from golden.threads import each, scratch, slices
from golden.training.layers.convolution import product
from golden.training.systems.gupta.recipe import WORD, UpdateFactors

#: Weights in a slab: enough of them for BLAS, and for threads, whose loops must not be short.
SLAB = 1 << 17

_TOP = 1 << (WORD - 1)


def largest_sum(factors: UpdateFactors, gradient: int) -> int:
    """The largest magnitude that a sum can have with gradient sums up to `gradient`."""
    return factors.gradient * gradient + (factors.velocity + factors.weight) * _TOP


def exact_sum(
    factors: UpdateFactors, gradient: Carried, last: Carried, weight: Carried, bound: int
) -> Codes:
    """The update's sum, velocity * v - gradient * G - weight * w, saturated to 62 bits.

    Parameters
    ----------
    factors
        The whole factors.
    gradient, last, weight
        G, v and w: whole numbers in float64, below 2^53, all of one shape.
    bound
        Largest magnitude of the sum before it is saturated.
    """
    # int64 wraps around, which loses nothing where the sum itself fits.
    total = gradient.astype(np.int64)
    total *= -factors.gradient
    if factors.velocity:
        total += factors.velocity * last.astype(np.int64)
    if factors.weight:
        total -= factors.weight * weight.astype(np.int64)
    limit = 1 << (WIDEST - 1)
    if bound < limit:
        return total
    # A float says where it fits. Of the terms the gradient's alone can pass 2^66: so where this
    # estimate is within 2^62, it is right to 2^20, and elsewhere the sum is beyond 2^61 as it says.
    estimate = factors.velocity * last - factors.gradient * gradient - factors.weight * weight
    total = np.where(np.abs(estimate) < 2 * limit, total, np.where(estimate < 0, -limit, limit - 1))
    return np.clip(total, -limit, limit - 1)


class Gradient(NamedTuple):
    """Exact gradient sums of a tensor of words, made when they are asked for.

    Attributes
    ----------
    left, right
        They are `left` @ `right`, or `left` itself without a `right`.
    largest
        A bound of their magnitudes.
    """

    left: Carried
    right: Carried | None
    largest: int

    def led(self, factor: float, addend: float) -> "Gradient":
        """The same times a factor and plus an addend that leave them exact."""
        if self.right is None:
            return self._replace(left=self.left * factor + addend)
        if not addend:
            return self._replace(right=self.right * factor)
        # One more term of the products.
        depth, width = self.right.shape
        left, right = np.ones((depth + 1, len(self.left))), np.full((depth + 1, width), addend)
        left[:depth] = self.left.T
        np.multiply(self.right, factor, out=right[:depth])
        return self._replace(left=left.T, right=right)

    def rows(self, part: slice) -> Carried:
        """Some rows; the thread's next call overwrites them."""
        left = self.left[part]
        if self.right is None:
            return left
        room = scratch((len(left), self.right.shape[1]), np.float64, "gradient")
        return np.matmul(left, self.right, out=room)

    @property
    def whole(self) -> Carried:
        """All of them."""
        return self.left if self.right is None else product(self.left, self.right)


def update(
    factors: UpdateFactors,
    conversion: Conversion,
    gradient: Gradient,
    last: Carried | None,
    weight: Carried,
    words: Words | None,
    draw: int,
    reach: int = _TOP,
    out: Carried | None = None,
) -> int:
    """New weights, in place: v = Convert(sum), w = saturate(w + v).

    Parameters
    ----------
    factors
        The whole factors of the sum.
    conversion
        What Convert is to do with it.
    gradient
        Gradient sums, of the shape of the weights.
    last, weight
        v, None without momentum, and w.
    words
        Draws, of the size of the weights, for stochastic rounding; else None.
    draw
        Bits of a draw.
    reach
        A bound of the magnitudes of the weights.
    out
        Where the new updates go, if they are wanted; `last` will do.

    Returns
    -------
    A bound of the magnitudes of the new weights.
    """
    target = conversion.target
    bound = largest_sum(factors, gradient.largest)
    # Nothing is cut where nothing can come out of range.
    step = (bound >> conversion.dropped) + 1
    cut_step, cut_weight = step > target.maximum, reach + step > target.maximum
    floats = not factors.velocity and not factors.weight and fits(bound, conversion)
    first = lead(conversion, draw)
    sums = gradient
    if floats:
        sums = gradient.led(-factors.gradient * first.factor, first.addend)
    drawn = None if words is None else words.reshape(weight.shape)

    def slab(part: slice) -> None:
        g, w, bits = sums.rows(part), weight[part], None if drawn is None else drawn[part]
        if floats:
            round_led(g, conversion, bits, draw)
            if cut_step:
                saturate_carried(g, target)
        else:
            v = g if last is None else last[part]
            r = 0 if bits is None else dither(bits, conversion.dropped, draw)
            g = conversion(exact_sum(factors, g, v, w, bound), r).astype(np.float64)
        if out is not None:
            out[part] = g
        w += g
        if cut_weight:
            saturate_carried(w, target)

    width = weight.size // len(weight)
    each(slab, slices(len(weight), (SLAB if floats else SLAB // 4) // width, width))
    if not cut_weight:
        return reach + step
    return int(max(weight.max(), -weight.min()))
