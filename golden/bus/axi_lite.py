"""Twin of the bridge from AXI4-Lite to the plain bus of registers.

Each channel into the bridge has a queue of two places, that of responses to writes as well, and the
one of reads has as many as reads are on their way at full speed. In each clock the bridge carries
out one access: a write whose address and data are both there, if its response has a place, or a
read, if its value has one. Where both could go, they take turns. What arrives in a clock is in its
queue from the next one on, and the plain bus shows an access in the clock after it was chosen.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from golden.bus.space import BYTES, WORD, Access, Space
from golden.port import Port
from golden.twin import Trace, Twin

#: Responses.
OKAY, SLVERR = 0, 2
#: Places of a queue.
PLACES = 2


def reads(space: Space) -> int:
    """Return the number of reads that are on their way at one read in each clock."""
    return space.latency + 3


def ports(space: Space) -> tuple[Port, ...]:
    """Return the ports of the bridge: AXI4-Lite, then the plain bus."""
    address = space.bits + 2
    offered, taken = "{} is offered", "{} is taken at this clock edge, if it is offered"
    byte = "byte address; the two lowest bits do not matter"
    answer = "0 is OKAY, 2 SLVERR"

    def channel(name: str, driver: str, what: str) -> tuple[Port, Port]:
        other = "out" if driver == "in" else "in"
        return (
            Port(f"s_axi_{name}valid", driver, 1, meaning=offered.format(what)),  # type: ignore[arg-type]
            Port(f"s_axi_{name}ready", other, 1, meaning=taken.format(what)),  # type: ignore[arg-type]
        )

    return (
        *channel("aw", "in", "the address of a write"),
        Port("s_axi_awaddr", "in", address, meaning=byte),
        *channel("w", "in", "the data of a write"),
        Port("s_axi_wdata", "in", WORD, meaning="what is written"),
        Port("s_axi_wstrb", "in", BYTES, meaning="bytes that are written: all, or it is refused"),
        *channel("b", "out", "the response to a write"),
        Port("s_axi_bresp", "out", 2, meaning=answer),
        *channel("ar", "in", "the address of a read"),
        Port("s_axi_araddr", "in", address, meaning=byte),
        *channel("r", "out", "the response to a read"),
        Port("s_axi_rdata", "out", WORD, meaning="what was read; 0 at an error"),
        Port("s_axi_rresp", "out", 2, meaning=answer),
        *space.ports,
    )


@dataclass(frozen=True)
class AxiLiteState:
    """State of the twin of `hdl.bus.AxiLite`.

    Parameters
    ----------
    aw, w, ar
        What waits: addresses of writes; data and strobes; addresses of reads.
    b, r
        Responses that wait: to writes; values that were read, with their responses.
    flight
        Responses of the reads of the latest clocks, whose values are not there yet, the oldest
        first; None for a clock without a read.
    access
        What the plain bus shows.
    reads_next
        A read goes first, if a write could go as well.
    """

    aw: tuple[int, ...] = ()
    w: tuple[tuple[int, int], ...] = ()
    ar: tuple[int, ...] = ()
    b: tuple[int, ...] = ()
    r: tuple[tuple[int, int], ...] = ()
    flight: tuple[int | None, ...] = ()
    access: Access = Access()
    reads_next: bool = False


class AxiLite(Twin[AxiLiteState]):
    """Twin of `hdl.bus.AxiLite`.

    Parameters
    ----------
    space
        The registers.

    Examples
    --------
    >>> twin = AxiLite(Space(bits=3, addresses=(0, 1, 5), latency=2))
    >>> twin.initial().access.read
    False
    """

    def __init__(self, space: Space):
        self.space = space
        self.ports = ports(space)

    def initial(self) -> AxiLiteState:
        """Return the state after a reset: nothing is on its way."""
        return AxiLiteState(flight=(None,) * (self.space.latency + 1))

    def stretch(self, state: AxiLiteState, inputs: Trace) -> tuple[AxiLiteState, Trace]:
        """Return the state after some clocks, and the outputs in these."""
        rows = {port.name: [0] * len(inputs["bus_data"]) for port in self.ports or ()}
        names = list(inputs)
        for clock, values in enumerate(zip(*(inputs[name].tolist() for name in names))):
            for name, value in self._shown(state):
                rows[name][clock] = value
            state = self._next(state, dict(zip(names, values)))
        outs = [port.name for port in self.ports or () if port.direction == "out"]
        return state, {name: np.array(rows[name], np.int64) for name in outs}

    def _shown(self, state: AxiLiteState) -> Iterator[tuple[str, int]]:
        """Yield all outputs; they follow from the state alone."""
        for name, queue in (("aw", state.aw), ("w", state.w), ("ar", state.ar)):
            yield f"s_axi_{name}ready", len(queue) < PLACES
        yield "s_axi_bvalid", bool(state.b)
        yield "s_axi_bresp", state.b[0] if state.b else OKAY
        yield "s_axi_rvalid", bool(state.r)
        value, response = state.r[0] if state.r else (0, OKAY)
        yield "s_axi_rdata", value
        yield "s_axi_rresp", response
        for name in ("address", "write", "value", "read"):
            yield f"bus_{name}", int(getattr(state.access, name))

    def _next(self, state: AxiLiteState, given: dict[str, int]) -> AxiLiteState:
        """Return the state after a clock."""
        space = self.space
        aw, w, ar, b, r = (
            list(state.aw),
            list(state.w),
            list(state.ar),
            list(state.b),
            list(state.r),
        )
        on_way = sum(each is not None for each in state.flight) + len(r)
        # The value of the oldest read arrives.
        arrives, *flight = state.flight
        writes = bool(aw and w) and len(b) < PLACES
        reading = bool(ar) and on_way < reads(space)
        if writes and reading:
            writes, reading = not state.reads_next, state.reads_next
        # Responses that were there are taken.
        if b and given["s_axi_bready"]:
            b.pop(0)
        if r and given["s_axi_rready"]:
            r.pop(0)
        if arrives is not None:
            r.append((given["bus_data"] if arrives == OKAY else 0, arrives))
        access, answer, turn = Access(), None, state.reads_next
        if writes:
            address, (value, strobes) = aw.pop(0), w.pop(0)
            good = space.known(address) and strobes == (1 << BYTES) - 1
            b.append(OKAY if good else SLVERR)
            access, turn = Access(address, write=good, value=value), True
        elif reading:
            address = ar.pop(0)
            good = space.known(address)
            answer = OKAY if good else SLVERR
            access, turn = Access(address, read=good), False
        # What is offered comes in, where there was room.
        if given["s_axi_awvalid"] and len(state.aw) < PLACES:
            aw.append(given["s_axi_awaddr"] >> 2)
        if given["s_axi_wvalid"] and len(state.w) < PLACES:
            w.append((given["s_axi_wdata"], given["s_axi_wstrb"]))
        if given["s_axi_arvalid"] and len(state.ar) < PLACES:
            ar.append(given["s_axi_araddr"] >> 2)
        return replace(
            state,
            aw=tuple(aw),
            w=tuple(w),
            ar=tuple(ar),
            b=tuple(b),
            r=tuple(r),
            flight=(*flight, answer),
            access=access,
            reads_next=turn,
        )
