"""Boards in a simulator: whole designs, and the bytes on their serial lines."""

from collections.abc import Iterator

import numpy as np

from boards.hosted.protocol import LONGEST, About
from boards.hosted.top import Hosted
from boards.link import receiver_twin
from boards.link.receiver_twin import ReceiverConfig
from boards.link.uart_twin import UartConfig
from boards.trainer.top import Trainer
from boards.trainer.training import Training
from golden.core.lower import Compiled
from golden.fixed import Codes
from gradloom.sim.simulators import SimulatorName, prepare

#: Clocks that are simulated at a time.
_BATCH = 1 << 15


class Receiver:
    """Reads the bytes of a serial line: 8 data bits, no parity, one stop bit.

    A byte whose stop bit is low is dropped.

    Parameters
    ----------
    config
        Clocks of a bit.

    Examples
    --------
    >>> from boards.link.uart_twin import Transmitter
    >>> config = UartConfig(clocks=4)
    >>> inputs = {"i_valid": np.ones(100, int), "i_data": np.full(100, 0x41)}
    >>> Receiver(config).bytes(Transmitter(config).run(inputs)["tx"])
    b'AA'
    """

    def __init__(self, config: UartConfig):
        self._twin = receiver_twin.Receiver(ReceiverConfig(clocks=config.clocks))
        self._state = self._twin.initial()

    def bytes(self, levels: Codes) -> bytes:
        """Return the bytes that are complete after some further clocks."""
        self._state, out = self._twin.advance(self._state, {"rx": levels})
        return bytes(out["byte"][out["valid"] == 1].tolist())


class SimulatedBoard:
    """A training's whole design in a simulator.

    Parameters
    ----------
    training
        The training.
    simulator
        Name of the simulator.
    top
        The design; None for that of the training.
    """

    def __init__(
        self,
        training: Training,
        *,
        simulator: SimulatorName = "cxxrtl",
        top: Trainer | None = None,
    ):
        self.training = training
        self._simulation = prepare(Trainer(training) if top is None else top, simulator)
        self._state = self._simulation.initial()
        self._receiver = Receiver(training.uart)
        self.clock = 0
        #: The latest levels of outputs.
        self.ended = self.failed = False
        self.bar = 0

    def advance(self, clocks: int = _BATCH, restart: bool = False) -> bytes:
        """Simulate some clocks, and return the bytes that have come on the serial line.

        Parameters
        ----------
        clocks
            Number of clocks.
        restart
            Whether the button is pressed meanwhile.
        """
        pressed = np.full(clocks, int(restart))
        self._state, out = self._simulation.advance(self._state, {"restart": pressed})
        self.clock += clocks
        self.ended, self.failed = bool(out["ended"][-1]), bool(out["failed"][-1])
        self.bar = int(out["bar"][-1])
        return self._receiver.bytes(out["tx"])

    def parts(self) -> Iterator[bytes]:
        """Yield the bytes of the serial line for ever, as they come."""
        while True:
            yield self.advance()


#: Clocks of a bit on the line of a simulated board: the fewer, the faster.
BIT = 2
#: Clocks that are simulated before the line is looked at again.
_TURN = 1000


class SimulatedHost:
    """A board with a core that a computer drives, in a simulator.

    It is a `gradloom.board.link.Line`: bytes that are written come to the board, and time passes
    while something is read.

    Parameters
    ----------
    compiled
        The network on its core.
    simulator
        Name of the simulator.
    longest
        The most bytes of a payload.
    """

    def __init__(
        self, compiled: Compiled, *, simulator: SimulatorName = "cxxrtl", longest: int = LONGEST
    ):
        uart = UartConfig(clocks=BIT)
        self.about = About.of(
            compiled.config, frequency=100_000_000, name="simulation", longest=longest
        )
        self._simulation = prepare(Hosted(compiled.config, self.about, uart), simulator)
        self._receiver = Receiver(uart)
        self.clock = 0
        self._state = self._simulation.initial()
        self._waiting: list[Codes] = []

    def write(self, part: bytes) -> None:
        """Put bytes on the line; they come in the clocks that follow."""
        bits = np.unpackbits(np.frombuffer(part, np.uint8)[:, None], axis=1, bitorder="little")
        frame = np.ones((len(part), 11), np.int64)
        frame[:, 0] = 0
        frame[:, 1:9] = bits
        self.levels(np.repeat(frame.ravel(), BIT))

    def levels(self, levels: Codes) -> None:
        """Put levels on the line, one for each clock."""
        self._waiting.append(levels)

    def read(self) -> bytes:
        """Simulate what has been written, and some clocks more; returns what the board sends."""
        levels = np.concatenate([*self._waiting, np.ones(_TURN, np.int64)])
        self._waiting = []
        return self._receiver.bytes(self._advance(levels))

    def _advance(self, levels: Codes, reset: bool = False) -> Codes:
        inputs = {"rx": levels, "rst": np.full(len(levels), int(reset))}
        self._state, out = self._simulation.advance(self._state, inputs)
        self.clock += len(levels)
        return out["tx"]

    def power_up(self) -> None:
        """Reset the whole board; what was on its way to it is lost."""
        self._waiting = []
        self._advance(np.ones(4, np.int64), reset=True)
