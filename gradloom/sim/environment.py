"""The environment of a design in a simulation: sources, sinks, memories, hosts and watches.

Each part is described once, here, and played by both simulators with one result: in Python
(`gradloom.sim.players`) and inside the compiled loop (`environment.cc`). A part drives inputs of
the design from its own state alone, and observes outputs just before each clock edge; they change
its state for the next clock.

A stream `i` has the ports `i_valid`, `i_ready` and one for each field of its payload, `i_<field>`.
Numbers of idle clocks are a sequence that is repeated without end. `pauses` returns a random one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.port import Port, checked
from gradloom.sim.packing import Packing

#: Description of a part: numbers, and arrays of numbers.
Numbers = list[int | NDArray[np.uint32]]

#: Number in place of that of a missing word, such as `ready` of a stream without `ready`.
NONE = 0xFFFF_FFFF


def pauses(often: float, seed: int, count: int = 4093) -> tuple[int, ...]:
    """Return random numbers of idle clocks: each clock before a beat is idle with probability
    `often`.

    Parameters
    ----------
    often
        The probability, at least 0 and less than 1.
    seed
        Seed of the random numbers (NumPy's PCG64).
    count
        Length of the sequence.

    Returns
    -------
    tuple of int
        `count` numbers.

    Raises
    ------
    ValueError
        The probability is out of its range.

    Examples
    --------
    >>> pauses(0.5, seed=1, count=8)
    (1, 4, 0, 4, 0, 0, 2, 0)
    """
    seed, count = check.whole("seed", seed, 0), check.whole("count", count, 1)
    if not check.is_real(often) or not 0 <= often < 1:
        raise ValueError(f"often = {often}: allowed are values from 0 to less than 1")
    rng = np.random.default_rng(seed)
    return tuple((rng.geometric(1 - often, count) - 1).tolist())


class Layout:
    """Positions of ports in the row of a clock: inputs first, then outputs and probes.

    Parameters
    ----------
    inputs, outputs
        Layouts of the two parts of the row.
    """

    def __init__(self, inputs: Packing, outputs: Packing):
        self.words_in = inputs.words
        self.ports: dict[str, tuple[Port, int]] = {
            port.name: (port, word) for port, word in inputs.places
        }
        for port, word in outputs.places:
            self.ports[port.name] = port, word + inputs.words
        #: Input port to the name of the part that drives it.
        self.driven: dict[str, str] = {}

    def port(self, who: str, name: str) -> Port:
        """Return the port `name`. `who` is the part's name in an error."""
        if name not in self.ports:
            known = ", ".join(self.ports)
            raise ValueError(f"{who}: there is no port {name}; there are {known}")
        return self.ports[name][0]

    def words(self, who: str, *names: str, drives: bool | None = None) -> list[int]:
        """Return the numbers of the words of some ports.

        Parameters
        ----------
        who
            Name of the part.
        names
            Names of the ports.
        drives
            True: the part drives the ports, which must be inputs without another driver. False: the
            ports must be outputs. None: any ports.
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
        """Return the number of the word of a one-bit port; NONE if there is no such port."""
        if name not in self.ports:
            return NONE
        return self.words(who, name, drives=drives)[0]

    def packed(self, who: str, values: Mapping[str, ArrayLike]) -> NDArray[np.uint32]:
        """Return values of ports as rows of words. Shape (entries, words)."""
        ports = [self.port(who, name) for name in values]
        if ports and not any(np.size(codes) for codes in values.values()):
            return np.zeros((0, Packing(ports).words), np.uint32)
        try:
            clocks, codes = checked(ports, values)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{who}: {error}") from None
        return Packing(ports).pack(codes, slice(0, clocks))


class Part(ABC):
    """A part of a design's environment.

    Attributes
    ----------
    name : str
        Name of the part's events, also used in errors.
    """

    name: str
    kind: ClassVar[int]

    @abstractmethod
    def text(self, layout: Layout) -> Numbers:
        """Return the part as numbers, in the order in which the simulators read them."""

    def recorded(self, layout: Layout) -> list[Port] | None:
        """Return the ports in the part's events; None for a part without events."""
        return None


def _list(values: Iterable[int]) -> list[int]:
    """Return a list with its length in front."""
    numbers = list(values)
    return [len(numbers), *numbers]


def _pattern(who: str, what: str, values: Sequence[int], least: int = 0) -> list[int]:
    numbers = check.integers(f"{who}: {what}", values)
    if numbers.ndim != 1 or not numbers.size or numbers.min() < least or numbers.max() >= 1 << 31:
        shown = check.shown(values)
        raise ValueError(f"{who}: {what} = {shown}: allowed are numbers from {least} on")
    return _list(numbers.tolist())


def _plain(who: str, step: object, number: int) -> int:
    """Return a number of a host's access as an int."""
    if not check.is_whole(number):
        raise TypeError(f"{who}: {step}: whole numbers are wanted")
    return int(number)


def _wide(value: int) -> list[int]:
    """Return a number of 64 bits as two words."""
    return [value & 0xFFFF_FFFF, value >> 32 & 0xFFFF_FFFF]


@dataclass(frozen=True, kw_only=True, eq=False)
class Source(Part):
    """Sends beats to a stream of the design, in order. The payload is 0 between them.

    Parameters
    ----------
    stream
        Name of the stream.
    beats
        Field of the payload to its values: shape (beats,), or (beats, lanes) if it has lanes. There
        may be none at first: `Environment.send` gives further ones.
    gaps
        Number of clocks without `valid` before each beat.

    Examples
    --------
    >>> source = Source(stream="i", beats={"data": [[7], [8], [9]]}, gaps=(0, 2))
    >>> source.name
    'i'
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
        check.table(f"{who}: beats", self.beats, "fields to integers")
        rows = self.rows(layout, self.beats)
        names = [f"{self.stream}_{name}" for name in self.beats]
        return [
            layout.words(who, f"{self.stream}_valid", drives=True)[0],
            layout.bit(who, f"{self.stream}_ready", False),
            *_list(layout.words(who, *names, drives=True)),
            *_pattern(who, "gaps", self.gaps),
            rows.size,
            rows.reshape(-1),
            len(rows),
        ]

    def rows(self, layout: Layout, beats: Mapping[str, ArrayLike]) -> NDArray[np.uint32]:
        """Return beats of the source as rows of words. Shape (beats, words)."""
        if beats.keys() != self.beats.keys():
            raise ValueError(
                f"Source {self.stream}: beats of {', '.join(beats)}: "
                f"those before have {', '.join(self.beats)}"
            )
        values = {f"{self.stream}_{name}": beats[name] for name in self.beats}
        return layout.packed(f"Source {self.stream}", values)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sink(Part):
    """Takes the beats of a stream of the design.

    Parameters
    ----------
    stream
        Name of the stream.
    stalls
        Number of clocks without `ready` before the first beat and after each beat. Then `ready`
        stays high until a beat comes.

    Examples
    --------
    >>> sink = Sink(stream="o", stalls=(1,))
    >>> sink.name
    'o'
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
    """A memory outside the design, with streams for requests and for words.

    Requests are accepted one after the other. A request is for `length` words from `address` on, or
    for one word if it has no field `length`. The words are read when the request is accepted, and
    offered in order, the first one after the latency. A request with the field `write` set stores
    its own field `data` or, without this field, words from the stream `write`, all of them before
    the next request is accepted.

    Parameters
    ----------
    request
        Stream of requests, with the field `address` and optional fields `length`, `write` and
        `data`.
    read
        Stream of words that were read, with the field `data`; None if nothing is read.
    write
        Stream of words to write, with the field `data`; None if nothing is written, or if requests
        have the field `data`.
    words
        Initial contents, shape (words,) or (words, lanes).
    latency
        Number of clocks, at least 1, from the clock that accepts a request to that which offers its
        first word, for one read after the other.
    stalls
        Number of clocks before the first request and after each request in which no request is
        accepted.

    Examples
    --------
    >>> memory = Memory(request="fetch", read="word", words=range(1024), latency=(5, 9))
    >>> memory.name
    'fetch'
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
        """Return a port with the width and the lanes of the memory's words."""
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
        Address of the register, and its new value.

    Examples
    --------
    >>> Write(address=2, value=1)
    Write(address=2, value=1)
    """

    address: int
    value: int


@dataclass(frozen=True)
class Read:
    """A host's read of a register. The value is recorded as an event.

    Parameters
    ----------
    address
        Address of the register.

    Examples
    --------
    >>> Read(address=3)
    Read(address=3)
    """

    address: int


@dataclass(frozen=True)
class Poll:
    """A host's reads of a register until its masked value is `value`. The last value that was read
    is recorded as an event.

    Parameters
    ----------
    address
        Address of the register.
    value
        The expected value.
    mask
        Mask of the bits that are compared; all by default.

    Examples
    --------
    >>> Poll(address=4, value=1, mask=1)
    Poll(address=4, value=1, mask=1)
    """

    address: int
    value: int
    mask: int = (1 << 62) - 1


@dataclass(frozen=True)
class Wait:
    """A pause of a host.

    Parameters
    ----------
    clocks
        Number of clocks, at least 1.

    Examples
    --------
    >>> Wait(clocks=10)
    Wait(clocks=10)
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
        Names of the ports for the address, the value to write, and the value that is read.
    write, read
        Names of the one-bit ports that are high for a write and for a read; `read` may be None.
    latency
        Number of clocks from the address of a read to its value: 0 without a register in between.
    name
        Name of the host's events: every value that was read, with its address.

    Examples
    --------
    Set the state of lane 1 of a bank of LFSRs, and read it back:

    >>> import golden, hdl
    >>> from gradloom import Environment, prepare
    >>> host = Host(
    ...     script=(Write(1, value=5), Wait(3), Read(1)),
    ...     address="lane",
    ...     data="load_state",
    ...     value="state",
    ...     write="load",
    ...     latency=2,
    ... )
    >>> simulation = prepare(hdl.Bank(golden.BankConfig(groups=(2,))))
    >>> Environment(simulation, host).run(20).events["host"]["state"].tolist()
    [[5]]
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
        entry: tuple[int, ...]
        for step in self.script:
            match step:
                case Write(address, value):
                    entry = 0, address, value, 0
                case Read(address):
                    entry = 1, address, 0, 0
                case Poll(address, value, mask):
                    entry = 2, address, value, mask
                case Wait(clocks):
                    if _plain(who, step, clocks) < 1:
                        raise ValueError(f"{who}: {step}: at least 1 clock is needed")
                    entry = 3, 0, clocks, 0
                case _:
                    raise TypeError(f"{who}: {step!r} is not an access")
            entry = entry[0], *(_plain(who, step, number) for number in entry[1:])
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
            check.whole(f"{who}: latency", self.latency, 0, (1 << 31) - 1),
            len(self.script),
            *numbers,
        ]

    def recorded(self, layout: Layout) -> list[Port]:
        return [Port("address", "out", 62), layout.port(f"Host {self.name}", self.value)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Watch(Part):
    """Records events: the values of some ports at each clock at which other ports are not 0.

    For the beats of a stream, use `when=("o_valid", "o_ready")`; for writes of a memory inside the
    design, probes of its write port.

    Parameters
    ----------
    name
        Name of the events.
    when
        Names of the ports or probes that must all be other than 0.
    data
        Names of the ports or probes whose values are recorded.

    Examples
    --------
    >>> results = Watch(name="results", when=("o_valid", "o_ready"), data=("o_data",))
    >>> results.name
    'results'
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
