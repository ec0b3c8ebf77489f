"""Parts of an environment in Python, clock by clock. environment.cc is the same in C++."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gradloom.sim.environment import NONE

Row = list[int]


class Text:
    """The description of an environment: numbers, and lists with their length in front."""

    def __init__(self, numbers: Sequence[int]):
        self._numbers = iter(numbers)

    def word(self) -> int:
        """Return the next number."""
        return next(self._numbers)

    def list(self) -> list[int]:
        """Return the next list."""
        return [self.word() for _ in range(self.word())]

    def wide(self) -> int:
        """Return the next number of two words."""
        return self.word() | self.word() << 32


def _high(row: Row, word: int) -> bool:
    """Return whether a one-bit port is 1, or missing."""
    return word == NONE or bool(row[word] & 1)


def _set(row: Row, word: int, value: int) -> None:
    if word != NONE:
        row[word] = value


def _put(row: Row, places: list[int], words: Sequence[int] | None) -> None:
    for k, place in enumerate(places):
        row[place] = words[k] if words is not None else 0


def _get(row: Row, places: list[int]) -> list[int]:
    return [row[place] for place in places]


def _number(row: Row, places: list[int]) -> int:
    return sum(row[place] << 32 * k for k, place in enumerate(places))


def _words_of(number: int) -> tuple[int, int]:
    return number & 0xFFFF_FFFF, number >> 32


def _pattern(numbers: list[int]) -> Iterator[int]:
    while True:
        yield from numbers


class Player:
    """A part in a simulation.

    Attributes
    ----------
    events : list of int
        Words of the part's events: for each event, the clock in two words, then the values.
    words : list of int
        Contents of a memory.
    """

    def __init__(self) -> None:
        self.events: list[int] = []
        self.words: list[int] = []

    def drive(self, row: Row) -> None:
        """Set inputs of the design before a clock edge."""

    def observe(self, row: Row, clock: int) -> None:
        """Change the state of the part after the outputs of a clock."""

    def done(self) -> bool:
        """Return whether the part is done."""
        return True

    def event(self, clock: int, words: Sequence[int]) -> None:
        """Record an event."""
        self.events += [*_words_of(clock), *words]


class SourcePlayer(Player):
    """See `Source`."""

    def __init__(self, text: Text):
        super().__init__()
        self.valid, self.ready = text.word(), text.word()
        self.payload, self.gaps = text.list(), _pattern(text.list())
        self.beats, self.count = text.list(), text.word()
        self.at, self.gap = 0, next(self.gaps)

    def drive(self, row: Row) -> None:
        offers = self.at < self.count and not self.gap
        _set(row, self.valid, int(offers))
        size = len(self.payload)
        beat = self.beats[self.at * size : (self.at + 1) * size] if offers else None
        _put(row, self.payload, beat)

    def observe(self, row: Row, clock: int) -> None:
        if self.gap:
            self.gap -= 1
        elif self.at < self.count and _high(row, self.ready):
            self.at += 1
            self.gap = next(self.gaps)

    def done(self) -> bool:
        return self.at == self.count

    def send(self, rows: NDArray[np.uint32]) -> None:
        """Take further beats. Those that were taken are forgotten."""
        del self.beats[: self.at * len(self.payload)]
        self.beats += rows.reshape(-1).tolist()
        self.at, self.count = 0, self.count - self.at + len(rows)


class SinkPlayer(Player):
    """See `Sink`."""

    def __init__(self, text: Text):
        super().__init__()
        self.valid, self.ready = text.word(), text.word()
        self.stalls = _pattern(text.list())
        self.stall = next(self.stalls)

    def drive(self, row: Row) -> None:
        _set(row, self.ready, int(not self.stall))

    def observe(self, row: Row, clock: int) -> None:
        if self.stall:
            self.stall -= 1
        elif _high(row, self.valid):
            self.stall = next(self.stalls)


class MemoryPlayer(Player):
    """See `Memory`."""

    def __init__(self, text: Text):
        super().__init__()
        self.request_valid, self.request_ready, self.is_write = (text.word() for _ in range(3))
        self.read_valid, self.read_ready = text.word(), text.word()
        self.write_valid, self.write_ready = text.word(), text.word()
        self.address, self.length = text.list(), text.list()
        self.data, self.read_data, self.write_data = text.list(), text.list(), text.list()
        self.latency, self.stalls = _pattern(text.list()), _pattern(text.list())
        self.size = text.word()
        self.words = text.list()
        self.stall = next(self.stalls)
        self.now = self.next_write = self.left = self.last_due = 0
        self.answers: deque[tuple[int, list[int]]] = deque()

    def _offers(self) -> bool:
        return bool(self.answers) and self.answers[0][0] <= self.now

    def drive(self, row: Row) -> None:
        _set(row, self.request_ready, int(not self.stall and not self.left))
        _set(row, self.write_ready, int(self.left > 0))
        offers = self._offers()
        _set(row, self.read_valid, int(offers))
        _put(row, self.read_data, self.answers[0][1] if offers else None)

    def _store(self, row: Row, places: list[int]) -> None:
        at = self.next_write * self.size
        self.words[at : at + self.size] = _get(row, places)
        self.next_write += 1

    def observe(self, row: Row, clock: int) -> None:
        if self._offers() and _high(row, self.read_ready):
            self.answers.popleft()
        self.now = clock + 1
        if self.left:
            if _high(row, self.write_valid):
                self._store(row, self.write_data)
                self.left -= 1
        elif self.stall:
            self.stall -= 1
        elif _high(row, self.request_valid):
            self.stall = next(self.stalls)
            self._accept(row, clock)

    def _accept(self, row: Row, clock: int) -> None:
        first = _number(row, self.address)
        count = _number(row, self.length) if self.length else 1
        there = len(self.words) // self.size
        if first + count > there:
            raise ValueError(
                f"words {first} to {first + count - 1} are asked for at clock {clock}: "
                f"there are {there}"
            )
        alone = self.is_write == NONE
        if not self.read_data if alone else _high(row, self.is_write):
            self.next_write = first
            if self.data:
                self._store(row, self.data)
            else:
                self.left = count
            return
        self.last_due = max(self.last_due, clock + next(self.latency))
        for word in range(first, first + count):
            self.answers.append((self.last_due, self.words[word * self.size :][: self.size]))

    def done(self) -> bool:
        return not self.answers and not self.left


class HostPlayer(Player):
    """See `Host`."""

    WRITE, READ, POLL, WAIT = range(4)

    def __init__(self, text: Text):
        super().__init__()
        self.write, self.read = text.word(), text.word()
        self.address, self.data, self.value = text.list(), text.list(), text.list()
        self.latency = text.word()
        self.script = [
            (text.word(), text.wide(), text.wide(), text.wide()) for _ in range(text.word())
        ]
        self.at = self.since = 0

    def drive(self, row: Row) -> None:
        kind, address, value, _ = self.script[self.at] if not self.done() else (self.WAIT, 0, 0, 0)
        now = not self.since and kind != self.WAIT
        writes = now and kind == self.WRITE
        _put(row, self.address, _words_of(address if now else 0))
        _put(row, self.data, _words_of(value if writes else 0))
        _set(row, self.write, int(writes))
        _set(row, self.read, int(now and not writes))

    def observe(self, row: Row, clock: int) -> None:
        if self.done():
            return
        kind, address, wanted, mask = self.script[self.at]
        last = {self.WAIT: wanted - 1, self.WRITE: 0}.get(kind, self.latency)
        self.since += 1
        if self.since <= last:
            return
        self.since = 0
        if kind in (self.READ, self.POLL):
            if kind == self.POLL and _number(row, self.value) & mask != wanted:
                return
            self.event(clock, [*_words_of(address), *_get(row, self.value)])
        self.at += 1

    def done(self) -> bool:
        return self.at == len(self.script)


class WatchPlayer(Player):
    """See `Watch`."""

    def __init__(self, text: Text):
        super().__init__()
        self.when, self.data = text.list(), text.list()

    def observe(self, row: Row, clock: int) -> None:
        if all(row[word] for word in self.when):
            self.event(clock, _get(row, self.data))


#: Classes in the order of the parts' `kind`.
PLAYERS: tuple[Callable[[Text], Player], ...] = (
    SourcePlayer,
    SinkPlayer,
    MemoryPlayer,
    HostPlayer,
    WatchPlayer,
)


class Surroundings:
    """The parts of an environment, in Python.

    Parameters
    ----------
    numbers
        Description: the number of parts, then the kind and the numbers of each part.
    names
        Names of the parts, for errors.
    """

    def __init__(self, numbers: Sequence[int], names: Sequence[str]):
        text = Text(numbers)
        self._players = [PLAYERS[text.word()](text) for _ in range(text.word())]
        self._names = names
        self._clock = 0

    def drive(self, row: Row) -> None:
        """Set inputs of the design before a clock edge."""
        for player in self._players:
            player.drive(row)

    def observe(self, row: Row) -> None:
        """Change the state of the part after the outputs of a clock."""
        for player, name in zip(self._players, self._names):
            try:
                player.observe(row, self._clock)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        self._clock += 1

    def take_events(self, part: int) -> NDArray[np.uint32]:
        """Return the words of a part's events, and remove them."""
        events, self._players[part].events = self._players[part].events, []
        return np.array(events, np.uint32)

    def words(self, part: int) -> NDArray[np.uint32]:
        """Return the words of a memory."""
        return np.array(self._players[part].words, np.uint32)

    def send(self, part: int, rows: NDArray[np.uint32]) -> None:
        """Give a source further beats, one row of words each."""
        source = self._players[part]
        assert isinstance(source, SourcePlayer)
        source.send(rows)

    def done(self, part: int) -> bool:
        """Return whether a part is done."""
        return self._players[part].done()
