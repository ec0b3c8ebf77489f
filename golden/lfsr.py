"""Random bits: leap-forward Galois LFSRs, one lane a rounder.

A draw takes the low bits of a lane's state, and the state then leaps a power of two of
single steps, so that successive draws share no bits. Lanes start far apart on the same
period. Both distances are what keeps the roundings independent; docs/numerics.md says
what goes wrong without them.

In bulk, draws are made without a loop over draws: states that lie a power of two of steps apart
obey the recurrence of the single steps, and p(x)^(2^j) = p(x^(2^j)) over GF(2), so blocks of a
sequence give its next block by a few XORs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.borders import Border
from golden.fixed import Codes
from golden.port import Port
from golden.settings import Bound, check_settings, setting
from golden.twin import Trace, Twin

#: Maximal-length masks by register width; the first of each is the default.
MASKS: dict[int, tuple[int, ...]] = {
    8: (0xFA,),
    9: (0x1FD,),
    10: (0x3FC,),
    12: (0xD8F,),
    14: (0x2496,),
    16: (0x8679, 0xB400),
    17: (0x1030E,),
    18: (0x206CD,),
    20: (0x807B8,),
    24: (0x800B87,),
    32: (0xA3000000, 0x80000EA6, 0x80200003),
    64: (0xD800000000000000,),
}

#: Random words, one a rounded value.
Words = NDArray[np.unsignedinteger]

#: The most lanes of one seed.
MOST_LANES = 255


def step(state: int, mask: int) -> int:
    """One step of the register: shift right, and the mask where a one fell out."""
    return state >> 1 ^ (mask if state & 1 else 0)


def _polynomial(bits: int, mask: int) -> int:
    """Characteristic polynomial of the step; bit t is the coefficient of x^t."""
    return 1 << bits | int(f"{mask:0{bits}b}"[::-1], 2)


@lru_cache(maxsize=1024)
def _power(bits: int, mask: int, steps: int) -> int:
    """x^steps modulo the characteristic polynomial."""
    modulus = _polynomial(bits, mask)

    def times(a: int, b: int) -> int:
        product = 0
        while b:
            if b & 1:
                product ^= a
            b >>= 1
            a <<= 1
            if a >> bits:
                a ^= modulus
        return product

    result = 1
    for bit in f"{steps:b}":
        result = times(result, result)
        if bit == "1":
            result = times(result, 2)
    return result


def _prime_factors(number: int) -> list[int]:
    factors, trial = [], 3
    while trial * trial <= number:
        if number % trial == 0:
            factors.append(trial)
            while number % trial == 0:
                number //= trial
        trial += 2
    return factors + [number] if number > 1 else factors


@lru_cache(maxsize=1024)
def is_maximal(bits: int, mask: int) -> bool:
    """Whether the register runs through all 2^bits - 1 states:
    the order of its polynomial says so.
    """
    if not mask >> (bits - 1):
        return False  # the top bit is what makes a step invertible
    period = (1 << bits) - 1
    return _power(bits, mask, period) == 1 and all(
        _power(bits, mask, period // prime) != 1 for prime in _prime_factors(period)
    )


#: The largest state of a generator, and so the number of its states.
_STATES = Bound("2^bits - 1", lambda generator: (1 << generator.bits) - 1)


@dataclass(frozen=True, kw_only=True)
class Generator:
    """A random-bit generator (N, mask, L, B) and its seed.

    Parameters
    ----------
    bits
        Width N of the generator's register: 8, 9, 10, 12, 14, 16, 17, 18, 20, 24, 32 or 64 bits.
    mask
        Feedback mask, 1 to 2^bits - 1. None takes the first one of the width. A mask that is not
        maximal is refused.
    leap
        Steps per draw L, 1 to 64, a power of two.
    draw
        Random bits per draw B, 1 to the least of leap, bits - 1 and 32.
    seed
        State of lane 0 before its first draw, 1 to 2^bits - 1.
    """

    bits: int = setting(
        32, "Width N of the generator's register", low=8, high=64, allowed=MASKS, unit="bits"
    )
    mask: int | None = setting(
        None,
        "Feedback mask",
        low=1,
        high=_STATES,
        none="None takes the first one of the width.",
        more="A mask that is not maximal is refused.",
        hexadecimal=True,
    )
    leap: int = setting(16, "Steps per draw L", low=1, high=64, power_of_two=True)
    draw: int = setting(
        16,
        "Random bits per draw B",
        low=1,
        high=(
            Bound("leap", lambda generator: generator.leap),
            Bound("bits - 1", lambda generator: generator.bits - 1),
            32,
        ),
    )
    seed: int = setting(1, "State of lane 0 before its first draw", low=1, high=_STATES)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.mask is not None and not is_maximal(self.bits, self.mask):
            known = ", ".join(f"{mask:X}" for mask in MASKS[self.bits])
            raise ValueError(
                f"mask = {self.mask:X}: not of maximal length at {self.bits} bits; {known} would be"
            )

    @property
    def taps(self) -> int:
        """The feedback mask in use."""
        return MASKS[self.bits][0] if self.mask is None else self.mask

    @property
    def lane_steps(self) -> int:
        """Single steps from one lane's start to the next one's, J."""
        return 1 << (self.bits - 8)

    def advance(self, state: int, steps: int) -> int:
        """`state` after `steps` single steps, in time that grows with log(steps)."""
        power, ahead = _power(self.bits, self.taps, steps), 0
        while power:
            if power & 1:
                ahead ^= state
            power >>= 1
            state = step(state, self.taps)
        return ahead

    def lane_seed(self, lane: int) -> int:
        """State of `lane` before its first draw:
        the seed advanced by lane * lane_steps single steps.
        """
        return self.advance(self.seed, lane * self.lane_steps)

    def require_lanes(self, lanes: int) -> None:
        """Raise a ValueError unless this generator can serve lanes 0 to `lanes` - 1 apart."""
        check.whole("lanes of one seed", lanes, 1, MOST_LANES)
        if lanes > 1 and self.lane_steps <= self.leap * max(64, lanes):
            raise ValueError(
                f"{lanes} lanes of a generator of {self.bits} bits: "
                f"lanes start 2^{self.bits - 8} = {self.lane_steps} steps apart, "
                f"more than leap * max(64, lanes) = {self.leap * max(64, lanes)} are needed; "
                f"take a wider generator or a smaller leap"
            )


def dither(words: ArrayLike, dropped: ArrayLike, draw: int) -> Codes:
    """The random addend r in [0, 2^dropped) that a draw gives.

    Parameters
    ----------
    words
        Draws, `draw` bits each.
    dropped
        Bits dropped, s; none or fewer give 0. Where s exceeds `draw`, the word stands on top
        of the field and a constant one below it keeps the mean error at 2^-(s+1) ulp.
    """
    words = np.asarray(words).astype(np.int64)
    s = np.maximum(np.asarray(dropped, np.int64), 0)
    taken = np.minimum(s, draw)
    missing = s - taken
    below = np.int64(1) << missing >> 1  # 0 where none is missing
    r: Codes = (words & (np.int64(1) << taken) - 1) << missing | below
    return r


#: Words that the longest step, by which draws are made of earlier ones, goes back at most: blocks
#: of that size stay in a cache.
_MOST_STEP = 1 << 16

#: Words that are made anyway, as to leap over them would take as long.
_FEW = 1 << 18


class Lanes:
    """Lanes in training order: hands out draws in bulk and remembers where each lane is.

    Parameters
    ----------
    generator
        The generator all lanes share.
    first
        Number of the first lane.
    count
        Lanes.

    Attributes
    ----------
    made
        Draws made so far.
    """

    def __init__(self, generator: Generator, first: int, count: int):
        generator.require_lanes(first + count)
        self._begin(generator, first, [generator.lane_seed(first + lane) for lane in range(count)])

    @classmethod
    def at(cls, generator: Generator, states: Sequence[int], first: int = 0) -> "Lanes":
        """Lanes that continue from given states: from another `Lanes.states`, or as read from
        hardware.

        Parameters
        ----------
        generator
            The generator all lanes share; its seed is not used.
        states
            State of every lane before its next draw, 1 to 2^bits - 1 each.
        first
            Number of the first lane.

        Returns
        -------
        Lanes whose `made` is 0.

        Raises
        ------
        ValueError
            A state is out of range, or there are too many lanes.

        Examples
        --------
        >>> lanes = Lanes(Generator(), 0, 2)
        >>> first_words = lanes.take(5)
        >>> restored = Lanes.at(Generator(), lanes.states)
        >>> bool((restored.take(3) == lanes.take(3)).all())
        True
        """
        generator.require_lanes(first + len(states))
        most = (1 << generator.bits) - 1
        lanes = object.__new__(cls)
        lanes._begin(
            generator,
            first,
            [check.whole(f"state of lane {first + k}", s, 1, most) for k, s in enumerate(states)],
        )
        return lanes

    def _begin(self, generator: Generator, first: int, states: list[int]) -> None:
        self.generator = generator
        self.first = first
        self.count = count = len(states)
        self.made = 0
        #: State of every lane when `made` was 0.
        self._starts = states
        # The recurrence holds bit by bit, so the bits of a draw are enough.
        kind = np.uint16 if generator.draw <= 16 else np.uint32
        low = (1 << generator.draw) - 1
        #: The next `bits` draws or more, of which all others follow.
        self._ahead: Words = np.empty((generator.bits, count), kind)
        for lane, state in enumerate(states):
            for draw in range(generator.bits):
                self._ahead[draw, lane] = state & low
                state = generator.advance(state, generator.leap)
        self._room: Words = np.empty(0, kind)

    def copy(self) -> "Lanes":
        """Lanes at the same place that move on their own."""
        twin = object.__new__(Lanes)
        # A view of the room would keep all of it in memory.
        twin.__dict__.update(self.__dict__, _room=np.empty(0, self._room.dtype))
        return twin

    def peek(self) -> Words:
        """The next draw of every lane, (lanes,); the lanes stay where they are."""
        return self._ahead[0]

    def take(self, draws: int) -> Words:
        """The next `draws` draws of every lane, (draws, lanes); the lanes move on."""
        return self.lend(draws).copy()

    def lend(self, draws: int, lanes: int | None = None) -> Words:
        """`take`, but of words that the lanes' next draw overwrites; of the first `lanes` alone, if
        told.
        """
        wanted = self.count if lanes is None else lanes
        self.made += draws
        bits = self.generator.bits
        if draws * (self.count - wanted) >= _FEW:
            others = self._leapt(self._ahead[:, wanted:], draws)
            words = self._extended(self._ahead[:, :wanted], draws + bits)
            self._ahead = np.hstack([words[draws:], others])
            return words[:draws]
        # Many are made faster by long steps, which need more to start from.
        keep = bits * min(1 << (draws // bits).bit_length() >> 1, self._most_scale(self.count))
        words = self._extended(self._ahead, draws + max(keep, len(self._ahead)))
        self._ahead = words[draws:].copy()
        return words[:draws, :wanted]

    def _most_scale(self, lanes: int) -> int:
        """The longest step, in register widths: a power of two."""
        return 1 << (_MOST_STEP // (self.generator.bits * lanes)).bit_length() - 1

    def _extended(self, ahead: Words, rows: int) -> Words:
        """So many draws, from the first of them: `bits` or more."""
        bits, taps = self.generator.bits, self.generator.taps
        ahead = ahead[:rows]
        have, lanes = ahead.shape
        most = self._most_scale(lanes)
        if rows * lanes > len(self._room):
            self._room = np.empty(rows * lanes, ahead.dtype)
        words = self._room[: rows * lanes].reshape(rows, lanes)
        words[:have] = ahead
        offsets = [bits - 1 - bit for bit in range(bits) if taps >> bit & 1]
        reach = bits - max(offsets)  # rows a block of one can make at a time
        while have < rows:
            scale = min(1 << (have // bits).bit_length() - 1, most)
            block = min(reach * scale, rows - have)
            start = have - bits * scale
            first, second, *others = (words[start + offset * scale :][:block] for offset in offsets)
            target = words[have : have + block]
            np.bitwise_xor(first, second, out=target)
            for other in others:
                target ^= other
            have += block
        return words

    def _leapt(self, ahead: Words, draws: int) -> Words:
        """The `bits` draws that stand so many draws further on than `ahead`."""
        bits, taps = self.generator.bits, self.generator.taps
        # d[n] is the sum of d[t] for the terms x^t of x^n modulo the polynomial.
        power = _power(bits, taps, draws)
        near = self._extended(ahead[:bits], 2 * bits)
        terms = [near[term:][:bits] for term in range(bits) if power >> term & 1]
        leapt: Words = np.bitwise_xor.reduce(terms)
        return leapt

    @property
    def states(self) -> list[int]:
        """State of every lane before its next draw."""
        generator = self.generator
        return [generator.advance(start, self.made * generator.leap) for start in self._starts]


@dataclass(frozen=True, kw_only=True)
class LfsrConfig:
    """Lanes of random bits side by side; all leap at the same draw.

    Parameters
    ----------
    generator
        The generator that all lanes share.
    lanes
        Lanes side by side, 1 to 255.
    first_lane
        Number of the first lane, 0 to 254. first_lane + lanes is at most 255.
    """

    #: What each figure counts.
    FIGURES: ClassVar[dict[str, str]] = {"latency": "Clocks from a draw to the next word: 1."}

    generator: Generator = setting(Generator(), "The generator that all lanes share")
    lanes: int = setting(1, "Lanes side by side", low=1, high=MOST_LANES)
    first_lane: int = setting(
        0,
        "Number of the first lane",
        low=0,
        high=MOST_LANES - 1,
        more="first_lane + lanes is at most 255.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        self.generator.require_lanes(self.first_lane + self.lanes)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("o_valid", "out", 1, meaning="always 1"),
            Port("o_ready", "in", 1, meaning="every generator leaps at this edge"),
            Port(
                "o_data",
                "out",
                self.generator.draw,
                lanes=self.lanes,
                meaning="random bits, a word per lane",
            ),
        )

    @property
    def latency(self) -> int:
        """Clocks from a draw to the next word: 1."""
        return 1

    def lane(self, number: int) -> "LfsrConfig":
        """One of the lanes alone, by its place among them."""
        return replace(self, lanes=1, first_lane=self.first_lane + number)

    def start(self) -> Lanes:
        """The lanes before their first draw."""
        return Lanes(self.generator, self.first_lane, self.lanes)

    def borders(self) -> list[Border]:
        """None: a word depends on no operand."""
        return []

    @property
    def throughput(self) -> str:
        """What a clock gives."""
        return (
            "one draw of every lane a clock; never stalls, and holds its word while o_ready is low"
        )


class Lfsr(Twin[Lanes]):
    """Twin of `hdl.Lfsr`: `o_ready` in; `o_valid` (always 1) and `o_data` (clocks, lanes) out."""

    def __init__(self, config: LfsrConfig):
        self.config = config
        self.ports = config.ports
        self._lanes = config.start()

    def initial(self) -> Lanes:
        """The lanes before their first draw."""
        return self._lanes

    def stretch(self, state: Lanes, inputs: Trace) -> tuple[Lanes, Trace]:
        """See `Twin`."""
        draws = np.cumsum(inputs["o_ready"])
        lanes = state.copy()
        words = lanes.lend(int(draws[-1]))
        # The clock after the last draw shows the word that no draw has taken yet.
        codes: Codes = np.concatenate([words, lanes.peek()[None]]).astype(np.int64)
        shown = np.take(codes, draws - inputs["o_ready"], axis=0)
        return lanes.copy(), {"o_valid": np.ones_like(draws), "o_data": shown}
