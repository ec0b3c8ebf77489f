"""What a program did on a core: its events, batch by batch and as a whole."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from golden.core.isa import Engine
from golden.fixed import Codes


def done_event(engine: Engine) -> str:
    """Return the name of the events of an engine's chunks that are done."""
    return f"done_{engine.name.lower()}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Ran:
    """What a program did.

    Parameters
    ----------
    start
        The simulation's clock that is clock 0 of the program's schedule.
    events
        Events by name: the writes of the stores, `in` and `out` for the beats of the streams,
        with clocks of the schedule.
    done
        Clock of every chunk's last write, by engine.
    wrong
        Wrong classes of the program.
    steps
        Whole steps.
    """

    start: int
    events: dict[str, NDArray[np.void]]
    done: dict[Engine, Codes]
    wrong: int
    steps: int

    @property
    def clocks(self) -> int:
        """Clocks from the start to the last write."""
        return 1 + max(int(clocks[-1]) for clocks in self.done.values() if len(clocks))


@dataclass(eq=False, kw_only=True)
class Recording:
    """What is recorded of a program, batch by batch."""

    start: int
    parts: list[dict[str, NDArray[np.void]]] = field(default_factory=list)

    def ran(self, wrong: int, steps: int) -> Ran:
        """Return it as a whole."""
        events = {}
        for name in self.parts[0]:
            events[name] = np.concatenate([part[name] for part in self.parts])
            events[name]["clock"] -= self.start
        done = {
            engine: events.pop(done_event(engine))["clock"].astype(np.int64) for engine in Engine
        }
        return Ran(start=self.start, events=events, done=done, wrong=wrong, steps=steps)
