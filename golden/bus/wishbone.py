"""Twin of the bridge from Wishbone B4 to the plain bus of registers.

An access is answered a fixed number of clocks after the one in which it was accepted, a write like
a read. In classic cycles the next one is accepted in the clock after the answer; in pipelined ones
an access is accepted in each clock, and nothing ever stalls. Where `cyc` falls, answers that are
due are dropped; what was accepted is carried out.
"""

from dataclasses import dataclass

import numpy as np

from golden.bus.space import BYTES, WORD, Access, Space
from golden.port import Port
from golden.twin import Trace, Twin

#: Answers.
ACK, ERR = 1, 2


def latency(space: Space) -> int:
    """Return the clocks from the one that accepts an access to its answer."""
    return space.latency + 2


def ports(space: Space, pipelined: bool) -> tuple[Port, ...]:
    """Return the ports of the bridge: Wishbone, then the plain bus."""
    stall = Port("wb_stall", "out", 1, meaning="always 0: an access is accepted in each clock")
    return (
        Port("wb_cyc", "in", 1, meaning="a cycle goes on"),
        Port("wb_stb", "in", 1, meaning="an access is wanted"),
        Port("wb_we", "in", 1, meaning="it is a write"),
        Port("wb_adr", "in", space.bits, meaning="its address, in words"),
        Port("wb_sel", "in", BYTES, meaning="bytes that are written: all, or it is refused"),
        Port("wb_dat_w", "in", WORD, meaning="what is written"),
        *([stall] if pipelined else []),
        Port("wb_ack", "out", 1, meaning="an access has been carried out"),
        Port("wb_err", "out", 1, meaning="an access was refused"),
        Port("wb_dat_r", "out", WORD, meaning="what was read, while `wb_ack` is high; else 0"),
        *space.ports,
    )


@dataclass(frozen=True)
class WishboneState:
    """State of the twin of `hdl.bus.Wishbone`.

    Parameters
    ----------
    due
        Answers that are due and whether they have a value, the oldest first; 0 for none.
    access
        What the plain bus shows.
    value
        The value that came in the clock before.
    """

    due: tuple[tuple[int, bool], ...]
    access: Access = Access()
    value: int = 0


class Wishbone(Twin[WishboneState]):
    """Twin of `hdl.bus.Wishbone`.

    Parameters
    ----------
    space
        The registers.
    pipelined
        Whether cycles are pipelined.

    Examples
    --------
    >>> twin = Wishbone(Space(bits=3, addresses=(0, 1, 5), latency=2), pipelined=True)
    >>> [port.name for port in twin.ports][6]
    'wb_stall'
    """

    def __init__(self, space: Space, *, pipelined: bool = False):
        self.space = space
        self.pipelined = pipelined
        self.ports = ports(space, pipelined)

    def initial(self) -> WishboneState:
        """Return the state after a reset: nothing is on its way."""
        return WishboneState(due=((0, False),) * latency(self.space))

    def stretch(self, state: WishboneState, inputs: Trace) -> tuple[WishboneState, Trace]:
        """Return the state after some clocks, and the outputs in these."""
        outs = [port.name for port in self.ports or () if port.direction == "out"]
        rows: dict[str, list[int]] = {name: [] for name in outs}
        names = list(inputs)
        for values in zip(*(inputs[name].tolist() for name in names)):
            given = dict(zip(names, values))
            answer, has_value = state.due[0] if given["wb_cyc"] else (0, False)
            shown = {
                "wb_stall": 0,
                "wb_ack": int(answer == ACK),
                "wb_err": int(answer == ERR),
                "wb_dat_r": state.value if has_value else 0,
                **{
                    f"bus_{name}": int(getattr(state.access, name))
                    for name in ("address", "write", "value", "read")
                },
            }
            for name in outs:
                rows[name].append(shown[name])
            state = self._next(state, given)
        return state, {name: np.array(values, np.int64) for name, values in rows.items()}

    def _next(self, state: WishboneState, given: dict[str, int]) -> WishboneState:
        """Return the state after a clock."""
        free = self.pipelined or not any(answer for answer, _ in state.due)
        access, answer = Access(), (0, False)
        if given["wb_cyc"] and given["wb_stb"] and free:
            writes, address = bool(given["wb_we"]), given["wb_adr"]
            whole = given["wb_sel"] == (1 << BYTES) - 1
            good = self.space.known(address) and (whole or not writes)
            value = given["wb_dat_w"] if writes else 0
            access = Access(address, write=good and writes, read=good and not writes, value=value)
            answer = ACK if good else ERR, access.read
        due = (*state.due[1:], answer)
        if not given["wb_cyc"]:
            due = ((0, False),) * len(due)
        return WishboneState(due=due, access=access, value=given["bus_data"])
