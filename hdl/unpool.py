"""The way back through max-pooling: a place gets the errors of the windows whose maximum it is.

Pipeline stages: the errors that count, their exact sum, and, if it is saturated, its range. A place
gathers its errors, one window per clock, so that each is written once and overlapping windows need
no memory that is read, added to and written again.
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data

from golden import check
from golden.unpool import UnpoolConfig
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed
from hdl.saturate import saturated


class UnpoolPipeline(Pipeline):
    """Sums of errors without streams, `config.latency` - 2 pipeline stages. Ports as in
    `Unpool`.
    """

    kind = "Pipeline"

    def __init__(self, config: UnpoolConfig):
        super().__init__(
            config,
            operand={
                "data": data.ArrayLayout(signed(config.width), config.lanes),
                "index": data.ArrayLayout(unsigned(config.index_bits), config.lanes),
                "number": unsigned(config.index_bits),
                "there": 1,
                "last": 1,
            },
            result={"data": data.ArrayLayout(signed(config.result_width), config.lanes)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, operand = self.config, self.operand.payload
        valid = registered(m, self.operand.valid, "valid", reset_less=False)
        last = registered(m, operand.last, "last")
        ends = valid & last
        begins = Signal(init=1)  # the next window is the place's first one
        with m.If(valid):
            m.d.sync += begins.eq(last)
        stages = 2 if config.saturate else 1
        m.d.comb += self.result.valid.eq(registered(m, ends, "ends", stages, reset_less=False))

        for lane in range(config.lanes):
            here = operand.there & (operand.index[lane] == operand.number)
            term = registered(m, Mux(here, operand.data[lane], 0), f"term_{lane}")
            total = Signal(signed(config.sum_width), name=f"sum_{lane}", reset_less=True)
            with m.If(valid):
                m.d.sync += total.eq(Mux(begins, 0, total) + term)
            result: Value = total
            if config.saturate:
                result = registered(m, saturated(total, config.width), f"saturated_{lane}")
            m.d.comb += self.result.payload.data[lane].eq(result)
        return m


class Unpool(Streamed):
    """Adds the errors of the windows whose maximum is at a place.

    Parameters
    ----------
    config
        Width, places of the largest window, windows that cover one place, saturation, lanes.

    Members
    -------
    i : In(stream of {data: lanes codes; index: lanes numbers; number; there: 1; last: 1})
        The windows that cover a place, one per transfer, in any order: each lane's error of `width`
        bits, the number of the place with the lane's maximum, and the number of this place in the
        window. Places follow each other. A window whose `there` is 0 does not count, so that a
        place without windows has one transfer too. `ready` is low only at a `last` window, while
        the output FIFO has no room.
    o : Out(stream of {data: lanes codes})
        One transfer per place, `config.latency` clocks after its `last` window: the exact sum of
        the errors whose `index` is `number`, or that sum saturated to `width` bits.

    Examples
    --------
    >>> from golden import UnpoolConfig
    >>> unpool = Unpool(UnpoolConfig(width=8, most_windows=4, lanes=2))
    >>> print(unpool.o.payload.shape()["data"].shape, unpool.config.latency)
    ArrayLayout(signed(10), 2) 4
    """

    def __init__(self, config: UnpoolConfig):
        check.instance("config", config, UnpoolConfig)
        super().__init__(UnpoolPipeline, config, claims="last")
