"""The update of Gupta's training: one exact sum per weight, rounded once.

Weights are updated in slabs of rows that fit a cache. The gradient of a dense layer is computed for
each slab too, so the whole gradient is never in memory.

Sums are saturated to 62 bits, the widest code. This does not change any update: at most 46 bits are
dropped, so the clipped sums are beyond all words, and Convert saturates them as well.
"""

from typing import NamedTuple

import numpy as np

from golden.carried import Carried, fits, lead, round_led, saturate_carried
from golden.fixed import WIDEST, Codes, Conversion
from golden.lfsr import Words, addends
from golden.threads import each, scratch, slices
from golden.training.layers.convolution import product
from golden.training.systems.gupta.recipe import WORD, UpdateFactors

#: Number of weights in a slab: large enough for BLAS to be efficient, and for loops in threads.
SLAB = 1 << 17

_TOP = 1 << (WORD - 1)


def largest_sum(factors: UpdateFactors, gradient: int) -> int:
    """Return the largest magnitude of an update's sum, for gradient sums up to `gradient`."""
    return factors.gradient * gradient + (factors.velocity + factors.weight) * _TOP


def exact_sum(
    factors: UpdateFactors, gradient: Carried, last: Carried, weight: Carried, bound: int
) -> Codes:
    """Return the sums velocity * v - gradient * G - weight * w, saturated to 62 bits.

    Parameters
    ----------
    factors
        The factors.
    gradient, last, weight
        G, v and w: integers below 2^53 in float64, in the same shape.
    bound
        Upper bound of the sums' magnitudes before saturation.

    Returns
    -------
    Codes
        Sums, int64, in that shape.
    """
    # int64 wraps around, so a sum that fits is right even if a term does not fit.
    total = gradient.astype(np.int64)
    total *= -factors.gradient
    if factors.velocity:
        total += factors.velocity * last.astype(np.int64)
    if factors.weight:
        total -= factors.weight * weight.astype(np.int64)
    limit = 1 << (WIDEST - 1)
    if bound < limit:
        return total
    # An estimate in float64 decides where the sum fits. Only the gradient's term can exceed 2^66.
    # So if the estimate is within 2^62, its error is at most 2^20; otherwise, the sum is beyond
    # 2^61 and has the sign of the estimate.
    estimate = factors.velocity * last - factors.gradient * gradient - factors.weight * weight
    total = np.where(np.abs(estimate) < 2 * limit, total, np.where(estimate < 0, -limit, limit - 1))
    return np.clip(total, -limit, limit - 1)


class Gradient(NamedTuple):
    """Exact gradient sums of a tensor of words, computed on demand.

    Attributes
    ----------
    left, right
        The sums are `left` @ `right`; without `right`, they are `left`.
    largest
        Upper bound of their magnitudes.
    """

    left: Carried
    right: Carried | None
    largest: int

    def led(self, factor: float, addend: float) -> "Gradient":
        """Return the sums times a factor, plus an addend; the results must be exact."""
        if self.right is None:
            return self._replace(left=self.left * factor + addend)
        if not addend:
            return self._replace(right=self.right * factor)
        # The addend is one more term of the products.
        depth, width = self.right.shape
        left, right = np.ones((depth + 1, len(self.left))), np.full((depth + 1, width), addend)
        left[:depth] = self.left.T
        np.multiply(self.right, factor, out=right[:depth])
        return self._replace(left=left.T, right=right)

    def rows(self, part: slice) -> Carried:
        """Return some rows; the thread's next call may overwrite them."""
        left = self.left[part]
        if self.right is None:
            return left
        room = scratch((len(left), self.right.shape[1]), np.float64, "gradient")
        return np.matmul(left, self.right, out=room)

    @property
    def whole(self) -> Carried:
        """All sums."""
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
    """Update weights in place: v = Convert(sum), w = saturate(w + v).

    Parameters
    ----------
    factors
        Factors of the sum.
    conversion
        Conversion of the sum.
    gradient
        Gradient sums, in the shape of the weights.
    last
        Previous updates v; None without momentum.
    weight
        Weights w, which are overwritten.
    words
        Random words, as many as weights; None if the rounding is not stochastic.
    draw
        Bits of a random word.
    reach
        Upper bound of the weights' magnitudes.
    out
        Array for the new updates, which may be `last`; None drops them.

    Returns
    -------
    int
        Upper bound of the new weights' magnitudes.
    """
    target = conversion.target
    bound = largest_sum(factors, gradient.largest)
    # No saturation if the bounds are within the range.
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
            r = 0 if bits is None else addends(bits, conversion.dropped, draw)
            g = conversion.apply(exact_sum(factors, g, v, w, bound), r).astype(np.float64)
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
