"""What a technology has to offer."""

from abc import ABC, abstractmethod
from typing import ClassVar

from amaranth.hdl import Module, Signal, Value

from golden.macc import MaccConfig

#: Clocks from a multiplier's operands to its product: the registers of a DSP block, those for its
#: operands, one inside, one for the product.
MULTIPLIER_LATENCY = 3


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
    """

    name: ClassVar[str]
    apart: ClassVar[bool] = False

    @abstractmethod
    def check(self, config: MaccConfig) -> None:
        """Raise ValueError if there is no node of this configuration."""

    @abstractmethod
    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        """The signed product of `a` and `b`, `MULTIPLIER_LATENCY` clocks later.

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
            Of the segment below; None for the lowest.
        """

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))
