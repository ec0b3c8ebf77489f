"""Configuration of Gupta's update with momentum and weight decay."""

from dataclasses import dataclass

from golden.borders import Border, Operands, lone
from golden.buffer import BUFFER_LATENCY, OnePerClock
from golden.fixed import WIDEST, Conversion, Fixed, Rounding
from golden.lfsr import MOST_LANES, Generator, LfsrConfig
from golden.port import OPERAND, RESULT, Port
from golden.rounder import PIPELINE_LATENCY, RounderConfig, conversion_borders
from golden.settings import check_settings, setting

#: Bits of an unsigned operand of one multiplier; a signed one has a bit more. It is the size of the
#: multipliers in most devices. Wider operands are cut into limbs of so many bits.
LIMB = 17
#: Bits of a learning rate times 1 / batch: 5 integer bits and 32 fraction bits.
MOST_FACTOR = 37
#: Clocks from operands to products: the registers of a DSP block.
PRODUCT_STAGES = 3
#: Clocks from the difference of velocity and descent to the new weight, without rounding and
#: saturation of the difference: the addition to the weight, and its saturation.
WEIGHT_STAGES = 2


def limbs(width: int, *, signed: bool) -> tuple[tuple[int, int], ...]:
    """Return the first bit and the end of each limb of an operand, the lowest one first.

    Examples
    --------
    >>> limbs(40, signed=True), limbs(22, signed=False)
    (((0, 17), (17, 34), (34, 40)), ((0, 17), (17, 22)))
    """
    count = max(-(-(width - signed) // LIMB), 1)
    return tuple((LIMB * k, width if k == count - 1 else LIMB * (k + 1)) for k in range(count))


@dataclass(frozen=True, kw_only=True)
class MomentumUpdateConfig(OnePerClock):
    """Gupta's update: formats of operands and factors.

    Factors are unsigned words. All products are aligned at the common binary point of their sum,
    which has `sum_fraction` fraction bits.

    Parameters
    ----------
    width
        Width of a gradient sum, 2 to 54 bits.
    fraction
        Fraction bits of a gradient sum, 0 to 46.
    word
        Format of weights and updates.
    rounding
        Rounding of an update: stochastic, nearest-down, nearest-even, nearest-away or nearest-up.
    rate_bits
        Width of the learning rate times 1 / batch, 1 to 37 bits. As a power of two, the number of
        its exponents.
    rate_fraction
        Fraction bits of the learning rate times 1 / batch, 0 to 46.
    power
        The learning rate times 1 / batch is a power of two, given by its exponent. Gradients take
        no multiplier.
    momentum_bits
        Width of the momentum, 0 to 37 bits. 0 leaves out momentum, its multiplier and stored
        updates.
    momentum_fraction
        Fraction bits of the momentum, 0 to 46.
    decay_bits
        Width of the learning rate times the weight decay, 0 to 37 bits. 0 leaves out the decay and
        its multiplier.
    decay_fraction
        Fraction bits of the learning rate times the weight decay, 0 to 46.
    lanes
        Weights per clock, 1 to 255.
    first_lane
        Number of the first lane's generator, 0 to 254.
    generator
        The generator that all lanes share. A unit that rounds to nearest has no generator and
        ignores it.

    Examples
    --------
    >>> config = MomentumUpdateConfig()
    >>> config.sum_fraction, config.sum_width, config.latency
    (60, 64, 17)
    """

    width: int = setting(40, "Width of a gradient sum", low=2, high=54, unit="bits")
    fraction: int = setting(28, "Fraction bits of a gradient sum", low=0, high=46)
    word: Fixed = setting(Fixed(2, 14), "Format of weights and updates")
    rounding: Rounding = setting(Rounding.STOCHASTIC, "Rounding of an update")
    rate_bits: int = setting(
        23,
        "Width of the learning rate times 1 / batch",
        low=1,
        high=MOST_FACTOR,
        unit="bits",
        more="As a power of two, the number of its exponents.",
    )
    rate_fraction: int = setting(
        32, "Fraction bits of the learning rate times 1 / batch", low=0, high=46
    )
    power: bool = setting(
        False,
        "The learning rate times 1 / batch is a power of two, given by its exponent",
        more="Gradients take no multiplier.",
    )
    momentum_bits: int = setting(
        16,
        "Width of the momentum",
        low=0,
        high=MOST_FACTOR,
        unit="bits",
        more="0 leaves out momentum, its multiplier and stored updates.",
    )
    momentum_fraction: int = setting(16, "Fraction bits of the momentum", low=0, high=46)
    decay_bits: int = setting(
        18,
        "Width of the learning rate times the weight decay",
        low=0,
        high=MOST_FACTOR,
        unit="bits",
        more="0 leaves out the decay and its multiplier.",
    )
    decay_fraction: int = setting(
        32, "Fraction bits of the learning rate times the weight decay", low=0, high=46
    )
    lanes: int = setting(1, "Weights per clock", low=1, high=MOST_LANES)
    first_lane: int = setting(0, "Number of the first lane's generator", low=0, high=MOST_LANES - 1)
    generator: Generator = setting(
        Generator(),
        "The generator that all lanes share",
        more="A unit that rounds to nearest has no generator and ignores it.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        # Then the saturation of a sum at 62 bits changes no update.
        needed = self.dropped + self.word.width
        if needed > WIDEST or self.sum_fraction > WIDEST:
            raise ValueError(
                f"sums of {self.sum_fraction} fraction bits, of which {self.dropped} are dropped "
                f"for words {self.word}: at most {min(WIDEST - self.word.il, WIDEST)} fraction "
                "bits are allowed; take smaller fractions"
            )
        if self.stochastic:
            self.generator.require_lanes(self.first_lane + self.lanes)

    @property
    def stochastic(self) -> bool:
        """Whether updates are rounded stochastically, so that the unit has generators."""
        return self.rounding is Rounding.STOCHASTIC

    @property
    def lfsr(self) -> LfsrConfig:
        """The generators of the lanes."""
        return LfsrConfig(generator=self.generator, lanes=self.lanes, first_lane=self.first_lane)

    @property
    def sum_fraction(self) -> int:
        """Fraction bits of a sum: enough for every product."""
        points = [self.fraction + self.rate_fraction]
        if self.momentum_bits:
            points.append(self.word.fl + self.momentum_fraction)
        if self.decay_bits:
            points.append(self.word.fl + self.decay_fraction)
        return max(points)

    @property
    def rate_shift(self) -> int:
        """Bits by which a gradient's product is shifted to the left in the sum."""
        return self.sum_fraction - self.fraction - self.rate_fraction

    @property
    def momentum_shift(self) -> int:
        """Bits by which an update's product is shifted to the left in the sum."""
        return self.sum_fraction - self.word.fl - self.momentum_fraction

    @property
    def decay_shift(self) -> int:
        """Bits by which a weight's product is shifted to the left in the sum."""
        return self.sum_fraction - self.word.fl - self.decay_fraction

    @property
    def dropped(self) -> int:
        """Fraction bits that the rounding drops; negative if bits are appended."""
        return self.sum_fraction - self.word.fl

    @property
    def conversion(self) -> Conversion:
        """Conversion of a sum to an update."""
        return Conversion(fraction=self.sum_fraction, target=self.word, rounding=self.rounding)

    @property
    def largest_rate(self) -> int:
        """The largest learning rate times 1 / batch."""
        return 1 << (self.rate_bits - 1) if self.power else (1 << self.rate_bits) - 1

    @property
    def sum_width(self) -> int:
        """Bits of the exact sum, which is then saturated to 62 bits."""
        word = 1 << (self.word.width - 1)
        bound = (self.largest_rate << (self.width - 1)) << self.rate_shift
        for bits, shift in (
            (self.momentum_bits, self.momentum_shift),
            (self.decay_bits, self.decay_shift),
        ):
            if bits:
                bound += ((1 << bits) - 1) * word << shift
        return bound.bit_length() + 1

    @property
    def rounder(self) -> RounderConfig:
        """The rounders of the saturated sums."""
        return RounderConfig(
            width=max(min(self.sum_width, WIDEST), self.dropped),
            conversions=(self.conversion,),
            lanes=self.lanes,
            first_lane=self.first_lane,
            generator=self.generator,
        )

    def _products(self, width: int, bits: int) -> int:
        return len(limbs(width, signed=True)) * len(limbs(bits, signed=False))

    @property
    def sum_stages(self) -> int:
        """Clocks in which products are added, two by two: those of gradient and decay in one tree,
        those of the momentum in another.
        """
        descent = 1 if self.power else self._products(self.width, self.rate_bits)
        if self.decay_bits:
            descent += self._products(self.word.width, self.decay_bits)
        velocity = self._products(self.word.width, self.momentum_bits) if self.momentum_bits else 1
        return (max(descent, velocity) - 1).bit_length()

    @property
    def saturates(self) -> bool:
        """Whether sums can be wider than 62 bits, which takes another clock."""
        return self.sum_width > WIDEST

    @property
    def rate_port_bits(self) -> int:
        """Bits of the port `rate`."""
        return max((self.rate_bits - 1).bit_length(), 1) if self.power else self.rate_bits

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        word, lanes = self.word.width, self.lanes
        point = f"with {self.rate_fraction} fraction bits; read with each operand"
        rate = f"learning rate / batch, {point}"
        if self.power:
            rate = (
                f"learning rate / batch = 2^(rate - {self.rate_fraction}); read with each operand"
            )
        momentum = f"momentum, with {self.momentum_fraction} fraction bits; read with each operand"
        decay = f"learning rate * decay, with {self.decay_fraction} fraction bits; read likewise"
        before = Port("i_update", "in", word, True, lanes, "their latest updates")
        after = Port("o_update", "out", word, True, lanes, "updates")
        return (
            *OPERAND,
            Port("i_gradient", "in", self.width, True, lanes, "gradient sums"),
            Port("i_weight", "in", word, True, lanes, "weights"),
            *((before,) if self.momentum_bits else ()),
            *RESULT,
            Port("o_weight", "out", word, True, lanes, "updated weights"),
            *((after,) if self.momentum_bits else ()),
            Port("rate", "in", self.rate_port_bits, meaning=rate),
            *(
                (Port("momentum", "in", self.momentum_bits, meaning=momentum),)
                if self.momentum_bits
                else ()
            ),
            *((Port("decay", "in", self.decay_bits, meaning=decay),) if self.decay_bits else ()),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        sums = PRODUCT_STAGES + self.sum_stages + 1 + self.saturates
        return sums + PIPELINE_LATENCY + WEIGHT_STAGES + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """Return sums at the limits, ties and exact values of the rounding and just at the carry of
        their random word, weights that just saturate or just do not, and sums beyond 62 bits.
        """
        # A power of two as the rate, with which a gradient reaches the limits of an update.
        reach = self.dropped + self.word.width + 1 - self.rate_shift
        exponent = min(max(reach - (self.width - 1), 0), self.rate_bits - 1)
        low = self.dropped - self.rate_shift - exponent  # bits of a gradient that are dropped
        one = self._settings(exponent)
        found: list[Border] = []
        if self.word.fl + low >= 0:
            near = Conversion(fraction=self.word.fl + low, target=self.word, rounding=self.rounding)
            steps = conversion_borders(near, self.width)
            found.append(self._rows([(-step, 0, 0) for step in steps], one))
        top, bottom = self.word.maximum, self.word.minimum
        steps = (top, bottom, 1, -1, 0, top // 3, bottom // 5)
        found.append(
            self._rows(
                [
                    (-(step << low) if low >= 0 else -(step >> -low), end - step + past, 0)
                    for step in steps
                    for end in (top, bottom)
                    for past in range(-1, 2)
                ],
                one,
            )
        )
        if self.stochastic and 0 < low < self.width - 1:
            carried = self._rows([(-1, 0, 0), (-1 - (1 << low), 5, 0)], one)
            found.append(
                Operands(
                    lanes=carried.lanes, settings=carried.settings, dropped={"i_gradient": low}
                )
            )
        far = (1 << (self.width - 1)) - 1
        bits = (*lone(0, self.width), far, -far - 1)
        found.append(self._rows([(bit, 0, 0) for bit in bits], self._settings(self.rate_bits - 1)))
        word = (*lone(0, self.word.width), top, bottom)
        full = {name: (1 << bits) - 1 for name, bits in self._widths.items()}
        if self.power:
            full["rate"] = self.rate_bits - 1
        zeros = dict.fromkeys(full, 0)
        step = self.largest_rate << self.rate_shift
        edges = [limit << max(self.dropped, 0) for limit in (top, bottom)]
        found.append(
            self._rows(
                [(-edge // step + k, 0, 0) for edge in edges for k in range(-2, 3)],
                zeros | {"rate": full["rate"]},
            )
        )
        if self.momentum_bits:
            # Velocity and descent are each beyond the limits; together they are small.
            velocity = full["momentum"] * top << self.momentum_shift
            rows = [(0, 0, bit) for bit in word]
            rows += [(way * velocity // step + k, 0, way * top) for way in (1, -1) for k in (0, 1)]
            rows += [(-far - 1, 0, top), (far, 0, bottom)]
            found.append(self._rows(rows, full | {"decay": 0}))
        if self.decay_bits:
            found.append(self._rows([(0, bit, 0) for bit in word], full))
        return found

    @property
    def _widths(self) -> dict[str, int]:
        factors = {"momentum": self.momentum_bits, "decay": self.decay_bits}
        present = {name: bits for name, bits in factors.items() if bits}
        return {"rate": self.rate_port_bits} | present

    def _settings(self, exponent: int) -> dict[str, int]:
        """Return values of the factors' ports: 2^exponent as the rate, and zeros."""
        zeros = dict.fromkeys(self._widths, 0)
        return zeros | {"rate": exponent if self.power else 1 << exponent}

    def _rows(self, rows: list[tuple[int, int, int]], settings: dict[str, int]) -> Operands:
        """Return the rows of gradient, weight and update that are within their ports' ranges."""
        ports = {port.name: port for port in self.ports}
        names = [name for name in ("i_gradient", "i_weight", "i_update") if name in ports]
        kept = [
            row
            for row in rows
            if all(
                ports[name].minimum <= value <= ports[name].maximum
                for name, value in zip(names, row)
            )
        ] or [(0, 0, 0)]
        return Operands(
            lanes={name: tuple(row[k] for row in kept) for k, name in enumerate(names)},
            settings={name: value for name, value in settings.items() if name in ports},
        )
