"""Random bits: leap-forward Galois LFSRs, one lane per rounder.

A draw returns the low bits of a lane's state. Then the state leaps: it advances by L single steps
at once, where L is a power of two and at least the number of bits drawn, so that successive draws
share no bits. All lanes run through the same period and start far apart. Both distances keep the
roundings independent of each other; docs/numerics.md describes the errors that occur without them.

Many draws are computed without a loop over draws. If p is the characteristic polynomial of the
single step, p(x)^(2^j) = p(x^(2^j)) over GF(2): states 2^j steps apart satisfy the same recurrence
as states one step apart. So the next block of a sequence is the XOR of a few earlier blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.borders import Border
from golden.fixed import WIDEST, Codes
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

#: Random words, one per rounded value.
Words = NDArray[np.unsignedinteger]

#: The largest number of lanes that share a seed.
MOST_LANES = 255

#: The largest state of the widest register.
_TOP = (1 << max(MASKS)) - 1


def step(state: int, mask: int) -> int:
    """Return the state after one step: shift right, and XOR the mask if the bit shifted out is 1.

    Examples
    --------
    >>> hex(step(1, 0xB400))
    '0xb400'
    """
    state, mask = check.whole("state", state, 0, _TOP), check.whole("mask", mask, 0, _TOP)
    return _step(state, mask)


def _step(state: int, mask: int) -> int:
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


def is_maximal(bits: int, mask: int) -> bool:
    """Return whether the register runs through all 2^bits - 1 nonzero states.

    It does if its characteristic polynomial has the order 2^bits - 1.

    Parameters
    ----------
    bits
        Width of the register, 2 to 64 bits.
    mask
        Feedback mask, 1 to 2^bits - 1.

    Examples
    --------
    >>> is_maximal(16, 0xB400), is_maximal(16, 0xB401)
    (True, False)
    """
    bits = check.whole("bits", bits, 2, max(MASKS))
    return _is_maximal(bits, check.whole("mask", mask, 1, (1 << bits) - 1))


@lru_cache(maxsize=1024)
def _is_maximal(bits: int, mask: int) -> bool:
    if not mask >> (bits - 1):
        return False  # without the top bit, a step is not invertible
    period = (1 << bits) - 1
    return _power(bits, mask, period) == 1 and all(
        _power(bits, mask, period // prime) != 1 for prime in _prime_factors(period)
    )


#: The largest state of a generator, which is also the number of its states.
_STATES = Bound("2^bits - 1", lambda generator: (1 << generator.bits) - 1)


@dataclass(frozen=True, kw_only=True)
class Generator:
    """A generator of random bits (N, mask, L, B) and its seed.

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

    Examples
    --------
    >>> generator = Generator(bits=16, leap=16, draw=8)
    >>> hex(generator.taps), generator.lane_steps
    ('0x8679', 256)
    >>> [generator.lane_seed(lane) for lane in range(3)]
    [1, 9554, 22129]
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
        if self.mask is not None and not _is_maximal(self.bits, self.mask):
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
        """Single steps J between the seeds of two successive lanes."""
        return 1 << (self.bits - 8)

    def advance(self, state: int, steps: int) -> int:
        """Return the state after `steps` single steps, in time proportional to log(steps)."""
        state = check.whole("state", state, 0, (1 << self.bits) - 1)
        steps = check.whole("steps", steps, 0)
        return self._ahead(state, steps)

    def _ahead(self, state: int, steps: int) -> int:
        power, ahead = _power(self.bits, self.taps, steps), 0
        while power:
            if power & 1:
                ahead ^= state
            power >>= 1
            state = _step(state, self.taps)
        return ahead

    def lane_seed(self, lane: int) -> int:
        """Return the state of `lane` before its first draw.

        It is the seed advanced by lane * lane_steps single steps.
        """
        lane = check.whole("lane", lane, 0, MOST_LANES - 1)
        return self._ahead(self.seed, lane * self.lane_steps)

    def require_lanes(self, lanes: int) -> None:
        """Check that lanes 0 to `lanes` - 1 start far enough apart.

        Raises
        ------
        ValueError
            There are more than 255 lanes, or their seeds are too close to each other.
        """
        lanes = check.whole("lanes of one seed", lanes, 1, MOST_LANES)
        if lanes > 1 and self.lane_steps <= self.leap * max(64, lanes):
            raise ValueError(
                f"{lanes} lanes of a generator of {self.bits} bits: "
                f"lanes start 2^{self.bits - 8} = {self.lane_steps} steps apart, "
                f"more than leap * max(64, lanes) = {self.leap * max(64, lanes)} are needed; "
                f"take a wider generator or a smaller leap"
            )


def dither(words: ArrayLike, dropped: ArrayLike, draw: int) -> Codes:
    """Return the addend r in [0, 2^dropped) of stochastic rounding.

    Parameters
    ----------
    words
        Random words of `draw` bits, any shape.
    dropped
        Number s of dropped bits, in a shape that broadcasts with `words`. r is 0 where s <= 0. If
        s > `draw`, the word is aligned with the highest dropped bits, and the bit below it is a
        constant 1, which keeps the mean error at 2^-(s+1) ulp. At most 62.
    draw
        Bits of a word, 1 to 32.

    Returns
    -------
    Codes
        Addends, int64, in the broadcast shape.

    Examples
    --------
    >>> dither([0x0, 0x9, 0xF], 2, draw=4).tolist()
    [0, 1, 3]
    >>> dither([0x0, 0x9, 0xF], 6, draw=4).tolist()
    [2, 38, 62]
    """
    draw = check.whole("draw", draw, 1, 32)
    words = check.codes("words", words, 0, (1 << draw) - 1)
    dropped = check.codes("dropped", dropped, -WIDEST, WIDEST)
    check.broadcast(words=words, dropped=dropped)
    return addends(words, dropped, draw)


def addends(words: Words | Codes, dropped: Codes | int, draw: int) -> Codes:
    """Return the addends of stochastic rounding, as `dither`, of checked arrays."""
    words = words.astype(np.int64, copy=False)
    s = np.maximum(dropped, 0)
    taken = np.minimum(s, draw)
    missing = s - taken
    below = np.int64(1) << missing >> 1  # 0 where no bit is missing
    r: Codes = (words & (np.int64(1) << taken) - 1) << missing | below
    return r


#: Draws are computed from draws at most this many words earlier, so that they are still in a cache.
_MOST_STEP = 1 << 16

#: Number of words below which computing words is as fast as leaping over them.
_FEW = 1 << 18


class Lanes:
    """Lanes that return many draws at once, and advance.

    Parameters
    ----------
    generator
        The generator that all lanes share.
    first
        Number of the first lane.
    count
        Number of lanes.

    Attributes
    ----------
    made
        Number of draws of every lane so far.

    Examples
    --------
    >>> lanes = Lanes(Generator(), 0, 2)
    >>> lanes.take(3)
    array([[    1,  7490],
           [17920, 41473],
           [    1, 23645]], dtype=uint16)
    >>> lanes.made
    3
    """

    def __init__(self, generator: Generator, first: int, count: int):
        check.instance("generator", generator, Generator)
        first = check.whole("first", first, 0, MOST_LANES - 1)
        count = check.whole("count", count, 1, MOST_LANES)
        generator.require_lanes(first + count)
        self._begin(generator, first, [generator.lane_seed(first + lane) for lane in range(count)])

    @classmethod
    def at(cls, generator: Generator, states: Sequence[int], first: int = 0) -> "Lanes":
        """Return lanes that continue from given states, those of `states` or read from hardware.

        Parameters
        ----------
        generator
            The generator that all lanes share; its seed is not used.
        states
            State of every lane before its next draw, 1 to 2^bits - 1.
        first
            Number of the first lane.

        Returns
        -------
        Lanes
            Lanes with `made` = 0.

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
        check.instance("generator", generator, Generator)
        first = check.whole("first", first, 0, MOST_LANES - 1)
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
        # The recurrence holds for each bit separately, so the bits of a draw are sufficient.
        kind = np.uint16 if generator.draw <= 16 else np.uint32
        low = (1 << generator.draw) - 1
        #: At least the next `bits` draws, which determine all later ones.
        self._ahead: Words = np.empty((generator.bits, count), kind)
        for lane, state in enumerate(states):
            for draw in range(generator.bits):
                self._ahead[draw, lane] = state & low
                state = generator._ahead(state, generator.leap)
        self._room: Words = np.empty(0, kind)

    def copy(self) -> "Lanes":
        """Return lanes in the same state that advance independently of these."""
        twin = object.__new__(Lanes)
        # The work array is not shared: it may be large, and would stay in memory.
        twin.__dict__.update(self.__dict__, _room=np.empty(0, self._room.dtype))
        return twin

    def peek(self) -> Words:
        """Return the next draw of every lane, (lanes,), without advancing the lanes."""
        return self._ahead[0].copy()

    def take(self, draws: int) -> Words:
        """Return the next `draws` draws of every lane, (draws, lanes), and advance the lanes."""
        return self.lend(draws).copy()

    def lend(self, draws: int, lanes: int | None = None) -> Words:
        """Return draws as `take` does, in an array that the lanes' next draw overwrites.

        Parameters
        ----------
        draws
            Number of draws. All lanes advance by it.
        lanes
            Number of lanes to return, from the first one; None returns all.

        Returns
        -------
        Words
            (draws, lanes).
        """
        draws = check.whole("draws", draws, 0)
        wanted = self.count if lanes is None else check.whole("lanes", lanes, 1, self.count)
        self.made += draws
        bits = self.generator.bits
        if draws * (self.count - wanted) >= _FEW:
            others = self._leapt(self._ahead[:, wanted:], draws)
            words = self._extended(self._ahead[:, :wanted], draws + bits)
            self._ahead = np.hstack([words[draws:], others])
            return words[:draws]
        # Large blocks make many draws faster, but need more earlier draws to start from.
        keep = bits * min(1 << (draws // bits).bit_length() >> 1, self._most_scale(self.count))
        words = self._extended(self._ahead, draws + max(keep, len(self._ahead)))
        self._ahead = words[draws:].copy()
        return words[:draws, :wanted]

    def _most_scale(self, lanes: int) -> int:
        """Return the largest block size for so many lanes, in register widths: a power of two."""
        return 1 << (_MOST_STEP // (self.generator.bits * lanes)).bit_length() - 1

    def _extended(self, ahead: Words, rows: int) -> Words:
        """Return `rows` draws, (rows, lanes), of which `ahead` has the first `bits` or more."""
        bits, taps = self.generator.bits, self.generator.taps
        ahead = ahead[:rows]
        have, lanes = ahead.shape
        most = self._most_scale(lanes)
        if rows * lanes > len(self._room):
            self._room = np.empty(rows * lanes, ahead.dtype)
        words = self._room[: rows * lanes].reshape(rows, lanes)
        words[:have] = ahead
        offsets = [bits - 1 - bit for bit in range(bits) if taps >> bit & 1]
        reach = bits - max(offsets)  # draws that can be computed at a time with a scale of 1
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
        """Return the `bits` draws that begin `draws` draws after the first one of `ahead`."""
        bits, taps = self.generator.bits, self.generator.taps
        # Draw n is the XOR of the draws t for all terms x^t of x^n modulo the polynomial.
        power = _power(bits, taps, draws)
        near = self._extended(ahead[:bits], 2 * bits)
        terms = [near[term:][:bits] for term in range(bits) if power >> term & 1]
        leapt: Words = np.bitwise_xor.reduce(terms)
        return leapt

    @property
    def states(self) -> list[int]:
        """State of every lane before its next draw."""
        generator = self.generator
        return [generator._ahead(start, self.made * generator.leap) for start in self._starts]


@dataclass(frozen=True, kw_only=True)
class LfsrConfig:
    """Parallel lanes of random bits that all leap at the same draw.

    Parameters
    ----------
    generator
        The generator that all lanes share.
    lanes
        Lanes side by side, 1 to 255.
    first_lane
        Number of the first lane, 0 to 254. first_lane + lanes is at most 255.

    Examples
    --------
    >>> config = LfsrConfig(lanes=4)
    >>> for port in config.ports:
    ...     print(port)
    o_valid: out unsigned(1)
    o_ready: in unsigned(1)
    o_data: out unsigned(16) x 4
    """

    #: Meaning of each figure.
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
                meaning="random bits, one word per lane",
            ),
        )

    @property
    def latency(self) -> int:
        """Clocks from a draw to the next word: 1."""
        return 1

    def lane(self, number: int) -> "LfsrConfig":
        """Return the configuration of one lane alone; `number` counts from the first lane."""
        number = check.whole("lane", number, 0, self.lanes - 1)
        return replace(self, lanes=1, first_lane=self.first_lane + number)

    def start(self) -> Lanes:
        """Return the lanes before their first draw."""
        return Lanes(self.generator, self.first_lane, self.lanes)

    def borders(self) -> list[Border]:
        """Return an empty list: a word depends on no operand."""
        return []

    @property
    def throughput(self) -> str:
        """Results per clock, and stalls."""
        return (
            "one draw of every lane per clock; never stalls, and holds its words while o_ready is "
            "low"
        )


class Lfsr(Twin[Lanes]):
    """Twin of `hdl.Lfsr`: input `o_ready`; outputs `o_valid` (always 1) and `o_data`.

    Parameters
    ----------
    config
        Generator and lanes.

    Examples
    --------
    >>> trace = Lfsr(LfsrConfig()).run({"o_ready": [1, 0, 1, 1]})
    >>> trace["o_data"][:, 0].tolist()
    [1, 17920, 17920, 1]
    """

    def __init__(self, config: LfsrConfig):
        check.instance("config", config, LfsrConfig)
        self.config = config
        self.ports = config.ports
        self._lanes = config.start()

    def initial(self) -> Lanes:
        """Return the reset state: the lanes before their first draw."""
        return self._lanes

    def stretch(self, state: Lanes, inputs: Trace) -> tuple[Lanes, Trace]:
        """See `Twin`."""
        draws = np.cumsum(inputs["o_ready"])
        lanes = state.copy()
        words = lanes.lend(int(draws[-1]))
        # After the last draw, the output shows a word that is not drawn yet.
        codes: Codes = np.concatenate([words, lanes.peek()[None]]).astype(np.int64)
        shown = np.take(codes, draws - inputs["o_ready"], axis=0)
        return lanes.copy(), {"o_valid": np.ones_like(draws), "o_data": shown}
