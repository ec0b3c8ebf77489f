"""The interface of a technology, and the parts of a node that most technologies share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring

from golden.macc import MaccConfig
from hdl.cells.memory import inferred_bank, inferred_rows
from hdl.delay import KEEP, registered

#: Clocks from the operands of a rounder's sum to the sum, where a DSP block adds: an input register
#: and an output register.
SUM_LATENCY = 2

#: Adder of an accumulator segment: module, number of the segment, accumulator, marker, term and
#: carry in (or None) to the next value of the accumulator with the carry out above it.
Adder = Callable[[Module, int, Signal, Value, Value, Value | None], Value]


class Cells(ABC):
    """A technology.

    Attributes
    ----------
    name : str
        Name in `CELLS`.
    duplicate : bool
        Whether every load of a control bit gets a register of its own, which tools must not merge
        with equal ones. It costs registers and pays where the clock is near the silicon's limit:
        all nodes of an antidiagonal have equal control bits, and a register shared by all of them
        would drive a net across the whole array.
    widest : int or None
        Maximum width of a multiplier's operand in bits; None where there is no limit.
    counts_memories : bool
        Whether the block RAMs of a memory are counted exactly, because these cells choose them;
        otherwise tools do.
    note : str
        Instructions for users of the generated Verilog, printed in its header.
    """

    name: ClassVar[str]
    duplicate: ClassVar[bool] = False
    widest: ClassVar[int | None] = None
    counts_memories: ClassVar[bool] = False
    note: ClassVar[str] = ""

    def check(self, config: MaccConfig) -> None:
        """Raise ValueError if these cells cannot make a node of this configuration."""
        if not config.ternary:  # ternary nodes use no multiplier blocks
            self.check_multiplier(config)

    def check_multiplier(self, config: MaccConfig) -> None:
        """Raise ValueError if these cells cannot make the multiplier of this configuration."""
        for name, form in (("a", config.a), ("b", config.b)):
            if self.widest is not None and form.width > self.widest:
                raise ValueError(
                    f"{name} = {form}: a multiplier of {self.name} takes operands of 1 to "
                    f"{self.widest} bits"
                )

    def control(self, m: Module, value: Value, name: str, init: int = 0) -> Signal:
        """Register a control bit, with the attributes `KEEP` if the technology duplicates them.

        Returns
        -------
        Signal
            `value` a clock later; `init` before the first clock.
        """
        register = Signal(
            name=name, init=init, reset_less=True, attrs=KEEP if self.duplicate else {}
        )
        m.d.sync += register.eq(value)
        return register

    # A node

    def accumulators(
        self, m: Module, node: Any, a: Value, b: Value, first: Value
    ) -> Sequence[Value]:
        """Make the accumulator of a node with a multiplier: here a multiplier, and adders in
        fabric. A technology whose blocks accumulate overrides this.

        Parameters
        ----------
        m
            The node's module.
        node
            The `hdl.Macc`: its configuration, place and ports.
        a, b
            Signed operands, registered once behind the node's ports.
        first
            The node's port `first`, which follows its operand by `config.first_delay` clocks.

        Returns
        -------
        sequence of Value
            One value for each accumulator segment, lowest first; each segment lags the one below it
            by one clock.
        """
        return self.sums(m, node.config, self.multiply(m, a, b, node.place), first)

    def ternary(
        self, m: Module, config: MaccConfig, a: Value, b: Value, first: Value
    ) -> Sequence[Value]:
        """Make the accumulator of a ternary node.

        Here a register beside the hop holds a, its complement or 0, and the lowest carry adds the 1
        that makes the complement the negative.

        Parameters
        ----------
        m
            The node's module.
        config
            The node's configuration.
        a, b, first
            The node's ports; `first` belongs to the operands of the same clock.

        Returns
        -------
        sequence of Value
            See `accumulators`.
        """
        nonzero, negative = b[0], b[1]
        signed = (a.as_unsigned() ^ negative.replicate(len(a))) & nonzero.replicate(len(a))
        term = registered(m, signed.as_signed(), "signed")
        carry = registered(m, nonzero & negative, "negative")
        return self.sums(m, config, term, first, carry)

    @abstractmethod
    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        """Make a multiplier.

        Parameters
        ----------
        m
            The node's module.
        a, b
            Signed operands.
        place
            Location of the multiplier, as place and route names it; None leaves it open.

        Returns
        -------
        Value
            The signed product, `PRODUCT_LATENCY` - 1 clocks later.
        """

    @abstractmethod
    def sums(
        self,
        m: Module,
        config: MaccConfig,
        product: Value,
        first: Value,
        carry: Value | None = None,
    ) -> Sequence[Value]:
        """Make an accumulator with adders in fabric, by `segments`.

        Parameters
        ----------
        m
            The node's module.
        config
            The node's configuration.
        product
            Signed term of the sum, `config.product_latency` clocks behind the node's ports.
        first
            Marks the first term of a sum, one clock before that term.
        carry
            Carry into the lowest segment, together with `product`.

        Returns
        -------
        sequence of Value
            See `accumulators`.
        """

    def segments(
        self,
        m: Module,
        config: MaccConfig,
        product: Value,
        marker: Value,
        carry: Value | None,
        add: Adder,
        name: str = "first",
    ) -> list[Signal]:
        """Make the registers of a segmented accumulator, with an adder for each segment.

        Parameters
        ----------
        m, config, product, carry
            See `sums`.
        marker
            Control bit of the adders, one clock before the term.
        add
            Makes the adder of one segment.
        name
            Name of the marker's registers.

        Returns
        -------
        list of Signal
            The segments, lowest first.
        """
        segments: list[Signal] = []
        for number, (low, high) in enumerate(config.cuts):
            marker = self.control(m, marker, f"{name}_{number}")
            if number:
                # Delay the product's upper bits by one more clock, as this segment lags one more.
                lower = low - config.cuts[number - 1][0]
                product = registered(
                    m,
                    product[min(lower, len(product) - 1) :].as_signed(),
                    f"product_high_{number}",
                )
            term = Signal(high - low, name=f"term_{number}")
            m.d.comb += term.eq(product)
            accumulator = Signal(high - low, name=f"accumulator_{number}", reset_less=True)
            total = add(m, number, accumulator, marker, term, carry)
            m.d.sync += accumulator.eq(total)
            segments.append(accumulator)
            if number < len(config.cuts) - 1:
                carry = registered(m, total[high - low], f"carry_{number}")
        return segments

    # An array

    def for_array(
        self, config: MaccConfig, places: Sequence[Sequence[str]] | None = None
    ) -> "Cells":
        """Return the cells of an array's nodes: these, unless nodes of an array share blocks.

        Parameters
        ----------
        config
            Configuration of the nodes with a multiplier.
        places
            Locations of their multipliers.

        Returns
        -------
        Cells
            Technology of the nodes.

        Raises
        ------
        ValueError
            The multipliers cannot be placed one by one.
        """
        return self

    def node_ports(self, config: MaccConfig) -> dict[str, wiring.Member]:
        """Return the ports that a node has in addition to those of every technology.

        Returns
        -------
        dict of str to Member
            Ports by name.
        """
        return {}

    def connect(self, m: Module, nodes: Sequence[Sequence[Any]]) -> None:  # noqa: B027
        """Connect the ports of `node_ports` in an array; without such ports, do nothing.

        Parameters
        ----------
        m
            The array's module.
        nodes
            The nodes with a multiplier in each row of the array.
        """

    # A rounder

    def rounding_sum(
        self, m: Module, z: Value, addend: Value, sign: int, name: str
    ) -> tuple[Value, Value] | None:
        """Make the sum of a rounder in a DSP block, if the technology has one for it.

        Parameters
        ----------
        m
            The rounder's module.
        z
            Signed code to be rounded.
        addend
            Unsigned addend of the rounding.
        sign
            Lowest bit of the sum that must equal its sign bit unless the result saturates.
        name
            Name of the block.

        Returns
        -------
        tuple of Value or None
            `SUM_LATENCY` clocks later: the signed sum, one bit wider than the wider operand, and
            whether its bits from `sign` up are all equal. None leaves the sum to fabric.
        """
        return None

    # Memories

    def bank(
        self,
        m: Module,
        name: str,
        words: int,
        width: int,
        *,
        a: Value,
        b: Value,
        write: Value,
        value: Value,
    ) -> tuple[Value, Value]:
        """Make a memory with a port that reads and one that reads or writes; here an inferred one.

        Parameters
        ----------
        m, name
            Module that gets the memory, and the memory's name.
        words, width
            Number of words, and bits of a word.
        a
            Address to be read.
        b
            Address to be read or written.
        write
            Whether `value` is written at `b` at this clock edge.
        value
            The word.

        Returns
        -------
        tuple of Value
            The words at `a` and `b` of two clocks ago; that of `b` only if nothing was written. No
            word may be read at `a` in the clock in which it is written.
        """
        return inferred_bank(m, name, words, width, a, b, write, value)

    def rows(
        self,
        m: Module,
        name: str,
        words: int,
        width: int,
        *,
        write: Value,
        to: Value,
        value: Value,
        row: Value,
        clocks: int = 2,
    ) -> Value:
        """Make a memory with a port that writes and one that reads; here an inferred one.

        Parameters
        ----------
        m, name, words, width
            See `bank`.
        write, to, value
            Whether a word is written at this clock edge, its address, and the word.
        row
            Address to be read.
        clocks
            Clocks from the address to the word, 1 or 2.

        Returns
        -------
        Value
            The word. It may not be read in the clock in which it is written.
        """
        return inferred_rows(m, name, words, width, write, to, value, row, clocks)

    def bank_blocks(self, words: int, width: int) -> int | None:
        """Return the number of block RAMs of a `bank`; None without `counts_memories`."""
        return None

    def rows_blocks(self, words: int, width: int, clocks: int = 2) -> int | None:
        """Return the number of block RAMs of `rows`; None without `counts_memories`."""
        return None

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))
