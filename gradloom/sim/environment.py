"""The environment of a design in a simulation: sources, sinks, memories, hosts and watches.

Each part is described once, here, and played by both simulators with one result: in Python
(`gradloom.sim.players`) and inside the compiled loop (`environment.h`). A part drives inputs of the
design from its own state alone, and observes outputs just before each clock edge; they change its
state for the next clock.

A stream `i` has the ports `i_valid`, `i_ready` and one for each field of its payload, `i_<field>`.
Numbers of idle clocks are given as a sequence that is repeated without end; `pauses` draws one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.port import Port, checked
from gradloom.sim.packing import Packing

#: A description: numbers, and arrays of many.
Numbers = list[int | NDArray[np.uint32]]

#: Number of a word that is not there, of a stream without `ready` for example.
NONE = 0xFFFF_FFFF


def pauses(often: float, seed: int, count: int = 4093) -> tuple[int, ...]:
    """Random numbers of idle clocks: before each beat, a clock is idle with probability `often`.

    Parameters
    ----------
    often
        At least 0 and less than 1.
    seed
        Of the random numbers (NumPy's PCG64).
    count
        Numbers, after which they are repeated.

    Examples
    --------
    >>> pauses(0.5, seed=1, count=8)
    (1, 4, 0, 4, 0, 0, 2, 0)
    """
    if not 0 <= often < 1:
        raise ValueError(f"often = {often}: at least 0 and less than 1 is wanted")
    rng = np.random.default_rng(seed)
    return tuple((rng.geometric(1 - often, count) - 1).tolist())


class Layout:
    """Numbers of the words of a clock's row: inputs first, then outputs and probes.

    Parameters
    ----------
    inputs, outputs
        The rows' layouts.
    """

    def __init__(self, inputs: Packing, outputs: Packing):
        self.words_in = inputs.words
        self.ports: dict[str, tuple[Port, int]] = {
            port.name: (port, word) for port, word in inputs.places
        }
        for port, word in outputs.places:
            self.ports[port.name] = port, word + inputs.words
        #: Which part drives each input.
        self.driven: dict[str, str] = {}

    def port(self, who: str, name: str) -> Port:
        """The port `name`, which `who` needs."""
        if name not in self.ports:
            known = ", ".join(self.ports)
            raise ValueError(f"{who}: there is no port {name}; there are {known}")
        return self.ports[name][0]

    def words(self, who: str, *names: str, drives: bool | None = None) -> list[int]:
        """Numbers of the words of some ports; they are noted as driven by `who`, or known to be
        outputs, as `drives` says.
        """
        numbers: list[int] = []
        for name in names:
            port = self.port(who, name)
            _, word = self.ports[name]
            if drives is not None and drives != (port.direction == "in"):
                wanted = "in" if drives else "out"
                raise ValueError(f"{who}: port {name} goes {port.direction}, not {wanted}")
            if drives:
                if name in self.driven:
                    raise ValueError(f"{who}: port {name} is driven by {self.driven[name]} already")
                self.driven[name] = who
            numbers += range(word, word + Packing([port]).words)
        return numbers

    def bit(self, who: str, name: str, drives: bool) -> int:
        """Number of the word of a port of one bit; NONE if it is not there."""
        if name not in self.ports:
            return NONE
        return self.words(who, name, drives=drives)[0]

    def packed(self, who: str, values: Mapping[str, ArrayLike]) -> NDArray[np.uint32]:
        """Values of ports as rows of words, (entries, words)."""
        ports = [self.port(who, name) for name in values]
        clocks, codes = checked(ports, values)
        return Packing(ports).pack(codes, slice(0, clocks))


class Part(ABC):
    """Something that surrounds a design, or watches it.

    Attributes
    ----------
    name : str
        Name of its events, and in errors.
    """

    name: str
    kind: ClassVar[int]

    @abstractmethod
    def text(self, layout: Layout) -> Numbers:
        """The part as numbers, in the order in which its players read them."""

    def recorded(self, layout: Layout) -> list[Port] | None:
        """The ports whose values its events hold; None for a part without events."""
        return None


def _list(values: Iterable[int]) -> list[int]:
    """A list with its length in front."""
    numbers = list(values)
    return [len(numbers), *numbers]


def _pattern(who: str, what: str, values: Sequence[int], least: int = 0) -> list[int]:
    numbers = [int(value) for value in values]
    if not numbers or min(numbers) < least or max(numbers) >= 1 << 31:
        raise ValueError(f"{who}: {what} = {values!r}: numbers from {least} on are wanted")
    return _list(numbers)


def _wide(value: int) -> list[int]:
    """A number of 64 bits as two words."""
    return [value & 0xFFFF_FFFF, value >> 32 & 0xFFFF_FFFF]


@dataclass(frozen=True, kw_only=True, eq=False)
class Source(Part):
    """Sends beats into a stream of the design, in order; the payload is 0 between them.

    Parameters
    ----------
    stream
        Name of the stream.
    beats
        Values of the payload's fields, (beats,) or (beats, lanes).
    gaps
        Clocks without `valid` before each beat.
    """

    stream: str
    beats: Mapping[str, ArrayLike]
    gaps: Sequence[int] = (0,)
    kind = 0

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the stream."""
        return self.stream

    def text(self, layout: Layout) -> Numbers:
        who = f"Source {self.stream}"
        values = {f"{self.stream}_{name}": codes for name, codes in self.beats.items()}
        rows = layout.packed(who, values)
        return [
            layout.words(who, f"{self.stream}_valid", drives=True)[0],
            layout.bit(who, f"{self.stream}_ready", False),
            *_list(layout.words(who, *values, drives=True)),
            *_pattern(who, "gaps", self.gaps),
            rows.size,
            rows.reshape(-1),
            len(rows),
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sink(Part):
    """Takes the beats of a stream of the design.

    Parameters
    ----------
    stream
        Name of the stream.
    stalls
        Clocks without `ready` after each beat, and before the first. `ready` then stays until a
        beat comes.
    """

    stream: str
    stalls: Sequence[int] = (0,)
    kind = 1

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the stream."""
        return self.stream

    def text(self, layout: Layout) -> Numbers:
        who = f"Sink {self.stream}"
        return [
            layout.bit(who, f"{self.stream}_valid", False),
            layout.words(who, f"{self.stream}_ready", drives=True)[0],
            *_pattern(who, "stalls", self.stalls),
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory(Part):
    """A memory outside the design: requests come in a stream, words go in streams of their own.

    Requests are taken one after the other. One asks for words from `address` on, as many as its
    field `length` says, or one if there is no such field. Words are read when the request is
    accepted and offered in order, the first of them after the latency. A request with the field
    `write` set stores the request's own field `data`, or words from the stream `write`, which all
    come before the next request is taken.

    Parameters
    ----------
    request
        Stream of requests: `address`, and where they are there, `length`, `write` and `data`.
    read
        Stream of the words that were read, with the field `data`; None where nothing is read.
    write
        Stream of words to be written, with the field `data`; None where nothing is written, or the
        request brings the word.
    words
        Contents at the start, (words,) or (words, lanes).
    latency
        Clocks from the one that accepts a request to the one that offers its first word, at least
        1; of each read in turn.
    stalls
        Clocks in which no request is taken, after each of them and before the first.
    """

    request: str
    read: str | None = None
    write: str | None = None
    words: ArrayLike
    latency: Sequence[int] = (1,)
    stalls: Sequence[int] = (0,)
    kind = 2

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the stream of requests."""
        return self.request

    def data(self, layout: Layout) -> Port:
        """The port whose values the words are."""
        own = f"{self.request}_data"
        names = [f"{stream}_data" for stream in (self.read, self.write) if stream]
        if own in layout.ports:
            names.append(own)
        if not names:
            raise ValueError(f"Memory {self.request}: neither read nor write is given")
        ports = [layout.port(f"Memory {self.request}", name) for name in names]
        if len({(port.width, port.lanes) for port in ports}) > 1:
            raise ValueError(f"Memory {self.request}: {' and '.join(names)} differ in their width")
        return ports[0]

    def text(self, layout: Layout) -> Numbers:
        who = f"Memory {self.request}"
        port = self.data(layout)
        words = layout.packed(who, {port.name: self.words})
        own = f"{self.request}_data" in layout.ports

        def optional(stream: str | None, name: str, drives: bool) -> int:
            return NONE if stream is None else layout.bit(who, f"{stream}_{name}", drives)

        def data(stream: str | None, drives: bool) -> list[int]:
            return _list(layout.words(who, *([f"{stream}_data"] if stream else []), drives=drives))

        length = f"{self.request}_length"
        return [
            layout.bit(who, f"{self.request}_valid", False),
            layout.bit(who, f"{self.request}_ready", True),
            layout.bit(who, f"{self.request}_write", False),
            optional(self.read, "valid", True),
            optional(self.read, "ready", False),
            optional(self.write, "valid", False),
            optional(self.write, "ready", True),
            *_list(layout.words(who, f"{self.request}_address", drives=False)),
            *_list(layout.words(who, *[length] * (length in layout.ports), drives=False)),
            *data(self.request if own else None, False),
            *data(self.read, True),
            *data(self.write, False),
            *_pattern(who, "latency", self.latency, 1),
            *_pattern(who, "stalls", self.stalls),
            words.shape[1],
            words.size,
            words.reshape(-1),
        ]


@dataclass(frozen=True)
class Write:
    """A host's write of a register.

    Parameters
    ----------
    address, value
        Register and value.
    """

    address: int
    value: int


@dataclass(frozen=True)
class Read:
    """A host's read of a register; the value is an event.

    Parameters
    ----------
    address
        The register.
    """

    address: int


@dataclass(frozen=True)
class Poll:
    """A host's reads of a register until `value & mask` is the wanted value, which is an event.

    Parameters
    ----------
    address
        The register.
    value
        The wanted value.
    mask
        Bits that are looked at; all by default.
    """

    address: int
    value: int
    mask: int = (1 << 62) - 1


@dataclass(frozen=True)
class Wait:
    """A host does nothing.

    Parameters
    ----------
    clocks
        For so long, at least 1.
    """

    clocks: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Host(Part):
    """Reads and writes registers of the design: one access after the other, each in one clock.

    Parameters
    ----------
    script
        The accesses.
    address, data, value
        Ports: the register's address, a value to be written, the value of the register.
    write, read
        Ports of one bit that say that it is a write or a read; `read` may be missing.
    latency
        Clocks from the one that has the address of a read to the one that shows the value: 0 where
        no register is between.
    name
        Name of its events: every value that was read, with its address.
    """

    script: Sequence[Write | Read | Poll | Wait]
    address: str = "address"
    data: str = "data"
    value: str = "value"
    write: str = "write"
    read: str | None = None
    latency: int = 0
    name: str = "host"
    kind = 3

    def text(self, layout: Layout) -> Numbers:
        who = f"Host {self.name}"
        numbers: list[int] = []
        for step in self.script:
            match step:
                case Write(address, value):
                    entry = 0, address, value, 0
                case Read(address):
                    entry = 1, address, 0, 0
                case Poll(address, value, mask):
                    entry = 2, address, value, mask
                case Wait(clocks):
                    if clocks < 1:
                        raise ValueError(f"{who}: {step}: at least 1 clock is wanted")
                    entry = 3, 0, clocks, 0
                case _:
                    raise TypeError(f"{who}: {step!r} is no access")
            address_port, data_port = layout.port(who, self.address), layout.port(who, self.data)
            if not 0 <= entry[1] <= address_port.maximum:
                raise ValueError(f"{who}: {step}: addresses go from 0 to {address_port.maximum}")
            if entry[0] == 0 and not 0 <= entry[2] <= data_port.maximum:
                raise ValueError(f"{who}: {step}: values go from 0 to {data_port.maximum}")
            numbers += [entry[0], *_wide(entry[1]), *_wide(entry[2]), *_wide(entry[3])]
        return [
            layout.words(who, self.write, drives=True)[0],
            NONE if self.read is None else layout.words(who, self.read, drives=True)[0],
            *_list(layout.words(who, self.address, drives=True)),
            *_list(layout.words(who, self.data, drives=True)),
            *_list(layout.words(who, self.value, drives=False)),
            self.latency,
            len(self.script),
            *numbers,
        ]

    def recorded(self, layout: Layout) -> list[Port]:
        return [Port("address", "out", 62), layout.port(f"Host {self.name}", self.value)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Watch(Part):
    """Events: the clocks at which some ports are not 0, with the values of others.

    The beats of a stream are `when=("o_valid", "o_ready")`; writes of a memory inside the design
    are those of its write port, by probes.

    Parameters
    ----------
    name
        Name of the events.
    when
        Ports or probes that are all not 0 at an event.
    data
        Ports or probes whose values it holds.
    """

    name: str
    when: Sequence[str]
    data: Sequence[str] = field(default=())
    kind = 4

    def text(self, layout: Layout) -> Numbers:
        who = f"Watch {self.name}"
        for name in self.when:
            if layout.port(who, name).bits > 32:
                raise ValueError(f"{who}: {name} has more than 32 bits, too many for a condition")
        return [
            *_list(layout.words(who, *self.when)),
            *_list(layout.words(who, *self.data)),
        ]

    def recorded(self, layout: Layout) -> list[Port]:
        return [layout.port(f"Watch {self.name}", name) for name in self.data]
