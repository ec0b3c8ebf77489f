"""What a register of a core is: its fields, and what a bus may do with them."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from golden.core.isa import Engine


class Access(StrEnum):
    """What a bus may do with a field."""

    #: It is read; writes do nothing.
    READ = "ro"
    #: It is read and written.
    BOTH = "rw"
    #: A write does something once; it reads as 0.
    WRITE = "wo"
    #: It is read; a write of 1 clears it.
    CLEAR = "w1c"


class Value(IntEnum):
    """Base class of the named values of a field.

    Attributes
    ----------
    text
        Meaning, one sentence without its full stop.
    """

    text: str

    def __new__(cls, number: int, text: str) -> "Value":
        made = int.__new__(cls, number)
        made._value_ = number
        made.text = text
        return made


class Fault(Value):
    """What has stopped an engine."""

    NONE = 0, "No fault"
    OPCODE = 1, "An instruction whose opcode the core does not carry out"
    FIELD = 2, "An instruction with a number that the core does not carry out"
    BOUND = 3, "An instruction whose bound is beyond the end of its store"
    ROWS = 4, "Sums beyond the bound of their instruction"
    SHORT = 5, "The input stream's last beat came before the end of its instruction"
    LONG = 6, "The input stream does not end with its instruction"
    DEADLOCK = 7, "All engines wait for each other"


class State(Value):
    """What an engine does in a clock; it is always exactly one of these."""

    IDLE = 0, "It has ended its steps"
    BUSY = 1, "It issues operands, vectors or beats"
    WAIT_ARRAY = 2, "It waits for chunks of the array engine"
    WAIT_VECTOR = 3, "It waits for chunks of the vector engine, or for the port that it writes to"
    WAIT_IN = 4, "It waits for chunks of the mover in"
    WAIT_OUT = 5, "It waits for chunks of the mover out"
    STREAM = 6, "It waits for the other side of a stream"
    FETCH = 7, "Its next instruction is fetched, or an update waits for an even clock"

    @classmethod
    def waits(cls, engine: Engine) -> "State":
        """Return the state of waiting for an engine."""
        return tuple(cls)[cls.WAIT_ARRAY + engine]


@dataclass(frozen=True, kw_only=True)
class Field:
    """Some bits of a register.

    Parameters
    ----------
    name
        Its name; `value` if the register is one number.
    first
        Its first bit.
    width
        Number of its bits.
    access
        What a bus may do with it.
    text
        Meaning, one sentence without its full stop.
    reset
        Its value after a reset, as an unsigned number.
    signed
        Whether it is two's complement.
    values
        Its named values, if it has some.
    """

    name: str
    first: int
    width: int
    access: Access
    text: str
    reset: int = 0
    signed: bool = False
    values: type[Value] | None = None

    @property
    def mask(self) -> int:
        """Its bits in the register."""
        return (1 << self.width) - 1 << self.first

    def of(self, word: int) -> int:
        """Return its value in a register's word.

        Examples
        --------
        >>> rate = Field(
        ...     name="value", first=4, width=4, access=Access.BOTH, text="A rate", signed=True
        ... )
        >>> rate.of(0xE0), rate.within(-2)
        (-2, 224)
        """
        value = (word & self.mask) >> self.first
        return value - (1 << self.width) if self.signed and value >> self.width - 1 else value

    def within(self, value: int) -> int:
        """Return a register's word with a value of this field, and zeros around it."""
        return value << self.first & self.mask


@dataclass(frozen=True, kw_only=True)
class Register:
    """A register.

    Parameters
    ----------
    name
        Its name.
    address
        Its address, which counts words.
    text
        Meaning, whole sentences.
    fields
        Its fields, the low bits first.
    """

    name: str
    address: int
    text: str
    fields: tuple[Field, ...]

    def __getitem__(self, name: str) -> Field:
        """Return a field by its name."""
        return next(field for field in self.fields if field.name == name)

    @property
    def reset(self) -> int:
        """Its word after a reset."""
        return sum(field.within(field.reset) for field in self.fields)
