# amaranth: UnusedElaboratable=no
# (a unit creates its pipeline to derive its ports, even if it is never elaborated)
"""The two layers of a unit: a pipeline, and the streams around it.

A `Pipeline` computes. It takes an operand in any clock, returns the result a fixed number of clocks
later, and never waits. Random words are an input, read together with the operand, so the result is
a function of the inputs alone; `gradloom prove` proves that function.

`Streamed` connects any pipeline to an input and an output stream. It adds the generators of the
random words, and an output FIFO with credits: an operand claims a place before its result exists.
"""

from typing import Any

from amaranth.hdl import C, Module, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Member, Out, connect, flipped

from hdl.buffer import Buffer
from hdl.lfsr import words


class Pipeline(wiring.Component):
    """Base class of the pipelines: fixed latency, no back-pressure.

    Parameters
    ----------
    config
        Configuration of the unit that the pipeline belongs to.
    operand, result
        Fields of an operand and of a result.
    draws
        Whether it has the port `random`, with words of the configuration's generator.
    ports
        Further inputs, read with each operand.

    Members
    -------
    operand : In(stream of `operand`, always ready)
        Operands.
    result : Out(stream of `result`, always ready)
        Results; the payload is not specified while `valid` is low.
    random : In(lanes words of `draw` bits), if `draws`
        Random words for the operand of the same clock. They are used up in each clock in which
        `operand.valid` is high.
    """

    # The streams are not called i and o, because the unit's own are: a waveform viewer would show
    # both in one scope.
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

    An operand is accepted only if its result has a place in the output FIFO, so the pipeline never
    waits. The FIFO has `config.latency` + 1 places: enough for one result per clock while the
    output is ready.

    Parameters
    ----------
    kind
        Class of the pipeline.
    config
        Configuration of the pipeline. `config.latency` counts the clocks through pipeline and FIFO.
    claims
        Field of an operand that is 1 if the operand has a result; None if every operand has one.
    made_of
        Further arguments of the pipeline.

    Members
    -------
    i : In(stream)
        Operands of the pipeline. `ready` is low only if the operand has a result and the output
        FIFO has no place for it.
    o : Out(stream)
        Results of the pipeline.
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
        m.submodules.buffer = buffer = Buffer(self.o.payload.shape(), depth=config.buffer)

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
