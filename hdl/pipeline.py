# amaranth: UnusedElaboratable=no
# (a unit has its pipeline for its ports' sake, also where it is described and never elaborated)
"""A unit's arithmetic apart from its streams.

A `Pipeline` computes: an operand may come at every clock, its result leaves a fixed number of
clocks later, and nothing inside waits. Random bits are a port, read with the operand, so the result
is a function of what came in and nothing else; that is what `gradloom prove` proves.

`Streamed` puts any pipeline between two streams: generators for the random words, and a FIFO whose
places operands claim before their results exist.
"""

from typing import Any

from amaranth.hdl import C, Module, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Member, Out, connect, flipped

from hdl.buffer import Buffer
from hdl.lfsr import words


class Pipeline(wiring.Component):
    """Base of the pipelines: results a fixed number of clocks after their operands, no
    back-pressure.

    Parameters
    ----------
    config
        The configuration of the unit that it belongs to.
    operand, result
        Fields of an operand and of a result.
    draws
        Whether it takes random words: one a lane, as its configuration's generator makes them.
    ports
        Further inputs, read with each operand.

    Members
    -------
    operand : In(stream of `operand`, always ready)
        An operand, where `valid`.
    result : Out(stream of `result`, always ready)
        Results; the payload is not specified while `valid` is low.
    random : In(lanes words), where it draws
        Random words for the operand that is there. They have been used where `operand.valid` is
        high.
    """

    # Not i and o: signals of those names are the unit's around it, and in a waveform both would
    # stand in one scope.
    operand: stream.Interface
    result: stream.Interface
    random: data.View

    def __init__(
        self,
        config: Any,
        *,
        operand: dict[str, ShapeLike],
        result: dict[str, ShapeLike],
        draws: bool = False,
        ports: dict[str, Member] | None = None,
    ):
        self.config = config
        self.draws = draws
        members: dict[str, Member] = {
            "operand": In(stream.Signature(data.StructLayout(operand), always_ready=True)),
            "result": Out(stream.Signature(data.StructLayout(result), always_ready=True)),
            **(ports or {}),
        }
        if draws:
            members["random"] = In(data.ArrayLayout(config.generator.draw, config.lanes))
        super().__init__(members)


class Streamed(wiring.Component):
    """A pipeline between two streams.

    An operand is accepted when its result is sure of a place in the output FIFO, so the pipeline
    never has to wait. The FIFO has a place more than the unit has clocks of latency: results stream
    without a gap while they are taken.

    Parameters
    ----------
    kind
        The class of the pipeline.
    config
        Its configuration. `config.latency` counts the clocks through pipeline and FIFO.
    claims
        Field of an operand that says whether it brings a result; without it every operand does.
    made_of
        More for the pipeline.

    Members
    -------
    i : In(stream)
        The pipeline's operands. `ready` is low only where an operand brings a result for which
        there is no place.
    o : Out(stream)
        Its results.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self, kind: type[Pipeline], config: Any, *, claims: str | None = None, **made_of: Any
    ):
        self.config = config
        self.pipeline = kind(config, **made_of)
        self._claims = claims
        self._ports = {
            name: member
            for name, member in self.pipeline.signature.members.items()
            if name not in ("operand", "result", "random")
        }
        operand = self.pipeline.operand.payload.shape()
        result = self.pipeline.result.payload.shape()
        streams = {"i": In(stream.Signature(operand)), "o": Out(stream.Signature(result))}
        super().__init__({**streams, **self._ports})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.pipeline = pipeline = self.pipeline
        m.submodules.buffer = buffer = Buffer(self.o.payload.shape(), depth=config.latency + 1)

        claims: Value = self.i.payload[self._claims] if self._claims else C(1)
        accepted = Signal()
        m.d.comb += [
            self.i.ready.eq(~claims | buffer.ready),
            accepted.eq(self.i.valid & self.i.ready),
            buffer.claim.eq(accepted & claims),
        ]

        m.d.comb += [
            pipeline.operand.valid.eq(accepted),
            pipeline.operand.payload.eq(self.i.payload),
        ]
        m.d.comb += [getattr(pipeline, name).eq(getattr(self, name)) for name in self._ports]
        if pipeline.draws:
            m.d.comb += pipeline.random.eq(words(m, "lfsr", config.lfsr, accepted))

        m.d.comb += [
            buffer.i_valid.eq(pipeline.result.valid),
            buffer.i_payload.eq(pipeline.result.payload),
        ]
        connect(m, buffer.o, flipped(self.o))
        return m
