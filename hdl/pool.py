"""Max-pooling: the maximum of each window of a stream, and the number of its first place.

Two pipeline stages: registers, and the running maximum. There is no value below all others: a bit
says whether a place of the window has been in the image, and the first of them replaces what the
registers hold. So padding never wins, and the lowest code is a value like any other.
"""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data

from golden import check
from golden.pool import PoolConfig
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed


class PoolPipeline(Pipeline):
    """Max-pooling without streams, two pipeline stages. Ports as in `Pool`."""

    kind = "Pipeline"

    def __init__(self, config: PoolConfig):
        super().__init__(
            config,
            operand={
                "data": data.ArrayLayout(signed(config.width), config.lanes),
                "there": 1,
                "last": 1,
            },
            result={
                "data": data.ArrayLayout(signed(config.width), config.lanes),
                "index": data.ArrayLayout(unsigned(config.index_bits), config.lanes),
                "there": 1,
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        operand, result = self.operand.payload, self.result.payload
        valid = registered(m, self.operand.valid, "valid", reset_less=False)
        there = registered(m, operand.there, "there")
        last = registered(m, operand.last, "last")

        begun = Signal()  # a place of this window has been in the image
        number = Signal(config.index_bits)  # of the place in the window
        with m.If(valid):
            m.d.sync += [
                begun.eq((begun | there) & ~last),
                number.eq(Mux(last, 0, number + 1)),
            ]
        m.d.comb += [
            self.result.valid.eq(registered(m, valid & last, "ends", reset_less=False)),
            result.there.eq(registered(m, begun | there, "some")),
        ]

        for lane in range(config.lanes):
            value = registered(m, operand.data[lane], f"value_{lane}")
            best = Signal(signed(config.width), name=f"best_{lane}", reset_less=True)
            index = Signal(config.index_bits, name=f"index_{lane}", reset_less=True)
            wins = Signal(name=f"wins_{lane}")
            m.d.comb += wins.eq(there & (~begun | (value > best)))
            with m.If(valid):
                m.d.sync += [
                    best.eq(Mux(wins, value, Mux(begun, best, 0))),
                    index.eq(Mux(wins, number, Mux(begun, index, 0))),
                ]
            m.d.comb += [result.data[lane].eq(best), result.index[lane].eq(index)]
        return m


class Pool(Streamed):
    """Max-pooling: the maximum of each window, and the number of the first place that has it.

    Parameters
    ----------
    config
        Width, places of the largest window, lanes.

    Members
    -------
    i : In(stream of {data: lanes codes of `width` bits; there: 1; last: 1})
        The places of a window, one per transfer, in the order of their numbers. Windows follow each
        other. A place whose `there` is 0 is padding: it has a number, and its values do not count.
        `ready` is low only at a `last` place, while the output FIFO has no room.
    o : Out(stream of {data: lanes codes; index: lanes numbers; there: 1})
        One transfer per window, `config.latency` clocks after its `last` place. `there`: the window
        has a place that is not padding; otherwise `data` and `index` are 0.

    Examples
    --------
    >>> from golden import PoolConfig
    >>> pool = Pool(PoolConfig(width=16, most_places=9, lanes=8))
    >>> print(pool.o.payload.shape()["index"].shape, pool.config.latency)
    ArrayLayout(unsigned(4), 8) 4
    """

    def __init__(self, config: PoolConfig):
        check.instance("config", config, PoolConfig)
        super().__init__(PoolPipeline, config, claims="last")
