"""What a technology has to offer."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from amaranth.hdl import Module, Signal, Value

from golden.macc import PRODUCT_LATENCY, MaccConfig
from hdl.delay import APART, late

#: Clocks from a multiplier's operands to its product: the registers of a DSP block, those for its
#: operands, one inside, one for the product.
MULTIPLIER_LATENCY = 3

#: Clocks from a rounder's operands to their sum in a block: the registers for both.
SUM_LATENCY = 2


class Cells(ABC):
    """A technology.

    Attributes
    ----------
    name : str
        By which it is asked for.
    apart : bool
        Whether a control bit has a register for every use, which tools may not merge with others
        of the same value. It costs registers and is worth it where the clock is near the silicon's
        limit: the nodes of an antidiagonal have equal bits, and one register for all of them would
        drive a net across the whole array.
    widest : int or None
        Bits of a multiplier's operands at most; None where there is no limit.
    multiplier_latency : int
        Clocks of `multiply`.
    note : str
        What a tool's user must know; it stands in the head of generated Verilog.
    """

    name: ClassVar[str]
    apart: ClassVar[bool] = False
    widest: ClassVar[int | None] = None
    multiplier_latency: ClassVar[int] = MULTIPLIER_LATENCY
    note: ClassVar[str] = ""

    def check(self, config: MaccConfig) -> None:
        """Raise ValueError if there is no node of this configuration."""
        if not config.ternary:  # those are in fabric
            self.check_multiplier(config)

    def check_multiplier(self, config: MaccConfig) -> None:
        """The same of a node that multiplies."""
        for name, form in (("a", config.a), ("b", config.b)):
            if self.widest is not None and form.width > self.widest:
                raise ValueError(
                    f"{name} = {form}: a multiplier of {self.name} takes operands of 1 to "
                    f"{self.widest} bits"
                )

    def pairs(self, config: MaccConfig) -> bool:
        """Whether two nodes of an array share a multiplier block, and `products` makes theirs."""
        return False

    def control(self, m: Module, value: Value, name: str, init: int = 0) -> Signal:
        """A register for a control bit, which stays apart if the technology says so."""
        register = Signal(name=name, init=init, reset_less=True, attrs=APART if self.apart else {})
        m.d.sync += register.eq(value)
        return register

    def accumulators(
        self, m: Module, config: MaccConfig, a: Value, b: Value, first: Value, place: str | None
    ) -> list[Signal]:
        """The segments of a node's accumulator, lowest first; each is a clock behind the one below.

        This is a multiplier, registers behind it, and an adder in fabric for every segment. A
        technology whose blocks accumulate has its own.

        Parameters
        ----------
        m
            The node's module.
        config
            Its formats.
        a, b
            Signed operands, a clock after the node's ports had them.
        first
            As it is at the node's port: `config.first_delay` clocks after the ports had the
            operands of which it tells.
        place
            Where the multiplier stands.
        """
        product = self.multiply(m, a, b, place)
        for stage in range(PRODUCT_LATENCY - 1 - self.multiplier_latency):
            product = late(m, product, f"product_out_{stage}")
        return self.sums(m, config, product, first)

    def ternary(
        self, m: Module, config: MaccConfig, a: Value, b: Value, first: Value
    ) -> list[Signal]:
        """The segments of a ternary node's accumulator, as `accumulators` gives them.

        Here a, its complement or 0 is a register beside the hop, and what the complement lacks is
        the lowest carry.

        Parameters
        ----------
        m
            The node's module.
        config
            Its formats.
        a, b
            Signed operands, as they are at the node's ports.
        first
            The same, with the operand of which it tells.
        """
        nonzero, negative = b[0], b[1]
        signed = (a.as_unsigned() ^ negative.replicate(len(a))) & nonzero.replicate(len(a))
        term = late(m, signed.as_signed(), "signed")
        carry = late(m, nonzero & negative, "negative")
        return self.sums(m, config, term, first, carry)

    def sums(
        self,
        m: Module,
        config: MaccConfig,
        product: Value,
        first: Value,
        carry: Value | None = None,
    ) -> list[Signal]:
        """`accumulators` of a product, with an adder in fabric for every segment. The parameters
        are those of the lowest one; `first` comes a clock before the product, which is
        `config.product_latency` clocks behind the node's ports.
        """
        segments: list[Signal] = []
        for number, (low, high) in enumerate(config.cuts):
            first = self.control(m, first, f"first_{number}")
            if number:
                # This segment lags one more clock behind: so do the product's bits for it.
                lower = low - config.cuts[number - 1][0]
                product = late(
                    m,
                    product[min(lower, len(product) - 1) :].as_signed(),
                    f"product_high_{number}",
                )
            term = Signal(high - low, name=f"term_{number}")
            m.d.comb += term.eq(product)
            accumulator = Signal(high - low, name=f"accumulator_{number}", reset_less=True)
            total = self.add(m, number, accumulator, first, term, carry)
            m.d.sync += accumulator.eq(total)
            segments.append(accumulator)
            if number < len(config.cuts) - 1:
                carry = late(m, total[high - low], f"carry_{number}")
        return segments

    def products(
        self, m: Module, operands: Sequence[tuple[Value, Value]], name: str
    ) -> list[Value]:
        """The signed products of one or two nodes, `PRODUCT_LATENCY` clocks behind their ports.

        Parameters
        ----------
        m
            The array's module.
        operands
            `a` and `b` of each, a clock after the nodes' ports had them.
        name
            Of the block.
        """
        raise NotImplementedError(f"{self.name}: nodes share no multiplier")

    @abstractmethod
    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        """The signed product of `a` and `b`, `multiplier_latency` clocks later.

        Parameters
        ----------
        m
            The node's module.
        a, b
            Signed operands.
        place
            Where the multiplier stands, in the words of the place and route; None leaves it open.
        """

    @abstractmethod
    def add(
        self,
        m: Module,
        number: int,
        accumulator: Signal,
        first: Value,
        term: Value,
        carry: Value | None,
    ) -> Value:
        """`term + carry`, and `accumulator` as well unless `first`; a bit more than `accumulator`.

        Parameters
        ----------
        m
            The node's module.
        number
            Of the accumulator's segment, for names.
        accumulator, term
            Of one width.
        first
            The sum starts anew.
        carry
            Of the segment below, or what the lowest one adds; None where there is none.
        """

    def rounding_sum(
        self, m: Module, z: Value, addend: Value, sign: int, name: str
    ) -> tuple[Value, Value] | None:
        """What a rounder cuts, `z` + `addend`, `SUM_LATENCY` clocks later, from a block of the
        device; None where it is to be made in fabric.

        Parameters
        ----------
        m
            The rounder's module.
        z, addend
            A signed code, and what its rounding adds, unsigned.
        sign
            The lowest bit of the sum that has to equal its sign.
        name
            Of the block.

        Returns
        -------
        The signed sum, a bit wider than the wider one of both, and whether its bits from `sign` up
        are equal.
        """
        return None

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))
