# amaranth: UnusedElaboratable=no
# (components are made only for their ports)
"""Specification of streams with credits: the output FIFO, and a pipeline between two streams."""

import re
from collections.abc import Callable
from typing import Any

from amaranth.hdl import Array, Mux, Signal, Value

import hdl
from golden.buffer import BUFFER_LATENCY
from golden.port import Port
from gradloom.prove import lfsr
from gradloom.prove.bench import AnyState, Bench, Induction
from gradloom.prove.integers import every, implies
from gradloom.rtl.names import inner, snake
from gradloom.sim.toplevel import flatten
from hdl.lfsr import Lanes


def held(bench: Bench, within: int = 12) -> None:
    """Add the properties of the output stream. The first results come `within` so many clocks."""
    outputs = [port.name for port in bench.ports if port.direction == "out"]
    payload = bench.whole(name for name in outputs if name.startswith("o_") and name != "o_valid")
    stalled = bench["o_valid"] & ~bench["o_ready"] & ~bench.rst
    bench.prove(
        "held",
        "until a result is taken, it stays valid and its payload does not change",
        implies(bench.past(stalled), bench["o_valid"] & (payload == bench.past(payload))),
        AnyState(1),
        {"stalled": bench.past(stalled) & (payload != 0)},
        within=within,
    )
    bench.prove(
        "zero",
        "the payload is 0 while it is not valid",
        implies(~bench["o_valid"], payload == 0),
        AnyState(0),
        {"not valid after a result": ~bench["o_valid"] & bench.past(bench["o_valid"])},
        within=within,
    )


def shown(bench: Bench) -> Value:
    """Return whether the unit's output stream equals that of the FIFO `buffer` inside."""
    return every(
        bench.whole([port.name]) == bench.probe(f"buffer.{port.name}", port.bits)
        for port in bench.ports
        if port.name.startswith("o_")
    )


class Fifo:
    """The state of an output FIFO in its registers.

    Parameters
    ----------
    bench
        A bench of the FIFO, or of a module that contains it.
    prefix
        Path of the instance.
    depth, rows
        Number of places, and of the places that one claim takes.
    """

    def __init__(self, bench: Bench, prefix: str, depth: int, rows: int):
        self.bits = (depth - 2).bit_length()
        self.level = bench.probe(f"{prefix}level_0", (depth - 1).bit_length())
        self.some = bench.probe(f"{prefix}stored_0", 1)
        self.more = bench.probe(f"{prefix}several_0", 1)
        claims = self.claims = bench.probe(f"{prefix}claims", depth // rows)
        self.valid = bench["o_valid"]
        self.stored = self.level + self.valid
        self.free = rows * sum(claims[k] for k in range(len(claims)))
        consistent = [
            # Credits are counted in unary, as a row of ones.
            (claims & (claims + 1)) == 0,
            self.some == (self.level > 0),
            self.more == (self.level > 1),
            implies(~self.valid, self.level <= 1),
        ]
        if rows > 1:
            left = bench.probe(f"{prefix}left", (rows - 1).bit_length())
            completes = bench.probe(f"{prefix}completes", 1)
            consistent += [left < rows, completes == (left == rows - 1)]
            self.free = self.free + left
        self.consistent = every(consistent)


def specify_fifo(bench: Bench, depth: int, rows: int) -> None:
    """Add the properties of the FIFO, if only claimed values are written to it."""
    fifo = Fifo(bench, "", depth, rows)
    claim, came = bench["claim"], bench["i_valid"]
    leaves = bench["o_valid"] & bench["o_ready"]
    flying = bench.register("flying", range(depth + 1))
    bench.update(flying, flying + Mux(claim, rows, 0) - came)
    bench.assume(implies(claim, bench["ready"]))
    bench.assume(implies(came, flying > 0))
    held(bench)

    places = fifo.consistent & (flying + fifo.stored + fifo.free == depth)
    bench.prove(
        "places",
        "in flight + stored + free = all places: credits never overflow, and `ready` is high if "
        "and only if there are enough free places for a claim",
        places & (bench["ready"] == (fifo.free >= rows)),
        Induction(1),
        {"full": (fifo.stored == depth) & ~bench["ready"], "empty": fifo.stored == 0},
        within=depth * 2 + 4,
    )

    # Follow any one value: `pick` chooses it when it enters.
    payload = bench.whole(port.name for port in bench.ports if port.name.startswith("i_payload"))
    shown = bench.whole(
        port.name
        for port in bench.ports
        if port.name.startswith("o_") and port.name not in ("o_valid", "o_ready")
    )
    pick = bench.free("pick", 1)
    following = bench.register("following", 1)
    ahead = bench.register("ahead", range(depth + 1))
    value = bench.register("value", len(payload))
    first = bench.probe("read__addr", fifo.bits)
    last = bench.probe("write__addr", fifo.bits)
    words = [bench.probe(f"storage_0[{k}]", len(payload)) for k in range(1 << fifo.bits)]
    begins = ~following & came & pick
    arrives = following & leaves & (ahead == 0)
    bench.update(following, (following & ~arrives) | begins)
    bench.update(ahead, Mux(begins, fifo.stored, ahead) - leaves)
    bench.update(value, Mux(begins, payload, value))
    where = Signal(fifo.bits)
    bench.m.d.comb += where.eq(first + ahead - fifo.valid)
    at_output = fifo.valid & (ahead == 0)
    bench.prove(
        "order",
        "every value leaves exactly once, in the order of the values at the input, for any stalls",
        places
        & ((fifo.level - (last - first))[: fifo.bits] == 0)
        & implies(following, ahead < fifo.stored)
        & implies(following & at_output, shown == value)
        & implies(following & ~at_output, Array(words)[where] == value),
        Induction(1),
        {"followed to the output": following & at_output & (value != 0)},
        within=12,
    )


def specify_streamed(bench: Bench, config: Any, pipeline: list[Port], brings: str | None) -> None:
    """Add the properties of a pipeline between streams, beside those of the pipeline and the FIFO.

    Parameters
    ----------
    bench
        A bench of the unit.
    config
        Configuration of the unit.
    pipeline
        The ports of the pipeline inside.
    brings
        Port that is 1 for operands with a result; None if every operand has one.
    """
    clocks = config.latency - BUFFER_LATENCY
    depth = config.buffer
    accepted = bench["i_valid"] & bench["i_ready"]
    claims = accepted & bench[brings] if brings else accepted

    same = [bench.probe("pipeline.operand_valid", 1) == accepted]
    results = [bench.probe("buffer.i_valid", 1) == bench.probe("pipeline.result_valid", 1)]
    for port in pipeline:
        inside = bench.probe(f"pipeline.{port.name}", port.bits)
        if port.name == "random":
            same += [
                inside == bench.probe("lfsr.word", port.bits),
                bench.probe("lfsr.draw", 1) == accepted,
            ]
        elif port.direction == "in" and port.name != "operand_valid":
            outside = re.sub("^operand_", "i_", port.name)
            same.append(inside == bench.whole([outside]))
        elif port.direction == "out" and port.name != "result_valid":
            field = port.name.removeprefix("result_")
            results.append(inside == bench.probe(f"buffer.i_payload_{field}", port.bits))
    bench.prove(
        "operands",
        "the pipeline gets each accepted operand once, with the values of the other ports at that "
        "clock and, if it draws, one random word per lane, after which the lanes leap; its results "
        "go to the FIFO, whose output is the unit's",
        every(same) & every(results) & shown(bench),
        AnyState(0),
        {"accepted": accepted, "offered and refused": bench["i_valid"] & ~bench["i_ready"]},
        within=depth + 3,
    )

    fifo = Fifo(bench, "buffer.", depth, 1)
    flying = sum(bench.since(claims, clock) for clock in range(1, clocks + 1))
    bench.prove(
        "places",
        "in flight + stored + free = all places; an operand is refused only if it has a result and "
        "no place is free",
        fifo.consistent
        & (flying + fifo.stored + fifo.free == depth)
        & (bench["i_ready"] == ((fifo.free > 0) | (~bench[brings] if brings else 0))),
        Induction(clocks + 1),
        {"all places stored": fifo.stored == depth, "all free": fifo.free == depth},
        within=depth + clocks + 3,
    )


def benches(
    module: str,
    config: Any,
    component: Any,
    specify: Callable[[Bench, Any], None],
    brings: str | None = None,
) -> list[Bench]:
    """Return the benches of a pipeline between two streams: the pipeline, the lanes of its random
    words, the output FIFO, and the whole.

    Parameters
    ----------
    module
        Name of the unit's module.
    config, component
        The configuration and the unit.
    specify
        Adds the properties of the pipeline to its bench.
    brings
        Port that is 1 for operands with a result; None if every operand has one.
    """
    pipeline = component.pipeline
    inside = flatten(pipeline)
    kind = snake(getattr(pipeline, "kind", type(pipeline).__name__))
    found = [Bench(inner(module, kind), inside)]
    specify(found[-1], config)
    if pipeline.draws:
        found.append(Bench(inner(module, "lanes"), flatten(Lanes(config.lfsr))))
        lfsr.specify(found[-1], config.lfsr)
    fifo = hdl.Buffer(component.o.payload.shape(), depth=config.buffer)
    found.append(Bench(inner(module, "buffer"), flatten(fifo)))
    specify_fifo(found[-1], config.buffer, 1)
    found.append(Bench(module, config.ports))
    specify_streamed(found[-1], config, inside, brings)
    return found
