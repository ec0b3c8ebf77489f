"""Q_E: errors, by `scaled` and clipping. Five pipeline stages."""

from amaranth.hdl import C, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In

from golden import check
from golden.fixed import Rounding
from golden.quantize import ErrorQuantizerConfig
from hdl.delay import registered
from hdl.pipeline import Pipeline, Streamed
from hdl.quantize.scale import largest_code, scaled, shift_of


class ErrorPipeline(Pipeline):
    """Q_E without streams, five pipeline stages. Ports as in `ErrorQuantizer`.

    Parameters
    ----------
    config
        Widths, rounding, lanes and generator.
    early
        The exponent comes two clocks before its errors.
    """

    kind = "Pipeline"

    exponent: Signal
    zero: Signal

    def __init__(self, config: ErrorQuantizerConfig, *, early: bool = False):
        self.early = early
        super().__init__(
            config,
            operand={
                "data": data.ArrayLayout(signed(config.width), config.lanes),
                "keep": data.ArrayLayout(1, config.lanes),
            },
            result={"data": data.ArrayLayout(signed(config.bits), config.lanes)},
            draws=config.rounding is Rounding.STOCHASTIC,
            ports={"exponent": In(range(config.width)), "zero": In(1)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.d.comb += self.result.valid.eq(
            registered(m, self.operand.valid, "valid", 5, reset_less=False)
        )
        exponent = Signal(range(config.width))
        m.d.comb += exponent.eq(Mux(self.exponent >= config.width, config.width - 1, self.exponent))
        top = largest_code(config.bits)
        draws = self.draws
        word_bits = len(Value.cast(self.random[0])) if draws else 0
        left = config.bits - 1
        most = max(0, config.width - 1 - left)
        shift = shift_of(
            *(m, exponent, C(left)),
            most_dropped=most,
            most_left=left,
            word=word_bits,
            early=self.early,
        )
        for lane in range(config.lanes):
            value = self.operand.payload.data[lane]
            word = Value.cast(self.random[lane]) if draws else None
            magnitude, negative = scaled(m, value, word, shift, lane)
            keep = registered(m, self.operand.payload.keep[lane] & ~self.zero, f"keep_{lane}", 4)
            # The limit is all ones: a code is beyond it if a higher bit is set. That is found
            # beside the negative code.
            low, beyond = magnitude[: config.bits - 1], magnitude[config.bits - 1 :].any()
            code = Mux(beyond, Mux(negative, -top, top), Mux(negative, -low, low))
            code = Mux(keep, code, 0)[: config.bits]
            m.d.comb += self.result.payload.data[lane].eq(
                registered(m, code.as_signed(), f"error_{lane}")
            )
        return m


class ErrorQuantizer(Streamed):
    """Q_E: divides errors by their tensor's power of two and rounds them to signed words.

    Parameters
    ----------
    config
        Widths, rounding, lanes and generator.

    Members
    -------
    i : In(stream of {data: lanes codes of `width` bits; keep: lanes bits})
        Errors. The result is 0 where `keep` is 0: the masks of ReLU and clipping.
    exponent : In
        log2 of the scale, from `ShiftExponent`; read with each operand. `width` or more means
        `width` - 1.
    zero : In(1)
        The whole tensor is zero, and so are the results; read with each operand. Random words
        are drawn all the same.
    o : Out(stream of {data: lanes codes of `bits` bits})
        Quantized errors, `config.latency` clocks later.

    Examples
    --------
    >>> from golden import ErrorQuantizerConfig
    >>> quantizer = ErrorQuantizer(ErrorQuantizerConfig(width=24, lanes=2))
    >>> quantizer.exponent.shape(), quantizer.config.latency
    (unsigned(5), 7)
    """

    exponent: Signal
    zero: Signal

    def __init__(self, config: ErrorQuantizerConfig):
        check.instance("config", config, ErrorQuantizerConfig)
        super().__init__(ErrorPipeline, config)
